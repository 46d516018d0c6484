//! The one `config.yaml`, as written ([`Config`]), and how it is read.
//!
//! 1. The caller turns YAML or JSON into one `serde_json::Value` (duplicate keys refused by its parser).
//! 2. [`Document::read`] brings keys of vLLM Semantic Router into ours; [`Config::from_value`] deserialises them. **Every** mistake is
//!    reported with the path of its key in the user's file.
//! 3. [`Config::validate`] checks what types cannot: ranges, names that refer to other names.
//! 4. [`Document::notes`] lists keys that are accepted for compatibility but change nothing here, [`Document::keys`] all keys.
//!
//! Not done here: reading files. Filters get the same document as JSON from `turnpike render`.

mod error;
mod gateway;
mod load;
mod notes;
#[cfg(feature = "schema")]
mod schema;
mod shared_fields;
mod sidecar;
mod telemetry;
mod validate;
mod validate_cache;
mod validate_maas;
mod validate_rules;
mod validate_sidecar;
mod validate_signals;
mod vllm;

pub use error::{ConfigError, ConfigErrors, Note};
pub use gateway::{
    AddressConfig, BlockResponse, EnvoyConfig, ExplainConfig, GuardsConfig, LimitsConfig, OnBudget,
    RoutingCacheConfig,
};
pub use load::FilterConfig;
pub(crate) use load::reworded;
#[cfg(feature = "schema")]
pub use schema::schema;
pub(crate) use shared_fields::shared_fields;
pub use sidecar::{
    BatchingConfig, EncoderConfig, Guided, LlmClassifierConfig, LlmEngine, LlmLabelConfig,
    ModelClassifierConfig, Precision, SidecarConfig, SidecarHeadConfig, TcpAccessConfig,
};
pub use telemetry::TelemetryConfig;
pub use validate_signals::LANGUAGES;
pub(crate) use validate_signals::is_header_name;
pub use vllm::{Document, KeyState, SHARED_SECTIONS};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cache::SemanticCacheConfig;
use crate::decision::{
    BertModelConfig, CategoryConfig, ClassifierConfig, DecisionConfig, KeywordRuleConfig,
    ModelConfig, PromptGuardConfig, ReasoningFamilyConfig, RuleConfig, SignalKind, Strategy,
    VllmEndpointConfig,
};
use crate::identity::MaasIntegrationConfig;
use crate::signal::{
    ComplexityRuleConfig, ContextRuleConfig, ConversationRuleConfig, EmbeddingRuleConfig,
    HeaderRuleConfig, JailbreakRuleConfig, LanguageRuleConfig, MetadataRuleConfig, PiiRuleConfig,
    ProjectionsConfig, RoleBindingConfig, StructureRuleConfig,
};

/// The whole configuration of one gateway, shared by both filters, the sidecar and `turnpike`.
///
/// Keys of vLLM Semantic Router keep their names and meaning; `sidecar`, `envoy` and `limits` are Turnpike's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// LLM servers, by name.
    pub vllm_endpoints: Vec<VllmEndpointConfig>,
    /// Models that may be named by clients and decisions, with the endpoints that serve them.
    pub model_config: BTreeMap<String, ModelConfig>,
    /// Topics that the sidecar recognises; `description` and `examples` define them.
    pub categories: Vec<CategoryConfig>,
    /// Keyword rules, evaluated in the proxy.
    pub keyword_rules: Vec<KeywordRuleConfig>,
    /// Signals by similarity to samples, told by the sidecar.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub embedding_rules: Vec<EmbeddingRuleConfig>,
    /// Signals by similarity to hard and easy samples, told by the sidecar.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complexity_rules: Vec<ComplexityRuleConfig>,
    /// Signals by language.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub language_rules: Vec<LanguageRuleConfig>,
    /// Signals by the length of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context_rules: Vec<ContextRuleConfig>,
    /// Signals by the form of the last user message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub structure_rules: Vec<StructureRuleConfig>,
    /// Signals by turns, tools and images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conversation_rules: Vec<ConversationRuleConfig>,
    /// Attacks as signals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jailbreak_rules: Vec<JailbreakRuleConfig>,
    /// Personal data as signals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pii_rules: Vec<PiiRuleConfig>,
    /// Who is calling, as signals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role_bindings: Vec<RoleBindingConfig>,
    /// Signals by the request's `metadata`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata_rules: Vec<MetadataRuleConfig>,
    /// Signals by request headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_rules: Vec<HeaderRuleConfig>,
    /// Signals made of other signals.
    #[serde(skip_serializing_if = "ProjectionsConfig::is_empty")]
    pub projections: ProjectionsConfig,
    /// Routing decisions; the highest `priority` whose rules hold wins.
    pub decisions: Vec<DecisionConfig>,
    /// How to choose among decisions that hold.
    pub strategy: Strategy,
    /// Model for requests that no decision takes, and fallback when the sidecar is gone.
    pub default_model: String,
    /// Model name by which clients ask for routing; `auto` always works too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_model_name: Option<String>,
    /// Further names by which clients ask for routing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auto_model_names: Vec<String>,
    /// Whether `GET /v1/models` lists the configured models beside the auto names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_config_models_in_list: Option<bool>,
    /// How each model family is told to reason.
    pub reasoning_families: BTreeMap<String, ReasoningFamilyConfig>,
    /// `reasoning_effort` where a model ref names none: `low`, `medium` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_reasoning_effort: Option<String>,
    /// Semantic cache of complete answers.
    pub semantic_cache: SemanticCacheConfig,
    /// Who is calling, and what is exported about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maas_integration: Option<MaasIntegrationConfig>,
    /// Classifier settings.
    pub classifier: ClassifierConfig,
    /// Jailbreak guard.
    pub prompt_guard: PromptGuardConfig,
    /// Embedding model settings of vLLM Semantic Router.
    pub bert_model: BertModelConfig,
    /// Accepted for compatibility: Envoy clears the route cache by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_route_cache: Option<bool>,
    /// The sidecar: where it listens, what it loads, how long the proxy waits.
    pub sidecar: SidecarConfig,
    /// Addresses of the rendered Envoy.
    pub envoy: EnvoyConfig,
    /// How guards answer, and the time that reading a request may take.
    pub guards: GuardsConfig,
    /// What each worker remembers of texts that it has seen.
    pub routing_cache: RoutingCacheConfig,
    /// Limits on requests.
    pub limits: LimitsConfig,
    /// What is told beside metrics.
    pub telemetry: TelemetryConfig,
    /// Who may ask why a request went where it went.
    #[serde(skip_serializing_if = "ExplainConfig::is_empty")]
    pub explain: ExplainConfig,
}

fn head_conditions<'c>(rule: &'c RuleConfig, at: String, found: &mut Vec<(String, &'c str)>) {
    for (i, condition) in rule.conditions.iter().enumerate() {
        head_conditions(condition, format!("{at}.conditions[{i}]"), found);
    }
    if let (Some(SignalKind::Head), Some(name)) = (rule.signal, &rule.name) {
        found.push((format!("{at}.name"), name));
    }
}

impl Config {
    /// Whether `model` asks for routing.
    #[must_use]
    pub fn is_auto(&self, model: &str) -> bool {
        self.auto_names().contains(&model)
    }

    /// Names by which clients ask for routing, each once: `auto`, `auto_model_name`, `auto_model_names`.
    #[must_use]
    pub fn auto_names(&self) -> Vec<&str> {
        let further = self.auto_model_names.iter().map(String::as_str);
        let mut names = vec!["auto"];
        for name in std::iter::once(self.auto_model_name()).chain(further) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether tenants are looked for.
    #[must_use]
    pub fn has_tenants(&self) -> bool {
        self.maas_integration
            .as_ref()
            .is_some_and(|maas| maas.enabled && !maas.authentication.tenant_sources.is_empty())
    }

    /// The conditions on heads: path of the key and `head:label`.
    #[must_use]
    pub fn head_conditions(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for (i, decision) in self.decisions.iter().enumerate() {
            head_conditions(&decision.rules, format!("decisions[{i}].rules"), &mut found);
        }
        found
    }

    /// The configured auto model name, `MoM` by default as in vLLM Semantic Router.
    #[must_use]
    pub fn auto_model_name(&self) -> &str {
        self.auto_model_name.as_deref().unwrap_or("MoM")
    }

    /// Endpoints that serve `model`, in the order of `vllm_endpoints`; all of them when the model names none.
    #[must_use]
    pub fn endpoints_of(&self, model: &str) -> Vec<&VllmEndpointConfig> {
        let preferred = self
            .model_config
            .get(model)
            .map(|m| m.preferred_endpoints.as_slice())
            .unwrap_or_default();
        self.vllm_endpoints
            .iter()
            .filter(|e| preferred.is_empty() || preferred.contains(&e.name))
            .collect()
    }
}

#[cfg(test)]
mod tests;
