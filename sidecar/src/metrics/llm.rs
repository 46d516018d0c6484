//! Metrics of the language model: [`LlmMetrics`].

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;

/// Bounds in seconds: a prefill takes tens of milliseconds, thoughts take seconds.
pub(super) const LLM_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// How a question to the language model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LlmResult {
    /// With a label.
    Answered,
    /// With a label behind thoughts.
    Reasoned,
    /// Not in time.
    Timeout,
    /// The server does not answer, or with 429 or 5xx; or the model failed.
    Unavailable,
    /// The server refused the request, with 3xx or 4xx.
    Refused,
    /// The answer has no label.
    BadAnswer,
    /// The server failed too often and was not asked.
    CircuitOpen,
    /// Too many questions were in progress.
    QueueFull,
}

impl LlmResult {
    /// As in the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Reasoned => "reasoned",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::BadAnswer => "bad_answer",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LlmLabels {
    engine: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EngineLabels {
    engine: &'static str,
}

/// Metrics of the language model.
#[derive(Debug, Clone)]
pub struct LlmMetrics {
    engine: &'static str,
    requests: Family<LlmLabels, Counter>,
    duration: Histogram,
    circuit_open: Gauge,
}

impl LlmMetrics {
    /// A question ended.
    pub fn answered(&self, result: LlmResult, duration: Duration) {
        let labels = LlmLabels {
            engine: self.engine,
            result: result.name(),
        };
        self.requests.get_or_create(&labels).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Whether the server is left alone.
    pub fn circuit_open(&self, is_open: bool) {
        self.circuit_open.set(is_open.into());
    }
}

impl Metrics {
    /// The metrics of the language model that `engine` runs.
    #[must_use]
    pub fn llm(&self, engine: &'static str) -> LlmMetrics {
        let duration = self.llm_duration.get_or_create(&EngineLabels { engine });
        LlmMetrics {
            engine,
            requests: self.llm_requests.clone(),
            duration: duration.clone(),
            circuit_open: self.llm_circuit_open.clone(),
        }
    }
}
