//! Endpoints, models, categories, keyword rules and decisions, as vLLM Semantic Router writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CategoryConfig {
    /// Name that rules refer to.
    pub name: String,
    /// What belongs to it, in a sentence.
    pub description: String,
    /// Sample prompts; they sharpen the topic.
    pub examples: Vec<String>,
    /// MMLU names of the topic; used as further descriptions.
    pub mmlu_categories: Vec<String>,
}

/// A keyword rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeywordRuleConfig {
    /// Name that `{type: keyword, name: …}` refers to.
    pub name: String,
    /// How the keywords combine.
    #[serde(default)]
    pub operator: KeywordOperator,
    /// Words or phrases, matched at word boundaries.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Regular expressions (syntax of Rust's `regex`: no look-around, no back-references), counted as keywords are. A `\b` makes a
    /// long text that is not ASCII slow to search; `(?-u:\b)` does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Whether case counts.
    #[serde(default)]
    pub case_sensitive: bool,
    /// How keywords are compared.
    #[serde(default, skip_serializing_if = "KeywordMethod::is_default")]
    pub method: KeywordMethod,
    /// As `method: fuzzy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fuzzy_match: bool,
    /// Edits that a fuzzy keyword may be away, 1 to 3; 2 if missing, and never more than one for four of its characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuzzy_threshold: Option<u8>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl KeywordRuleConfig {
    /// Edits that a keyword may be away; `None`: it must be there as it is.
    #[must_use]
    pub fn most_edits(&self) -> Option<u8> {
        let is_fuzzy = self.method == KeywordMethod::Fuzzy || self.fuzzy_match;
        is_fuzzy.then(|| self.fuzzy_threshold.unwrap_or(2))
    }
}

/// How keywords are compared with a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeywordMethod {
    /// As they are, at word boundaries. vLLM Semantic Router calls it `regex`.
    #[default]
    #[serde(alias = "regex")]
    Exact,
    /// With typing errors.
    Fuzzy,
}

impl KeywordMethod {
    fn is_default(&self) -> bool {
        *self == Self::Exact
    }
}

/// How the keywords of a rule combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum KeywordOperator {
    /// Any of them.
    #[default]
    Or,
    /// All of them.
    And,
    /// None of them.
    Nor,
}

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

/// A combination of conditions, or one condition: `operator` + `conditions`, or `type` + `name`.
///
/// One struct for both, because serde loses the path of a mistake inside an untagged enum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// `AND`, `OR` or `NOT` over `conditions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<RuleOperator>,
    /// Nested rules; `NOT` takes exactly one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RuleConfig>,
    /// Kind of signal.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalKind>,
    /// Name of the keyword rule or category; head and label of a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How conditions combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleOperator {
    /// All hold.
    And,
    /// At least one holds.
    Or,
    /// The one condition does not hold.
    Not,
}

/// Kinds of signal that a condition may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// A keyword rule, decided in the proxy.
    Keyword,
    /// A category, decided by the model in the proxy where it is sure, else by the sidecar.
    #[serde(alias = "category")]
    Domain,
    /// A label of a head, as `head:label`. In the proxy: `toxicity:toxic`, `complexity:complex`, `fresh:fresh`,
    /// `jailbreak:jailbreak`, or one of `classifier.heads`. In the sidecar: one of `sidecar.heads` or `sidecar.classifiers`.
    Head,
    /// A label of `sidecar.llm_classifier`.
    Llm,
    /// One of `embedding_rules`.
    Embedding,
    /// One of `complexity_rules`, as `rule:hard`, `rule:medium` or `rule:easy`.
    Complexity,
    /// One of `jailbreak_rules`.
    Jailbreak,
    /// One of `pii_rules`.
    Pii,
    /// One of `language_rules`.
    Language,
    /// One of `context_rules`.
    Context,
    /// One of `structure_rules`.
    Structure,
    /// One of `conversation_rules`.
    Conversation,
    /// One of `metadata_rules`.
    Metadata,
    /// One of `header_rules`.
    Header,
    /// A name or a role of `role_bindings`.
    Authz,
    /// A band of `projections.mappings`.
    Projection,
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
    /// Most answers: a higher `n` is lowered.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// `classifier`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierConfig {
    /// Topic classifier.
    pub category_model: CategoryModelConfig,
    /// Personal-data detectors.
    pub pii_model: PiiModelConfig,
    /// Own heads of the model in the proxy, trained by `turnpike train-head`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<OwnHeadConfig>,
}

/// `classifier.heads`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnHeadConfig {
    /// File of `turnpike train-head`, relative to the configuration.
    pub path: String,
    /// Probability from which a label counts, 0 to 1; that of the file (0.5) if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// The file itself: `turnpike render` puts it here, for filters read no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
}

/// Heads of the model in the proxy that conditions may read, with their labels.
pub const HEADS: [(&str, [&str; 2]); 4] = [
    ("jailbreak", ["benign", "jailbreak"]),
    ("toxicity", ["clean", "toxic"]),
    ("complexity", ["simple", "complex"]),
    ("fresh", ["static", "fresh"]),
];

impl OwnHeadConfig {
    /// Name and labels, where the file was read.
    #[must_use]
    pub fn about(&self) -> Option<(&str, Vec<&str>)> {
        let content = self.content.as_ref()?;
        let labels = content.get("labels")?.as_array()?;
        let labels = labels.iter().filter_map(Value::as_str).collect();
        Some((content.get("name")?.as_str()?, labels))
    }
}

/// `classifier.pii_model`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PiiModelConfig {
    /// Score from which a finding counts, 0.5 to 1; 0.5 if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_cpu: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_modernbert: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_mapping_path: Option<String>,
}

/// `classifier.category_model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CategoryModelConfig {
    /// Confidence below which a category does not count, 0 to 1. The proxy's own model settles what reaches it; the sidecar is
    /// asked about the rest.
    pub threshold: f32,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_cpu: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_modernbert: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_mapping_path: Option<String>,
    /// What a model is told where the proxy's own model cannot tell the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<UncertainConfig>,
}

/// `classifier.category_model.uncertain`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UncertainConfig {
    /// Entropy of the topics' probabilities from which nobody knows, as a share of the highest possible one, 0 to 1.
    #[serde(default = "default_entropy")]
    pub entropy: f32,
    /// Whether the model shall reason then, where the model ref says nothing.
    pub use_reasoning: bool,
}

fn default_entropy() -> f32 {
    0.8
}

impl Default for CategoryModelConfig {
    fn default() -> Self {
        Self {
            threshold: 0.45,
            model_id: None,
            use_cpu: None,
            use_modernbert: None,
            category_mapping_path: None,
            uncertain: None,
        }
    }
}

/// `prompt_guard`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PromptGuardConfig {
    /// Whether jailbreaks are stopped.
    pub enabled: bool,
    /// Probability from which a request counts as an attack, 0 to 1; the model's own threshold if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_cpu: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_modernbert: Option<bool>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jailbreak_mapping_path: Option<String>,
}

/// `bert_model`: the embedding model of vLLM Semantic Router; here `sidecar.encoder` names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BertModelConfig {
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_cpu: Option<bool>,
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

/// Models by name, as the rest of the crate reads them.
pub type Models = BTreeMap<String, ModelConfig>;
