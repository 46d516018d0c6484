//! From labels of tokens to entities.
//!
//! Labels are `O`, or a kind behind `B-` (begins) or `I-` (goes on). Tokens in a row of the same kind make an entity unless one
//! of them begins a new one; its score is the mean of theirs. That is `aggregation_strategy="simple"` of transformers'
//! `TokenClassificationPipeline`.

use std::ops::Range;

use super::RowScores;
use crate::tokenizer::Window;

/// A part of a text that a token model has a label for.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Its kind, without `B-` and `I-`.
    pub label: String,
    /// Mean probability of its tokens.
    pub score: f32,
    /// Where it lies, in bytes of the text.
    pub range: Range<usize>,
    tokens: usize,
}

/// The kinds among `labels`.
#[must_use]
pub fn kinds(labels: &[String]) -> Vec<String> {
    let mut kinds: Vec<String> = labels
        .iter()
        .map(|label| split(label).1.to_owned())
        .filter(|kind| kind != "O")
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Joins the tokens of overlapping windows and groups them. In an overlap, the first half is the earlier window's word, the
/// second the later one's: each speaks where it sees both sides.
#[must_use]
pub fn join(
    text: &str,
    windows: &[Window],
    scores: &[RowScores],
    labels: &[String],
) -> Vec<Entity> {
    let mut entities: Vec<Entity> = Vec::new();
    // Whether the last token belonged to the last entity.
    let mut goes_on = false;
    for (at, (window, scores)) in windows.iter().zip(scores).enumerate() {
        let RowScores::Tokens(scores) = scores else {
            continue;
        };
        let from = match at.checked_sub(1).and_then(|before| windows.get(before)) {
            Some(before) => before.end().saturating_sub(window.start).div_ceil(2),
            None => 0,
        };
        let to = match windows.get(at + 1) {
            Some(next) => {
                next.start - window.start + window.end().saturating_sub(next.start).div_ceil(2)
            }
            None => window.offsets.len(),
        };
        let own = window.offsets.iter().zip(scores.iter().skip(window.lead));
        for (range, (label, score)) in own.take(to).skip(from) {
            let (begins, kind) = labels
                .get(*label)
                .map_or((false, "O"), |label| split(label));
            if kind == "O" {
                goes_on = false;
                continue;
            }
            match entities
                .last_mut()
                .filter(|last| goes_on && !begins && last.label == kind)
            {
                Some(last) => {
                    last.range.end = range.end;
                    last.score += score;
                    last.tokens += 1;
                }
                None => entities.push(Entity {
                    label: kind.to_owned(),
                    score: *score,
                    range: range.clone(),
                    tokens: 1,
                }),
            }
            goes_on = true;
        }
    }
    for entity in &mut entities {
        entity.score /= entity.tokens as f32;
        // Byte-level tokenizers count the space before a word as the word's.
        if let Some(found) = text.get(entity.range.clone()) {
            entity.range.start += found.len() - found.trim_start().len();
        }
    }
    entities
}

fn split(label: &str) -> (bool, &str) {
    match label.split_once('-') {
        Some(("B", kind)) => (true, kind),
        Some(("I", kind)) => (false, kind),
        _ => (false, label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TokenizedText;

    const LABELS: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

    fn labels() -> Vec<String> {
        LABELS.map(str::to_owned).to_vec()
    }

    /// Tokens are single letters; a window has one token of frame before them.
    fn window(start: usize, tokens: &[usize]) -> (Window, RowScores) {
        let offsets: Vec<Range<usize>> =
            (start..start + tokens.len()).map(|at| at..at + 1).collect();
        let scores = std::iter::once((1, 0.9)).chain(tokens.iter().map(|label| (*label, 0.5)));
        let window = Window {
            range: start..start + tokens.len(),
            start,
            tokens: TokenizedText {
                input_ids: vec![0; tokens.len() + 1],
                token_type_ids: Vec::new(),
                truncated: false,
            },
            offsets,
            lead: 1,
        };
        (window, RowScores::Tokens(scores.collect()))
    }

    fn joined(parts: Vec<(Window, RowScores)>) -> Vec<(String, Range<usize>)> {
        let (windows, scores): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        join("abcdefghijklmnop", &windows, &scores, &labels())
            .into_iter()
            .map(|entity| (entity.label, entity.range))
            .collect()
    }

    fn found(label: &str, range: Range<usize>) -> (String, Range<usize>) {
        (label.to_owned(), range)
    }

    #[test]
    fn tokens_in_a_row_are_one_entity_until_one_begins() {
        let entities = joined(vec![window(0, &[1, 2, 1, 0, 4, 4, 2])]);
        let expected = [
            found("PER", 0..2),
            found("PER", 2..3),
            found("LOC", 4..6),
            found("PER", 6..7),
        ];
        assert_eq!(entities, expected);
    }

    #[test]
    fn an_entity_across_windows_is_found_once() {
        let whole = joined(vec![window(0, &[0, 0, 0, 1, 2, 2, 2, 0, 0, 0])]);
        let parts = joined(vec![
            window(0, &[0, 0, 0, 1, 2, 2]),
            window(4, &[1, 2, 2, 0, 0, 0]),
        ]);
        assert_eq!(whole, [found("PER", 3..7)]);
        assert_eq!(
            parts, whole,
            "the later window's word counts where it sees both sides"
        );
    }

    #[test]
    fn kinds_are_named_once() {
        assert_eq!(kinds(&labels()), ["LOC", "PER"]);
    }
}
