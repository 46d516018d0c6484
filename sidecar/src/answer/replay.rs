//! A chat completion as the event stream that a server would have sent.

use serde_json::{Map, Value, json};

use super::Stamp;

/// Bytes of a text in one event: clients have limits for a line, 64 KB is the lowest known.
const PIECE: usize = 4096;

/// Members of a message whose text is told in pieces, in this order: thoughts come before the answer.
const TEXTS: [&str; 4] = ["reasoning_content", "reasoning", "content", "refusal"];

/// The events of `answer`, `[DONE]` at the end. `usage`: with a chunk for it, if it is known.
pub(super) fn events(answer: &Map<String, Value>, usage: bool, stamp: &Stamp) -> String {
    let mut stream = Stream {
        envelope: envelope(answer, stamp),
        usage,
        text: String::new(),
    };
    let choices = answer.get("choices").and_then(Value::as_array);
    for (at, choice) in choices.into_iter().flatten().enumerate() {
        stream.choice(at, choice);
    }
    let known = answer.get("usage").filter(|known| known.is_object());
    if let Some(known) = known.filter(|_| usage) {
        stream.chunk(json!([]), known.clone());
    }
    stream.text.push_str("data: [DONE]\n\n");
    stream.text
}

/// What all chunks have in common.
fn envelope(answer: &Map<String, Value>, stamp: &Stamp) -> Map<String, Value> {
    let mut envelope = Map::new();
    envelope.insert("id".into(), stamp.id.as_str().into());
    envelope.insert("object".into(), "chat.completion.chunk".into());
    envelope.insert("created".into(), stamp.created.into());
    for key in ["model", "system_fingerprint", "service_tier"] {
        if let Some(value) = answer.get(key) {
            envelope.insert(key.into(), value.clone());
        }
    }
    envelope
}

struct Stream {
    envelope: Map<String, Value>,
    usage: bool,
    text: String,
}

impl Stream {
    fn chunk(&mut self, choices: Value, usage: Value) {
        let mut chunk = self.envelope.clone();
        chunk.insert("choices".into(), choices);
        if self.usage {
            chunk.insert("usage".into(), usage);
        }
        self.text.push_str("data: ");
        self.text.push_str(&Value::Object(chunk).to_string());
        self.text.push_str("\n\n");
    }

    fn delta(&mut self, index: &Value, delta: Value) {
        let choice =
            json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
        self.chunk(json!([choice]), Value::Null);
    }

    fn choice(&mut self, at: usize, choice: &Value) {
        let index = choice.get("index").cloned().unwrap_or_else(|| at.into());
        let empty = Map::new();
        let message = choice.get("message").and_then(Value::as_object);
        let message = message.unwrap_or(&empty);
        let role = message.get("role").cloned();
        let role = role.unwrap_or_else(|| "assistant".into());
        self.delta(&index, json!({"role": role, "content": ""}));
        for key in TEXTS {
            let text = message.get(key).and_then(Value::as_str).unwrap_or_default();
            for piece in pieces(text) {
                self.delta(&index, json!({key: piece}));
            }
        }
        for (key, value) in message {
            let told = key == "role" || (TEXTS.contains(&key.as_str()) && value.is_string());
            if told || value.is_null() {
                continue;
            }
            match (key.as_str(), value.as_array()) {
                ("tool_calls", Some(calls)) => self.calls(&index, calls),
                _ => self.delta(&index, json!({key: value})),
            }
        }
        self.end(&index, choice);
    }

    /// Calls of tools: first the name, then the arguments in pieces.
    fn calls(&mut self, index: &Value, calls: &[Value]) {
        for (number, call) in calls.iter().enumerate() {
            let mut first = call.clone();
            let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
            if let Some(function) = first
                .pointer_mut("/function")
                .and_then(Value::as_object_mut)
                && arguments.is_some()
            {
                function.insert("arguments".into(), "".into());
            }
            if let Some(first) = first.as_object_mut() {
                first.insert("index".into(), number.into());
            }
            self.delta(index, json!({"tool_calls": [first]}));
            for piece in pieces(arguments.unwrap_or_default()) {
                let function = json!({"arguments": piece});
                let call = json!({"index": number, "function": function});
                self.delta(index, json!({"tool_calls": [call]}));
            }
        }
    }

    /// How the choice ended, and what else stands beside its message.
    fn end(&mut self, index: &Value, choice: &Value) {
        let mut last = Map::new();
        last.insert("index".into(), index.clone());
        last.insert("delta".into(), json!({}));
        for (key, value) in choice.as_object().into_iter().flatten() {
            if !["index", "message"].contains(&key.as_str()) {
                last.insert(key.clone(), value.clone());
            }
        }
        self.chunk(json!([last]), Value::Null);
    }
}

/// A text in pieces that end at characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, later) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}
