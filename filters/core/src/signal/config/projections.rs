//! `projections`: signals made of other signals.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::predicate::BandConfig;
use crate::decision::SignalKind;

/// `projections`: numbers made of signals, and bands of such numbers as further signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionsConfig {
    /// The numbers.
    pub scores: Vec<ScoreConfig>,
    /// Their bands.
    pub mappings: Vec<MappingConfig>,
}

impl ProjectionsConfig {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty() && self.mappings.is_empty()
    }
}

/// `projections.scores[]`: the sum of the weights of signals that hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Name that mappings refer to.
    pub name: String,
    /// How inputs combine.
    #[serde(default)]
    pub method: ScoreMethod,
    /// What is summed.
    pub inputs: Vec<ScoreInputConfig>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How inputs of a score combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScoreMethod {
    /// Sum of weight times value.
    #[default]
    WeightedSum,
}

/// `projections.scores[].inputs[]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreInputConfig {
    /// Kind of signal.
    #[serde(rename = "type")]
    pub signal: SignalKind,
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// What is weighed.
    #[serde(default)]
    pub value_source: ValueSource,
}

/// What is weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// 1 where the signal holds, else 0.
    #[default]
    #[serde(alias = "match")]
    Binary,
    /// Its confidence where it holds, else 0.
    Confidence,
}

/// `projections.mappings[]`: bands of a score; conditions of `type: projection` name a band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// Name of the mapping.
    pub name: String,
    /// The score.
    pub source: String,
    /// How it is cut.
    #[serde(default)]
    pub method: MappingMethod,
    /// The bands.
    pub outputs: Vec<BandConfig>,
    /// Accepted for compatibility: here a band that holds has confidence 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Value>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How a score is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MappingMethod {
    /// By bounds.
    #[default]
    ThresholdBands,
}
