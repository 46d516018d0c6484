//! The HTTP filters: Turnpike's two, then Envoy's router.

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::config::FilterConfig;

use super::{RenderOptions, type_url};

/// The chain, in the order of a request.
pub(super) fn chain(config: &Config, options: &RenderOptions) -> Vec<Value> {
    let names = options.filters.names();
    let configuration = filter_config(config, &names);
    let folder = options
        .wasm_folder
        .as_ref()
        .unwrap_or(&config.envoy.wasm_folder);
    let mut chain: Vec<Value> = names
        .iter()
        .map(|name| wasm(name, folder, &configuration))
        .collect();
    chain.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": type_url("envoy.extensions.filters.http.router.v3.Router")},
    }));
    chain
}

/// One filter, with its module in `folder`.
fn wasm(name: &str, folder: &str, configuration: &str) -> Value {
    let module = format!("{}/turnpike_{name}.wasm", folder.trim_end_matches('/'));
    let code = json!({"local": {"filename": module}});
    json!({"name": format!("turnpike.{name}"), "typed_config": plugin(name, code, configuration)})
}

/// `extensions.filters.http.wasm.v3.Wasm`. After a crash the filter is loaded anew, at most once a second; until then its requests get
/// 503.
///
/// Without `allow_on_headers_stop_iteration` Envoy would send the headers upstream while the filter reads the body.
pub(super) fn plugin(name: &str, code: Value, configuration: &str) -> Value {
    let id = format!("turnpike_{name}");
    json!({
        "@type": type_url("envoy.extensions.filters.http.wasm.v3.Wasm"),
        "config": {
            "name": id,
            "root_id": id,
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "vm_config": {
                "vm_id": id,
                "runtime": "envoy.wasm.runtime.v8",
                "code": code,
            },
            "configuration": {
                "@type": type_url("google.protobuf.StringValue"),
                "value": configuration,
            },
        },
    })
}

/// The plugin configuration: the whole document as JSON.
///
/// It goes through text, because `serde_json::to_value` would turn the threshold 0.85 into 0.8500000238418579.
/// A configuration that cannot be written becomes `null`, which a filter refuses at start.
pub(super) fn filter_config(config: &Config, names: &[&str]) -> String {
    let document = serde_json::to_string(config)
        .and_then(|text| serde_json::from_str(&text))
        .unwrap_or(Value::Null);
    let configuration = FilterConfig {
        filters: names.iter().map(|name| (*name).to_owned()).collect(),
        config: document,
    };
    serde_json::to_string(&configuration).unwrap_or_else(|_| "null".into())
}
