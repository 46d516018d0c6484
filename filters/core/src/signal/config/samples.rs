//! `embedding_rules`, `complexity_rules`: what a text is like, by samples.

use serde::{Deserialize, Serialize};

/// `embedding_rules`: a text is near one of some samples. The sidecar's encoder tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EmbeddingRuleConfig {
    /// Name that `{type: embedding, name: …}` refers to.
    pub name: String,
    /// Cosine from which it holds, 0 to 1.
    pub threshold: f32,
    /// Sample texts.
    pub candidates: Vec<String>,
    /// How the samples combine.
    #[serde(default)]
    pub aggregation_method: Aggregation,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How similarities to samples combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The nearest counts.
    #[default]
    Max,
    /// The mean of all counts.
    Mean,
    /// As `max`.
    Any,
}

/// `complexity_rules`: a text is nearer to hard samples than to easy ones. The sidecar's encoder tells.
///
/// Conditions name `rule:hard`, `rule:medium` or `rule:easy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ComplexityRuleConfig {
    /// Name of the rule.
    pub name: String,
    /// How much nearer, in cosine, 0 to 1: between `-threshold` and `threshold` it is medium.
    pub threshold: f32,
    /// Hard ones.
    pub hard: SamplesConfig,
    /// Easy ones.
    pub easy: SamplesConfig,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Sample texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SamplesConfig {
    /// The texts.
    pub candidates: Vec<String>,
}
