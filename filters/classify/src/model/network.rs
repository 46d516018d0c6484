//! The network: a weighted mean and a maximum over the vectors of the tokens, one hidden layer, one linear head a question.
//!
//! ```text
//! mean    [D]  8 · Σ weight(token) · vector(token) / Σ weight(token)
//! peak    [D]  element-wise maximum of vector(token)
//! hidden  [H]  max(0, [mean, peak] · W + b)
//! logits  [O]  [hidden, mean] · A + c, a softmax over those of each head
//! ```
//!
//! Vectors are int8 with one scale a dimension, so the maximum is taken on the bytes; layers are computed in fixed point
//! ([`super::fixed`]), everything else in f32. The graph in the
//! ONNX file says the same, and a test runs it by tract-onnx beside this.
//!
//! A text is read in blocks of [`BLOCK`] tokens, and a window is two of them: each token is added up once, though windows
//! overlap by a half.

use wide::i16x8;

use super::fixed::Layer;
use super::onnx::{Onnx, OnnxError};

/// Tokens of a block; a window has two.
pub const BLOCK: usize = 16;

/// The mean is this much larger than in the model that it was distilled into, to be of the size of the maximum.
const MEAN_SCALE: f32 = 8.0;

/// The weights.
#[derive(Debug)]
pub struct Network<'f> {
    dim: usize,
    hidden: usize,
    outputs: usize,
    /// int8 [pieces, D]
    vectors: &'f [u8],
    /// [D]
    vector_scale: Vec<f32>,
    /// [pieces]
    weights: Vec<f32>,
    /// [2 D, H]
    hidden_layer: Layer,
    /// [H + D, O]
    head_layer: Layer,
}

/// What is known of the tokens of a block.
#[derive(Debug, Clone, Default)]
pub struct Block {
    tokens: usize,
    weight: f32,
    /// Σ weight · byte, [D]
    sum: Vec<f32>,
    /// Maximum of the bytes, [D]
    peak: Vec<i8>,
}

/// Room for one forward, kept.
#[derive(Debug, Default)]
pub struct Scratch {
    input: Vec<f32>,
    fixed: Vec<i16x8>,
    /// [H + D]: what the heads read.
    pub features: Vec<f32>,
    /// [O]
    pub logits: Vec<f32>,
}

impl<'f> Network<'f> {
    /// Finds the weights in a file.
    ///
    /// # Errors
    /// One is missing, or has not the shape that the others ask for.
    pub fn read(onnx: &Onnx<'f>) -> Result<Self, OnnxError> {
        let &[pieces, dim] = onnx.dims("vectors")? else {
            return Err(OnnxError::Shape("vectors"));
        };
        let &[hidden] = onnx.dims("hidden_b")? else {
            return Err(OnnxError::Shape("hidden_b"));
        };
        let &[outputs] = onnx.dims("head_b")? else {
            return Err(OnnxError::Shape("head_b"));
        };
        let inputs = dim.checked_mul(2).ok_or(OnnxError::Shape("vectors"))?;
        let features = hidden
            .checked_add(dim)
            .ok_or(OnnxError::Shape("hidden_b"))?;
        Ok(Self {
            dim,
            hidden,
            outputs,
            vectors: onnx.int8("vectors", &[pieces, dim])?,
            vector_scale: onnx.float("vector_scale", &[dim])?,
            weights: onnx.float("weights", &[pieces])?,
            hidden_layer: Layer::new(
                &onnx.float("hidden_w", &[inputs, hidden])?,
                onnx.float("hidden_b", &[hidden])?,
            ),
            head_layer: Layer::new(
                &onnx.float("head_w", &[features, outputs])?,
                onnx.float("head_b", &[outputs])?,
            ),
        })
    }

    /// Number of word pieces that have a vector.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.weights.len()
    }

    /// Number of logits of all heads.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of features that the heads read.
    #[must_use]
    pub fn features(&self) -> usize {
        self.hidden.saturating_add(self.dim)
    }

    /// Length of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The mean of the vectors of some tokens, not weighted.
    #[must_use]
    pub fn mean(&self, tokens: &[u32]) -> Vec<f32> {
        let mut sum = vec![0_i32; self.dim];
        for token in tokens {
            let at = usize::try_from(*token).unwrap_or_default();
            let start = at.saturating_mul(self.dim);
            let vector = self.vectors.get(start..start.saturating_add(self.dim));
            for (sum, byte) in sum.iter_mut().zip(vector.unwrap_or_default()) {
                *sum = sum.saturating_add(byte.cast_signed().into());
            }
        }
        let count = u16::try_from(tokens.len().max(1)).map_or(f32::MAX, f32::from);
        let scaled = sum.iter().zip(&self.vector_scale);
        scaled
            .map(|(sum, scale)| *sum as f32 * scale / count)
            .collect()
    }

    /// Adds up the tokens of a block.
    #[must_use]
    pub fn block(&self, tokens: &[u32]) -> Block {
        let mut block = Block {
            tokens: 0,
            weight: 0.0,
            sum: vec![0.0; self.dim],
            peak: vec![i8::MIN; self.dim],
        };
        for token in tokens {
            let at = usize::try_from(*token).unwrap_or_default();
            let start = at.saturating_mul(self.dim);
            let vector = self.vectors.get(start..start.saturating_add(self.dim));
            if let (Some(vector), Some(weight)) = (vector, self.weights.get(at)) {
                block.add(vector, *weight);
            }
        }
        block
    }

    /// The features and logits of a window: two blocks, or the only one of a short text.
    pub fn forward(&self, first: &Block, second: Option<&Block>, scratch: &mut Scratch) {
        let empty = Block::default();
        let second = second.unwrap_or(&empty);
        let weight = (first.weight + second.weight).max(1e-6);
        let Scratch {
            input,
            fixed,
            features,
            logits,
        } = scratch;
        input.clear();
        let sums = first
            .sum
            .iter()
            .zip(second.sum.iter().chain(std::iter::repeat(&0.0)));
        let factor = MEAN_SCALE / weight;
        input.extend(
            sums.zip(&self.vector_scale)
                .map(|((a, b), scale)| (a + b) * scale * factor),
        );
        let peaks = first
            .peak
            .iter()
            .zip(second.peak.iter().chain(std::iter::repeat(&i8::MIN)));
        input.extend(
            peaks
                .zip(&self.vector_scale)
                .map(|((a, b), scale)| f32::from(*a.max(b)) * scale),
        );
        self.hidden_layer.forward(input, fixed, features);
        for unit in features.iter_mut() {
            *unit = unit.max(0.0);
        }
        features.extend(input.iter().take(self.dim));
        self.head_layer.forward(features, fixed, logits);
    }
}

impl Block {
    fn add(&mut self, vector: &[u8], weight: f32) {
        self.tokens = self.tokens.saturating_add(1);
        self.weight += weight;
        for ((byte, sum), peak) in vector.iter().zip(&mut self.sum).zip(&mut self.peak) {
            let byte = byte.cast_signed();
            *sum += weight * f32::from(byte);
            *peak = byte.max(*peak);
        }
    }

    /// Tokens in it.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}
