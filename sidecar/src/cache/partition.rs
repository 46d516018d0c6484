//! The vectors of one partition: one matrix, so that a scan reads memory in order.

use super::EntryKey;
use crate::encoder::{Embedding, dot};

/// Rows of one partition.
#[derive(Debug)]
pub(super) struct Rows {
    dimensions: usize,
    /// `[rows, dimensions]`.
    vectors: Vec<f32>,
    keys: Vec<EntryKey>,
}

impl Rows {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            vectors: Vec::new(),
            keys: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a row and returns its number.
    pub(super) fn push(&mut self, key: EntryKey, embedding: &Embedding) -> usize {
        self.vectors.extend_from_slice(embedding.values());
        self.keys.push(key);
        self.keys.len() - 1
    }

    /// Takes a row out. The last row moves to its place; its key is returned, if it was another one.
    pub(super) fn remove(&mut self, row: usize) -> Option<EntryKey> {
        let last = self.keys.len() - 1;
        self.keys.swap_remove(row);
        let start = last * self.dimensions;
        self.vectors
            .copy_within(start..start + self.dimensions, row * self.dimensions);
        self.vectors.truncate(start);
        self.keys.get(row).copied()
    }

    /// The row nearest to `embedding` among those that `is_alive`, if it reaches `threshold`.
    pub(super) fn nearest(
        &self,
        embedding: &Embedding,
        threshold: f32,
        is_alive: impl Fn(&EntryKey) -> bool,
    ) -> Option<(EntryKey, f32)> {
        let mut best: Option<(EntryKey, f32)> = None;
        let rows = self.vectors.chunks_exact(self.dimensions);
        for (key, row) in self.keys.iter().zip(rows) {
            let similarity = dot(row, embedding.values());
            let floor = best.map_or(threshold, |(_, s)| s);
            let better = match best {
                Some(_) => similarity > floor,
                None => similarity >= floor,
            };
            if better && is_alive(key) {
                best = Some((*key, similarity));
            }
        }
        best
    }
}
