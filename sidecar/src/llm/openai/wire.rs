//! Bodies of `/chat/completions`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use turnpike_core::config::{Guided, LlmClassifierConfig};

use crate::llm::prompt::{excerpt, system_message};

/// Keys that `extra_body` does not replace: an answer could not be read, or its length not be bounded.
const RESERVED: [&str; 5] = [
    "messages",
    "stream",
    "n",
    "max_tokens",
    "max_completion_tokens",
];

/// Candidates for a token that are asked for: the most that OpenAI and vLLM give.
const CANDIDATES: u32 = 20;

/// Tokens beside those of the longest label: quotes, a line break, the end.
const SPARE_TOKENS: usize = 8;

/// How much the model may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Length {
    /// The first token of a label.
    Token,
    /// A whole label.
    Label,
    /// Thoughts and a label.
    Reasoning,
}

/// Makes requests. What they share comes first and is the same byte by byte, so that the server keeps its prefix.
#[derive(Debug)]
pub(super) struct Requests {
    body: Map<String, Value>,
    guided: Option<(String, Value)>,
    system: String,
    max_tokens: u32,
    label_tokens: usize,
    reasoning_tokens: u32,
    extra: Map<String, Value>,
}

impl Requests {
    pub(super) fn new(config: &LlmClassifierConfig) -> Self {
        let names: Vec<&str> = config.labels.iter().map(|l| l.name.as_str()).collect();
        let guided = match config.guided {
            Guided::None => None,
            Guided::StructuredOutputs => {
                Some(("structured_outputs".into(), json!({ "choice": names })))
            }
            Guided::GuidedChoice => Some(("guided_choice".into(), json!(names))),
        };
        let mut body = Map::new();
        body.insert("model".into(), config.model.as_str().into());
        body.insert("temperature".into(), 0.into());
        body.insert("logprobs".into(), true.into());
        body.insert("top_logprobs".into(), CANDIDATES.into());
        Self {
            body,
            guided,
            system: system_message(config),
            max_tokens: config.max_tokens,
            // A token has at least one byte.
            label_tokens: names.iter().map(|n| n.len()).max().unwrap_or(0) + SPARE_TOKENS,
            reasoning_tokens: config.reasoning_tokens,
            extra: config.extra_body.clone(),
        }
    }

    /// The body for a text. `length_key`: `max_tokens`, or what newer models of OpenAI call it.
    pub(super) fn body(&self, text: &str, length: Length, length_key: &str) -> Value {
        let mut body = self.body.clone();
        if length < Length::Reasoning {
            body.extend(self.guided.clone());
        }
        for (key, value) in &self.extra {
            match value {
                _ if RESERVED.contains(&key.as_str()) => {}
                Value::Null => drop(body.remove(key)),
                value => drop(body.insert(key.clone(), value.clone())),
            }
        }
        let tokens = match length {
            Length::Token => json!(1),
            Length::Label => json!(self.label_tokens),
            Length::Reasoning => json!(self.reasoning_tokens),
        };
        body.insert("stream".into(), false.into());
        body.insert(length_key.into(), tokens);
        let messages = json!([
            { "role": "system", "content": self.system },
            { "role": "user", "content": excerpt(text, self.max_tokens) },
        ]);
        body.insert("messages".into(), messages);
        Value::Object(body)
    }
}

/// A response; what else is in it does not matter.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Usage {
    completion_tokens_details: Option<CompletionTokens>,
}

#[derive(Debug, Deserialize)]
struct CompletionTokens {
    /// Of thoughts that are not shown.
    reasoning_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    logprobs: Option<Logprobs>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
    /// vLLM before 0.12, SGLang, DeepSeek, llama.cpp.
    reasoning_content: Option<String>,
    /// vLLM since then, Ollama, OpenRouter.
    reasoning: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Logprobs {
    content: Option<Vec<Token>>,
}

/// A token that was written, and what could have been.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
    pub(super) logprob: f64,
    #[serde(default)]
    pub(super) top_logprobs: Vec<Candidate>,
}

/// A token that could have been written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Candidate {
    pub(super) token: String,
    pub(super) logprob: f64,
}

/// What a response says, in one form for all servers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Without the thoughts, when the server tells them apart.
    pub(super) text: String,
    pub(super) tokens: Vec<Token>,
    /// The thoughts, when the server tells them apart.
    pub(super) thoughts: String,
    /// Whether the model thought, as far as the answer or its bill tells.
    pub(super) thought: bool,
    /// Whether the model was stopped by the limit.
    pub(super) is_cut: bool,
}

impl Response {
    /// `None` without a choice.
    pub(super) fn answer(self) -> Option<Answer> {
        let choice = self.choices.into_iter().next()?;
        let message = choice.message;
        let thoughts = message.reasoning_content.filter(|text| !text.is_empty());
        let thoughts = thoughts.or(message.reasoning).unwrap_or_default();
        let unseen = self.usage.and_then(|usage| usage.completion_tokens_details);
        let unseen = unseen.and_then(|details| details.reasoning_tokens);
        let tokens = choice.logprobs.and_then(|logprobs| logprobs.content);
        let text = message.content.unwrap_or_default();
        Some(Answer {
            tokens: tokens.unwrap_or_default(),
            thought: !thoughts.is_empty() || unseen.unwrap_or(0) > 0 || text.contains("</think>"),
            thoughts,
            text,
            is_cut: choice.finish_reason.as_deref() == Some("length"),
        })
    }
}

/// What may be logged of an error's body: its type and code. The message can hold the prompt.
pub(super) fn kind_of_error(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&body);
    let field = |name: &str| match error.get(name) {
        Some(Value::String(text)) if text.len() <= 64 => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let fields: Vec<String> = ["type", "code", "param"]
        .into_iter()
        .filter_map(field)
        .collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests {
    use turnpike_core::config::LlmLabelConfig;

    use super::*;

    fn config() -> LlmClassifierConfig {
        let label = |name: &str| LlmLabelConfig {
            name: name.into(),
            description: String::new(),
        };
        LlmClassifierConfig {
            model: "m".into(),
            instruction: "Sort.".into(),
            labels: vec![label("META"), label("COMPLEX")],
            guided: Guided::StructuredOutputs,
            ..LlmClassifierConfig::default()
        }
    }

    #[test]
    fn a_request_asks_for_one_token_and_its_candidates_behind_a_fixed_prefix() {
        let body = Requests::new(&config()).body("Hi", Length::Token, "max_tokens");
        let expected = json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Sort.\n\nMETA\nCOMPLEX\nAnswer with exactly one of: META, COMPLEX."},
                {"role": "user", "content": "Hi"},
            ],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": true,
            "top_logprobs": 20,
            "stream": false,
            "structured_outputs": {"choice": ["META", "COMPLEX"]},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn longer_answers_have_room_and_thoughts_are_not_guided() {
        let requests = Requests::new(&config());
        let label = requests.body("Hi", Length::Label, "max_tokens");
        assert_eq!(label["max_tokens"], 15);
        let reasoning = requests.body("Hi", Length::Reasoning, "max_completion_tokens");
        assert_eq!(reasoning["max_completion_tokens"], 1024);
        assert!(
            reasoning.get("structured_outputs").is_none() && reasoning.get("max_tokens").is_none()
        );
        let older = LlmClassifierConfig {
            guided: Guided::GuidedChoice,
            ..config()
        };
        let older = Requests::new(&older).body("Hi", Length::Label, "max_tokens");
        assert_eq!(older["guided_choice"], json!(["META", "COMPLEX"]));
    }

    #[test]
    fn extra_keys_win_null_takes_a_key_away_and_the_reserved_ones_stay() {
        let extra = json!({
            "top_logprobs": 5, "temperature": null, "seed": 7, "messages": [], "stream": true, "n": 3,
            "max_tokens": 99, "chat_template_kwargs": {"enable_thinking": false},
        });
        let config = LlmClassifierConfig {
            extra_body: extra.as_object().unwrap().clone(),
            ..config()
        };
        let body = Requests::new(&config).body("Hi", Length::Token, "max_tokens");
        assert_eq!(
            (&body["top_logprobs"], &body["seed"]),
            (&json!(5), &json!(7))
        );
        assert_eq!(body["chat_template_kwargs"]["enable_thinking"], false);
        assert!(body.get("temperature").is_none() && body.get("n").is_none());
        assert_eq!(
            (&body["stream"], &body["max_tokens"]),
            (&json!(false), &json!(1))
        );
        assert_eq!(body["messages"][1]["content"], "Hi");
    }

    #[test]
    fn of_an_error_only_its_kind_is_told() {
        let body = br#"{"error": {"message": "prompt: secret", "type": "invalid_request_error", "code": 400}}"#;
        assert_eq!(kind_of_error(body), "invalid_request_error, 400");
        assert_eq!(
            kind_of_error(
                br#"{"object": "error", "message": "secret", "type": "BadRequestError"}"#
            ),
            "BadRequestError"
        );
        assert_eq!(kind_of_error(b"<html>"), "");
    }
}
