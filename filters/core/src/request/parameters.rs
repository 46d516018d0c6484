//! The parameters that each API documents, and limits of those that are numbers.

use super::words::folded;
use super::{Edits, Endpoint, Request};
use crate::json::unescape_into;

impl Endpoint {
    /// Top-level members that the API's reference documents (OpenAI, Anthropic; 2026-11).
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ChatCompletions => CHAT_COMPLETIONS,
            Self::Completions => COMPLETIONS,
            Self::Embeddings => EMBEDDINGS,
            Self::Responses => RESPONSES,
            Self::Messages => MESSAGES,
        }
    }
}

impl Request {
    /// A top-level number, also where a string holds one, as servers read it (Pydantic).
    #[must_use]
    pub fn number(&self, key: &str, body: &[u8]) -> Option<f64> {
        let json = body.get(self.member(key)?)?;
        let text = json.strip_prefix(b"\"").and_then(|j| j.strip_suffix(b"\""));
        let Some(text) = text else {
            return plain_number(json);
        };
        let mut unescaped = Vec::new();
        unescape_into(text, &mut unescaped);
        unescaped.retain(|&b| b != b'_');
        std::str::from_utf8(&unescaped).ok()?.trim().parse().ok()
    }

    /// Whether a top-level member is sent, as a JSON number of at least `least` each time that it comes.
    #[must_use]
    pub fn has_number(&self, key: &str, body: &[u8], least: f64) -> bool {
        let mut values = self.members.iter().filter(|(k, _)| k == key).peekable();
        values.peek().is_some()
            && values.all(|(_, span)| {
                let number = body.get(span.clone()).and_then(plain_number);
                number.is_some_and(|n| n >= least)
            })
    }
}

impl Edits {
    /// Sets a top-level number to `max` where it is more, and whatever else is sent there: servers differ in what they take for a number,
    /// and some in what less than none means. What is not sent, or `null`, stays. Tells whether it set it.
    pub fn limit(&mut self, request: &Request, body: &[u8], key: &str, max: u64) -> bool {
        let name = folded(key.as_bytes());
        let max_json = max.to_string();
        // As precise as the number it is compared with.
        let max: f64 = max_json.parse().unwrap_or(f64::MAX);
        let is_within = |json: &[u8]| {
            json == b"null" || plain_number(json).is_some_and(|n| (0.0..=max).contains(&n))
        };
        let mut members = request.members.iter();
        let is_more = members.any(|(k, span)| {
            folded(k.as_bytes()) == name && !body.get(span.clone()).is_some_and(is_within)
        });
        if is_more {
            self.set_member(key, &max_json);
        }
        is_more
    }
}

fn plain_number(json: &[u8]) -> Option<f64> {
    std::str::from_utf8(json).ok()?.parse().ok()
}

const CHAT_COMPLETIONS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const COMPLETIONS: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

const EMBEDDINGS: &[&str] = &["dimensions", "encoding_format", "input", "model", "user"];

const RESPONSES: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const MESSAGES: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];
