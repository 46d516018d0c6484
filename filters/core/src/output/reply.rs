//! Errors in place of an answer, or of the rest of one.
//!
//! Sources: OpenAI API reference ("Errors", responses streaming event `error`), Anthropic API reference (streaming, "Error events").

use serde_json::json;

use crate::reply::Fault;
use crate::request::Endpoint;

/// The error object, with the `usage` of the server where it told one: an object as it is written.
pub(super) fn error_with_usage(fault: &Fault, usage: Option<&[u8]>) -> Vec<u8> {
    let mut body = fault.body();
    if let Some(usage) = usage {
        body.pop();
        body.extend_from_slice(br#","usage":"#);
        body.extend_from_slice(usage);
        body.push(b'}');
    }
    body
}

/// The last events of a stream that is cut, as its API tells errors; `sequence` is the number of the event before.
pub(super) fn error_event(endpoint: Endpoint, fault: &Fault, sequence: u64) -> Vec<u8> {
    let message = fault.message();
    let event = |data: serde_json::Value| format!("event: error\ndata: {data}\n\n").into_bytes();
    match endpoint {
        Endpoint::Messages => event(json!({
            "type": "error",
            "error": {"type": fault.kind(), "message": message},
        })),
        Endpoint::Responses => event(json!({
            "type": "error",
            "code": fault.code(),
            "message": message,
            "param": null,
            "sequence_number": sequence.saturating_add(1),
        })),
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => {
            let mut events = b"data: ".to_vec();
            events.extend(fault.body());
            events.extend_from_slice(b"\n\ndata: [DONE]\n\n");
            events
        }
    }
}
