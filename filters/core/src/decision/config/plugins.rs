//! `decisions[].plugins`: what else happens to a decision's requests and their answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A plugin of a decision: `configuration` is read by `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// `semantic-cache`, `pii`, `jailbreak`, `system_prompt`, `header_mutation`, `request_params`, `fast_response` or
    /// `response_jailbreak`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Settings of that type.
    #[serde(default)]
    pub configuration: Value,
}

/// `configuration` of the plugin `semantic-cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SemanticCachePluginConfig {
    /// Whether this decision's requests use the cache.
    pub enabled: bool,
    /// Its own threshold, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity_threshold: Option<f32>,
}

impl Default for SemanticCachePluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            similarity_threshold: None,
        }
    }
}

/// `configuration` of the plugin `pii`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PiiPluginConfig {
    /// Whether personal data is looked for.
    pub enabled: bool,
    /// Kinds that may pass; all others block.
    pub pii_types_allowed: Vec<String>,
    /// Score from which a finding counts, 0 to 1; `classifier.pii_model.threshold` if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// What happens to a request that holds other kinds.
    pub action: PiiAction,
    /// Of `mask`: whether the answer gets the originals back in place of the masks.
    pub restore: bool,
    /// Of `route_to`: the model that may see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Default for PiiPluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            pii_types_allowed: Vec::new(),
            threshold: None,
            action: PiiAction::Block,
            restore: false,
            model: None,
        }
    }
}

/// What happens to a request with personal data that is not allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PiiAction {
    /// It is blocked.
    #[default]
    Block,
    /// It goes upstream with masks such as `[EMAIL_ADDRESS_1]` in place of the data.
    Mask,
    /// It passes; only metrics tell.
    Allow,
    /// It goes to `model`.
    RouteTo,
}

/// `configuration` of the plugin `system_prompt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SystemPromptPluginConfig {
    /// Whether the prompt is set.
    pub enabled: bool,
    /// What happens to the one that the client sent.
    pub mode: SystemPromptMode,
    /// The prompt. `{date}`, `{weekday}` and `{time}` stand for today's date (`2026-11-21`), its day and the time in `time_zone`.
    pub system_prompt: String,
    /// `UTC`, an offset such as `+02:00`, or a POSIX time zone such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub time_zone: String,
}

impl Default for SystemPromptPluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: SystemPromptMode::Replace,
            system_prompt: String::new(),
            time_zone: "UTC".into(),
        }
    }
}

/// What happens to the system prompt that the client sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SystemPromptMode {
    /// Ours takes its place.
    #[default]
    Replace,
    /// Ours goes before it, with an empty line between.
    Insert,
}

/// `configuration` of the plugin `header_mutation`: headers of the request as it goes upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HeaderMutationPluginConfig {
    /// Headers that are added, beside values that are there.
    pub add: Vec<HeaderValueConfig>,
    /// Headers that are set, in place of values that are there.
    pub update: Vec<HeaderValueConfig>,
    /// Headers that are taken out.
    pub delete: Vec<String>,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeaderValueConfig {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// `configuration` of the plugin `request_params`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RequestParamsPluginConfig {
    /// Top-level parameters that are taken out.
    pub blocked_params: Vec<String>,
    /// Most tokens of an answer: a higher `max_tokens`, `max_completion_tokens` or `max_output_tokens` is lowered, a missing one set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_limit: Option<u64>,
    /// Most answers: a higher `n`, or `best_of`, is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_n: Option<u64>,
    /// Whether parameters that the API does not document are taken out.
    pub strip_unknown: bool,
}

/// `configuration` of the plugin `fast_response`: an answer without a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct FastResponsePluginConfig {
    /// Its text.
    pub message: String,
}

/// `configuration` of the plugin `response_jailbreak`: what models answer is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ResponseJailbreakPluginConfig {
    /// Whether it is.
    pub enabled: bool,
    /// Probability from which an answer is refused, 0 to 1; `prompt_guard.threshold` if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// What happens to it.
    pub action: ResponseAction,
}

impl Default for ResponseJailbreakPluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            threshold: None,
            action: ResponseAction::Block,
        }
    }
}

/// What happens to an answer that a guard refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ResponseAction {
    /// It is cut off.
    #[default]
    Block,
    /// It passes with a header.
    Header,
    /// It passes; only metrics tell.
    None,
}

/// `configuration` of the plugin `jailbreak`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct JailbreakPluginConfig {
    /// Whether attacks on this decision's requests are stopped; `prompt_guard.enabled` for the others.
    pub enabled: bool,
    /// Probability from which a request counts as an attack; `prompt_guard.threshold` if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
}

impl Default for JailbreakPluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            threshold: None,
        }
    }
}
