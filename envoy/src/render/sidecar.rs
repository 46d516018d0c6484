//! The cluster of the sidecar.
//!
//! Nothing here may keep requests away from a sidecar that is back: no health check, no outlier detection. While it is gone,
//! a call fails within [`CONNECT_TIMEOUT_MS`] and the filter falls back.

use std::net::IpAddr;

use serde_json::{Value, json};
use turnpike_core::Config;

use super::{RenderOptions, SidecarAddress, duration_ms, socket_address};

/// Cluster that the filters and the access log know the sidecar by.
pub const SIDECAR_CLUSTER: &str = "turnpike_sidecar";

/// The sidecar stands beside the proxy; a connection that takes longer will not come.
const CONNECT_TIMEOUT_MS: u32 = 50;

/// The cluster.
pub(super) fn cluster(config: &Config, options: &RenderOptions) -> Value {
    let address = match &options.sidecar {
        Some(address) => address.clone(),
        None => SidecarAddress::of(config),
    };
    let discovery = match &address {
        SidecarAddress::Tcp(tcp) if tcp.address.parse::<IpAddr>().is_err() => "STRICT_DNS",
        _ => "STATIC",
    };
    let address = match &address {
        SidecarAddress::Unix(path) => json!({"pipe": {"path": path}}),
        SidecarAddress::Tcp(tcp) => socket_address(tcp),
    };
    let limit = config.sidecar.max_concurrent_requests;
    json!({
        "name": SIDECAR_CLUSTER,
        "type": discovery,
        "connect_timeout": duration_ms(CONNECT_TIMEOUT_MS),
        "circuit_breakers": {"thresholds": [{
            "max_connections": limit,
            "max_pending_requests": limit,
            "max_requests": limit,
        }]},
        "load_assignment": {
            "cluster_name": SIDECAR_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}
