//! [`Blocks`]: rows in blocks that never move, so that growth copies nothing while readers wait.

/// Rows of one block.
const BLOCK_ROWS: usize = 1024;

/// A matrix that grows by blocks.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    columns: usize,
    blocks: Vec<Box<[T]>>,
}

impl<T: Clone + Default> Blocks<T> {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns,
            blocks: Vec::new(),
        }
    }

    /// Makes room for `row` and all before it.
    pub(super) fn reach(&mut self, row: u32) {
        while self.blocks.len() * BLOCK_ROWS <= row as usize {
            let block = vec![T::default(); BLOCK_ROWS * self.columns];
            self.blocks.push(block.into());
        }
    }

    pub(super) fn row(&self, row: u32) -> &[T] {
        let (block, start) = self.place(row);
        &self.blocks[block][start..start + self.columns]
    }

    pub(super) fn row_mut(&mut self, row: u32) -> &mut [T] {
        let (block, start) = self.place(row);
        &mut self.blocks[block][start..start + self.columns]
    }

    fn place(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        (row / BLOCK_ROWS, row % BLOCK_ROWS * self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_place_when_the_matrix_grows() {
        let mut blocks = Blocks::<u32>::new(3);
        for row in 0..3000 {
            blocks.reach(row);
            blocks.row_mut(row).fill(row);
        }
        assert!((0..3000).all(|row| blocks.row(row) == [row; 3]));
    }
}
