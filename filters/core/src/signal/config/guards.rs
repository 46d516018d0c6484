//! `jailbreak_rules`, `pii_rules`: what guards find in a request.

use serde::{Deserialize, Serialize};

/// `jailbreak_rules`: the request attacks the model's instructions. Every text part is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JailbreakRuleConfig {
    /// Name that `{type: jailbreak, name: …}` refers to.
    pub name: String,
    /// Probability from which it holds, 0 to 1; `prompt_guard.threshold` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `pii_rules`: the request holds personal data that is not allowed. Every text part is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PiiRuleConfig {
    /// Name that `{type: pii, name: …}` refers to.
    pub name: String,
    /// Score from which a finding counts, 0 to 1; `classifier.pii_model.threshold` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Kinds that do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pii_types_allowed: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}
