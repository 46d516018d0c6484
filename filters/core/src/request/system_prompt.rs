//! The system prompt, where each API has it.

use super::edit::{Splice, string};
use super::mask::inside;
use super::{Edits, Endpoint, Request, Role};
use crate::json::Span;

/// What becomes of the system prompt that the client sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PromptMode {
    /// It goes.
    #[default]
    Replace,
    /// It stays, behind the other.
    Insert,
}

/// Between a prompt that is inserted and the client's.
const BETWEEN: &str = "\n\n";

impl Edits {
    /// Sets the system prompt to `text`, or inserts it before the client's; tells whether that can be done. Called again, it counts anew.
    ///
    /// - chat completions: `content` of the first system or developer message; where there is none, a message at the front. Further ones stay.
    /// - responses: `instructions`.
    /// - messages: `system`. Blocks of a list stay behind an inserted one, and so do their `cache_control`s.
    /// - completions and embeddings have none.
    pub fn set_system_prompt(
        &mut self,
        endpoint: Endpoint,
        request: &Request,
        body: &[u8],
        mode: PromptMode,
        text: &str,
    ) -> bool {
        let key = match endpoint {
            Endpoint::ChatCompletions => return self.set_system_message(request, body, mode, text),
            Endpoint::Responses => "instructions",
            Endpoint::Messages => "system",
            Endpoint::Completions | Endpoint::Embeddings => return false,
        };
        match request.member(key) {
            Some(value) => self.system_prompt = Some(set(&value, body, mode, text)),
            None => self.set_member(key, &string(text)),
        }
        true
    }

    fn set_system_message(
        &mut self,
        request: &Request,
        body: &[u8],
        mode: PromptMode,
        text: &str,
    ) -> bool {
        let mut messages = request.messages.iter();
        let first = messages.find_map(|m| {
            Some(m.start?)
                .filter(|_| m.role == Role::System)
                .map(|start| (m, start))
        });
        let splice = match first {
            Some((message, start)) => match &message.content {
                Some(content) => set(content, body, mode, text),
                // It has a role, so it has other members.
                None => front(start, format!(r#""content":{},"#, string(text))),
            },
            None => {
                let list = request.member("messages");
                let Some(list) = list.filter(|list| body.get(list.start) == Some(&b'[')) else {
                    return false;
                };
                let message = format!(r#"{{"role":"system","content":{}}}"#, string(text));
                element(&list, body, message)
            }
        };
        self.system_prompt = Some(splice);
        true
    }
}

/// The prompt in place of a value or before what it says: a text or a list of text parts. Nothing is before what says nothing.
fn set(value: &Span, body: &[u8], mode: PromptMode, text: &str) -> Splice {
    match (mode, body.get(value.clone()).unwrap_or_default()) {
        (PromptMode::Insert, [b'"', rest @ ..]) if rest != b"\"" => {
            let start = value.start.saturating_add(1);
            (start..start, inside(&[text, BETWEEN].concat()).into())
        }
        (PromptMode::Insert, [b'[', ..]) => {
            let part = format!(r#"{{"type":"text","text":{}}}"#, string(text));
            element(value, body, part)
        }
        _ => (value.clone(), string(text).into_bytes().into()),
    }
}

/// `json` as the first element of a list.
fn element(list: &Span, body: &[u8], mut json: String) -> Splice {
    let start = list.start.saturating_add(1);
    let mut rest = body.get(start..).unwrap_or_default().iter();
    if rest.find(|b| !b.is_ascii_whitespace()) != Some(&b']') {
        json.push(',');
    }
    front(start, json)
}

fn front(at: usize, json: String) -> Splice {
    (at..at, json.into_bytes().into())
}
