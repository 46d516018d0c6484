//! Whole classification models beside the encoder: any sequence or token classification model exported to ONNX.
//!
//! A text is read in windows, all of it: those of a sequence model are pooled ([`WindowPool`]), the tokens of a token model are
//! joined where windows overlap and become entities ([`entities`]). A [`CrossEncoder`] reads two texts at once.

mod cross_encoder;
pub mod entities;
mod model;

use std::sync::Arc;

use tokio::time::Instant;
use turnpike_core::config::ModelClassifierConfig;

use crate::batching::{Batcher, InferenceError, Limits, Priority};
use crate::metrics::Metrics;
use crate::model::TokenizedText;
use crate::onnx::ModelFiles;
use crate::tokenizer::{TextTokenizer, Window};
use crate::windows::{Pooling, WindowPool};

pub use cross_encoder::CrossEncoder;
pub use entities::Entity;
pub(crate) use model::softmax;
pub use model::{LabelModel, RowScores};

/// Most tokens of a window where the configuration names none: longer ones cost more than they tell.
pub(crate) const MAX_WINDOW: usize = 512;

/// What a classifier says of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The probability of each label; of a token model, that of the surest entity of each kind. Empty when nothing was read.
    pub probabilities: Vec<(String, f32)>,
    /// Entities, of token models.
    pub entities: Option<Vec<Entity>>,
    /// Whether the label is the configured default, for want of an answer.
    pub defaulted: bool,
}

impl Answer {
    /// The most probable label.
    #[must_use]
    pub fn best(&self) -> Option<&(String, f32)> {
        let all = self.probabilities.iter();
        all.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// A loaded classification model and its queue.
#[derive(Debug)]
pub struct Classifier {
    name: String,
    labels: Arc<[String]>,
    labels_tokens: bool,
    pooling: Pooling,
    tokenizer: Arc<TextTokenizer>,
    batcher: Batcher<RowScores>,
    chunk: usize,
}

impl Classifier {
    /// A classifier from its parts.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        config: &ModelClassifierConfig,
        files: &ModelFiles,
        pooling: Pooling,
        tokenizer: TextTokenizer,
        model: LabelModel,
        limits: Limits,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        Ok(Self {
            name: config.name.clone(),
            labels: files.labels.clone().into(),
            labels_tokens: files.labels_tokens,
            pooling,
            tokenizer: Arc::new(tokenizer),
            batcher: Batcher::start(&config.name, Arc::new(model), limits, metrics)?,
            chunk: limits.chunk(),
        })
    }

    /// Tokens of a window: what the configuration says, or what the model reads.
    ///
    /// # Errors
    /// The most that it reads, when the configuration asks for more.
    pub fn window(config: &ModelClassifierConfig, files: &ModelFiles) -> Result<usize, usize> {
        let most = files.max_tokens.unwrap_or(MAX_WINDOW);
        match config.max_tokens as usize {
            0 => Ok(most.min(MAX_WINDOW)),
            asked if asked > most => Err(most),
            asked => Ok(asked),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether one window is enough to speak for a text.
    #[must_use]
    pub fn guards(&self) -> bool {
        self.labels_tokens || self.pooling.guards()
    }

    /// Its labels; of a token model, the kinds of entities.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        if self.labels_tokens {
            entities::kinds(&self.labels)
        } else {
            self.labels.to_vec()
        }
    }

    /// Reads texts whole. A text of nothing but spaces has no labels. The count is that of the tokens read.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn classify(
        &self,
        texts: &Arc<[String]>,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<Answer>, usize), InferenceError> {
        let (tokenizer, read) = (Arc::clone(&self.tokenizer), Arc::clone(texts));
        let size = tokenizer.max_tokens();
        let bytes = texts.iter().map(String::len).sum();
        let needs_places = self.labels_tokens;
        let windows: Vec<Vec<Window>> = crate::blocking::run(bytes, move || {
            let windows = |text: &String| {
                if text.trim().is_empty() {
                    return Ok(Vec::new());
                }
                if !needs_places && let Some(window) = tokenizer.single_window(text, size) {
                    return Ok(vec![window]);
                }
                tokenizer.windows(text, size, size / 4)
            };
            read.iter().map(windows).collect::<Result<_, String>>()
        })
        .await
        .map_err(InferenceError::Failed)?;
        let rows: Vec<TokenizedText> = windows.iter().flatten().map(|w| w.tokens.clone()).collect();
        let tokens = rows.iter().map(|row| row.input_ids.len()).sum();
        let run = self.batcher.run_all(rows, self.chunk, priority, deadline);
        let mut scores = run.await?.outputs.into_iter();
        let answers = texts.iter().zip(&windows).map(|(text, windows)| {
            let scores: Vec<RowScores> = scores.by_ref().take(windows.len()).collect();
            self.answer(text, windows, &scores)
        });
        Ok((answers.collect(), tokens))
    }

    fn answer(&self, text: &str, windows: &[Window], scores: &[RowScores]) -> Answer {
        if self.labels_tokens {
            let found = entities::join(text, windows, scores, &self.labels);
            let mut probabilities: Vec<(String, f32)> = Vec::new();
            for entity in &found {
                match probabilities
                    .iter_mut()
                    .find(|(kind, _)| *kind == entity.label)
                {
                    Some((_, score)) => *score = score.max(entity.score),
                    None => probabilities.push((entity.label.clone(), entity.score)),
                }
            }
            return Answer {
                probabilities,
                entities: Some(found),
                defaulted: false,
            };
        }
        let mut pool = WindowPool::new(self.pooling);
        for window in scores {
            if let RowScores::Text(probabilities) = window {
                pool.add(probabilities);
            }
        }
        Answer {
            probabilities: self
                .labels
                .iter()
                .cloned()
                .zip(pool.probabilities())
                .collect(),
            entities: None,
            defaulted: false,
        }
    }
}
