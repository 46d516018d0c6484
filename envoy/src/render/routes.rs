//! Where a request goes: the router filter names the model in a header, and each model has one route.

use serde_json::{Value, json};
use turnpike_core::Config;

use super::clusters::cluster_name;
use super::{RenderOptions, SELECTED_MODEL_HEADER, local_reply};

/// `config.route.v3.RouteConfiguration`.
///
/// Compressed answers cannot be metered, so LLM servers are not told that the client takes them.
/// The buffer limit is what a filter may hold of a body; it counts where the one of the connection is smaller.
pub(super) fn config(config: &Config, options: &RenderOptions) -> Value {
    let routes = if options.filters.router {
        let models = config.model_config.keys().map(|model| to_model(model));
        models.chain([unknown_url()]).collect()
    } else {
        vec![to_default(config)]
    };
    json!({
        "name": "llm",
        "virtual_hosts": [{
            "name": "llm",
            "domains": ["*"],
            "request_body_buffer_limit": config.limits.max_body_bytes,
            "request_headers_to_remove": ["accept-encoding"],
            "retry_policy": retry_policy(),
            "routes": routes,
        }],
    })
}

fn to_model(model: &str) -> Value {
    json!({
        "name": format!("model/{model}"),
        "match": {
            "prefix": "/",
            "headers": [{"name": SELECTED_MODEL_HEADER, "string_match": {"exact": model}}],
        },
        "route": action(model),
    })
}

/// Without the router filter nobody chooses.
fn to_default(config: &Config) -> Value {
    json!({
        "name": format!("model/{}", config.default_model),
        "match": {"prefix": "/"},
        "route": action(&config.default_model),
    })
}

/// To a model's cluster, for as long as its answer takes.
///
/// The host becomes the endpoint's: servers behind TLS need it, and Ollama refuses other names.
fn action(model: &str) -> Value {
    json!({
        "cluster": cluster_name(model),
        "timeout": "0s",
        "auto_host_rewrite": true,
        "append_x_forwarded_host": true,
    })
}

/// For requests that the router filter let pass without a model.
fn unknown_url() -> Value {
    json!({
        "name": "unknown_url",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": local_reply::unknown_url()}},
        "response_headers_to_add": [{
            "header": {"key": "content-type", "value": "application/json"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    })
}

/// Only what no server has begun to work on is tried again: at most twice, on another endpoint if there is one.
///
/// 503 is a server that refuses. 502 is not in the list: a gateway says it of a server that broke off, whose tokens may be
/// billed already.
fn retry_policy() -> Value {
    json!({
        "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.250s"},
        "host_selection_retry_max_attempts": 3,
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": super::type_url("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            },
        }],
    })
}
