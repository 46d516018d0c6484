//! The encoder: token ids in, one unit vector per text out.
//!
//! [`Encoder`] is the seam between the queue and a runtime; [`onnx`] is the one implementation. [`TextTokenizer`] stands
//! before the queue, so that whoever cuts batches knows the length of every text.

pub mod files;
pub mod onnx;
pub mod pooling;
pub mod runtime;
pub mod tokenizer;

use std::sync::Arc;

pub use files::EncoderFiles;
pub use onnx::OnnxEncoder;
pub use tokenizer::{TextTokenizer, TokenizedText, Window};

/// A runtime with a loaded model.
pub trait Encoder: Send + Sync + 'static {
    /// Length of its vectors.
    fn dimensions(&self) -> usize;

    /// Embeds a batch of texts of any lengths: one vector for each, in their order.
    ///
    /// Blocks for the whole forward. The answer for a text does not depend on its neighbours in the batch, up to the
    /// rounding of f32 sums.
    ///
    /// # Errors
    /// [`EmbedError`] for the batch as a whole.
    fn embed(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, EmbedError>;
}

/// A vector of L2 norm 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Arc<[f32]>);

impl Embedding {
    /// Scales `values` to L2 norm 1; a zero vector stays zero.
    #[must_use]
    pub fn normalized(mut values: Vec<f32>) -> Self {
        let norm = dot(&values, &values).sqrt();
        if norm > 0.0 {
            for value in &mut values {
                *value /= norm;
            }
        }
        Self(values.into())
    }

    /// Its components.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, -1 to 1.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        dot(&self.0, &other.0)
    }
}

/// Dot product; of unit vectors, their cosine similarity. The shorter length counts.
///
/// Sixteen partial sums, so that the compiler may use vector registers: f32 addition must not be reordered otherwise.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Why a batch was not embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model's output does not have the agreed shape.
    #[error("output has shape {found:?}, expected [{batch}, {sequence}, {dimensions}]")]
    Shape {
        /// What the model gave.
        found: Vec<i64>,
        /// Texts in the batch.
        batch: usize,
        /// Longest text of the batch, in tokens.
        sequence: usize,
        /// Length of a vector.
        dimensions: usize,
    },
    /// The runtime failed.
    #[error("{0}")]
    Runtime(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dot_is_the_sum_of_products(pairs in proptest::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..100)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let expected: f64 = pairs.iter().map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            // 100 products of at most 1: f32 sums are off by less than 100 * 100 * 2^-24.
            prop_assert!((f64::from(dot(&a, &b)) - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn a_zero_vector_stays_zero() {
        assert_eq!(Embedding::normalized(vec![0.0; 3]).values(), [0.0; 3]);
    }
}
