//! From a request to what vLLM would answer: which API, how many tokens, streamed or not.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;

use super::body::{Answer, Bill};
use super::choice::Choice;
use super::record::Received;
use super::script::{Script, Usage};
use super::text;
use super::wire::{self, Api, Completion, StreamUsage};

/// Header from which the stand-in takes the user of its own books, as the gateway's authentication names it.
const USER_HEADER: &str = "x-auth-request-user";

/// Choices of an answer; a request for more gets so many.
const MAX_CHOICES: u64 = 16;

/// Status, content type and body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) answer: Answer,
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: "application/json".into(),
            answer: Answer {
                pieces: vec![Bytes::from(body)],
                sized: true,
                bill: None,
            },
        }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::json(code, wire::error(status, message))
    }
}

/// Answers a completion request.
pub(super) fn complete(
    api: Api,
    received: &Received,
    script: &Script,
    id: u64,
    created: u64,
) -> Reply {
    let request: Value = match serde_json::from_slice(&received.body) {
        Ok(request) => request,
        Err(e) => return Reply::error(400, &format!("JSON decode error: {e}")),
    };
    let (stream, options) = match stream_of(&request, script) {
        Ok(read) => read,
        Err(message) => return Reply::error(400, message),
    };
    let Some(model) = request.get("model").and_then(Value::as_str) else {
        return Reply::error(400, "model: Field required");
    };
    let completion = compose(api, &request, model, script, id, created);
    let user = received.header(USER_HEADER).into_iter().next();
    let options = StreamUsage {
        include: options.include && !script.no_usage,
        continuous: options.continuous && !script.no_usage,
        null: options.null,
    };
    // Pieces that are cut anew no longer say what had been used until then.
    let tells = stream && options.continuous && script.split.is_none();
    let bill = (!script.no_usage).then(|| Bill {
        model: model.to_owned(),
        user: user.unwrap_or_default(),
        usage: completion.usage,
        so_far: if tells {
            completion.so_far()
        } else {
            Vec::new()
        },
    });
    if stream {
        let pieces = completion
            .payloads(options)
            .iter()
            .map(|payload| Bytes::from(wire::event(payload, script.crlf)))
            .collect();
        return Reply {
            status: StatusCode::OK,
            content_type: "text/event-stream; charset=utf-8".into(),
            answer: Answer {
                pieces,
                sized: false,
                bill,
            },
        };
    }
    let mut reply = Reply::json(StatusCode::OK, completion.json(!script.no_usage));
    reply.answer.sized = !script.chunked;
    reply.answer.bill = bill;
    reply
}

/// `stream` and `stream_options`, with vLLM's own rule that the second needs the first.
fn stream_of(request: &Value, script: &Script) -> Result<(bool, StreamUsage), &'static str> {
    let stream = request
        .get("stream")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let options = request
        .get("stream_options")
        .filter(|options| !options.is_null());
    if options.is_some() && !stream {
        return Err("Stream options can only be defined when `stream=True`.");
    }
    let option = |name| {
        options
            .and_then(|o| o.get(name))
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    let include = option("include_usage");
    let usage = StreamUsage {
        include,
        continuous: include && option("continuous_usage_stats"),
        null: script.null_usage,
    };
    Ok((stream, usage))
}

fn compose(
    api: Api,
    request: &Value,
    model: &str,
    script: &Script,
    id: u64,
    created: u64,
) -> Completion {
    let texts = match api {
        Api::Chat => message_texts(request),
        Api::Text => vec![request.get("prompt").map(text_of).unwrap_or_default()],
    };
    let prompt_tokens = match api {
        Api::Chat => text::chat_tokens(texts.iter().map(String::as_str)),
        Api::Text => texts.iter().map(|t| text::text_tokens(t)).sum(),
    };
    let prompt = texts.last().map(String::as_str).unwrap_or_default();
    let choices: Vec<Choice> = (0..number_of_choices(request))
        .map(|at| choose(at, request, model, prompt, script))
        .collect();
    let kind = match api {
        Api::Chat => "chatcmpl",
        Api::Text => "cmpl",
    };
    Completion {
        api,
        id: format!("{kind}-{id:032x}"),
        created,
        model: model.to_owned(),
        usage: script.usage.unwrap_or(Usage {
            prompt_tokens,
            completion_tokens: choices.iter().map(Choice::tokens).sum(),
            cached_tokens: 0,
        }),
        choices,
    }
}

/// `n`, at least one.
fn number_of_choices(request: &Value) -> u64 {
    let number = request.get("n").and_then(Value::as_u64);
    number.unwrap_or(1).clamp(1, MAX_CHOICES)
}

/// One choice; those after the first say which they are.
fn choose(at: u64, request: &Value, model: &str, prompt: &str, script: &Script) -> Choice {
    let mut content = match (&script.content, script.tokens) {
        (Some(content), _) => content.clone(),
        (None, Some(length)) => text::filler(length),
        (None, None) if script.tool_calls.is_empty() => text::answer(model, prompt),
        (None, None) => String::new(),
    };
    if at > 0 {
        content.push_str(&format!("\n(choice {at})"));
    }
    let mut tokens = text::tokens(&content);
    let limit = ["max_completion_tokens", "max_tokens"]
        .into_iter()
        .find_map(|key| request.get(key)?.as_u64())
        .and_then(|limit| usize::try_from(limit).ok());
    let cut = limit.is_some_and(|limit| tokens.len() > limit);
    tokens.truncate(limit.unwrap_or(usize::MAX));
    let reason = match (cut, script.tool_calls.is_empty()) {
        (true, _) => "length",
        (false, true) => "stop",
        (false, false) => "tool_calls",
    };
    Choice {
        tokens,
        calls: script.tool_calls.clone(),
        finish_reason: script
            .finish_reason
            .clone()
            .unwrap_or_else(|| reason.into()),
    }
}

fn message_texts(request: &Value) -> Vec<String> {
    let messages = request.get("messages").and_then(Value::as_array);
    messages
        .into_iter()
        .flatten()
        .map(|message| message.get("content").map(text_of).unwrap_or_default())
        .collect()
}

/// A string, or the joined `text` parts of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts
                .iter()
                .filter_map(|p| p.as_str().or_else(|| p.get("text")?.as_str()));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
