//! The bytes that vLLM would send: JSON answers, SSE chunks, error objects, the list of models.
//!
//! Streams: a chunk with `delta.role`, one chunk per token, the calls of tools, one with `finish_reason`, all choices in turn; with
//! `include_usage` one with empty `choices` and the usage, then `[DONE]`. With `continuous_usage_stats` every chunk carries the usage so far; otherwise chunks
//! before the last have no `usage` key at all (vLLM) or `null` (OpenAI, on order). Format: vLLM, `entrypoints/openai/serving_chat.py`.

use serde::Serialize;
use serde_json::{Value, json};

use super::choice::{Choice, Piece, pieces};
use super::script::Usage;

/// Which API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// How usage appears in a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StreamUsage {
    /// `stream_options.include_usage`: one more chunk at the end.
    pub(super) include: bool,
    /// `stream_options.continuous_usage_stats`: the count so far in every chunk.
    pub(super) continuous: bool,
    /// `null` in the chunks that have none.
    pub(super) null: bool,
}

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    /// Which API answers.
    pub(super) api: Api,
    /// `id` of the answer.
    pub(super) id: String,
    /// Unix time, in seconds.
    pub(super) created: u64,
    /// Model that serves.
    pub(super) model: String,
    /// What it says, once or several times.
    pub(super) choices: Vec<Choice>,
    /// What it costs.
    pub(super) usage: Usage,
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

#[derive(Serialize)]
struct UsageBody {
    prompt_tokens: u64,
    total_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<Value>,
}

impl Completion {
    /// The answer as one JSON body.
    #[must_use]
    pub(super) fn json(&self, with_usage: bool) -> Vec<u8> {
        let choices = self.choices.iter().enumerate();
        let choices = choices
            .map(|(index, choice)| match self.api {
                Api::Chat => json!({
                    "index": index,
                    "message": choice.message(index),
                    "logprobs": null,
                    "finish_reason": choice.finish_reason,
                    "stop_reason": null,
                }),
                Api::Text => json!({
                    "index": index,
                    "text": choice.tokens.concat(),
                    "logprobs": null,
                    "finish_reason": choice.finish_reason,
                    "stop_reason": null,
                }),
            })
            .collect();
        let object = match self.api {
            Api::Chat => "chat.completion",
            Api::Text => "text_completion",
        };
        self.envelope(object, choices, with_usage.then(|| body(self.usage)))
    }

    /// The answer as the payloads of SSE events, `[DONE]` included.
    #[must_use]
    pub(super) fn payloads(&self, usage: StreamUsage) -> Vec<Vec<u8>> {
        let mut told = 0;
        let mut payloads: Vec<Vec<u8>> = pieces(&self.choices, self.api)
            .into_iter()
            .map(|piece| {
                told += piece.tokens;
                let so_far = match piece.finish_reason {
                    Some(_) => self.usage.completion_tokens,
                    None => told,
                };
                self.chunk(&piece, usage, so_far)
            })
            .collect();
        if usage.include {
            payloads.push(self.envelope(self.chunk_object(), vec![], Some(body(self.usage))));
        }
        payloads.push(b"[DONE]".to_vec());
        payloads
    }

    /// Usage until each of the chunks that carry tokens, with those that open a chat.
    #[must_use]
    pub(super) fn so_far(&self) -> Vec<Usage> {
        let pieces = pieces(&self.choices, self.api);
        let pieces = pieces.iter().filter(|piece| piece.finish_reason.is_none());
        let counts = pieces.scan(0, |told, piece| {
            *told += piece.tokens;
            Some(*told)
        });
        counts.map(|count| self.usage_until(count)).collect()
    }

    fn usage_until(&self, completion_tokens: u64) -> Usage {
        Usage {
            completion_tokens: completion_tokens.min(self.usage.completion_tokens),
            ..self.usage
        }
    }

    fn chunk(&self, piece: &Piece<'_>, usage: StreamUsage, so_far: u64) -> Vec<u8> {
        let choice = match self.api {
            Api::Chat => json!({
                "index": piece.choice, "delta": piece.delta, "logprobs": null,
                "finish_reason": piece.finish_reason,
            }),
            Api::Text => json!({
                "index": piece.choice, "text": piece.delta.get("content"), "logprobs": null,
                "finish_reason": piece.finish_reason,
            }),
        };
        let usage = if usage.continuous {
            Some(body(self.usage_until(so_far)))
        } else {
            (usage.include && usage.null).then_some(Value::Null)
        };
        self.envelope(self.chunk_object(), vec![choice], usage)
    }

    fn chunk_object(&self) -> &'static str {
        match self.api {
            Api::Chat => "chat.completion.chunk",
            Api::Text => "text_completion",
        }
    }

    fn envelope(&self, object: &'static str, choices: Vec<Value>, usage: Option<Value>) -> Vec<u8> {
        bytes_of(&Envelope {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
        })
    }
}

fn body(usage: Usage) -> Value {
    let body = UsageBody {
        prompt_tokens: usage.prompt_tokens,
        total_tokens: usage.prompt_tokens + usage.completion_tokens,
        completion_tokens: usage.completion_tokens,
        prompt_tokens_details: (usage.cached_tokens > 0)
            .then(|| json!({"cached_tokens": usage.cached_tokens})),
    };
    serde_json::to_value(body).unwrap_or_default()
}

/// One SSE event.
pub(super) fn event(payload: &[u8], crlf: bool) -> Vec<u8> {
    let end: &[u8] = if crlf { b"\r\n\r\n" } else { b"\n\n" };
    [b"data: ", payload, end].concat()
}

/// An error object as vLLM sends it.
pub(super) fn error(status: u16, message: &str) -> Vec<u8> {
    let kind = match status {
        404 => "NotFoundError",
        400..500 => "BadRequestError",
        _ => "InternalServerError",
    };
    bytes_of(&json!({
        "error": {"message": message, "type": kind, "param": null, "code": status},
    }))
}

/// `/v1/models`.
pub(super) fn models(names: &[String], created: u64) -> Vec<u8> {
    let data: Vec<Value> = names
        .iter()
        .map(|id| {
            json!({
                "id": id, "object": "model", "created": created, "owned_by": "vllm", "root": id, "parent": null,
                "max_model_len": 32_768,
            })
        })
        .collect();
    bytes_of(&json!({"object": "list", "data": data}))
}

/// Strings, numbers and maps with string keys cannot fail to serialise.
fn bytes_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion() -> Completion {
        Completion {
            api: Api::Chat,
            id: "chatcmpl-1".into(),
            created: 1,
            model: "m".into(),
            choices: vec![Choice {
                tokens: vec!["Hello".into(), " world".into()],
                calls: Vec::new(),
                finish_reason: "stop".into(),
            }],
            usage: Usage {
                prompt_tokens: 9,
                completion_tokens: 2,
                cached_tokens: 0,
            },
        }
    }

    fn chunks(usage: StreamUsage) -> Vec<Value> {
        let mut payloads = completion().payloads(usage);
        assert_eq!(payloads.pop().unwrap(), b"[DONE]");
        payloads
            .iter()
            .map(|p| serde_json::from_slice(p).unwrap())
            .collect()
    }

    #[test]
    fn a_stream_is_role_tokens_finish_reason() {
        let chunks = chunks(StreamUsage::default());
        assert_eq!(chunks.len(), 4);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "Hello");
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
        assert!(chunks.iter().all(|c| c.get("usage").is_none()));
    }

    #[test]
    fn usage_is_one_more_chunk_with_no_choices() {
        let chunks = chunks(StreamUsage {
            include: true,
            ..StreamUsage::default()
        });
        assert_eq!(chunks.len(), 5);
        assert_eq!(chunks[4]["choices"], json!([]));
        assert_eq!(chunks[4]["usage"]["total_tokens"], 11);
        assert!(chunks[3].get("usage").is_none());
    }

    #[test]
    fn openai_sends_null_where_vllm_sends_nothing() {
        let chunks = chunks(StreamUsage {
            include: true,
            null: true,
            ..StreamUsage::default()
        });
        assert_eq!(chunks[0].get("usage"), Some(&Value::Null));
    }

    #[test]
    fn continuous_usage_grows_with_every_chunk() {
        let chunks = chunks(StreamUsage {
            include: true,
            continuous: true,
            ..StreamUsage::default()
        });
        let counts: Vec<u64> = chunks
            .iter()
            .map(|c| c["usage"]["completion_tokens"].as_u64().unwrap())
            .collect();
        assert_eq!(counts, [0, 1, 2, 2, 2]);
        let so_far: Vec<u64> = completion()
            .so_far()
            .iter()
            .map(|u| u.completion_tokens)
            .collect();
        assert_eq!(so_far, counts[..3], "the books say what the chunks say");
    }
}
