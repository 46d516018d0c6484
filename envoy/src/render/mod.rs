//! The Envoy bootstrap of a configuration, and the resources of an Istio gateway ([`istio`]).
//!
//! Each room holds one part of the bootstrap: [`listener`] and its [`routes`], [`filters`], [`local_reply`], [`access_log`],
//! [`clusters`] and the [`sidecar`], [`admin`] with the metrics listener, [`stats`]. They return JSON as Envoy's
//! protobuf messages are written in it; [`yaml`] turns that into a file for people, [`dynamic`](dynamic()) into several that Envoy
//! watches.
//!
//! The result needs Envoy 1.36 or later.

mod access_log;
mod admin;
mod clusters;
mod dynamic;
mod filters;
mod istio;
mod listener;
mod local_reply;
mod options;
mod routes;
mod sidecar;
mod stats;
mod yaml;

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::config::AddressConfig;

pub use dynamic::{BOOTSTRAP, dynamic};
pub use istio::{GatewayVariant, IstioError, IstioOptions, Selector, istio, istio_yaml};
pub use options::{Filters, RenderOptions, SidecarAddress, address};
pub use sidecar::SIDECAR_CLUSTER;
pub(crate) use yaml::ordered;
pub use yaml::to_yaml;

/// Header that carries the model that the router filter chose. It reaches the LLM server too.
const SELECTED_MODEL_HEADER: &str = "x-selected-model";

/// The complete bootstrap for `config`, which must have passed its checks.
#[must_use]
pub fn envoy(config: &Config, options: &RenderOptions) -> Value {
    let admin = options.admin.as_ref().unwrap_or(&config.envoy.admin);
    let mut clusters = clusters::models(config);
    if config.sidecar.enabled {
        clusters.push(sidecar::cluster(config, options));
    }
    clusters.push(admin::cluster(admin));
    json!({
        "node": {"id": "turnpike", "cluster": "turnpike"},
        "admin": admin::interface(admin),
        "stats_config": stats::config(),
        "static_resources": {
            "listeners": [
                listener::http(config, options),
                admin::metrics_listener(options.metrics.as_ref().unwrap_or(&config.envoy.metrics)),
            ],
            "clusters": clusters,
        },
    })
}

/// `config.core.v3.Address` of a TCP address.
fn socket_address(address: &AddressConfig) -> Value {
    json!({"socket_address": {"address": address.address, "port_value": address.port}})
}

/// A duration of whole milliseconds, as protobuf's JSON writes it.
fn duration_ms(ms: u32) -> String {
    let (seconds, rest) = (ms / 1000, ms % 1000);
    if rest == 0 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{rest:03}s")
    }
}

/// The type URL of an Envoy message.
fn type_url(message: &str) -> String {
    format!("type.googleapis.com/{message}")
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_are_written_in_seconds() {
        assert_eq!(duration_ms(300_000), "300s");
        assert_eq!(duration_ms(1_050), "1.050s");
        assert_eq!(duration_ms(0), "0s");
    }
}
