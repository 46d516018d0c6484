//! `maas_integration`: who is calling, and what is exported about it. Keys and defaults of seed 001; the rest is Turnpike's.

use serde::{Deserialize, Serialize};

/// `maas_integration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MaasIntegrationConfig {
    /// Off = standalone mode: no identity, standard metrics and headers.
    pub enabled: bool,
    /// Where user and tier come from.
    pub authentication: AuthenticationConfig,
    /// What is counted.
    pub metrics: MaasMetricsConfig,
    /// What responses say.
    pub headers: MaasHeadersConfig,
    /// Whether other filters of the chain publish what their guards found (filter state `wasm.turnpike.pii_types`,
    /// `wasm.turnpike.jailbreak`); looking for it costs every request a few microseconds.
    pub external_guards: bool,
}

/// `maas_integration.authentication`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationConfig {
    /// Where user and tier are looked for, unless the keys below say otherwise.
    pub preset: Preset,
    /// Request header with the user, instead of the preset's sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_header: Option<String>,
    /// Request header with the tier, instead of the preset's sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier_header: Option<String>,
    /// Where the user is looked for, in this order, instead of the preset's sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_sources: Vec<SourceConfig>,
    /// Where the tier is looked for, in this order, instead of the preset's sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tier_sources: Vec<SourceConfig>,
    /// Where the groups are looked for, in this order, instead of the preset's sources; they go to the access log alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_sources: Vec<SourceConfig>,
    /// Where the tenant is looked for, in this order; only the semantic cache reads it. No preset has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenant_sources: Vec<SourceConfig>,
    /// User where no source gives one.
    pub fallback_user: String,
    /// Tier where no source gives one.
    pub fallback_tier: String,
    /// What happens to a request without a user.
    pub on_missing: OnMissing,
    /// Who may set the identity headers.
    pub trust: Trust,
}

impl Default for AuthenticationConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Seed,
            user_header: None,
            tier_header: None,
            user_sources: Vec::new(),
            tier_sources: Vec::new(),
            group_sources: Vec::new(),
            tenant_sources: Vec::new(),
            fallback_user: "unknown".into(),
            fallback_tier: "free".into(),
            on_missing: OnMissing::Fallback,
            trust: Trust::Gateway,
        }
    }
}

/// Sources by the name of who sets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Headers `x-auth-request-user` and `x-auth-request-tier`.
    #[default]
    Seed,
    /// models-as-a-service: filter state of Kuadrant's filter, then headers `x-maas-username`, `x-maas-subscription` (as tier)
    /// and `x-maas-group`.
    ModelsAsAService,
    /// Claims `sub`, `tier` and `groups` of a token that Envoy's `jwt_authn` filter checked with
    /// `payload_in_metadata: jwt_payload`.
    Jwt,
}

/// One place to look; exactly one of the keys is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// A request header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// An object of Envoy's filter state, as `wasm.kuadrant.auth.identity.userid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_state: Option<String>,
    /// A string of Envoy's dynamic metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataConfig>,
}

/// A string of Envoy's dynamic metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MetadataConfig {
    /// Namespace, the name of the filter that wrote it: `envoy.filters.http.ext_authz`, `envoy.filters.http.jwt_authn`.
    pub namespace: String,
    /// Keys from the namespace down to the string.
    pub path: Vec<String>,
}

/// What happens to a request without a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// It is counted for `fallback_user`.
    #[default]
    Fallback,
    /// It is refused with 401.
    Reject,
}

/// Who may set the identity headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Whatever is before this filter, as seed 001 has it: nobody else reaches the listener.
    #[default]
    Gateway,
    /// Nobody: identity headers of the request are stripped unread; filter state and metadata count.
    Nobody,
}

/// `maas_integration.metrics`. Everything of the seed is exported unless switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MaasMetricsConfig {
    /// `semantic_router_tokens_total`.
    pub export_token_metrics: bool,
    /// `semantic_router_cache_hits_total`, `_cache_misses_total`.
    pub export_cache_metrics: bool,
    /// `semantic_router_requests_total`, `_reasoning_requests_total`.
    pub export_routing_metrics: bool,
    /// `semantic_router_pii_detections_total`, `_jailbreak_detections_total`.
    pub export_security_metrics: bool,
    /// Hybrid mode: cost is also calculated here.
    pub internal_cost_calculation: bool,
    /// Latency histograms by tier and model.
    pub export_latency_metrics: bool,
    /// Further `type`s of `semantic_router_tokens_total`. They are parts of `prompt` and `completion`, so a sum over all types
    /// counts them twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_token_types: Vec<ExtraTokenType>,
    /// Whether the tokens of a stored answer are counted when the cache serves it.
    pub cache_hit_tokens: CacheHitTokens,
    /// Share of the requests that are counted, above 0 to 1; what is counted is scaled up, so that sums stay right on average.
    pub sample_rate: f64,
    /// Promise that nothing is sampled; a configuration that breaks it is refused.
    pub require_exact: bool,
    /// Different users in labels; the rest share `other`.
    pub max_users: u32,
    /// Different tiers in labels; the rest share `other`.
    pub max_tiers: u32,
    /// Users that always have their own label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pinned_users: Vec<String>,
}

impl Default for MaasMetricsConfig {
    fn default() -> Self {
        Self {
            export_token_metrics: true,
            export_cache_metrics: true,
            export_routing_metrics: true,
            export_security_metrics: true,
            internal_cost_calculation: false,
            export_latency_metrics: true,
            extra_token_types: Vec::new(),
            cache_hit_tokens: CacheHitTokens::None,
            sample_rate: 1.0,
            require_exact: false,
            max_users: 1000,
            max_tiers: 32,
            pinned_users: Vec::new(),
        }
    }
}

/// A part of the prompt or completion tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExtraTokenType {
    /// Prompt tokens that the server had cached.
    Cached,
    /// Completion tokens that were spent on reasoning.
    Reasoning,
}

/// Whether the tokens of a stored answer are counted when the cache serves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CacheHitTokens {
    /// No: no model produced them.
    #[default]
    None,
    /// Yes, as the stored answer reports them.
    Full,
}

/// `maas_integration.headers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MaasHeadersConfig {
    /// Model, decision, category, reasoning, system prompt.
    pub export_routing: bool,
    /// Cache hit.
    pub export_cache: bool,
    /// Blocks and their reasons.
    pub export_security: bool,
    /// Start of every header name.
    pub prefix: String,
}

impl Default for MaasHeadersConfig {
    fn default() -> Self {
        Self {
            export_routing: true,
            export_cache: true,
            export_security: false,
            prefix: "x-vsr-".into(),
        }
    }
}
