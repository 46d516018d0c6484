//! Metrics of the sidecar, in Prometheus' OpenMetrics text. Every label value comes from an enum or from the router's paths.

mod cache;
mod labels;
mod llm;
mod queues;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::onnx::gpu::GpuMemory;
use labels::{
    HeadLabels, LookupLabels, MemoryLabels, PathLabels, PlacementLabels, ReloadLabels,
    RequestLabels, ShedLabels, StageLabels,
};
use llm::{EngineLabels, LLM_SECONDS, LlmLabels};
use queues::Queues;

pub use cache::{CacheMetrics, Eviction, Persistence, StoreFailure};
pub use labels::{Lookup, Shed, Stage};
pub use llm::{LlmMetrics, LlmResult};
pub use queues::QueueMetrics;

/// Bounds in seconds: a cache lookup takes microseconds, a long text on one core a tenth of a second.
const STAGE_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 1.0,
];

/// The same for whole requests, of which those for embeddings and `/health` may take seconds.
const REQUEST_SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 1.0,
    4.0, 16.0,
];

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<PathLabels, Histogram, fn() -> Histogram>,
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    lookups: Family<LookupLabels, Counter>,
    shed: Family<ShedLabels, Counter>,
    candidates_turned_down: Family<ShedLabels, Counter>,
    /// Hits that the rules did not understand and a model accepted.
    pub second_opinion_hits: Counter,
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

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("turnpike_sidecar"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            stages: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            lookups: Family::default(),
            shed: Family::default(),
            candidates_turned_down: Family::default(),
            second_opinion_hits: Counter::default(),
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
        r.register_with_unit("request_duration", "Time from a request's head to its answer, waiting included, by path", Unit::Seconds, self.durations.clone());
        r.register_with_unit("stage_duration", "Time of a request's stages", Unit::Seconds, self.stages.clone());
        r.register("cache_lookups", "Cache lookups, by result", self.lookups.clone());
        r.register("cache_candidates_turned_down", "Stored questions that resemble the asked one and differ from it in what counts, by what", self.candidates_turned_down.clone());
        r.register("cache_second_opinion_hits", "Hits whose questions the rules did not understand and the second opinion called the same", self.second_opinion_hits.clone());
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

    /// Counts an answered request and its time; `path` is a path of the router or `other`.
    pub fn request(&self, path: &'static str, code: u16, duration: Duration) {
        self.requests
            .get_or_create(&RequestLabels { path, code })
            .inc();
        self.durations
            .get_or_create(&PathLabels { path })
            .observe(duration.as_secs_f64());
    }

    /// Counts a reload of the configuration.
    pub fn reload(&self, succeeded: bool) {
        let result = if succeeded { "ok" } else { "failed" };
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
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
