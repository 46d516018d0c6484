//! A hierarchical navigable small world (HNSW) whose links all lead both ways.
//!
//! 1. Every node is on level 0, one of sixteen on level 1, one of 256 on level 2, and so on; a node's level follows from the
//!    number that it is inserted with.
//! 2. A search walks greedily down to level 1, then keeps the `breadth` best nodes seen on level 0 until none of them has a
//!    better neighbour. Up to here half of each vector is read ([`Halves`]), where that tells what is found apart; the order of
//!    what is found is that of whole vectors.
//! 3. An insertion links a node to the nearest that do not shade each other ([`insert`]).
//! 4. Because a link leads both ways, the neighbours of a node are all that know it. A removal takes them from each other and
//!    joins them by the cheapest tree ([`remove`]): no tombstones, no rebuild, and the slot is free at once.
//!
//! Insertion and removal come in two steps: a plan, made with a shared reference, costs the time; carrying it out changes a few
//! dozen short lists. Between the two nobody else may change the graph.
//!
//! Sources: Malkov and Yashunin 2018 (arXiv:1603.09320) for levels and search, its algorithm 4 for the choice of neighbours.

mod insert;
mod remove;
mod restore;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub(super) use restore::Placed;

use super::halves::{Halves, Query, Scored};
use super::vectors::Blocks;

/// Links that a new node gets on each level.
const NEW_LINKS: usize = 16;

/// Links that a node may have on level 0; above it half as many.
const MAX_LINKS: usize = 2 * NEW_LINKS;

/// Nodes kept in view while an insertion looks for neighbours.
const BREADTH_OF_INSERTION: usize = 96;

/// Nodes kept in view by a search, at least.
const MIN_BREADTH_OF_SEARCH: usize = 40;

/// Of the breadth of a search, `nodes^(7/8) / 593`. Measured (recall@1 of 384 dimensions around centres): 100,000 nodes need 40 for
/// 0.98; a million, which get 299, found 0.984 with 224, and 0.972 once they had been stored and opened again.
const BREADTH_DIVISOR: f64 = 593.0;

/// Slot of a node.
pub(super) type Slot = u32;

/// [`Halves::approximate`] or [`Halves::exact`].
type Products = fn(&Halves, &Query<'_>, &[Slot], &mut Vec<Scored>);

/// Nodes, each with a vector and what the caller gave with it.
#[derive(Debug)]
pub(super) struct Graph<T> {
    vectors: Halves,
    nodes: Blocks<Option<T>>,
    /// Level 0: the number of links, then the links.
    links: Blocks<u32>,
    /// The levels above.
    upper: Vec<HashMap<Slot, Vec<Slot>>>,
    free: Vec<Slot>,
    /// Slots ever used.
    slots: u32,
    len: usize,
    /// A node of the highest level.
    entry_point: Option<Slot>,
}

impl<T: Clone> Graph<T> {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            vectors: Halves::new(dimensions),
            nodes: Blocks::new(1),
            links: Blocks::new(1 + MAX_LINKS),
            upper: Vec::new(),
            free: Vec::new(),
            slots: 0,
            len: 0,
            entry_point: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The node in a slot.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        if slot < self.slots {
            self.nodes.row(slot)[0].as_ref()
        } else {
            None
        }
    }

    /// The node in a slot that is not the caller's number but a link.
    pub(super) fn vector(&self, slot: Slot) -> Box<[i16]> {
        self.vectors.vector(slot)
    }

    /// Nodes that a search must keep in view to find the nearest.
    pub(super) fn breadth(&self) -> usize {
        let wanted = (self.len as f64).powf(0.875) / BREADTH_DIVISOR;
        (wanted as usize).max(MIN_BREADTH_OF_SEARCH)
    }

    /// The nearest nodes to `query`, best first; at most `breadth`.
    pub(super) fn search(&self, query: &[i16], breadth: usize) -> Vec<Scored> {
        let query = Query::new(query);
        let Some(start) = self.descend(&query, 0) else {
            return Vec::new();
        };
        let (found, _) = self.candidates(&query, start.1, 0, breadth);
        let slots: Vec<Slot> = found.iter().map(|found| found.1).collect();
        let mut found = Vec::with_capacity(slots.len());
        self.vectors.exact(&query, &slots, &mut found);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// The node that a greedy walk from the top ends at, on the level above `level`.
    fn descend(&self, query: &Query<'_>, level: usize) -> Option<Scored> {
        let mut scored = Vec::with_capacity(MAX_LINKS);
        self.vectors
            .approximate(query, &[self.entry_point?], &mut scored);
        let mut best = scored.pop()?;
        for level in (level + 1..=self.upper.len()).rev() {
            loop {
                scored.clear();
                let neighbours = self.neighbours(level, best.1);
                self.vectors.approximate(query, neighbours, &mut scored);
                match scored.iter().max() {
                    Some(nearest) if nearest.0 > best.0 => best = *nearest,
                    _ => break,
                }
            }
        }
        Some(best)
    }

    /// The nearest nodes on a level, best first, and by which products: by those of whole vectors where near duplicates fill the smallest
    /// view of a search, but for as many as a node is linked to, which may stand out.
    fn candidates(
        &self,
        query: &Query<'_>,
        start: Slot,
        level: usize,
        breadth: usize,
    ) -> (Vec<Scored>, Products) {
        let found = self.search_level(query, start, level, breadth, Halves::approximate);
        let nearest = found.first_chunk::<MIN_BREADTH_OF_SEARCH>();
        if nearest.is_none_or(|nearest| self.vectors.tell_apart(&nearest[NEW_LINKS..])) {
            return (found, Halves::approximate);
        }
        let found = self.search_level(query, start, level, breadth, Halves::exact);
        (found, Halves::exact)
    }

    /// The nearest nodes on a level by these products, best first.
    fn search_level(
        &self,
        query: &Query<'_>,
        start: Slot,
        level: usize,
        breadth: usize,
        products: Products,
    ) -> Vec<Scored> {
        let mut seen = Seen::new(self.slots);
        seen.insert(start);
        let mut unseen = Vec::with_capacity(MAX_LINKS);
        let mut scored = Vec::with_capacity(MAX_LINKS);
        products(&self.vectors, query, &[start], &mut scored);
        let mut ahead: BinaryHeap<Scored> = scored.iter().copied().collect();
        let mut found: BinaryHeap<_> = scored.iter().copied().map(Reverse).collect();
        while let Some(current) = ahead.pop() {
            let worst = found.peek().map_or(i32::MIN, |worst| worst.0.0);
            if current.0 < worst && found.len() >= breadth {
                break;
            }
            unseen.clear();
            let neighbours = self.neighbours(level, current.1).iter().copied();
            unseen.extend(neighbours.filter(|slot| seen.insert(*slot)));
            scored.clear();
            products(&self.vectors, query, &unseen, &mut scored);
            for &scored in &scored {
                let worst = found.peek().map_or(i32::MIN, |worst| worst.0.0);
                if found.len() < breadth || scored.0 > worst {
                    ahead.push(scored);
                    found.push(Reverse(scored));
                    if found.len() > breadth {
                        found.pop();
                    }
                }
            }
        }
        let sorted = found.into_sorted_vec();
        sorted.into_iter().map(|Reverse(scored)| scored).collect()
    }

    fn neighbours(&self, level: usize, slot: Slot) -> &[Slot] {
        match level.checked_sub(1) {
            None => {
                let row = self.links.row(slot);
                &row[1..=row[0] as usize]
            }
            Some(upper) => self.upper[upper].get(&slot).map_or(&[], Vec::as_slice),
        }
    }

    /// The highest level of a node.
    fn level_of(&self, slot: Slot) -> usize {
        self.upper
            .iter()
            .take_while(|level| level.contains_key(&slot))
            .count()
    }

    fn max_links(level: usize) -> usize {
        if level == 0 { MAX_LINKS } else { NEW_LINKS }
    }

    /// Links two nodes, where both have room; says whether they are linked now.
    fn link(&mut self, level: usize, a: Slot, b: Slot) -> bool {
        if a == b || self.neighbours(level, a).contains(&b) {
            return a != b;
        }
        let max = Self::max_links(level);
        if self.neighbours(level, a).len() >= max || self.neighbours(level, b).len() >= max {
            return false;
        }
        self.add_half(level, a, b);
        self.add_half(level, b, a);
        true
    }

    fn unlink(&mut self, level: usize, a: Slot, b: Slot) {
        self.remove_half(level, a, b);
        self.remove_half(level, b, a);
    }

    fn add_half(&mut self, level: usize, from: Slot, to: Slot) {
        if let Some(upper) = level.checked_sub(1) {
            self.upper[upper].entry(from).or_default().push(to);
        } else {
            let row = self.links.row_mut(from);
            row[0] += 1;
            row[row[0] as usize] = to;
        }
    }

    fn remove_half(&mut self, level: usize, from: Slot, to: Slot) {
        if let Some(upper) = level.checked_sub(1) {
            if let Some(links) = self.upper[upper].get_mut(&from) {
                links.retain(|slot| *slot != to);
            }
        } else {
            let row = self.links.row_mut(from);
            let len = row[0] as usize;
            if let Some(at) = row[1..=len].iter().position(|slot| *slot == to) {
                row.copy_within(len..=len, 1 + at);
                row[0] -= 1;
            }
        }
    }
}

/// Slots that a search has been to.
struct Seen(Vec<u64>);

impl Seen {
    fn new(slots: u32) -> Self {
        Self(vec![0; (slots as usize).div_ceil(64)])
    }

    /// `false` when it was there.
    fn insert(&mut self, slot: Slot) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests;
