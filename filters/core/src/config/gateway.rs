//! Turnpike's own sections beside `sidecar`: `envoy`, `guards`, `routing_cache`, `limits`.

use serde::{Deserialize, Serialize};

use crate::signal::SubjectConfig;

/// A TCP address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddressConfig {
    /// IP address.
    pub address: String,
    /// Port, 0 to 65535; 0 lets the system choose where that makes sense (the sidecar in tests).
    pub port: u16,
}

/// `envoy`: addresses of the rendered Envoy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EnvoyConfig {
    /// Where clients connect.
    pub listener: AddressConfig,
    /// Envoy's admin interface. Keep it on loopback.
    pub admin: AddressConfig,
    /// Prometheus scrape address; `/metrics` there is `/stats/prometheus` of the admin interface and nothing else.
    pub metrics: AddressConfig,
    /// Folder that holds `turnpike_meter.wasm` and `turnpike_router.wasm`.
    pub wasm_folder: String,
    /// Timeout of one upstream response without a byte, in milliseconds.
    pub stream_idle_timeout_ms: u32,
    /// File that receives the JSON access log.
    pub access_log: String,
}

impl Default for EnvoyConfig {
    fn default() -> Self {
        let loopback = |port| AddressConfig {
            address: "127.0.0.1".into(),
            port,
        };
        Self {
            listener: loopback(8801),
            admin: loopback(9901),
            metrics: loopback(9190),
            wasm_folder: "dist".into(),
            stream_idle_timeout_ms: 300_000,
            access_log: "/dev/stdout".into(),
        }
    }
}

/// `routing_cache`: what each worker remembers of texts that it has seen: what guards and heads found in them, the category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RoutingCacheConfig {
    /// How long, in seconds; 0 switches it off.
    pub ttl_seconds: u32,
    /// How much, in bytes for each worker; the oldest goes first.
    pub max_bytes: u32,
}

impl Default for RoutingCacheConfig {
    fn default() -> Self {
        Self {
            ttl_seconds: 300,
            max_bytes: 1 << 20,
        }
    }
}

/// `guards`: how guards answer, and the time that reading a request in the proxy may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GuardsConfig {
    /// What a client gets whose request is blocked.
    pub block_response: BlockResponse,
    /// Milliseconds after which reading makes room for other requests of the worker; it goes on a millisecond later.
    pub slice_ms: u32,
    /// Milliseconds of reading in all after which a request counts as too long to be judged here.
    pub budget_ms: u32,
    /// What happens then to a request that guards must see.
    pub on_budget: OnBudget,
}

impl Default for GuardsConfig {
    fn default() -> Self {
        Self {
            block_response: BlockResponse::default(),
            slice_ms: 2,
            budget_ms: 500,
            on_budget: OnBudget::default(),
        }
    }
}

/// `guards.block_response`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BlockResponse {
    /// 200 with an answer of the API that was called, which says that it was filtered.
    #[default]
    Completion,
    /// 403 with an error object.
    Error,
}

/// `guards.on_budget`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnBudget {
    /// 413 with an error object.
    #[default]
    Block,
    /// The request goes on if what was read holds nothing.
    Allow,
}

/// `limits`: what a request may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Largest request body; above it the client gets 413.
    pub max_body_bytes: u32,
    /// Largest answer that is kept for the semantic cache; larger ones pass uncached.
    pub max_cached_body_bytes: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_cached_body_bytes: 256 << 10,
        }
    }
}

/// `explain`: `POST /v1/explain` and `x-vsr-debug` show rules and scores, which would help an attacker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ExplainConfig {
    /// Users and tiers that may ask; nobody if empty.
    pub trusted: Vec<SubjectConfig>,
}

impl ExplainConfig {
    /// Whether nobody may.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty()
    }
}
