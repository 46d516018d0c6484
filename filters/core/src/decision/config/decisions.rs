//! `decisions`: which one takes a request, and which of its models.

use serde::{Deserialize, Serialize};

use super::plugins::PluginConfig;
use super::rules::RuleConfig;

/// How to choose among decisions that hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The highest `priority`; the first written among equals.
    #[default]
    Priority,
    /// The highest confidence; the highest `priority` among equals.
    Confidence,
}

/// A routing decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecisionConfig {
    /// Name, as metrics and headers show it.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The highest wins.
    #[serde(default)]
    pub priority: i32,
    /// When it applies.
    pub rules: RuleConfig,
    /// Models it may choose.
    #[serde(rename = "modelRefs")]
    pub model_refs: Vec<ModelRefConfig>,
    /// How it chooses; the first model if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmConfig>,
    /// What else happens to its requests.
    #[serde(default)]
    pub plugins: Vec<PluginConfig>,
}

/// A model that a decision may choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelRefConfig {
    /// Entry of `model_config`.
    pub model: String,
    /// Whether the model shall reason; only models with a `reasoning_family` can be told. If missing, the client's own choice counts, and
    /// it shall not where the client says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_reasoning: Option<bool>,
    /// `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning_description: String,
    /// Name of the LoRA adapter: the server is asked for it in place of the model, whose endpoints serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora_name: Option<String>,
    /// Share of the requests with `algorithm.type: weighted`, 1 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How good the model is at this decision's requests, 0 to 1; the model's `quality_score` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
}

/// `decisions[].algorithm`: how a decision chooses among its models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlgorithmConfig {
    /// Which.
    #[serde(rename = "type", default)]
    pub kind: AlgorithmKind,
    /// Of `cost_aware`: models with a lower score are not chosen, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_quality: Option<f32>,
    /// Whether a conversation stays with its model, whose cache holds its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    /// Of `latency_aware` with `sticky`: how much faster another model must be for a conversation to change, 0 to 1; 0.2 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch_margin: Option<f32>,
}

/// How a model is chosen among several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmKind {
    /// The first.
    #[default]
    Static,
    /// By `weight`.
    Weighted,
    /// The highest `score`.
    Score,
    /// The cheapest by `model_config.*.pricing` among those with at least `min_quality`.
    CostAware,
    /// The one that was fastest to its first byte of late.
    LatencyAware,
}

/// What happens when a step fails or is late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Route to `default_model`.
    #[default]
    Default,
    /// Refuse with 503.
    Block,
}
