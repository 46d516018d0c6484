//! A cross-encoder: a sequence classification model that reads two texts at once and says how they go together.
//!
//! Tokenizer, queue and model are those of a [`super::Classifier`] but for the row, which holds both texts ([`PairTokenizer`]).

use std::sync::Arc;

use tokio::time::Instant;

use super::RowScores;
use crate::batching::{Batcher, InferenceError, Limits, Priority};
use crate::blocking;
use crate::metrics::Metrics;
use crate::model::{Model, TokenizedText};
use crate::tokenizer::PairTokenizer;

/// A loaded model for pairs of texts and its queue.
#[derive(Debug)]
pub struct CrossEncoder {
    labels: Vec<String>,
    tokenizer: Arc<PairTokenizer>,
    batcher: Batcher<RowScores>,
    chunk: usize,
}

impl CrossEncoder {
    /// A cross-encoder from its parts; its metrics go under `name`. `model` gives [`RowScores::Text`], a probability for each of
    /// `labels`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        name: &str,
        labels: Vec<String>,
        tokenizer: PairTokenizer,
        model: Arc<dyn Model<Output = RowScores>>,
        limits: Limits,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        Ok(Self {
            labels,
            tokenizer: Arc::new(tokenizer),
            batcher: Batcher::start(name, model, limits, metrics)?,
            chunk: limits.chunk(),
        })
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The probability of each label for pairs of texts, in their order; `None` for those that it cannot read whole.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn probabilities(
        &self,
        pairs: Vec<(Arc<str>, Arc<str>)>,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Vec<Option<Vec<f32>>>, InferenceError> {
        let rows = self.tokenize(pairs).await?;
        let readable = rows.iter().flatten().cloned().collect();
        let run = self
            .batcher
            .run_all(readable, self.chunk, priority, deadline);
        let mut scores = run.await?.outputs.into_iter();
        let probabilities = rows.iter().map(|row| {
            row.as_ref()?;
            match scores.next()? {
                RowScores::Text(probabilities) => Some(probabilities),
                RowScores::Tokens(_) => None,
            }
        });
        Ok(probabilities.collect())
    }

    async fn tokenize(
        &self,
        pairs: Vec<(Arc<str>, Arc<str>)>,
    ) -> Result<Vec<Option<TokenizedText>>, InferenceError> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let bytes = pairs.iter().map(|(a, b)| a.len() + b.len()).sum();
        blocking::run_beyond(tokenizer.inline_bytes(), bytes, move || {
            let row = |(a, b): &(Arc<str>, Arc<str>)| tokenizer.tokenize(a, b);
            pairs.iter().map(row).collect()
        })
        .await
        .map_err(InferenceError::Failed)
    }
}
