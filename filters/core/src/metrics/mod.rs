//! Every metric and label of Turnpike, once: name, kind, labels, help, and how labels travel through Envoy.
//!
//! The Wasm ABI knows flat names only, so labels are written into the name and cut out again by `stats_tags`:
//!
//! ```text
//! user=.=alice;.;tier=.=gold;.;model=.=qwen3;.;type=.=prompt;.;semantic_router_tokens_total
//! → semantic_router_tokens_total{user="alice",tier="gold",model="qwen3",type="prompt"}
//! ```
//!
//! The form `key=.=value;.;` is the one that Istio's bootstrap cuts out for each of its `extraStatTags`; plain Envoy gets the
//! same regexes from [`Label::stats_tag_regex`]. Values are escaped by [`escape_label`], which is injective.
//!
//! Histograms hold whole numbers (the ABI knows no others), so their unit stands in their name and is never seconds.

mod escape;
mod label;

pub use escape::{MAX_LABEL_BYTES, escape_label, escape_label_into};
pub use label::Label;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Distribution, with these upper bounds of its buckets in the unit of its name.
    Histogram(&'static [u32]),
}

impl Kind {
    /// Name, as Prometheus has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Milliseconds from a cached answer to a long generation.
const REQUEST_MS: &[u32] = &[
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
];

/// Milliseconds to the first token.
const FIRST_TOKEN_MS: &[u32] = &[
    1, 5, 10, 25, 50, 100, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 30_000,
];

/// Microseconds between two tokens: from 2,000 to 1 a second.
const TOKEN_US: &[u32] = &[
    500, 1_000, 2_500, 5_000, 10_000, 20_000, 30_000, 50_000, 75_000, 100_000, 250_000, 1_000_000,
];

/// Microseconds of our own work.
const STAGE_US: &[u32] = &[
    10, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
];

/// All that is known about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec {
    name: &'static str,
    kind: Kind,
    labels: &'static [Label],
    help: &'static str,
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kind:expr, [$($label:ident),*], $help:literal;)+) => {
        /// A metric of Turnpike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn spec(self) -> Spec {
                match self {
                    $(Self::$variant => Spec { name: $name, kind: $kind, labels: &[$(Label::$label),*], help: $help },)+
                }
            }
        }
    };
}

metrics! {
    /// Tokens by user and tier (MaaS mode).
    Tokens = "semantic_router_tokens_total", Kind::Counter, [User, Tier, Model, Type],
        "Tokens by model that served and type: `prompt` and `completion`; `cached` and `reasoning`, parts of these, where `extra_token_types` asks for them (MaaS mode).";
    /// Requests by user, tier and decision (MaaS mode).
    Requests = "semantic_router_requests_total", Kind::Counter, [User, Tier, Model, Decision],
        "Requests, each once when its stream ends (MaaS mode).";
    /// Cache hits by user and tier (MaaS mode).
    CacheHits = "semantic_router_cache_hits_total", Kind::Counter, [User, Tier, Model],
        "Requests answered from the semantic cache (MaaS mode).";
    /// Cache misses by user and tier (MaaS mode).
    CacheMisses = "semantic_router_cache_misses_total", Kind::Counter, [User, Tier, Model],
        "Requests for which the semantic cache was asked in vain (MaaS mode).";
    /// Personal data found, by kind (MaaS mode).
    PiiDetections = "semantic_router_pii_detections_total", Kind::Counter, [User, Tier, PiiType],
        "Kinds of personal data that a guard found in a request, once for each kind (MaaS mode).";
    /// Attacks found (MaaS mode).
    JailbreakDetections = "semantic_router_jailbreak_detections_total", Kind::Counter, [User, Tier],
        "Requests that a guard stopped as an attack (MaaS mode).";
    /// Requests with reasoning switched on (MaaS mode).
    ReasoningRequests = "semantic_router_reasoning_requests_total", Kind::Counter, [User, Tier, Model],
        "Requests for which reasoning was switched on (MaaS mode).";
    /// Tokens that were estimated because the stream ended early (MaaS mode).
    TokensEstimated = "semantic_router_tokens_estimated_total", Kind::Counter, [User, Tier, Model, Type],
        "Part of semantic_router_tokens_total that was estimated from bytes because no usage was seen (MaaS mode).";
    /// Time of whole requests (MaaS mode).
    RequestDuration = "semantic_router_request_duration_milliseconds", Kind::Histogram(REQUEST_MS), [Tier, Model],
        "From the request headers to the end of the stream (MaaS mode).";
    /// Time to the first token (MaaS mode).
    TimeToFirstToken = "semantic_router_time_to_first_token_milliseconds", Kind::Histogram(FIRST_TOKEN_MS), [Tier, Model],
        "From the request headers to the first bytes of a streamed answer (MaaS mode).";
    /// Time between tokens (MaaS mode).
    TimePerOutputToken = "semantic_router_time_per_output_token_microseconds", Kind::Histogram(TOKEN_US), [Tier, Model],
        "From the first to the last bytes of a streamed answer, by its completion tokens but one (MaaS mode).";
    /// Requests (standalone mode).
    ModelRequests = "llm_model_requests_total", Kind::Counter, [Model],
        "Requests, each once when its stream ends (standalone mode).";
    /// Prompt and completion tokens (standalone mode).
    ModelTokens = "llm_model_tokens_total", Kind::Counter, [Model],
        "Prompt and completion tokens (standalone mode).";
    /// Prompt tokens (standalone mode).
    ModelPromptTokens = "llm_model_prompt_tokens_total", Kind::Counter, [Model],
        "Prompt tokens (standalone mode).";
    /// Completion tokens (standalone mode).
    ModelCompletionTokens = "llm_model_completion_tokens_total", Kind::Counter, [Model],
        "Completion tokens (standalone mode).";
    /// Cost (standalone and hybrid mode).
    ModelCost = "llm_model_cost_total", Kind::Counter, [Model, Currency],
        "Cost in millionths of the currency, for models with `pricing` (standalone and hybrid mode).";
    /// Time of whole requests (standalone mode).
    ModelLatency = "llm_model_completion_latency_milliseconds", Kind::Histogram(REQUEST_MS), [Model],
        "From the request headers to the end of the stream (standalone mode).";
    /// Time to the first token (standalone mode).
    ModelTimeToFirstToken = "llm_model_ttft_milliseconds", Kind::Histogram(FIRST_TOKEN_MS), [Model],
        "From the request headers to the first bytes of a streamed answer (standalone mode).";
    /// Time between tokens (standalone mode).
    ModelTimePerOutputToken = "llm_model_tpot_microseconds", Kind::Histogram(TOKEN_US), [Model],
        "From the first to the last bytes of a streamed answer, by its completion tokens but one (standalone mode).";
    /// Time of our own work.
    Processing = "turnpike_processing_microseconds", Kind::Histogram(STAGE_US), [Stage],
        "Time that Turnpike added, by stage: `meter` (identity and headers), `router` (computing), `sidecar` (waiting), `output` (judging the answer).";
    /// Requests over the threshold of their decision.
    SlowRequests = "turnpike_slow_requests_total", Kind::Counter, [Decision],
        "Requests that took longer than `telemetry.slow_request_ms` allows.";
    /// Label values above their cap.
    LabelOverflow = "turnpike_label_overflow_total", Kind::Counter, [Label],
        "Requests whose user or tier is counted as `other`, because `max_users` or `max_tiers` others came before.";
    /// Callers whom no source names.
    IdentityMissing = "turnpike_identity_missing_total", Kind::Counter, [Label],
        "Requests for which no source names the user or the tier, so that the fallback stands in (MaaS mode).";
    /// Responses that the meter cannot read.
    ResponsesUnreadable = "turnpike_responses_unreadable_total", Kind::Counter, [Reason],
        "Answers whose usage cannot be read, by reason; their tokens are estimated.";
    /// Steps that failed and took their configured fallback.
    Fallbacks = "turnpike_fallbacks_total", Kind::Counter, [Reason],
        "Steps that failed and took their configured fallback.";
    /// Requests that Turnpike refused.
    Errors = "turnpike_errors_total", Kind::Counter, [Code],
        "Requests that Turnpike refused, by code of the error object.";
    /// Answers in which an output guard found something.
    ResponseDetections = "turnpike_response_detections_total", Kind::Counter, [Code],
        "Answers in which an output guard found something, by code: `response_jailbreak`, `response_toxicity` or `response_pii`.";
    /// Analyses asked of the sidecar.
    SidecarCalls = "turnpike_sidecar_calls_total", Kind::Counter, [],
        "Analyses asked of the sidecar.";
    /// Readings and questions that were spared.
    RoutingCacheHits = "turnpike_routing_cache_hits_total", Kind::Counter, [],
        "Texts that were not read or asked about again, because the same had been a short while ago.";
    /// Requests that the cache was not asked for although it is on.
    CacheSkipped = "turnpike_cache_skipped_total", Kind::Counter, [Reason],
        "Requests for which the semantic cache was not asked although it is on.";
    /// Answers that could not be handed to the cache.
    CacheStoreFailures = "turnpike_cache_store_failures_total", Kind::Counter, [Reason],
        "Answers that could not be handed to the semantic cache.";
    /// Host calls that failed in a way that should not happen.
    HostErrors = "turnpike_host_errors_total", Kind::Counter, [Reason],
        "Host calls that failed, by name of the call.";
}

impl Metric {
    /// Name in Prometheus.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.spec().kind
    }

    /// What it counts or measures, for `docs/metrics.md`.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.spec().help
    }

    /// Its labels.
    #[must_use]
    pub fn labels(self) -> &'static [Label] {
        self.spec().labels
    }

    /// The flat stat name with `values`, one for each of [`Self::labels`] in their order; missing ones are empty.
    #[must_use]
    pub fn stat_name(self, values: &[&str]) -> String {
        let mut name = String::with_capacity(128);
        for (i, label) in self.labels().iter().enumerate() {
            name.push_str(label.key());
            name.push_str("=.=");
            escape_label_into(values.get(i).copied().unwrap_or_default(), &mut name);
            name.push_str(";.;");
        }
        name.push_str(self.name());
        name
    }
}

#[cfg(test)]
mod tests;
