//! `vllm_endpoints`, `model_config`, `reasoning_families`: which models there are, who serves them, how they are told to reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One LLM server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VllmEndpointConfig {
    /// Name that `preferred_endpoints` refers to.
    pub name: String,
    /// IP address or DNS name.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Share of the traffic among the endpoints of one model, 1 to 128.
    #[serde(default = "one")]
    pub weight: u32,
    /// `http` or `https` (then the certificate is checked against the system's authorities).
    #[serde(default)]
    pub protocol: Protocol,
    /// Path that answers below 500 when the server is well; empty switches active health checks off.
    #[serde(default = "default_health_check_path")]
    pub health_check_path: String,
}

fn one() -> u32 {
    1
}

fn default_health_check_path() -> String {
    "/v1/models".into()
}

/// Transport to an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Clear text.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// One model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Entry of `reasoning_families`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_family: Option<String>,
    /// Endpoints that serve it; all when empty.
    pub preferred_endpoints: Vec<String>,
    /// Price, for cost metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<PricingConfig>,
    /// Personal data that requests to this model may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_policy: Option<PiiPolicyConfig>,
    /// Name by which its servers know it; its own if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_model_id: Option<String>,
    /// How good it is, 0 to 1, for decisions that choose by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f32>,
}

/// `model_config.*.pii_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PiiPolicyConfig {
    /// Whether every kind may pass.
    pub allow_by_default: bool,
    /// Kinds that may pass all the same: `EMAIL_ADDRESS`, `PHONE_NUMBER` …
    pub pii_types_allowed: Vec<String>,
}

impl Default for PiiPolicyConfig {
    fn default() -> Self {
        Self {
            allow_by_default: true,
            pii_types_allowed: Vec::new(),
        }
    }
}

/// Price of a model per million tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PricingConfig {
    /// ISO 4217 code.
    pub currency: String,
    /// Price of a million prompt tokens.
    pub prompt_per_1m: f64,
    /// Price of a million completion tokens.
    pub completion_per_1m: f64,
    /// Price of a million prompt tokens that the server had cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_per_1m: Option<f64>,
    /// Price of a million tokens of answers that the semantic cache served; 0 if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_hit_per_1m: Option<f64>,
}

/// Models by name, as the rest of the crate reads them.
pub type Models = BTreeMap<String, ModelConfig>;

/// How a model family is told to reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReasoningFamilyConfig {
    /// Where the parameter goes.
    #[serde(rename = "type")]
    pub kind: ReasoningKind,
    /// Its name.
    pub parameter: String,
}

/// Where a reasoning parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReasoningKind {
    /// A boolean inside `chat_template_kwargs`.
    ChatTemplateKwargs,
    /// An effort at the top level of the request.
    ReasoningEffort,
    /// As `reasoning_effort`; the name that vLLM Semantic Router has for Mistral's models.
    TopLevelReasoningEffort,
    /// `thinking: {type: enabled}` or `{type: disabled}` (DeepSeek's own API); `parameter` is the key.
    ThinkingType,
    /// `thinking: {type: enabled, budget_tokens}` of Anthropic's messages; `parameter` is the key.
    ThinkingBudget,
}
