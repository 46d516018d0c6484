//! `maas_integration`: who is calling, and what is exported about it. Keys and defaults: seed 001.

use serde::{Deserialize, Serialize};

/// `maas_integration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
}

/// `maas_integration.authentication`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationConfig {
    /// Request header with the user, set by the gateway's authentication.
    pub user_header: String,
    /// Request header with the tier.
    pub tier_header: String,
    /// User where the header is missing.
    pub fallback_user: String,
    /// Tier where the header is missing.
    pub fallback_tier: String,
}

impl Default for AuthenticationConfig {
    fn default() -> Self {
        Self {
            user_header: "x-auth-request-user".into(),
            tier_header: "x-auth-request-tier".into(),
            fallback_user: "unknown".into(),
            fallback_tier: "free".into(),
        }
    }
}

/// `maas_integration.metrics`. Everything is exported unless switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

impl Default for MaasMetricsConfig {
    fn default() -> Self {
        Self {
            export_token_metrics: true,
            export_cache_metrics: true,
            export_routing_metrics: true,
            export_security_metrics: true,
            internal_cost_calculation: false,
        }
    }
}

/// `maas_integration.headers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
