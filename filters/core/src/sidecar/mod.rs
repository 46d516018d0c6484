//! What the filters and the sidecar say to each other: JSON over HTTP/1.1.
//!
//! - `POST /v1/analyze` [`AnalyzeRequest`] → 200 [`AnalyzeResponse`]: one text, everything that is wanted about it.
//! - `POST /v1/cache/entries` [`StoreRequest`] → 201: keeps a complete answer.
//! - `POST /v1/cache/release` [`ReleaseRequest`] → 200: answers that others wait for will not come.
//!
//! Errors are OpenAI error objects ([`crate::reply`]): 400 bad request, 413 too large, 503 overloaded or not ready.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Largest body that the sidecar reads: an answer that streamed and its question, as JSON within JSON.
pub const MAX_BODY_BYTES: usize = 8 << 20;

/// Path of the analysis.
pub const ANALYZE_PATH: &str = "/v1/analyze";

/// Path of the cache's entries.
pub const CACHE_ENTRIES_PATH: &str = "/v1/cache/entries";

/// Path on which the proxy says that an answer will not come.
pub const CACHE_RELEASE_PATH: &str = "/v1/cache/release";

/// One text and what the proxy wants to know about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AnalyzeRequest {
    /// The text, usually the last user message.
    pub text: String,
    /// Heads to read: [`CATEGORY_HEAD`], [`LLM_HEAD`], names of `sidecar.heads` and `sidecar.classifiers`.
    #[serde(default)]
    pub heads: Vec<String>,
    /// Cache lookup, if the request may be served from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheLookup>,
}

/// The head that tells one of the configured `categories`; its answer is [`AnalyzeResponse::category`].
pub const CATEGORY_HEAD: &str = "category";

/// The head whose labels `sidecar.llm_classifier` has.
pub const LLM_HEAD: &str = "llm";

/// The head that tells, for each of `embedding_rules`, how similar the text is to its samples.
pub const EMBEDDING_HEAD: &str = "embedding";

/// The head that tells, for each of `complexity_rules`, how much nearer the text is to its hard samples than to its easy ones.
pub const COMPLEXITY_HEAD: &str = "complexity_rules";

/// Name of `semantic_cache.second_opinion` among the models: in metrics and lists; not to be asked by it.
pub const SECOND_OPINION: &str = "second_opinion";

/// Where to look for a stored answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CacheLookup {
    /// Hard key: only entries stored under exactly this one are candidates. 64 hex digits.
    pub partition: String,
    /// Cosine similarity from which an entry counts, 0 to 1.
    pub similarity_threshold: f32,
    /// Whether the answer is wanted as server-sent events.
    #[serde(default)]
    pub stream: bool,
    /// Whether such events shall tell the usage.
    #[serde(default)]
    pub usage: bool,
    /// Age up to which an entry counts, in seconds; any within its time to live when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Whether the request may share the answer to another one with the same partition and text that is being answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalescing: Option<Coalescing>,
}

/// Identical requests at the same time: the first that misses leads, and the others get its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Coalescing {
    /// How long a leader is waited for from its lookup on, in milliseconds; at most [`MAX_COALESCE_WAIT_MS`].
    pub wait_ms: u32,
    /// Whether to wait for it now. Otherwise the answer is [`CacheAnswer::InFlight`] at once.
    #[serde(default)]
    pub wait: bool,
    /// By which the lookup is named when it leads and its answer is stored, or will not come. Of no meaning with `wait`.
    #[serde(default)]
    pub ticket: u64,
}

/// The longest that a request may wait for another one's answer: Envoy gives a request a minute to be read and sent on.
pub const MAX_COALESCE_WAIT_MS: u32 = 30_000;

/// What the sidecar found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyzeResponse {
    /// Best category, when [`CATEGORY_HEAD`] was asked for and categories are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Scored>,
    /// What the other heads say, by name: the probability of each label. An exact hit is answered without.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heads: HeadScores,
    /// Whether some head's answer is its configured default, for want of another: true now, and not to be remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaulted: bool,
    /// Whether the lookup leads: others wait for its answer until it is stored or [`ReleaseRequest`] names its ticket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leads: bool,
    /// Outcome of the lookup, when one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheAnswer>,
    /// Where the time went.
    #[serde(default)]
    pub timing: AnalyzeTiming,
}

/// Probabilities by head and label.
pub type HeadScores = BTreeMap<String, BTreeMap<String, f32>>;

/// A label and how sure the head is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scored {
    /// Label.
    pub label: String,
    /// Confidence, 0 to 1.
    pub confidence: f32,
}

/// Outcome of a cache lookup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum CacheAnswer {
    /// Nothing near enough.
    Miss,
    /// The same text is being answered for another request; nothing else was looked at.
    InFlight,
    /// A stored answer.
    Hit(CacheHit),
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CacheHit {
    /// Cosine similarity of the questions; 1 for the same text.
    pub similarity: f32,
    /// Model that gave the answer.
    pub model: String,
    /// Decision that chose it; empty when the client named the model.
    pub decision: String,
    /// Category of the stored question; empty when it was not asked for.
    pub category: String,
    /// Age in seconds.
    pub age_seconds: u64,
    /// The response body in the form that was asked for, `id` and `created` new.
    pub body: String,
}

/// Where the sidecar spent its time, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyzeTiming {
    /// Waiting for a place.
    pub queue_us: u64,
    /// Text to tokens.
    pub tokenization_us: u64,
    /// Encoder forward.
    pub inference_us: u64,
    /// Cache lookup.
    pub cache_us: u64,
}

impl AnalyzeTiming {
    /// All of it.
    #[must_use]
    pub fn total_us(&self) -> u64 {
        let Self {
            queue_us,
            tokenization_us,
            inference_us,
            cache_us,
        } = *self;
        queue_us
            .saturating_add(tokenization_us)
            .saturating_add(inference_us)
            .saturating_add(cache_us)
    }
}

/// A complete answer to keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StoreRequest {
    /// Partition of the lookup that missed.
    pub partition: String,
    /// Text of that lookup.
    pub text: String,
    /// Model that gave the answer.
    pub model: String,
    /// Decision that chose it; empty when the client named the model.
    #[serde(default)]
    pub decision: String,
    /// Category of the question; empty when it was not asked for.
    #[serde(default)]
    pub category: String,
    /// Whose answer it is, as the cache's scope has it: a user, a tier. For invalidation alone; the partition decides who is
    /// served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// The response body, byte for byte.
    pub body: String,
    /// Whether that is a stream of server-sent events.
    #[serde(default)]
    pub streamed: bool,
    /// Of the lookup, if it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u64>,
}

/// The answers to lookups that missed will not be kept: nobody needs to wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Of these lookups; one that does not lead is ignored.
    pub tickets: Vec<u64>,
}
