//! Metrics of the sidecar, in Prometheus' OpenMetrics text. Every label value comes from an enum or from the router's paths.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Bounds in seconds: a cache lookup takes microseconds, a long text on one core a tenth of a second.
const STAGE_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 1.0,
];

/// A part of a request's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for the model.
    Queue,
    /// Text to tokens.
    Tokenization,
    /// Encoder forward.
    Inference,
    /// Cache lookup, exact and semantic.
    Cache,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Tokenization => "tokenization",
            Self::Inference => "inference",
            Self::Cache => "cache",
        }
    }
}

/// How a cache lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The same text.
    Exact,
    /// A text near enough.
    Semantic,
    /// Nothing.
    Miss,
}

impl Lookup {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Semantic => "semantic",
            Self::Miss => "miss",
        }
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// `sidecar.max_concurrent_requests` were in progress.
    Concurrency,
    /// The queue before the model was full.
    QueueFull,
    /// The deadline passed.
    Deadline,
    /// The encoder was not loaded yet.
    NotReady,
}

impl Shed {
    fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::NotReady => "not_ready",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShedLabels {
    reason: &'static str,
}

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    lookups: Family<LookupLabels, Counter>,
    shed: Family<ShedLabels, Counter>,
    /// Requests in progress.
    pub requests_in_progress: Gauge,
    /// Jobs that wait for the model.
    pub jobs_queued: Gauge,
    /// Jobs whose client left before the model ran.
    pub jobs_abandoned: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Tokens embedded.
    pub tokens: Counter,
    /// Trained heads in use.
    pub trained_heads: Gauge,
    /// Entries in the cache.
    pub cache_entries: Gauge,
    /// Entries stored.
    pub cache_stored: Counter,
    /// Seconds from start to readiness.
    pub startup_seconds: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("turnpike_sidecar"),
            requests: Family::default(),
            stages: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            lookups: Family::default(),
            shed: Family::default(),
            requests_in_progress: Gauge::default(),
            jobs_queued: Gauge::default(),
            jobs_abandoned: Counter::default(),
            panics: Counter::default(),
            tokens: Counter::default(),
            trained_heads: Gauge::default(),
            cache_entries: Gauge::default(),
            cache_stored: Counter::default(),
            startup_seconds: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    #[rustfmt::skip] // One metric a line reads as the table that it is.
    fn register(&mut self) {
        let r = &mut self.registry;
        let build = Info::new([("version", crate::VERSION), ("git_hash", crate::GIT_HASH)]);
        r.register("build", "Version and commit of the sidecar", build);
        r.register("requests", "Requests answered, by path and status code", self.requests.clone());
        r.register_with_unit("stage_duration", "Time of a request's stages", Unit::Seconds, self.stages.clone());
        r.register("cache_lookups", "Cache lookups, by result", self.lookups.clone());
        r.register("requests_shed", "Requests refused with 503, by reason", self.shed.clone());
        r.register("requests_in_progress", "Requests in progress", self.requests_in_progress.clone());
        r.register("jobs_queued", "Jobs that wait for the model", self.jobs_queued.clone());
        r.register("jobs_abandoned", "Jobs dropped before the model because their client had gone", self.jobs_abandoned.clone());
        r.register("panics", "Handlers that panicked", self.panics.clone());
        r.register("tokens", "Tokens embedded", self.tokens.clone());
        r.register("trained_heads", "Trained heads in use; none with an encoder that they were not trained on", self.trained_heads.clone());
        r.register("cache_entries", "Entries in the cache", self.cache_entries.clone());
        r.register("cache_stored", "Entries stored in the cache", self.cache_stored.clone());
        r.register_with_unit("startup", "Time from start to readiness", Unit::Seconds, self.startup_seconds.clone());
    }

    /// Counts an answered request; `path` is a path of the router or `other`.
    pub fn request(&self, path: &'static str, code: u16) {
        self.requests
            .get_or_create(&RequestLabels { path, code })
            .inc();
    }

    /// Records the time of a stage.
    pub fn observe(&self, stage: Stage, duration: Duration) {
        self.stages
            .get_or_create(&StageLabels {
                stage: stage.name(),
            })
            .observe(duration.as_secs_f64());
    }

    /// Counts a cache lookup.
    pub fn lookup(&self, result: Lookup) {
        self.lookups
            .get_or_create(&LookupLabels {
                result: result.name(),
            })
            .inc();
    }

    /// Counts a refused request.
    pub fn shed(&self, reason: Shed) {
        self.shed
            .get_or_create(&ShedLabels {
                reason: reason.name(),
            })
            .inc();
    }

    /// The exposition text.
    ///
    /// # Errors
    /// When formatting fails, which a `String` never does.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
