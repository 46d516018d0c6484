//! A language model that runs here, behind a queue.

use std::sync::Arc;

use tokio::time::Instant;

use super::decoder::Decoder;
use super::suffix::Suffixes;
use super::{Fault, Scores};
use crate::batching::{Batcher, InferenceError, Limits, Priority};
use crate::metrics::{LlmResult, Metrics};

/// Name of the model in the metrics of queues.
const NAME: &str = "llm";

/// A decoder and its queue.
#[derive(Debug)]
pub(super) struct Embedded {
    suffixes: Arc<Suffixes>,
    batcher: Batcher<Vec<f32>>,
    max_tokens: usize,
}

impl Embedded {
    pub(super) fn start(
        decoder: Decoder,
        max_tokens: usize,
        limits: Limits,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        Ok(Self {
            suffixes: Arc::new(decoder.suffixes()),
            batcher: Batcher::start(NAME, Arc::new(decoder), limits, metrics)?,
            max_tokens,
        })
    }

    /// The probability of each label.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) async fn classify(
        &self,
        text: &str,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Scores, Fault> {
        let (suffixes, max_tokens) = (Arc::clone(&self.suffixes), self.max_tokens);
        let read = text.to_owned();
        let row = crate::blocking::run(text.len(), move || suffixes.of(&read, max_tokens)).await;
        let row = row.map_err(|why| Fault::new(LlmResult::BadAnswer, why))?;
        let answers = self.batcher.run(vec![row], priority, deadline).await;
        let mut outputs = answers.map_err(fault)?.outputs;
        let probabilities = outputs.pop().unwrap_or_default();
        Ok(Scores {
            probabilities,
            reasoned: false,
        })
    }
}

fn fault(error: InferenceError) -> Fault {
    let result = match error {
        InferenceError::QueueFull => LlmResult::QueueFull,
        InferenceError::DeadlinePassed => LlmResult::Timeout,
        InferenceError::Failed(_) => LlmResult::Unavailable,
    };
    Fault::new(result, error.to_string())
}
