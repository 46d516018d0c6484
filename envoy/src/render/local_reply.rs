//! Envoy's own replies as OpenAI error objects, so that clients see one kind of error.
//!
//! Replies of Turnpike's filters go through the same mapper. They bring a content type; Envoy's own have none yet when it
//! asks the mapper, and that tells them apart.

use serde_json::{Value, json};
use turnpike_core::config::LimitsConfig;
use turnpike_core::reply::{ErrorBody, ErrorObject, Fault};

use super::type_url;

/// A reply of Envoy's own.
struct Reply {
    /// CEL over the status.
    condition: &'static str,
    body: String,
}

/// `LocalReplyConfig`; the first mapper whose condition holds answers.
pub(super) fn config(limits: &LimitsConfig) -> Value {
    let replies = replies(limits);
    let errors = replies.iter().map(mapper);
    let mappers: Vec<Value> = std::iter::once(successes()).chain(errors).collect();
    json!({"mappers": mappers})
}

/// Leaves what is no error as it is, such as an answer from the cache, before an expression is evaluated.
fn successes() -> Value {
    json!({"filter": {"status_code_filter": {"comparison": {
        "op": "LE",
        // Envoy wants a key, under which its runtime may have another value.
        "value": {"default_value": 399, "runtime_key": "turnpike.local_reply_success"},
    }}}})
}

/// Body for a request that belongs to no model.
pub(super) fn unknown_url() -> String {
    error(INVALID, "unknown_url", "Unknown request URL.")
}

const INVALID: &str = "invalid_request_error";
const UNAVAILABLE: &str = "service_unavailable_error";
const SERVER: &str = "server_error";

fn replies(limits: &LimitsConfig) -> Vec<Reply> {
    let max_body_bytes = usize::try_from(limits.max_body_bytes).unwrap_or(usize::MAX);
    let too_large = Fault::TooLarge(max_body_bytes).body();
    let reply = |condition, body| Reply { condition, body };
    vec![
        reply(
            "response.code == 413",
            String::from_utf8_lossy(&too_large).into_owned(),
        ),
        reply("response.code == 404", unknown_url()),
        reply(
            "response.code == 408",
            error(
                INVALID,
                "request_timeout",
                "The request did not arrive in time.",
            ),
        ),
        reply(
            "response.code == 503",
            error(
                UNAVAILABLE,
                "service_unavailable",
                "No server of the model is available; try again later.",
            ),
        ),
        reply(
            "response.code == 504",
            error(
                UNAVAILABLE,
                "upstream_timeout",
                "The model's server did not answer in time.",
            ),
        ),
        reply(
            "response.code >= 500",
            error(
                SERVER,
                "bad_gateway",
                "The model's server did not give a valid answer.",
            ),
        ),
        reply(
            "response.code >= 400",
            error(
                INVALID,
                "invalid_request",
                "The proxy refused the request as malformed.",
            ),
        ),
    ]
}

fn mapper(reply: &Reply) -> Value {
    let expression = format!(
        "{} && !('content-type' in response.headers)",
        reply.condition
    );
    json!({
        "filter": {"extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": type_url("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"),
                "expression": expression,
            },
        }},
        "body": {"inline_string": reply.body},
        "body_format_override": {
            "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
            "content_type": "application/json",
        },
    })
}

fn error(kind: &str, code: &str, message: &str) -> String {
    let object = ErrorObject {
        error: ErrorBody {
            message: message.into(),
            kind: kind.into(),
            param: None,
            code: Some(code.into()),
        },
    };
    serde_json::to_string(&object).unwrap_or_default()
}
