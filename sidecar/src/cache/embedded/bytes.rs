//! [`ByteRows`]: rows of bytes in blocks that never move, those of many rows on huge pages.
//!
//! A search of a large graph reads rows all over memory, and with pages of 4 KiB nearly each of them costs the processor a walk
//! through the tables of pages: a third of the search. A graph of few rows keeps to small blocks, so that many small graphs do not
//! claim two megabytes each.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Rows of a small block.
const SMALL: usize = 1024;

/// Rows of a large block, and of all small ones together.
const LARGE: usize = 16 * SMALL;

#[derive(Debug)]
enum Block {
    Heap(Box<[u8]>),
    Mapped(MmapMut),
}

impl Block {
    fn small(bytes: usize) -> Self {
        Self::Heap(vec![0; bytes].into())
    }

    /// On huge pages, where the system gives them.
    fn large(bytes: usize) -> Self {
        let Ok(map) = MmapMut::map_anon(bytes) else {
            return Self::small(bytes);
        };
        #[cfg(target_os = "linux")]
        if let Err(why) = map.advise(memmap2::Advice::HugePage) {
            tracing::debug!(%why, "the cache's vectors are on small pages");
        }
        Self::Mapped(map)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// A matrix of bytes that grows by blocks.
#[derive(Debug)]
pub(super) struct ByteRows {
    columns: usize,
    blocks: Vec<Block>,
}

impl ByteRows {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns,
            blocks: Vec::new(),
        }
    }

    /// Makes room for `row` and all before it.
    pub(super) fn reach(&mut self, row: u32) {
        while self.blocks.len() <= place(row).0 {
            let is_small = self.blocks.len() < LARGE / SMALL;
            self.blocks.push(match is_small {
                true => Block::small(SMALL * self.columns),
                false => Block::large(LARGE * self.columns),
            });
        }
    }

    pub(super) fn row(&self, row: u32) -> &[u8] {
        let (block, row) = place(row);
        let start = row * self.columns;
        &self.blocks[block][start..start + self.columns]
    }

    pub(super) fn row_mut(&mut self, row: u32) -> &mut [u8] {
        let (block, row) = place(row);
        let start = row * self.columns;
        &mut self.blocks[block][start..start + self.columns]
    }
}

/// The block of a row, and which of its rows it is.
fn place(row: u32) -> (usize, usize) {
    let row = row as usize;
    if row < LARGE {
        (row / SMALL, row % SMALL)
    } else {
        (LARGE / SMALL - 1 + row / LARGE, row % LARGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_place_when_the_matrix_grows() {
        let mut rows = ByteRows::new(3);
        for row in 0..40_000 {
            rows.reach(row);
            rows.row_mut(row).copy_from_slice(&row.to_le_bytes()[..3]);
        }
        assert!((0..40_000).all(|row: u32| rows.row(row) == &row.to_le_bytes()[..3]));
    }
}
