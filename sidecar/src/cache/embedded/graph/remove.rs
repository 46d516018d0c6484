//! Removal: the neighbours that are left lose one way to each other, so they are joined by the cheapest tree, where they are not
//! linked already.

use super::{Graph, Query, Slot};

/// What a removal will change.
#[derive(Debug)]
pub(in crate::cache::embedded) struct Removal {
    slot: Slot,
    /// By level: links to make, nearest first.
    joined: Vec<Vec<(Slot, Slot)>>,
}

impl<T: Clone> Graph<T> {
    /// Finds the links that keep the neighbours of a node together.
    pub(in crate::cache::embedded) fn plan_removal(&self, slot: Slot) -> Removal {
        let joined = (0..=self.level_of(slot))
            .map(|level| self.spanning_tree(level, self.neighbours(level, slot)))
            .collect();
        Removal { slot, joined }
    }

    /// Carries out a plan made since the last change of the graph, and returns what was in the slot.
    pub(in crate::cache::embedded) fn remove(&mut self, plan: Removal) -> Option<T> {
        let slot = plan.slot;
        let node = self.nodes.row_mut(slot)[0].take()?;
        let beside = self.neighbours(0, slot).first().copied();
        for (level, joined) in plan.joined.into_iter().enumerate() {
            for neighbour in self.neighbours(level, slot).to_vec() {
                self.unlink(level, slot, neighbour);
            }
            for (a, b) in joined {
                self.link(level, a, b);
            }
        }
        for level in &mut self.upper {
            level.remove(&slot);
        }
        while self.upper.last().is_some_and(|level| level.is_empty()) {
            self.upper.pop();
        }
        self.len -= 1;
        self.free.push(slot);
        if self.entry_point == Some(slot) {
            self.entry_point = self.any_highest(beside);
        }
        Some(node)
    }

    /// A node of the highest level; on level 0 `beside`, where there is one.
    pub(super) fn any_highest(&self, beside: Option<Slot>) -> Option<Slot> {
        let highest = self
            .upper
            .last()
            .and_then(|level| level.keys().next().copied());
        highest
            .or(beside)
            .or_else(|| (0..self.slots).find(|slot| self.get(*slot).is_some()))
    }

    /// The links that join `slots` at the highest sum of similarities, without those that exist (Kruskal).
    fn spanning_tree(&self, level: usize, slots: &[Slot]) -> Vec<(Slot, Slot)> {
        let mut tree_of: Vec<usize> = (0..slots.len()).collect();
        let mut merge = |a: usize, b: usize| {
            let (from, to) = (tree_of[a], tree_of[b]);
            for tree in &mut tree_of {
                if *tree == from {
                    *tree = to;
                }
            }
            from != to
        };
        let mut missing = Vec::new();
        for (b, &slot) in slots.iter().enumerate() {
            let linked = self.neighbours(level, slot);
            let vector = self.vector(slot);
            let mut scored = Vec::with_capacity(b);
            self.vectors
                .exact(&Query::new(&vector), &slots[..b], &mut scored);
            for (a, (product, other)) in scored.into_iter().enumerate() {
                if linked.contains(&other) {
                    merge(a, b);
                } else {
                    missing.push((product, a, b));
                }
            }
        }
        missing.sort_unstable_by(|x, y| y.cmp(x));
        missing
            .into_iter()
            .filter(|(_, a, b)| merge(*a, *b))
            .map(|(_, a, b)| (slots[a], slots[b]))
            .collect()
    }
}
