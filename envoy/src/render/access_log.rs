//! One JSON line for each request: what was decided, what it cost, where the time went. Never a word of a prompt.
//!
//! Values that the filters publish come from filter state and are strings; a missing one is `null`.

use serde_json::{Map, Value, json};

use super::type_url;

/// What Envoy knows: field and command operator. The path is written without its query.
const ENVOY: [(&str, &str); 13] = [
    ("time", "%START_TIME%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%PATH(NQ)%"),
    ("status", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration_ms", "%DURATION%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
];

/// Microseconds between two moments that Envoy measures: downstream and upstream, received and sent, begin and end.
const INTERVALS: [(&str, &str); 4] = [
    ("request_overhead_us", "DS_RX_END:US_TX_BEG"),
    ("response_overhead_us", "US_RX_BEG:DS_TX_BEG"),
    ("local_us", "DS_RX_BEG:DS_TX_BEG"),
    ("total_us", "DS_RX_BEG:DS_TX_END"),
];

/// Milliseconds between two such moments, under the names of seed 004's `REQUEST` line.
const INTERVALS_MS: [(&str, &str); 2] = [
    ("inference_ms", "US_TX_BEG:US_RX_END"),
    ("total_ms", "DS_RX_BEG:DS_TX_END"),
];

/// What the filters publish: field and filter state below `wasm.turnpike.`. `route` is seed 004's name of the decision.
const PUBLISHED: [(&str, &str); 26] = [
    ("session", "session"),
    ("route", "decision"),
    ("classification_ms", "timing.classification_ms"),
    ("enrichment_ms", "timing.enrichment_ms"),
    ("slow", "slow"),
    ("groups", "groups"),
    ("pii_types", "pii_types"),
    ("jailbreak", "jailbreak"),
    ("response_warnings", "response_warnings"),
    ("user", "user"),
    ("tier", "tier"),
    ("tenant", "tenant"),
    ("model", "model"),
    ("decision", "decision"),
    ("category", "category"),
    ("reasoning", "reasoning"),
    ("cache", "cache"),
    ("fallback", "fallback"),
    ("system_prompt", "system_prompt"),
    ("block", "block"),
    ("stream", "stream"),
    ("prompt_tokens", "prompt_tokens"),
    ("completion_tokens", "completion_tokens"),
    ("estimated", "estimated"),
    ("router_us", "timing.router_us"),
    ("sidecar_us", "timing.sidecar_us"),
];

/// `config.accesslog.v3.AccessLog` to a file.
pub(super) fn json_file(path: &str) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": type_url("envoy.extensions.access_loggers.file.v3.FileAccessLog"),
            "path": path,
            "log_format": {"json_format": fields()},
        },
    })
}

/// All fields with their command operators.
pub(super) fn fields() -> Value {
    let mut fields = Map::new();
    for (name, operator) in ENVOY {
        fields.insert(name.into(), operator.into());
    }
    for (name, interval) in INTERVALS {
        fields.insert(
            name.into(),
            format!("%COMMON_DURATION({interval}:us)%").into(),
        );
    }
    for (name, interval) in INTERVALS_MS {
        fields.insert(
            name.into(),
            format!("%COMMON_DURATION({interval}:ms)%").into(),
        );
    }
    for (name, state) in PUBLISHED {
        fields.insert(
            name.into(),
            format!("%FILTER_STATE(wasm.turnpike.{state}:PLAIN)%").into(),
        );
    }
    Value::Object(fields)
}
