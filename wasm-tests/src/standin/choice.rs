//! The choices of an answer, and the pieces in which a stream tells them.

use serde_json::{Value, json};

use super::script::ToolCall;
use super::text;
use super::wire::Api;

/// One choice of an answer.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// Tokens of its text.
    pub(super) tokens: Vec<String>,
    /// Tools that it calls, after its text.
    pub(super) calls: Vec<ToolCall>,
    /// Why it ends.
    pub(super) finish_reason: String,
}

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Index of its choice.
    pub(super) choice: usize,
    pub(super) delta: Value,
    pub(super) finish_reason: Option<&'a str>,
    /// Tokens in it.
    pub(super) tokens: u64,
}

impl Choice {
    /// Tokens that it costs.
    #[must_use]
    pub(super) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().map(|c| text::text_tokens(&c.arguments));
        self.tokens.len() as u64 + calls.sum::<u64>()
    }

    /// The same as the message of a chat; `index` is its own.
    #[must_use]
    pub(super) fn message(&self, index: usize) -> Value {
        let content = self.tokens.concat();
        let content = (!content.is_empty() || self.calls.is_empty()).then_some(content);
        let calls = self.calls.iter().enumerate();
        let calls: Vec<Value> = calls
            .map(|(at, call)| call_of(index, at, call, &call.arguments))
            .collect();
        json!({"role": "assistant", "content": content, "tool_calls": calls})
    }

    /// What comes after the role and before the end: texts, then the calls, their arguments token by token.
    fn deltas(&self, index: usize) -> Vec<(Value, u64)> {
        let texts = self.tokens.iter();
        let mut deltas: Vec<(Value, u64)> =
            texts.map(|token| (json!({"content": token}), 1)).collect();
        for (at, call) in self.calls.iter().enumerate() {
            let mut first = call_of(index, at, call, "");
            first["index"] = at.into();
            deltas.push((json!({"tool_calls": [first]}), 0));
            let arguments = text::tokens(&call.arguments);
            deltas.extend(arguments.into_iter().map(|piece| {
                let call = json!({"index": at, "function": {"arguments": piece}});
                (json!({"tool_calls": [call]}), 1)
            }));
        }
        deltas
    }
}

fn call_of(choice: usize, at: usize, call: &ToolCall, arguments: &str) -> Value {
    json!({
        "id": format!("call_{choice}_{at}"), "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

/// The choices in turn, as a server tells them that writes them at the same time.
#[must_use]
pub(super) fn pieces(choices: &[Choice], api: Api) -> Vec<Piece<'_>> {
    let piece = |choice, (delta, tokens)| Piece {
        choice,
        delta,
        finish_reason: None,
        tokens,
    };
    let mut pieces = Vec::new();
    if api == Api::Chat {
        let role = json!({"role": "assistant", "content": ""});
        let all = 0..choices.len();
        pieces.extend(all.map(|at| piece(at, (role.clone(), 0))));
    }
    let mut deltas: Vec<_> = choices
        .iter()
        .enumerate()
        .map(|(at, choice)| (at, choice.deltas(at).into_iter()))
        .collect();
    loop {
        let before = pieces.len();
        for (at, deltas) in &mut deltas {
            pieces.extend(deltas.next().map(|delta| piece(*at, delta)));
        }
        if pieces.len() == before {
            break;
        }
    }
    let ends = choices.iter().enumerate().map(|(at, choice)| Piece {
        finish_reason: Some(&choice.finish_reason),
        ..piece(at, (json!({"content": ""}), 0))
    });
    pieces.extend(ends);
    pieces
}
