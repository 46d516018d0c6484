//! The vectors of a small partition: one matrix, so that a scan reads memory in order.

use crate::cache::fixed_point::dot;

/// Rows, each with what the caller gave with it.
#[derive(Debug)]
pub(super) struct Rows<T> {
    dimensions: usize,
    /// `[rows, dimensions]`.
    vectors: Vec<i16>,
    nodes: Vec<T>,
}

impl<T> Rows<T> {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            vectors: Vec::new(),
            nodes: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn get(&self, row: usize) -> Option<(&T, &[i16])> {
        let start = row * self.dimensions;
        let vector = self.vectors.get(start..start + self.dimensions)?;
        Some((self.nodes.get(row)?, vector))
    }

    /// Adds a row and returns its number.
    pub(super) fn push(&mut self, vector: &[i16], node: T) -> usize {
        if self.vectors.len() == self.vectors.capacity() {
            // By a quarter rather than by twice as many: there may be many small partitions.
            let rows = 1 + self.nodes.len() / 4;
            self.vectors.reserve_exact(rows * self.dimensions);
            self.nodes.reserve_exact(rows);
        }
        self.vectors.extend_from_slice(vector);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Takes a row out. The last row moves to its place and is returned as `moved`, if it was another one.
    pub(super) fn remove(&mut self, row: usize) -> Option<&T> {
        let last = self.nodes.len() - 1;
        self.nodes.swap_remove(row);
        let start = last * self.dimensions;
        self.vectors
            .copy_within(start..start + self.dimensions, row * self.dimensions);
        self.vectors.truncate(start);
        self.nodes.get(row)
    }

    /// Every row with the product of its vector and `query`.
    pub(super) fn products<'a>(&'a self, query: &'a [i16]) -> impl Iterator<Item = (i32, &'a T)> {
        let rows = self.vectors.chunks_exact(self.dimensions);
        self.nodes
            .iter()
            .zip(rows)
            .map(|(node, row)| (dot(query, row), node))
    }
}
