//! How probable each label is as a model's answer, from the logits of its next token.
//!
//! The labels' tokens form a trie. A node that goes on in more than one way is a fork: the chance of each way is the softmax of
//! those tokens' logits alone, behind the prompt and the path to the node. Where one label ends and another goes on, the end is
//! a way too; its token is the one that ends an answer. Elsewhere there is nothing to choose. A label's probability is the
//! product along its path, and those of all labels add up to 1: this is what sampling would give if only labels were allowed.

use std::collections::BTreeSet;

use crate::classifier::softmax;

/// Why labels cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// The tokenizer makes nothing of it.
    #[error("the label `{0}` has no tokens")]
    Empty(String),
    /// It would end the answer.
    #[error("the label `{0}` holds the token that ends an answer")]
    HoldsEnd(String),
    /// Two labels read the same.
    #[error("the labels `{0}` and `{1}` have the same tokens")]
    Same(String, String),
}

/// A place where labels part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fork {
    /// Tokens of the answer before it.
    path: Vec<u32>,
    ways: Vec<Way>,
}

/// One way on from a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    token: u32,
    /// Numbers of the labels that take it.
    labels: Vec<usize>,
}

/// What is put behind the prompt so that one forward shows the logits of several forks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Tokens of an answer's beginning.
    pub path: Vec<u32>,
    /// Forks on that path: how many of its tokens lie before each, and its number.
    pub forks: Vec<(usize, usize)>,
}

/// The labels' tokens and where they part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTrie {
    labels: usize,
    forks: Vec<Fork>,
}

impl LabelTrie {
    /// The trie of `labels`, each with its tokens; `end` is the token that ends an answer.
    ///
    /// # Errors
    /// [`LabelsError`].
    pub fn new(labels: &[(String, Vec<u32>)], end: u32) -> Result<Self, LabelsError> {
        for (at, (name, tokens)) in labels.iter().enumerate() {
            if tokens.is_empty() {
                return Err(LabelsError::Empty(name.clone()));
            }
            if tokens.contains(&end) {
                return Err(LabelsError::HoldsEnd(name.clone()));
            }
            let before = labels.iter().take(at);
            if let Some((other, _)) = before.into_iter().find(|(_, t)| t == tokens) {
                return Err(LabelsError::Same(other.clone(), name.clone()));
            }
        }
        let paths: Vec<&[u32]> = labels.iter().map(|(_, tokens)| &tokens[..]).collect();
        let mut forks = Vec::new();
        let mut open = vec![(0, (0..paths.len()).collect::<Vec<usize>>())];
        while let Some((depth, members)) = open.pop() {
            let mut ways: Vec<Way> = Vec::new();
            for &label in &members {
                let next = paths.get(label).and_then(|path| path.get(depth));
                let token = next.copied().unwrap_or(end);
                match ways.iter_mut().find(|way| way.token == token) {
                    Some(way) => way.labels.push(label),
                    None => ways.push(Way {
                        token,
                        labels: vec![label],
                    }),
                }
            }
            open.extend(
                ways.iter()
                    .filter(|way| way.labels.len() > 1)
                    .map(|way| (depth + 1, way.labels.clone())),
            );
            if ways.len() > 1 {
                let first = members.first().and_then(|label| paths.get(*label));
                let path = first.map_or_else(Vec::new, |path| path[..depth].to_vec());
                forks.push(Fork { path, ways });
            }
        }
        Ok(Self {
            labels: labels.len(),
            forks,
        })
    }

    /// The fewest continuations of the prompt that show every fork: those on the way to a deeper one need none of their own.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        let mut deepest: Vec<&Fork> = self.forks.iter().collect();
        deepest.sort_by(|a, b| (b.path.len(), &a.path).cmp(&(a.path.len(), &b.path)));
        let mut seen = BTreeSet::new();
        let mut probes = Vec::new();
        for fork in deepest {
            let forks: Vec<(usize, usize)> = self
                .forks
                .iter()
                .enumerate()
                .filter(|(_, other)| fork.path.starts_with(&other.path))
                .map(|(number, other)| (other.path.len(), number))
                .filter(|(_, number)| seen.insert(*number))
                .collect();
            if !forks.is_empty() {
                let path = fork.path.clone();
                probes.push(Probe { path, forks });
            }
        }
        probes
    }

    /// How many forks there are.
    #[must_use]
    pub fn forks(&self) -> usize {
        self.forks.len()
    }

    /// The tokens whose logits are read at a fork; none when there is no such fork.
    pub fn tokens(&self, fork: usize) -> impl Iterator<Item = u32> {
        let fork = self.forks.get(fork);
        fork.into_iter()
            .flat_map(|fork| fork.ways.iter().map(|way| way.token))
    }

    /// The probability of each label; `logits`: for each fork those of its [`tokens`](Self::tokens).
    #[must_use]
    pub fn probabilities(&self, logits: &[Vec<f32>]) -> Vec<f32> {
        let mut probabilities = vec![1.0; self.labels];
        for (fork, logits) in self.forks.iter().zip(logits) {
            for (way, chance) in fork.ways.iter().zip(softmax(logits)) {
                for label in &way.labels {
                    if let Some(probability) = probabilities.get_mut(*label) {
                        *probability *= chance;
                    }
                }
            }
        }
        probabilities
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END: u32 = 0;

    fn named(paths: &[&[u32]]) -> Vec<(String, Vec<u32>)> {
        let name = |at: usize| format!("L{at}");
        let all = paths.iter().enumerate();
        all.map(|(at, path)| (name(at), path.to_vec())).collect()
    }

    fn trie(paths: &[&[u32]]) -> LabelTrie {
        LabelTrie::new(&named(paths), END).unwrap()
    }

    fn logits(trie: &LabelTrie, of: impl Fn(&[u32], u32) -> f32) -> Vec<Vec<f32>> {
        let forks = trie.forks.iter();
        forks
            .map(|fork| fork.ways.iter().map(|way| of(&fork.path, way.token)))
            .map(Iterator::collect)
            .collect()
    }

    #[test]
    fn labels_that_differ_at_once_need_one_probe_and_one_softmax() {
        let trie = trie(&[&[5, 6], &[7], &[8, 9, 10]]);
        let probe = Probe {
            path: vec![],
            forks: vec![(0, 0)],
        };
        assert_eq!(trie.probes(), [probe]);
        let logits = logits(
            &trie,
            |_, token| if token == 7 { 2.0_f32.ln() } else { 0.0 },
        );
        assert_eq!(trie.probabilities(&logits), [0.25, 0.5, 0.25]);
    }

    #[test]
    fn where_a_label_ends_and_another_goes_on_the_end_is_a_way() {
        // META, METADATA, COMPLEX
        let trie = trie(&[&[1], &[1, 2, 3], &[4]]);
        let logits = logits(&trie, |path, token| match (path, token) {
            ([], 1) => 3.0_f32.ln(),
            ([1], END) => 4.0_f32.ln(),
            _ => 0.0,
        });
        let found = trie.probabilities(&logits);
        for (found, expected) in found.iter().zip([0.75 * 0.8, 0.75 * 0.2, 0.25]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let probes = trie.probes();
        assert_eq!(probes.len(), 1, "the root is seen on the way");
        assert_eq!(probes[0].path, [1]);
    }

    #[test]
    fn a_common_beginning_is_walked_without_a_choice() {
        let trie = trie(&[&[1, 2, 3], &[1, 2, 4], &[1, 2, 4, 5]]);
        assert_eq!(trie.forks(), 2);
        let probes = trie.probes();
        assert_eq!(probes.len(), 1);
        assert_eq!(probes[0].path, [1, 2, 4]);
        let mut depths: Vec<usize> = probes[0].forks.iter().map(|(depth, _)| *depth).collect();
        depths.sort_unstable();
        assert_eq!(depths, [2, 3]);
    }

    #[test]
    fn labels_that_cannot_be_told_apart_are_refused() {
        let of = |paths: &[&[u32]]| LabelTrie::new(&named(paths), END).unwrap_err();
        assert_eq!(of(&[&[1], &[]]), LabelsError::Empty("L1".into()));
        assert_eq!(of(&[&[1, END], &[2]]), LabelsError::HoldsEnd("L0".into()));
        let same = LabelsError::Same("L0".into(), "L2".into());
        assert_eq!(of(&[&[1], &[2], &[1]]), same);
    }

    proptest! {
        #[test]
        fn probabilities_add_up_to_one_and_every_fork_is_seen_once(
            paths in proptest::collection::btree_set(proptest::collection::vec(1_u32..4, 1..5), 2..8),
            seed in 0.0_f32..10.0,
        ) {
            let paths: Vec<&[u32]> = paths.iter().map(Vec::as_slice).collect();
            let trie = trie(&paths);
            let logits = logits(&trie, |path, token| {
                (seed * (path.len() as f32 + 1.0) * (token as f32 + 0.5)).sin() * 5.0
            });
            let total: f32 = trie.probabilities(&logits).iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-5);
            let mut seen: Vec<usize> = Vec::new();
            for probe in trie.probes() {
                for (depth, fork) in probe.forks {
                    prop_assert_eq!(&probe.path[..depth], &trie.forks[fork].path[..]);
                    seen.push(fork);
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..trie.forks()).collect::<Vec<_>>());
        }
    }
}
