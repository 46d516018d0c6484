//! [`Model`] for graphs that end in `logits`.

use ort::environment::Environment;

use crate::model::{ForwardError, Model, TokenizedText};
use crate::onnx::device::Placement;
use crate::onnx::{Device, LoadError, ModelFiles, TokenModel};

/// Scores of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowScores {
    /// The probability of each label.
    Text(Vec<f32>),
    /// For every token, frame included: the number of its best label and the probability of that.
    Tokens(Vec<(usize, f32)>),
}

/// A sequence or token classification model.
#[derive(Debug)]
pub struct LabelModel {
    model: TokenModel,
    labels: usize,
    multi_label: bool,
    labels_tokens: bool,
}

impl LabelModel {
    /// Loads the graph of `files`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        environment: &Environment,
        files: &ModelFiles,
        device: Device,
        intra_threads: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            model: TokenModel::open(
                environment,
                &files.graph,
                &["logits"],
                files.pad_token,
                device,
                intra_threads,
            )?,
            labels: files.labels.len(),
            multi_label: files.multi_label || files.labels.len() == 1,
            labels_tokens: files.labels_tokens,
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.model.placement()
    }
}

impl Model for LabelModel {
    type Output = RowScores;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<RowScores>, ForwardError> {
        let labels = self.labels;
        if !self.labels_tokens {
            return self.model.run(
                rows,
                |batch, _| vec![batch, labels],
                |logits| {
                    logits
                        .chunks_exact(labels.max(1))
                        .map(|logits| RowScores::Text(self.probabilities(logits)))
                        .collect()
                },
            );
        }
        let shape = |batch, sequence| vec![batch, sequence, labels];
        self.model.run(rows, shape, |logits| {
            let size = logits.len() / rows.len().max(1);
            rows.iter()
                .zip(logits.chunks_exact(size.max(1)))
                .map(|(row, logits)| {
                    let tokens = logits.chunks_exact(labels.max(1)).take(row.input_ids.len());
                    RowScores::Tokens(tokens.map(best).collect())
                })
                .collect()
        })
    }

    fn is_valid(&self, output: &RowScores) -> bool {
        match output {
            RowScores::Text(probabilities) => probabilities.iter().all(|p| p.is_finite()),
            RowScores::Tokens(tokens) => tokens.iter().all(|(_, p)| p.is_finite()),
        }
    }
}

impl LabelModel {
    fn probabilities(&self, logits: &[f32]) -> Vec<f32> {
        if self.multi_label {
            logits
                .iter()
                .map(|logit| 1.0 / (1.0 + (-logit).exp()))
                .collect()
        } else {
            softmax(logits)
        }
    }
}

fn best(logits: &[f32]) -> (usize, f32) {
    let probabilities = softmax(logits);
    let best = probabilities.iter().copied().enumerate();
    best.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let total: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
