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

use crate::onnx::gpu::GpuMemory;

/// Bounds in rows.
const BATCH_ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Bounds in seconds: a cache lookup takes microseconds, a long text on one core a tenth of a second.
const STAGE_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 1.0,
];

/// Bounds in seconds: a prefill takes tens of milliseconds, thoughts take seconds.
const LLM_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// A part of a request's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Text to tokens.
    Tokenization,
    /// Cache lookup, exact and semantic.
    Cache,
    /// The second opinion on what a lookup found, its wait for the model included.
    SecondOpinion,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Tokenization => "tokenization",
            Self::Cache => "cache",
            Self::SecondOpinion => "second_opinion",
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

/// Why an entry left the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// It was older than the time to live.
    Expired,
    /// There were too many entries.
    MaxEntries,
    /// The entries were too large together.
    MaxBytes,
    /// Somebody wanted it gone.
    Invalidated,
}

impl Eviction {
    fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxEntries => "max_entries",
            Self::MaxBytes => "max_bytes",
            Self::Invalidated => "invalidated",
        }
    }
}

/// What the cache could not do with its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// Write down a change.
    Journal,
    /// Write down the whole.
    Snapshot,
    /// Remove a file.
    Removal,
}

impl Persistence {
    /// As in the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
            Self::Removal => "removal",
        }
    }
}

/// Why a store outside the process did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreFailure {
    /// It did not answer in time.
    Timeout,
    /// The connection broke, or the server cannot serve.
    ConnectionLost,
    /// It was not asked, because it is known to be gone.
    Unavailable,
    /// It answered with an error.
    Refused,
}

impl StoreFailure {
    /// As in the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

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
struct LlmLabels {
    engine: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineLabels {
    engine: &'static str,
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
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabels {
    backend: &'static str,
}

/// The one store that is outside the process.
const REDIS: BackendLabels = BackendLabels { backend: "redis" };

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PersistenceLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeadLabels {
    head: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlacementLabels {
    model: String,
    device: String,
    precision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemoryLabels {
    device: String,
    state: &'static str,
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
    candidates_turned_down: Family<ShedLabels, Counter>,
    coalesced: Family<LookupLabels, Counter>,
    /// Requests in progress.
    pub requests_in_progress: Gauge,
    queues: Queues,
    placements: Family<PlacementLabels, Gauge>,
    device_memory: Family<MemoryLabels, Gauge>,
    reloads: Family<ReloadLabels, Counter>,
    heads: Family<HeadLabels, Histogram, fn() -> Histogram>,
    llm_requests: Family<LlmLabels, Counter>,
    llm_duration: Family<EngineLabels, Histogram, fn() -> Histogram>,
    llm_circuit_open: Gauge,
    /// Handlers that panicked.
    pub panics: Counter,
    /// TLS handshakes that failed or took too long.
    pub tls_handshakes_failed: Counter,
    /// Trained heads in use.
    pub trained_heads: Gauge,
    /// What the cache's store counts.
    pub cache: CacheMetrics,
    /// Entries stored.
    pub cache_stored: Counter,
    /// Seconds from start to readiness.
    pub startup_seconds: Gauge<f64, AtomicU64>,
}

/// Metrics of the queues before models, by model.
#[derive(Debug)]
struct Queues {
    rows_waiting: Family<ModelLabels, Gauge>,
    tokens_waiting: Family<ModelLabels, Gauge>,
    abandoned: Family<ModelLabels, Counter>,
    late: Family<ModelLabels, Counter>,
    wait: Family<ModelLabels, Histogram, fn() -> Histogram>,
    forwards: Family<ModelLabels, Histogram, fn() -> Histogram>,
    batches: Family<ModelLabels, Histogram, fn() -> Histogram>,
    tokens: Family<ModelLabels, Counter>,
    padding: Family<ModelLabels, Counter>,
}

impl Queues {
    fn forget(&self, model: &str) {
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

/// Metrics of the cache's store.
#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    entries: Gauge,
    bytes: Gauge,
    evictions: Family<ReasonLabels, Counter>,
    refused: Counter,
    persistence_errors: Family<PersistenceLabels, Counter>,
    damaged_records: Counter,
    skipped_bytes: Counter,
    store_errors: Family<ReasonLabels, Counter>,
    store_up: Family<BackendLabels, Gauge>,
}

impl CacheMetrics {
    /// A store outside the process did not do what it was asked for.
    pub fn store_failed(&self, reason: StoreFailure) {
        let reason = reason.name();
        let labels = ReasonLabels { reason };
        self.store_errors.get_or_create(&labels).inc();
    }

    /// How often a store outside the process did not do what it was asked for.
    #[must_use]
    pub fn store_failures(&self, reason: StoreFailure) -> u64 {
        let reason = reason.name();
        let labels = ReasonLabels { reason };
        self.store_errors.get_or_create(&labels).get()
    }

    /// Whether the store outside the process can be used.
    pub fn store_is_up(&self, is_up: bool) {
        self.store_up.get_or_create(&REDIS).set(is_up.into());
    }

    /// There is no store outside the process any more.
    pub fn store_is_gone(&self) {
        self.store_up.remove(&REDIS);
    }

    /// What the store holds now.
    pub fn holds(&self, entries: usize, bytes: usize) {
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// An entry left.
    pub fn evicted(&self, reason: Eviction) {
        self.evicted_many(reason, 1);
    }

    /// Entries left.
    pub fn evicted_many(&self, reason: Eviction, entries: usize) {
        if entries == 0 {
            return;
        }
        let labels = ReasonLabels {
            reason: reason.name(),
        };
        let evictions = self.evictions.get_or_create(&labels);
        evictions.inc_by(entries as u64);
    }

    /// An entry was too large.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// The folder does not do what it should.
    pub fn persistence_failed(&self, operation: Persistence) {
        let labels = PersistenceLabels {
            operation: operation.name(),
        };
        self.persistence_errors.get_or_create(&labels).inc();
    }

    /// How often the folder did not do what it should.
    #[must_use]
    pub fn persistence_failures(&self, operation: Persistence) -> u64 {
        let labels = PersistenceLabels {
            operation: operation.name(),
        };
        self.persistence_errors.get_or_create(&labels).get()
    }

    /// Damaged records and skipped bytes so far.
    #[must_use]
    pub fn skipped_so_far(&self) -> (u64, u64) {
        (self.damaged_records.get(), self.skipped_bytes.get())
    }

    /// What could not be read when the folder was opened.
    pub fn skipped(&self, records: usize, bytes: u64) {
        self.damaged_records.inc_by(records as u64);
        self.skipped_bytes.inc_by(bytes);
    }
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

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("turnpike_sidecar"),
            requests: Family::default(),
            stages: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            lookups: Family::default(),
            shed: Family::default(),
            candidates_turned_down: Family::default(),
            coalesced: Family::default(),
            requests_in_progress: Gauge::default(),
            queues: Queues::default(),
            placements: Family::default(),
            device_memory: Family::default(),
            reloads: Family::default(),
            heads: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            llm_requests: Family::default(),
            llm_duration: Family::new_with_constructor(|| Histogram::new(LLM_SECONDS)),
            llm_circuit_open: Gauge::default(),
            panics: Counter::default(),
            tls_handshakes_failed: Counter::default(),
            trained_heads: Gauge::default(),
            cache: CacheMetrics::default(),
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
        r.register("cache_candidates_turned_down", "Stored questions that resemble the asked one and differ from it in what counts, by what", self.candidates_turned_down.clone());
        r.register("cache_coalesced", "Requests that waited for the answer to the same one, by whether they got it: hit, miss", self.coalesced.clone());
        r.register("requests_shed", "Requests refused with 503, by reason", self.shed.clone());
        r.register("requests_in_progress", "Requests in progress", self.requests_in_progress.clone());
        r.register("model_placement", "1 for every loaded model, with where it runs and its precision", self.placements.clone());
        r.register_with_unit("device_memory", "Memory of GPUs that models are on, of all processes together, by state: used, total", Unit::Bytes, self.device_memory.clone());
        r.register("config_reloads", "Reloads of the configuration, by result", self.reloads.clone());
        r.register_with_unit("head_duration", "Time of a head or classifier for the texts of a request, its wait for the model included", Unit::Seconds, self.heads.clone());
        r.register("llm_requests", "Questions to the language model, by how they ended", self.llm_requests.clone());
        r.register_with_unit("llm_duration", "Time of a question to the language model, its wait included", Unit::Seconds, self.llm_duration.clone());
        r.register("llm_circuit_open", "1 while the language model's server is left alone because it failed too often", self.llm_circuit_open.clone());
        r.register("rows_waiting", "Texts and windows that wait for a model", self.queues.rows_waiting.clone());
        r.register("tokens_waiting", "Tokens that wait for a model", self.queues.tokens_waiting.clone());
        r.register("rows_abandoned", "Texts and windows whose client left, or whose time was up, before the model ran", self.queues.abandoned.clone());
        r.register("deadline_misses", "Texts and windows whose deadline passed while they waited", self.queues.late.clone());
        r.register_with_unit("queue_duration", "Time of a text or window from the queue to its forward", Unit::Seconds, self.queues.wait.clone());
        r.register_with_unit("forward_duration", "Time of a forward", Unit::Seconds, self.queues.forwards.clone());
        r.register("batch_rows", "Texts and windows of a forward", self.queues.batches.clone());
        r.register("tokens", "Tokens that models read", self.queues.tokens.clone());
        r.register("padding_tokens", "Tokens of padding that models read beside them", self.queues.padding.clone());
        r.register("panics", "Handlers that panicked", self.panics.clone());
        r.register("tls_handshakes_failed", "TLS handshakes that failed or took too long", self.tls_handshakes_failed.clone());
        r.register("trained_heads", "Trained heads in use; none with an encoder that they were not trained on", self.trained_heads.clone());
        r.register("cache_entries", "Entries in the cache", self.cache.entries.clone());
        r.register_with_unit("cache_size", "Size of the cache's questions, answers and vectors", Unit::Bytes, self.cache.bytes.clone());
        r.register("cache_evictions", "Entries that left the cache, by reason", self.cache.evictions.clone());
        r.register("cache_entries_refused", "Entries not stored because they are larger than the cache may be", self.cache.refused.clone());
        r.register("cache_persistence_errors", "What the cache could not do with its folder, by operation", self.cache.persistence_errors.clone());
        r.register("cache_records_damaged", "Records of the cache's folder that were damaged when it was opened", self.cache.damaged_records.clone());
        r.register_with_unit("cache_skipped", "Size of the parts of the cache's folder that could not be read when it was opened", Unit::Bytes, self.cache.skipped_bytes.clone());
        r.register("cache_store_errors", "What the cache's store outside the process did not do, by reason", self.cache.store_errors.clone());
        r.register("cache_store_up", "1 while the cache's store outside the process can be used", self.cache.store_up.clone());
        r.register("cache_stored", "Entries stored in the cache", self.cache_stored.clone());
        r.register_with_unit("startup", "Time from start to readiness", Unit::Seconds, self.startup_seconds.clone());
    }

    /// Counts an answered request; `path` is a path of the router or `other`.
    pub fn request(&self, path: &'static str, code: u16) {
        self.requests
            .get_or_create(&RequestLabels { path, code })
            .inc();
    }

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

    /// Counts a reload of the configuration.
    pub fn reload(&self, succeeded: bool) {
        let result = if succeeded { "ok" } else { "failed" };
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }

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

    /// Records the time of a head or classifier, a name of the configuration.
    pub fn head(&self, head: &str, duration: Duration) {
        let labels = HeadLabels {
            head: head.to_owned(),
        };
        self.heads
            .get_or_create(&labels)
            .observe(duration.as_secs_f64());
    }

    /// Forgets where models ran: those in use are said anew.
    pub fn forget_placements(&self) {
        self.placements.clear();
    }

    /// Says where a model runs.
    pub fn placed(&self, model: &str, device: String, precision: &'static str) {
        let labels = PlacementLabels {
            model: model.to_owned(),
            device,
            precision,
        };
        self.placements.get_or_create(&labels).set(1);
    }

    /// Says how much memory of a GPU there is.
    pub fn gpu_memory(&self, gpu: u16, memory: GpuMemory) {
        for (state, bytes) in [("used", memory.used), ("total", memory.total)] {
            let device = format!("cuda:{gpu}");
            let labels = MemoryLabels { device, state };
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.device_memory.get_or_create(&labels).set(bytes);
        }
    }

    /// Removes the series of a head or classifier that is no longer loaded.
    pub fn forget(&self, name: &str) {
        self.queues.forget(name);
        self.heads.remove(&HeadLabels {
            head: name.to_owned(),
        });
    }

    /// Counts a stored question that resembles the asked one and whose answer is not served.
    pub fn turned_down(&self, reason: &'static str) {
        self.candidates_turned_down
            .get_or_create(&ShedLabels { reason })
            .inc();
    }

    /// Counts a request that waited for the answer to the same one.
    pub fn coalesced(&self, is_hit: bool) {
        let result = if is_hit { "hit" } else { "miss" };
        self.coalesced.get_or_create(&LookupLabels { result }).inc();
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
