//! [`Fingerprint`]: what tells the vectors of one encoder from those of another.

use super::fixed_point::{cosine, dot, quantized};
use crate::encoder::Embedding;

/// Cosine from which two vectors of one text come from the same encoder; another device or precision moves the fourth decimal.
const SAME_ENCODER: f32 = 0.999;

/// The vector that an encoder gives a certain text: tells whether stored vectors are that encoder's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(pub(super) Box<[i16]>);

impl Fingerprint {
    /// The text.
    pub const TEXT: &str = "What is the quickest way from the station to the old harbour?";

    /// From the vector of [`Self::TEXT`].
    #[must_use]
    pub fn new(embedding: &Embedding) -> Self {
        Self(quantized(embedding.values()))
    }

    /// Length of the encoder's vectors.
    pub(super) fn dimensions(&self) -> usize {
        self.0.len()
    }

    /// Whether both are of one encoder.
    pub(super) fn is_same_encoder(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && cosine(dot(&self.0, &other.0)) >= SAME_ENCODER
    }
}
