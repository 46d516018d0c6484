//! The admin interface, and the listener that shows its metrics and nothing else of it.

use serde_json::{Value, json};
use turnpike_core::config::AddressConfig;

use super::{duration_ms, socket_address, type_url};

const ADMIN_CLUSTER: &str = "turnpike_admin";

/// Writing out many labels takes Envoy's main thread a while, connecting to it does not.
const CONNECT_TIMEOUT_MS: u32 = 1_000;

/// `config.bootstrap.v3.Admin`.
pub(super) fn interface(address: &AddressConfig) -> Value {
    json!({"address": socket_address(address)})
}

/// The admin interface as a cluster.
pub(super) fn cluster(address: &AddressConfig) -> Value {
    json!({
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": duration_ms(CONNECT_TIMEOUT_MS),
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(address)}}]}],
        },
    })
}

/// `GET /metrics` is `/stats/prometheus` of the admin interface; everything else is 404.
pub(super) fn metrics_listener(address: &AddressConfig) -> Value {
    json!({
        "name": "metrics",
        "address": socket_address(address),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": type_url("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "metrics",
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": type_url("envoy.extensions.filters.http.router.v3.Router")},
                }],
                "route_config": {"name": "metrics", "virtual_hosts": [{
                    "name": "metrics",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {
                                "path": "/metrics",
                                "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
                            },
                            "route": {"cluster": ADMIN_CLUSTER, "prefix_rewrite": "/stats/prometheus"},
                        },
                        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
                    ],
                }]},
            },
        }]}],
    })
}
