//! Metrics of the queues before models: [`QueueMetrics`], one for each.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{Metrics, STAGE_SECONDS};

/// Bounds in rows.
const BATCH_ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ModelLabels {
    model: String,
}

/// Metrics of the queues before models, by model.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) rows_waiting: Family<ModelLabels, Gauge>,
    pub(super) tokens_waiting: Family<ModelLabels, Gauge>,
    pub(super) abandoned: Family<ModelLabels, Counter>,
    pub(super) late: Family<ModelLabels, Counter>,
    pub(super) wait: Family<ModelLabels, Histogram, fn() -> Histogram>,
    pub(super) forwards: Family<ModelLabels, Histogram, fn() -> Histogram>,
    pub(super) batches: Family<ModelLabels, Histogram, fn() -> Histogram>,
    pub(super) tokens: Family<ModelLabels, Counter>,
    pub(super) padding: Family<ModelLabels, Counter>,
}

impl Queues {
    pub(super) fn forget(&self, model: &str) {
        let labels = ModelLabels {
            model: model.to_owned(),
        };
        for gauges in [&self.rows_waiting, &self.tokens_waiting] {
            gauges.remove(&labels);
        }
        for counters in [&self.abandoned, &self.late, &self.tokens, &self.padding] {
            counters.remove(&labels);
        }
        for histograms in [&self.wait, &self.forwards, &self.batches] {
            histograms.remove(&labels);
        }
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            rows_waiting: Family::default(),
            tokens_waiting: Family::default(),
            abandoned: Family::default(),
            late: Family::default(),
            wait: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            forwards: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            batches: Family::new_with_constructor(|| Histogram::new(BATCH_ROWS)),
            tokens: Family::default(),
            padding: Family::default(),
        }
    }
}

/// Metrics of one model's queue.
#[derive(Debug)]
pub struct QueueMetrics {
    rows_waiting: Gauge,
    tokens_waiting: Gauge,
    abandoned: Counter,
    late: Counter,
    wait: Histogram,
    forwards: Histogram,
    batches: Histogram,
    tokens: Counter,
    padding: Counter,
}

impl QueueMetrics {
    /// What waits now.
    pub fn waiting(&self, rows: usize, tokens: usize) {
        self.rows_waiting
            .set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.tokens_waiting
            .set(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    /// Rows that left the queue unanswered with their client.
    pub fn abandoned(&self, rows: usize) {
        self.abandoned.inc_by(rows as u64);
    }

    /// Rows whose deadline passed while they waited.
    pub fn late(&self, rows: usize) {
        self.late.inc_by(rows as u64);
    }

    /// Time of a row from the queue to its forward.
    pub fn waited(&self, duration: Duration) {
        self.wait.observe(duration.as_secs_f64());
    }

    /// A forward of `rows` with `tokens` of their own, `padded` with padding.
    pub fn forward(&self, rows: usize, tokens: usize, padded: usize, duration: Duration) {
        self.forwards.observe(duration.as_secs_f64());
        self.batches.observe(rows as f64);
        self.tokens.inc_by(tokens as u64);
        self.padding.inc_by(padded.saturating_sub(tokens) as u64);
    }
}

impl Metrics {
    /// The metrics of the queue before `model`, a name of the configuration.
    #[must_use]
    pub fn queue(&self, model: &str) -> QueueMetrics {
        let labels = ModelLabels {
            model: model.to_owned(),
        };
        let q = &self.queues;
        QueueMetrics {
            rows_waiting: q.rows_waiting.get_or_create(&labels).clone(),
            tokens_waiting: q.tokens_waiting.get_or_create(&labels).clone(),
            abandoned: q.abandoned.get_or_create(&labels).clone(),
            late: q.late.get_or_create(&labels).clone(),
            wait: q.wait.get_or_create(&labels).clone(),
            forwards: q.forwards.get_or_create(&labels).clone(),
            batches: q.batches.get_or_create(&labels).clone(),
            tokens: q.tokens.get_or_create(&labels).clone(),
            padding: q.padding.get_or_create(&labels).clone(),
        }
    }
}
