//! Answers that the cache keeps: one form in the store, two on the wire.
//!
//! 1. [`complete`] takes what passed the proxy, a JSON body or an event stream, and gives the chat completion to keep; or says
//!    why it is none.
//! 2. [`render`] gives a kept one out again, as JSON or as events, with an `id` and `created` of its own.
//!
//! What is not understood is not kept: a miss costs money, a wrong answer more. Formats: OpenAI API reference, "The chat
//! completion object" and "The chat completion chunk object"; `reasoning_content` as vLLM and DeepSeek write it.

mod assemble;
mod replay;

use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use turnpike_core::json::Members;

use assemble::assemble;

/// Why an answer is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Not a chat completion.
    #[error("not a chat completion: {0}")]
    Form(String),
    /// The stream broke off.
    #[error("the stream ended before [DONE]")]
    Incomplete,
    /// A choice ended otherwise than it may.
    #[error("finish_reason is {0}")]
    FinishReason(String),
}

impl NotKept {
    fn form(why: impl Into<String>) -> Self {
        Self::Form(why.into())
    }
}

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON body.
    Whole,
    /// Server-sent events; with a chunk that has the usage, or without.
    Stream {
        /// As `stream_options.include_usage` asks for.
        usage: bool,
    },
}

/// What is new in every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `id`.
    pub id: String,
    /// `created`, in seconds since 1970.
    pub created: u64,
}

impl Stamp {
    /// A new one, of now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let random = || RandomState::new().hash_one(());
        Self {
            id: format!("chatcmpl-{:016x}{:08x}", random(), random() >> 32),
            created: since.map_or(0, |since| since.as_secs()),
        }
    }
}

/// The chat completion of an answer that passed, to keep. `allowed`: how its choices may have ended.
///
/// # Errors
/// [`NotKept`].
pub fn complete(body: &str, streamed: bool, allowed: &[String]) -> Result<String, NotKept> {
    let answer = if streamed {
        assemble(body)?
    } else {
        serde_json::from_str(body).map_err(|e| NotKept::form(e.to_string()))?
    };
    check(&answer, allowed)?;
    Ok(if streamed {
        Value::Object(answer).to_string()
    } else {
        body.to_owned()
    })
}

/// Whether every choice of an answer may be given again.
fn check(answer: &Map<String, Value>, allowed: &[String]) -> Result<(), NotKept> {
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Err(NotKept::form("it has an error"));
    }
    let choices = answer.get("choices").and_then(Value::as_array);
    let choices = choices.filter(|choices| !choices.is_empty());
    for choice in choices.ok_or_else(|| NotKept::form("no choices"))? {
        let message = choice.get("message").and_then(Value::as_object);
        let message = message.ok_or_else(|| NotKept::form("a choice without a message"))?;
        let content = message.get("content").unwrap_or(&Value::Null);
        if !content.is_string() && !content.is_null() {
            return Err(NotKept::form("content that is no text"));
        }
        let reason = choice.get("finish_reason").unwrap_or(&Value::Null);
        if !allowed.iter().any(|allowed| reason == allowed.as_str()) {
            return Err(NotKept::FinishReason(reason.to_string()));
        }
    }
    Ok(())
}

/// Gives a kept answer out.
///
/// # Errors
/// When it is no chat completion: it was kept by another version, or the store is broken.
pub fn render(kept: &str, form: Form, stamp: &Stamp) -> Result<String, serde_json::Error> {
    match form {
        Form::Whole => restamped(kept, stamp),
        Form::Stream { usage } => {
            let answer: Map<String, Value> = serde_json::from_str(kept)?;
            Ok(replay::events(&answer, usage, stamp))
        }
    }
}

/// The same bytes but for `id` and `created`; white space between top-level members goes.
fn restamped(kept: &str, stamp: &Stamp) -> Result<String, serde_json::Error> {
    let members: Members = serde_json::from_str(kept)?;
    let mut body = String::with_capacity(kept.len() + 64);
    body.push('{');
    for (at, (key, value)) in members.0.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(&Value::from(key.as_str()).to_string());
        body.push(':');
        match key.as_str() {
            "id" => body.push_str(&Value::from(stamp.id.as_str()).to_string()),
            "created" => body.push_str(&stamp.created.to_string()),
            _ => body.push_str(value.get()),
        }
    }
    body.push('}');
    Ok(body)
}

#[cfg(test)]
mod tests;
