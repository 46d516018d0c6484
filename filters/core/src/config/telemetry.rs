//! `telemetry`: what is told beside metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `telemetry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Adds `x-response-time: 8.45ms` to responses: from the request headers to the response headers.
    pub response_time_header: bool,
    /// Request header whose value stands in the access log as `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_header: Option<String>,
    /// Milliseconds after which a request counts as slow; 0 = never.
    pub slow_request_ms: u64,
    /// The same for single decisions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slow_request_ms_by_decision: BTreeMap<String, u64>,
}
