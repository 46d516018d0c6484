//! [`Encoder`] on ONNX Runtime: token vectors from the graph, pooling and normalisation here.

use ort::environment::Environment;

use super::pooling::Pooling;
use super::{Embedding, Encoder};
use crate::model::{ForwardError, Model, TokenizedText};
use crate::onnx::{Device, LoadError, ModelFiles, TokenModel};

/// Names that exporters give to the token vectors, `[batch, sequence, dimensions]`.
const TOKEN_VECTORS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// A loaded encoder.
#[derive(Debug)]
pub struct OnnxEncoder {
    model: TokenModel,
    pooling: Pooling,
    normalize: bool,
    hidden: usize,
    dimensions: usize,
}

impl OnnxEncoder {
    /// Loads the graph of `files`.
    ///
    /// `dimensions`: components that are kept of a vector, 0 = all. `intra_threads`: threads of one forward, 0 = as many as the
    /// process may use cores.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        environment: &Environment,
        files: &ModelFiles,
        dimensions: usize,
        device: Device,
        intra_threads: usize,
    ) -> Result<Self, LoadError> {
        let model = TokenModel::open(
            environment,
            &files.graph,
            &TOKEN_VECTORS,
            files.pad_token,
            device,
            intra_threads,
        )?;
        let hidden = files.hidden_size;
        Ok(Self {
            model,
            pooling: files.pooling,
            normalize: files.normalize,
            hidden,
            dimensions: if dimensions == 0 {
                hidden
            } else {
                dimensions.min(hidden)
            },
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn placement(&self) -> crate::onnx::device::Placement {
        self.model.placement()
    }
}

impl Model for OnnxEncoder {
    type Output = Embedding;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<Embedding>, ForwardError> {
        if rows.iter().all(|row| row.input_ids.is_empty()) {
            let zero = || Embedding::normalized(vec![0.0; self.dimensions]);
            return Ok(rows.iter().map(|_| zero()).collect());
        }
        let hidden = self.hidden;
        let shape = |batch, sequence| vec![batch, sequence, hidden];
        self.model.run(rows, shape, |values| {
            let size = values.len() / rows.len();
            rows.iter()
                .zip(values.chunks_exact(size.max(1)))
                .map(|(row, values)| {
                    let tokens = &values[..row.input_ids.len() * hidden];
                    let mut pooled = self.pooling.pool(tokens, hidden);
                    pooled.truncate(self.dimensions);
                    if self.normalize {
                        Embedding::normalized(pooled)
                    } else {
                        Embedding::with_length(pooled)
                    }
                })
                .collect()
        })
    }

    fn is_valid(&self, output: &Embedding) -> bool {
        output.values().iter().all(|value| value.is_finite())
    }
}

impl Encoder for OnnxEncoder {
    fn dimensions(&self) -> usize {
        self.dimensions
    }
}
