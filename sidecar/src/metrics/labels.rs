//! Labels of the metrics, and what may stand in them.

use prometheus_client::encoding::EncodeLabelSet;

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
    pub(super) fn name(self) -> &'static str {
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
    pub(super) fn name(self) -> &'static str {
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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::NotReady => "not_ready",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) path: &'static str,
    pub(super) code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PathLabels {
    pub(super) path: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StageLabels {
    pub(super) stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LookupLabels {
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReloadLabels {
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HeadLabels {
    pub(super) head: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PlacementLabels {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) precision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MemoryLabels {
    pub(super) device: String,
    pub(super) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ShedLabels {
    pub(super) reason: &'static str,
}
