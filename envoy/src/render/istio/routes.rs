//! The `VirtualService`: the router names the model in a header, and each model has one route.

use serde_json::{Map, Value, json};
use turnpike_core::Config;

use super::upstreams::{SERVICE_PORT, host, only_name, slugs};
use super::{IstioOptions, fields, resource};
use crate::render::{SELECTED_MODEL_HEADER, local_reply};

/// The routes of all models, and the answer to requests that the router let pass without one.
pub(super) fn virtual_service(config: &Config, options: &IstioOptions) -> Value {
    let mut routes: Vec<Value> = slugs(config)
        .iter()
        .map(|(model, slug)| to_model(config, model, slug))
        .collect();
    routes.push(unknown_url());
    let spec = json!({"hosts": ["*"], "gateways": [options.gateway()], "http": routes});
    resource(
        "networking.istio.io/v1",
        "VirtualService",
        "",
        options,
        fields(spec),
    )
}

/// To a model. Without `timeout` an answer may take as long as it takes; tried again is only what no server has begun to work on.
fn to_model(config: &Config, model: &str, slug: &str) -> Value {
    let header = Map::from_iter([(SELECTED_MODEL_HEADER.to_owned(), json!({"exact": model}))]);
    let mut route = fields(json!({
        "name": format!("model/{model}"),
        "match": [{"headers": header}],
        "route": [{"destination": {"host": host(slug), "port": {"number": SERVICE_PORT}}}],
        "retries": {
            "attempts": 2,
            "retryOn": "connect-failure,refused-stream,reset-before-request,503",
        },
    }));
    // Servers behind TLS answer only to their own name.
    if let Some(address) = only_name(&config.endpoints_of(model)) {
        route.insert("rewrite".into(), json!({"authority": address}));
    }
    Value::Object(route)
}

fn unknown_url() -> Value {
    json!({
        "name": "unknown_url",
        "directResponse": {"status": 404, "body": {"string": local_reply::unknown_url()}},
        "headers": {"response": {"set": {"content-type": "application/json"}}},
    })
}
