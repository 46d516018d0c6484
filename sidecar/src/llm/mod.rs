//! A language model that chooses one of a few labels, by the probability of the labels' tokens.
//!
//! Nothing is generated: instruction and labels are a prefix that all texts share, the text follows, and what is read is how
//! probable each label is as the next word. That takes one forward, and the probability is one.
//!
//! Two engines: a server with OpenAI's API (`openai`), and a decoder of its own ([`decoder`]). Both get the same system message
//! ([`prompt`]). Whatever fails, the caller gets the configured default label, and a metric says why.

pub mod decoder;
mod embedded;
pub mod labels;
mod openai;
pub mod prompt;
mod suffix;
pub mod template;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use turnpike_core::config::LlmClassifierConfig;

use crate::batching::{Limits, Priority};
use crate::metrics::{LlmMetrics, LlmResult, Metrics};

pub use decoder::{Decoder, DecoderError};
use embedded::Embedded;
use openai::OpenAi;

/// Why a classifier cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// `url` is none.
    #[error("sidecar.llm_classifier.url: {0}")]
    Url(String),
    /// The key has bytes that no header holds.
    #[error("sidecar.llm_classifier.api_key_env: the key cannot be sent in a header")]
    Key,
    /// Labels that an answer cannot be told by.
    #[error("sidecar.llm_classifier.labels: {0}")]
    Labels(String),
    /// The HTTP client does not start.
    #[error("HTTP client: {0}")]
    Client(String),
    /// The system gave no thread.
    #[error("inference thread")]
    Thread(#[from] std::io::Error),
}

/// What the model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmAnswer {
    /// The most probable label, or the default.
    pub label: String,
    /// The probability of each label, in the configuration's order; they add up to 1. Empty when the label is the default.
    pub probabilities: Vec<(String, f32)>,
    /// Whether the label is the default, for want of an answer.
    pub defaulted: bool,
}

/// The probability of each label, and how the model came to it.
#[derive(Debug)]
struct Scores {
    probabilities: Vec<f32>,
    reasoned: bool,
}

/// Why there is no answer; the text is for the log.
#[derive(Debug)]
struct Fault {
    result: LlmResult,
    why: String,
}

impl Fault {
    fn new(result: LlmResult, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { result, why }
    }
}

#[derive(Debug)]
enum Engine {
    OpenAi(Box<OpenAi>),
    Onnx(Embedded),
}

/// A language model, its labels, and what happens when it fails.
#[derive(Debug)]
pub struct LlmClassifier {
    engine: Engine,
    labels: Vec<String>,
    default_label: String,
    timeout: Duration,
    metrics: LlmMetrics,
    /// Whether the last text had no answer: the first of a row of failures is logged.
    failing: AtomicBool,
}

impl LlmClassifier {
    /// A model on the server of `config`; `api_key` is sent to it.
    ///
    /// # Errors
    /// [`LlmError`].
    pub fn openai(
        config: &LlmClassifierConfig,
        api_key: Option<String>,
        metrics: &Metrics,
    ) -> Result<Self, LlmError> {
        let handle = metrics.llm("openai");
        let engine = OpenAi::new(config, api_key.as_deref(), handle.clone())?;
        Ok(Self::of(Engine::OpenAi(Box::new(engine)), config, handle))
    }

    /// A model that runs here. `decoder` was loaded with the labels of `config` and its
    /// [`system_message`](prompt::system_message).
    ///
    /// # Errors
    /// [`LlmError::Thread`].
    pub fn onnx(
        config: &LlmClassifierConfig,
        decoder: Decoder,
        limits: Limits,
        metrics: &Metrics,
    ) -> Result<Self, LlmError> {
        let max_tokens = usize::try_from(config.max_tokens).unwrap_or(usize::MAX);
        let engine = Embedded::start(decoder, max_tokens, limits, metrics)?;
        Ok(Self::of(Engine::Onnx(engine), config, metrics.llm("onnx")))
    }

    fn of(engine: Engine, config: &LlmClassifierConfig, metrics: LlmMetrics) -> Self {
        Self {
            engine,
            labels: config
                .labels
                .iter()
                .map(|label| label.name.clone())
                .collect(),
            default_label: config.default_label.clone(),
            timeout: Duration::from_millis(config.timeout_ms.into()),
            metrics,
            failing: AtomicBool::new(false),
        }
    }

    /// Its labels, in the configuration's order.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The label of a text, within `timeout_ms` and before `deadline`. Nobody is asked about a text of nothing but spaces: it has
    /// the default label.
    pub async fn classify(&self, text: &str, priority: Priority, deadline: Instant) -> LlmAnswer {
        if text.trim().is_empty() {
            return self.default_answer();
        }
        let started_at = Instant::now();
        let deadline = deadline.min(started_at + self.timeout);
        let scores = match &self.engine {
            Engine::OpenAi(server) => server.classify(text, deadline).await,
            Engine::Onnx(model) => model.classify(text, priority, deadline).await,
        };
        let result = match &scores {
            Ok(scores) if scores.reasoned => LlmResult::Reasoned,
            Ok(_) => LlmResult::Answered,
            Err(fault) => fault.result,
        };
        self.metrics.answered(result, started_at.elapsed());
        self.note(scores.as_ref().err());
        match scores {
            Ok(scores) => self.answer(&scores.probabilities),
            Err(_) => self.default_answer(),
        }
    }

    /// Whether the model can be asked: of a server, whether it lists its models.
    ///
    /// # Errors
    /// What is wrong, for a person to read.
    pub async fn healthy(&self, timeout: Duration) -> Result<(), String> {
        match &self.engine {
            Engine::OpenAi(server) => server.healthy(timeout).await,
            Engine::Onnx(_) => Ok(()),
        }
    }

    fn note(&self, fault: Option<&Fault>) {
        let failed_before = self.failing.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(Fault { result, why }) if failed_before => {
                tracing::debug!(
                    result = result.name(),
                    why,
                    "no label from the language model"
                );
            }
            Some(Fault { result, why }) => {
                tracing::warn!(
                    result = result.name(),
                    why,
                    "no label from the language model: the default is taken"
                );
            }
            None if failed_before => tracing::info!("the language model gives labels again"),
            None => {}
        }
    }

    fn answer(&self, probabilities: &[f32]) -> LlmAnswer {
        let named = self
            .labels
            .iter()
            .cloned()
            .zip(probabilities.iter().copied());
        let probabilities: Vec<(String, f32)> = named.collect();
        // Of equals, the first.
        let best = probabilities
            .iter()
            .rev()
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((label, _)) = best else {
            return self.default_answer();
        };
        LlmAnswer {
            label: label.clone(),
            probabilities,
            defaulted: false,
        }
    }

    fn default_answer(&self) -> LlmAnswer {
        LlmAnswer {
            label: self.default_label.clone(),
            probabilities: Vec::new(),
            defaulted: true,
        }
    }
}

#[cfg(test)]
mod tests;
