//! The encoder: token ids in, one unit vector per text out.
//!
//! [`Encoder`] is the seam between the queue and a runtime; [`OnnxEncoder`] is the one implementation.

pub mod onnx;
pub mod pooling;

use std::sync::Arc;

use crate::model::Model;

pub use onnx::OnnxEncoder;

/// A model whose answers are vectors.
pub trait Encoder: Model<Output = Embedding> {
    /// Length of its vectors.
    fn dimensions(&self) -> usize;
}

/// A vector of L2 norm 1, and the length that the model gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    values: Arc<[f32]>,
    length: f32,
}

impl Embedding {
    /// Scales `values` to L2 norm 1; a zero vector stays zero.
    #[must_use]
    pub fn normalized(values: Vec<f32>) -> Self {
        Self {
            length: 1.0,
            ..Self::with_length(values)
        }
    }

    /// The same, for a model whose vectors are not of length 1: [`Self::unscaled`] gives them back.
    #[must_use]
    pub fn with_length(mut values: Vec<f32>) -> Self {
        let norm = dot(&values, &values).sqrt();
        if norm > 0.0 {
            for value in &mut values {
                *value /= norm;
            }
        }
        Self {
            values: values.into(),
            length: norm,
        }
    }

    /// Its components.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The components as the model gave them.
    #[must_use]
    pub fn unscaled(&self) -> Vec<f32> {
        self.values
            .iter()
            .map(|value| value * self.length)
            .collect()
    }

    /// Cosine similarity, -1 to 1.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        dot(&self.values, &other.values)
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
