//! Insertion.
//!
//! A node that is full drops one link for the new one: the farthest neighbour that another of its neighbours is nearer to, so
//! that there is still a short way; rather one that keeps [`FEW_LINKS`] others.

use std::collections::HashMap;

use super::{BREADTH_OF_INSERTION, Graph, NEW_LINKS, Products, Query, Scored, Slot};

/// A node with no more links than this is dropped last.
const FEW_LINKS: usize = 4;

/// Highest level; 16¹⁰ nodes would be needed to fill it.
const MAX_LEVEL: usize = 10;

/// What an insertion will change.
#[derive(Debug)]
pub(in crate::cache::embedded) struct Insertion {
    /// From level 0 to the level of the node.
    levels: Vec<LevelPlan>,
}

#[derive(Debug, Default)]
struct LevelPlan {
    neighbours: Vec<Slot>,
    /// Links that make room.
    dropped: Vec<(Slot, Slot)>,
}

impl<T: Clone> Graph<T> {
    /// Finds the neighbours of a new node; `number` decides its level.
    pub(in crate::cache::embedded) fn plan_insertion(
        &self,
        vector: &[i16],
        number: u64,
    ) -> Insertion {
        let level = level_of_number(number);
        let mut levels: Vec<LevelPlan> = (0..=level).map(|_| LevelPlan::default()).collect();
        let top = level.min(self.upper.len());
        let query = Query::new(vector);
        let Some(mut start) = self.descend(&query, top) else {
            return Insertion { levels };
        };
        for level in (0..=top).rev() {
            let (candidates, products) =
                self.candidates(&query, start.1, level, BREADTH_OF_INSERTION);
            start = candidates.first().copied().unwrap_or(start);
            let neighbours = self.select(&candidates, products);
            let max = Self::max_links(level);
            let is_full = |slot: &&Slot| self.neighbours(level, **slot).len() >= max;
            let dropped = neighbours
                .iter()
                .filter(is_full)
                .map(|&slot| (slot, self.least_needed(level, slot, products)))
                .collect();
            levels[level] = LevelPlan {
                neighbours,
                dropped,
            };
        }
        Insertion { levels }
    }

    /// Carries out a plan made since the last change of the graph.
    pub(in crate::cache::embedded) fn insert(
        &mut self,
        plan: Insertion,
        vector: &[i16],
        node: T,
    ) -> Slot {
        let slot = self.free.pop().unwrap_or(self.slots);
        self.put(slot, vector, node);
        let top = plan.levels.len() - 1;
        let is_highest = self.entry_point.is_none() || top > self.upper.len();
        if is_highest {
            self.upper
                .resize_with(top.max(self.upper.len()), HashMap::new);
            self.entry_point = Some(slot);
        }
        for level in &mut self.upper[..top] {
            level.insert(slot, Vec::new());
        }
        for (level, plan) in plan.levels.into_iter().enumerate() {
            for (a, b) in plan.dropped {
                self.unlink(level, a, b);
            }
            for neighbour in plan.neighbours {
                self.link(level, slot, neighbour);
            }
        }
        slot
    }

    /// Puts a node into a slot, without links.
    pub(super) fn put(&mut self, slot: Slot, vector: &[i16], node: T) {
        self.links.reach(slot);
        self.nodes.reach(slot);
        self.vectors.put(slot, vector);
        self.links.row_mut(slot)[0] = 0;
        self.nodes.row_mut(slot)[0] = Some(node);
        self.slots = self.slots.max(slot + 1);
        self.len += 1;
    }

    /// Of candidates, best first, those that are nearer to the new node than to each other; the best of the rest where these
    /// are few.
    fn select(&self, candidates: &[Scored], products: Products) -> Vec<Slot> {
        let mut chosen: Vec<Slot> = Vec::with_capacity(NEW_LINKS);
        let mut shaded = Vec::new();
        for &(product, slot) in candidates {
            if chosen.len() == NEW_LINKS {
                break;
            }
            if self.is_shaded(slot, product, &chosen, products) {
                shaded.push(slot);
            } else {
                chosen.push(slot);
            }
        }
        let room = NEW_LINKS - chosen.len();
        chosen.extend(shaded.into_iter().take(room));
        chosen
    }

    /// Whether one of `others` is nearer to a node than `product` says of another one.
    fn is_shaded(&self, slot: Slot, product: i32, others: &[Slot], products: Products) -> bool {
        let vector = self.vector(slot);
        let mut scored = Vec::with_capacity(others.len());
        let query = Query::new(&vector);
        products(&self.vectors, &query, others, &mut scored);
        scored.iter().any(|other| other.0 > product)
    }

    /// The neighbour that a full node drops.
    fn least_needed(&self, level: usize, slot: Slot, products: Products) -> Slot {
        let links = self.neighbours(level, slot);
        let vector = self.vector(slot);
        let mut neighbours = Vec::with_capacity(links.len());
        products(&self.vectors, &Query::new(&vector), links, &mut neighbours);
        // Farthest first.
        neighbours.sort_unstable();
        let slots: Vec<Slot> = neighbours.iter().map(|n| n.1).collect();
        let is_shaded =
            |at: usize| self.is_shaded(slots[at], neighbours[at].0, &slots[at + 1..], products);
        let can_spare = |at: &usize| self.neighbours(level, slots[*at]).len() > FEW_LINKS;
        let mut spare = (0..slots.len()).filter(can_spare);
        let farthest = spare.clone().next().unwrap_or(0);
        slots[spare.find(|at| is_shaded(*at)).unwrap_or(farthest)]
    }
}

/// One number of sixteen is on level 1 or above, one of 256 on level 2 or above.
fn level_of_number(number: u64) -> usize {
    // SplitMix64: numbers in a row become bits without order.
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    (bits.trailing_zeros() as usize / NEW_LINKS.trailing_zeros() as usize).min(MAX_LEVEL)
}
