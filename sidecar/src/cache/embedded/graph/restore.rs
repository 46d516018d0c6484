//! A graph as it is kept on disk: each node with its slot and links.
//!
//! It is read while it changes, node by node, so links of one node may not fit those of another. [`Graph::mend`] makes them fit:
//! what leads nowhere or one way only goes.

use std::collections::HashMap;

use super::{Graph, Slot};

/// Slots that are believed: a higher one would claim memory for all before it.
const MAX_SLOTS: u32 = 1 << 27;

/// Where a node is in its graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cache::embedded) struct Placed {
    /// Its slot.
    pub(in crate::cache::embedded) slot: Slot,
    /// Its links, from level 0 up to its own.
    pub(in crate::cache::embedded) links: Vec<Vec<Slot>>,
}

impl<T: Clone> Graph<T> {
    /// Where the node in `slot` is.
    pub(in crate::cache::embedded) fn placed(&self, slot: Slot) -> Placed {
        let links = (0..=self.level_of(slot))
            .map(|level| self.neighbours(level, slot).to_vec())
            .collect();
        Placed { slot, links }
    }

    /// Puts a node back where it was; `false` when the slot is taken or cannot be. [`Self::mend`] must follow.
    pub(in crate::cache::embedded) fn restore(
        &mut self,
        placed: &Placed,
        vector: &[i16],
        node: T,
    ) -> bool {
        if placed.slot >= MAX_SLOTS || self.get(placed.slot).is_some() {
            return false;
        }
        self.put(placed.slot, vector, node);
        let Some((lowest, upper)) = placed.links.split_first() else {
            return true;
        };
        let row = self.links.row_mut(placed.slot);
        let len = lowest.len().min(row.len() - 1);
        row[1..=len].copy_from_slice(&lowest[..len]);
        row[0] = len as u32;
        if upper.len() > self.upper.len() {
            self.upper.resize_with(upper.len(), HashMap::new);
        }
        for (level, links) in self.upper.iter_mut().zip(upper) {
            level.insert(placed.slot, links.clone());
        }
        true
    }

    /// Takes out links that lead nowhere or one way only, and frees the slots between nodes.
    pub(in crate::cache::embedded) fn mend(&mut self) {
        for slot in 0..self.slots {
            if self.get(slot).is_none() {
                self.free.push(slot);
                continue;
            }
            for level in 0..=self.level_of(slot) {
                let one_way: Vec<Slot> = self
                    .neighbours(level, slot)
                    .iter()
                    .copied()
                    .filter(|&other| !self.leads_back(level, slot, other))
                    .collect();
                for other in one_way {
                    self.remove_half(level, slot, other);
                }
            }
        }
        self.entry_point = self.any_highest(None);
    }

    pub(super) fn leads_back(&self, level: usize, slot: Slot, other: Slot) -> bool {
        other != slot && self.get(other).is_some() && self.neighbours(level, other).contains(&slot)
    }
}
