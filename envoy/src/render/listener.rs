//! The listener for clients and its HTTP connection manager.

use serde_json::{Value, json};
use turnpike_core::Config;

use super::{
    RenderOptions, access_log, duration_ms, filters, local_reply, routes, socket_address, type_url,
};

/// Request headers must be complete by then; answers of an LLM have no limit, see [`routes`].
const REQUEST_HEADERS_TIMEOUT_MS: u32 = 10_000;

/// A request with its body must be complete by then, so that slow senders do not hold buffers.
const REQUEST_TIMEOUT_MS: u32 = 60_000;

/// Streams of one HTTP/2 connection, and bytes of window for each and for all: Envoy's advice for an edge proxy.
const MAX_CONCURRENT_STREAMS: u32 = 100;
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Most that Envoy keeps of an answer for a client that reads slowly; Envoy's own default.
const MAX_CONNECTION_BUFFER_BYTES: u32 = 1 << 20;

/// The listener.
///
/// A body of `limits.max_body_bytes` passes a filter that holds it, and a larger one gets 413. Two settings make that so: the
/// buffer limit here lowers Envoy's default for HTTP/1, that of [`routes`] raises it for larger bodies, and for HTTP/2, whose
/// default is the stream's window. HTTP/2 bodies below [`STREAM_WINDOW_BYTES`] pass whatever the limit.
pub(super) fn http(config: &Config, options: &RenderOptions) -> Value {
    let address = options.listener.as_ref().unwrap_or(&config.envoy.listener);
    json!({
        "name": "http",
        "address": socket_address(address),
        "per_connection_buffer_limit_bytes": config.limits.max_body_bytes.min(MAX_CONNECTION_BUFFER_BYTES),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(config, options),
        }]}],
    })
}

/// The connection manager.
///
/// `UNESCAPE_AND_FORWARD`: clients escape the slash of `GET /v1/models/{owner%2Fname}`.
fn connection_manager(config: &Config, options: &RenderOptions) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
        "generate_request_id": true,
        "preserve_external_request_id": true,
        "always_set_request_id_in_response": true,
        "stream_idle_timeout": duration_ms(config.envoy.stream_idle_timeout_ms),
        "request_headers_timeout": duration_ms(REQUEST_HEADERS_TIMEOUT_MS),
        "request_timeout": duration_ms(REQUEST_TIMEOUT_MS),
        "http2_protocol_options": {
            "max_concurrent_streams": MAX_CONCURRENT_STREAMS,
            "initial_stream_window_size": STREAM_WINDOW_BYTES,
            "initial_connection_window_size": CONNECTION_WINDOW_BYTES,
        },
        "access_log": [access_log::json_file(options.access_log.as_ref().unwrap_or(&config.envoy.access_log))],
        "local_reply_config": local_reply::config(&config.limits),
        "http_filters": filters::chain(config, options),
        "route_config": routes::config(config, options),
    })
}
