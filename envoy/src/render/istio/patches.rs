//! The one `EnvoyFilter`: filters that `WasmPlugin` cannot load, the sidecar's cluster, and what virtual hosts need.

use serde_json::{Value, json};
use turnpike_core::Config;

use super::filters::Module;
use super::{GatewayVariant, IstioOptions, fields, resource};
use crate::render::{RenderOptions, sidecar};

/// On the gateway of models-as-a-service: above 10, so that we stand before its body processing, and below 20, so that its capture of
/// identities for usage logs stays first. Each is inserted directly behind Kuadrant, and the one applied last comes to stand there.
const MODELS_AS_A_SERVICE_PRIORITY: i32 = 15;

/// Kuadrant's filter where it is installed by an `EnvoyFilter`, as Red Hat Connectivity Link does.
const KUADRANT_ENVOY_FILTER: &str = "envoy.filters.http.wasm";

/// The `EnvoyFilter`.
pub(super) fn envoy_filter(config: &Config, options: &IstioOptions, modules: &[Module]) -> Value {
    let mut patches = Vec::new();
    if options.filters().router && config.sidecar.enabled {
        patches.push(sidecar_cluster(config, options));
    }
    let modules: Vec<&Module> = modules.iter().filter(|m| m.needs_envoy_filter()).collect();
    patches.extend(modules.iter().map(|m| extension(m)));
    patches.extend(chain(&modules, options));
    patches.push(virtual_host(config));
    let mut spec = fields(json!({
        "workloadSelector": {"labels": options.labels()},
        "configPatches": patches,
    }));
    if options.variant == GatewayVariant::ModelsAsAService {
        spec.insert("priority".into(), MODELS_AS_A_SERVICE_PRIORITY.into());
    }
    resource(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        "",
        options,
        spec,
    )
}

/// The sidecar under the name that the router calls. A `ServiceEntry` would not do: Istio names its clusters
/// `outbound|port||host`, and has none for a unix socket.
fn sidecar_cluster(config: &Config, options: &IstioOptions) -> Value {
    let render = RenderOptions {
        sidecar: options.sidecar.clone(),
        ..RenderOptions::default()
    };
    json!({
        "applyTo": "CLUSTER",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": sidecar::cluster(config, &render)},
    })
}

fn extension(module: &Module) -> Value {
    json!({
        "applyTo": "EXTENSION_CONFIG",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": module.extension()},
    })
}

/// The places in the chain. What is inserted behind a filter pushes back what was inserted there before, so the last module goes first.
fn chain(modules: &[&Module], options: &IstioOptions) -> Vec<Value> {
    match options.variant {
        GatewayVariant::Gateway => modules
            .iter()
            .map(|m| insert("INSERT_BEFORE", "envoy.filters.http.router", m))
            .collect(),
        GatewayVariant::ModelsAsAService => {
            let (namespace, gateway) = (options.namespace(), options.gateway());
            let plugin = format!("extensions.istio.io/wasmplugin/{namespace}.kuadrant-{gateway}");
            let behind = |m: &&Module| {
                [plugin.as_str(), KUADRANT_ENVOY_FILTER].map(|name| insert("INSERT_AFTER", name, m))
            };
            modules.iter().rev().flat_map(behind).collect()
        }
    }
}

fn insert(operation: &str, neighbour: &str, module: &Module) -> Value {
    json!({
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "GATEWAY",
            "listener": {"filterChain": {"filter": {
                "name": "envoy.filters.network.http_connection_manager",
                "subFilter": {"name": neighbour},
            }}},
        },
        "patch": {"operation": operation, "value": module.chain_entry()},
    })
}

/// Compressed answers cannot be metered, so LLM servers are not told that the client takes them; and a body of `limits.max_body_bytes`
/// passes the filter that holds it.
fn virtual_host(config: &Config) -> Value {
    json!({
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "MERGE", "value": {
            "request_headers_to_remove": ["accept-encoding"],
            "request_body_buffer_limit": config.limits.max_body_bytes,
        }},
    })
}
