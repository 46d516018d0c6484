//! `semantic_cache`.

use serde::{Deserialize, Serialize};

use crate::config::Precision;

/// `semantic_cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemanticCacheConfig {
    /// Whether answers are stored and served.
    pub enabled: bool,
    /// Where entries are kept; `memory` is the sidecar's own store.
    pub backend_type: BackendType,
    /// Cosine similarity from which a stored question counts as the same, 0 to 1.
    pub similarity_threshold: f32,
    /// Entries kept; `eviction_policy` says which goes first.
    pub max_entries: u32,
    /// Bytes of questions, answers and vectors kept; `eviction_policy` says which go first.
    pub max_bytes: u64,
    /// Age at which an entry is no longer served, in seconds.
    pub ttl_seconds: u64,
    /// Which entry goes when the cache is full.
    pub eviction_policy: EvictionPolicy,
    /// Folder in which the entries outlive the sidecar, relative to the configuration; used by one sidecar alone. Empty: they are
    /// in memory alone. It holds questions and answers as they are.
    pub path: String,
    /// Who may be served an answer that somebody else caused.
    pub scope: Scope,
    /// How the choices of an answer that is kept may have ended: values of `finish_reason`.
    pub finish_reasons: Vec<String>,
    /// Requests with a higher `temperature` are not cached; one that names none has 1.
    pub max_temperature: f32,
    /// Whether clients may ask for less caching: `cache-control` with `no-cache`, `no-store`, `max-age`, and
    /// `x-turnpike-cache-similarity`.
    pub request_control: bool,
    /// How long a request waits for the answer to the same request that somebody else is waiting for, in milliseconds from that
    /// one's lookup on; then it goes upstream. 0: it never waits.
    pub coalesce_wait_ms: u32,
    /// Whether a hit tells in `x-vsr-cache-similarity` how similar the questions are.
    pub export_similarity: bool,
    /// Change it to make every stored answer unreachable.
    pub cache_epoch: u32,
    /// A cross-encoder that is asked about similar questions before one is answered with the answer to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_opinion: Option<SecondOpinionConfig>,
}

impl Default for SemanticCacheConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            backend_type: BackendType::Memory,
            similarity_threshold: 0.85,
            max_entries: 10_000,
            max_bytes: 1 << 30,
            ttl_seconds: 3_600,
            eviction_policy: EvictionPolicy::Fifo,
            path: String::new(),
            scope: Scope::User,
            finish_reasons: vec!["stop".into()],
            max_temperature: 1.0,
            request_control: false,
            coalesce_wait_ms: 0,
            export_similarity: false,
            cache_epoch: 0,
            second_opinion: None,
        }
    }
}

/// `semantic_cache.second_opinion`: a sequence classification model that reads two questions at once, exported to ONNX.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecondOpinionConfig {
    /// Folder with `model.onnx`, `tokenizer.json`, `config.json`. Wins over `repository`.
    pub path: String,
    /// Hugging Face repository to fetch the same files from, as `owner/name`.
    pub repository: String,
    /// Which of the model's files is loaded.
    pub precision: Precision,
    /// The label that says that both texts mean the same, as `entailment`. Needed where the model has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Probability from which two questions count as the same, whichever comes first; above 0, at most 1.
    pub threshold: f32,
    /// Cosine similarity from which a stored question needs no second opinion, 0 to 1.
    pub below_similarity: f32,
}

impl Default for SecondOpinionConfig {
    fn default() -> Self {
        Self {
            path: String::new(),
            repository: String::new(),
            precision: Precision::Fp32,
            label: None,
            threshold: 0.5,
            below_similarity: 0.95,
        }
    }
}

/// Store of the semantic cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendType {
    /// In the sidecar's memory.
    #[default]
    Memory,
}

/// Which entry goes when the cache is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvictionPolicy {
    /// The oldest.
    #[default]
    Fifo,
    /// The one not served for the longest time.
    Lru,
    /// The one served the fewest times; what was popular once goes in time.
    Lfu,
}

/// Who shares cached answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nobody: one user's answers serve that user alone. Requests without an identified user are not cached.
    #[default]
    User,
    /// Users of one tier. Requests without an identified tier are not cached.
    Tier,
    /// Users of one tenant. Requests without an identified tenant are not cached.
    Tenant,
    /// Everybody.
    Global,
}
