//! Answers without a model, in the form of the API that was called.
//!
//! Sources: OpenAI API reference (chat completions, completions, responses), Anthropic API reference (messages, streaming).

use serde_json::{Value, json};

use super::Block;
use crate::host::LocalReply;
use crate::request::Endpoint;

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A guard wrote it.
    Filter,
    /// It is complete.
    Stop,
}

impl Finish {
    /// Name of the answer in its `id`.
    fn id(self) -> &'static str {
        match self {
            Self::Filter => "turnpike-blocked",
            Self::Stop => "turnpike-fast",
        }
    }

    /// `finish_reason` of chat completions and completions.
    fn reason(self) -> &'static str {
        match self {
            Self::Filter => "content_filter",
            Self::Stop => "stop",
        }
    }

    /// `stop_reason` of messages.
    fn stop_reason(self) -> &'static str {
        match self {
            Self::Filter => "refusal",
            Self::Stop => "end_turn",
        }
    }
}

/// The answer to a blocked request; see [`answered`].
#[must_use]
pub fn blocked(
    endpoint: Endpoint,
    stream: bool,
    model: &str,
    block: &Block,
    now: u64,
) -> Option<LocalReply> {
    answered(
        endpoint,
        stream,
        model,
        &block.message(),
        Finish::Filter,
        now,
    )
}

/// An answer with this text; `now` in seconds since the Unix epoch. `None` for an API that has no answer of text.
#[must_use]
pub fn answered(
    endpoint: Endpoint,
    stream: bool,
    model: &str,
    text: &str,
    finish: Finish,
    now: u64,
) -> Option<LocalReply> {
    let body = match endpoint {
        Endpoint::ChatCompletions => chat(text, model, finish, now, stream),
        Endpoint::Completions => completion(text, model, finish, now, stream),
        Endpoint::Responses => response(text, model, finish, now, stream),
        Endpoint::Messages => message(text, model, finish, stream),
        Endpoint::Embeddings => return None,
    };
    Some(LocalReply {
        status: 200,
        headers: vec![(
            "content-type",
            if stream {
                "text/event-stream"
            } else {
                "application/json"
            }
            .into(),
        )],
        body: body.into_bytes(),
    })
}

const USAGE: fn() -> Value =
    || json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});

fn chat(text: &str, model: &str, finish: Finish, now: u64, stream: bool) -> String {
    let (id, reason) = (format!("chatcmpl-{}", finish.id()), finish.reason());
    if stream {
        let chunk = json!({"id": id, "object": "chat.completion.chunk", "created": now, "model": model, "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": text}, "logprobs": null, "finish_reason": reason}]});
        return format!("data: {chunk}\n\ndata: [DONE]\n\n");
    }
    json!({"id": id, "object": "chat.completion", "created": now, "model": model, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": reason}],
        "usage": USAGE()})
    .to_string()
}

fn completion(text: &str, model: &str, finish: Finish, now: u64, stream: bool) -> String {
    let (id, reason) = (format!("cmpl-{}", finish.id()), finish.reason());
    let mut body = json!({"id": id, "object": "text_completion", "created": now, "model": model, "choices": [
        {"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]});
    if stream {
        return format!("data: {body}\n\ndata: [DONE]\n\n");
    }
    if let Some(members) = body.as_object_mut() {
        members.insert("usage".into(), USAGE());
    }
    body.to_string()
}

fn response(text: &str, model: &str, finish: Finish, now: u64, stream: bool) -> String {
    let id = finish.id();
    let (status, event) = match finish {
        Finish::Filter => ("incomplete", "response.incomplete"),
        Finish::Stop => ("completed", "response.completed"),
    };
    let details = match finish {
        Finish::Filter => json!({"reason": "content_filter"}),
        Finish::Stop => Value::Null,
    };
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let item = json!({"type": "message", "id": format!("msg_{id}"), "status": status, "role": "assistant", "content": [part]});
    let state = |status: &str, details: Value, output: Value| {
        json!({"id": format!("resp_{id}"), "object": "response", "created_at": now, "status": status, "error": null,
            "incomplete_details": details, "model": model, "output": output,
            "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}})
    };
    let whole = state(status, details, json!([item]));
    if !stream {
        return whole.to_string();
    }
    let at = json!({"item_id": format!("msg_{id}"), "output_index": 0, "content_index": 0});
    let with = |more: Value| {
        let mut event = at.clone();
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    };
    events(&[
        (
            "response.created",
            json!({"response": state("in_progress", Value::Null, json!([]))}),
        ),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": {"type": "message", "id": format!("msg_{id}"), "status": "in_progress", "role": "assistant", "content": []}}),
        ),
        (
            "response.content_part.added",
            with(json!({"part": {"type": "output_text", "text": "", "annotations": []}})),
        ),
        ("response.output_text.delta", with(json!({"delta": text}))),
        ("response.output_text.done", with(json!({"text": text}))),
        ("response.content_part.done", with(json!({"part": part}))),
        (
            "response.output_item.done",
            json!({"output_index": 0, "item": item}),
        ),
        (event, json!({"response": whole})),
    ])
}

fn message(text: &str, model: &str, finish: Finish, stream: bool) -> String {
    let (id, stop) = (finish.id(), finish.stop_reason());
    let whole = |content: Value, reason: Value| {
        json!({"id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0}})
    };
    if !stream {
        return whole(json!([{"type": "text", "text": text}]), json!(stop)).to_string();
    }
    events(&[
        (
            "message_start",
            json!({"message": whole(json!([]), Value::Null)}),
        ),
        (
            "content_block_start",
            json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        (
            "content_block_delta",
            json!({"index": 0, "delta": {"type": "text_delta", "text": text}}),
        ),
        ("content_block_stop", json!({"index": 0})),
        (
            "message_delta",
            json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 0}}),
        ),
        ("message_stop", json!({})),
    ])
}

/// Server-sent events that carry their name as `type` too, and their number.
fn events(events: &[(&str, Value)]) -> String {
    let mut stream = String::new();
    for (number, (name, data)) in events.iter().enumerate() {
        let mut data = data.clone();
        if let Some(members) = data.as_object_mut() {
            members.insert("type".into(), (*name).into());
            if name.starts_with("response.") {
                members.insert("sequence_number".into(), number.into());
            }
        }
        stream.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    }
    stream
}
