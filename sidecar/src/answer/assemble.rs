//! An event stream to the chat completion that it told piece by piece.
//!
//! Texts grow, lists of calls grow by their `index`, everything else must be the same each time it comes.

use serde_json::{Map, Value};
use turnpike_core::sse::{EventSink, Framer};

use super::NotKept;

/// Members of a delta whose pieces are joined.
const TEXTS: [&str; 6] = [
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "arguments",
    "thinking",
];

/// The data of the events of a stream.
#[derive(Default)]
struct Events {
    data: Vec<u8>,
    complete: Vec<Vec<u8>>,
}

impl EventSink for Events {
    fn data(&mut self, _at: u64, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    fn end(&mut self, _end: u64) {
        self.complete.push(std::mem::take(&mut self.data));
    }

    fn late_line_feed(&mut self, _end: u64) {}
}

/// The completion of a whole stream.
pub(super) fn assemble(stream: &str) -> Result<Map<String, Value>, NotKept> {
    let mut events = Events::default();
    Framer::new().push(stream.as_bytes(), &mut events);
    let mut answer = Map::new();
    let mut choices: Vec<Choice> = Vec::new();
    let mut done = false;
    for event in events.complete.iter().filter(|event| !event.is_empty()) {
        if event == b"[DONE]" {
            done = true;
            continue;
        }
        let chunk: Map<String, Value> =
            serde_json::from_slice(event).map_err(|e| NotKept::form(e.to_string()))?;
        for (key, value) in chunk {
            match (key.as_str(), value) {
                ("choices", Value::Array(pieces)) => {
                    for piece in pieces {
                        grow(&mut choices, piece)?;
                    }
                }
                ("choices", _) => return Err(NotKept::form("choices is no array")),
                ("object", _) | (_, Value::Null) => {}
                // The last one counts: some servers tell it in every chunk.
                ("usage" | "error", value) => drop(answer.insert(key, value)),
                (_, value) => drop(answer.entry(key).or_insert(value)),
            }
        }
    }
    if !done {
        return Err(NotKept::Incomplete);
    }
    choices.sort_by_key(|choice| choice.index);
    let choices = choices.into_iter().map(Choice::whole);
    answer.insert("object".into(), "chat.completion".into());
    answer.insert("choices".into(), choices.collect());
    Ok(answer)
}

/// One choice so far.
#[derive(Debug, Default)]
struct Choice {
    index: u64,
    message: Map<String, Value>,
    /// `finish_reason` and what else stands beside the delta.
    others: Map<String, Value>,
}

impl Choice {
    fn whole(mut self) -> Value {
        for calls in self.message.values_mut().filter_map(Value::as_array_mut) {
            for call in calls.iter_mut().filter_map(Value::as_object_mut) {
                call.remove("index");
            }
        }
        self.message
            .entry("role")
            .or_insert_with(|| "assistant".into());
        self.message.entry("content").or_insert(Value::Null);
        let mut choice = Map::new();
        choice.insert("index".into(), self.index.into());
        choice.insert("message".into(), self.message.into());
        choice.extend(self.others);
        choice.into()
    }
}

/// Adds a piece of a choice.
fn grow(choices: &mut Vec<Choice>, piece: Value) -> Result<(), NotKept> {
    let Value::Object(piece) = piece else {
        return Err(NotKept::form("a choice is no object"));
    };
    let index = piece.get("index").and_then(Value::as_u64);
    let index = index.ok_or_else(|| NotKept::form("a choice without an index"))?;
    let at = choices.iter().position(|choice| choice.index == index);
    let at = at.unwrap_or_else(|| {
        choices.push(Choice {
            index,
            ..Choice::default()
        });
        choices.len() - 1
    });
    for (key, value) in piece {
        match (key.as_str(), value) {
            ("index", _) | (_, Value::Null) => {}
            ("delta", value) => merge(
                &mut choices[at].message,
                value.as_object().cloned().unwrap_or_default(),
            )?,
            (_, value) => add(&mut choices[at].others, key, value)?,
        }
    }
    Ok(())
}

/// Adds the members of a delta.
fn merge(whole: &mut Map<String, Value>, delta: Map<String, Value>) -> Result<(), NotKept> {
    for (key, value) in delta {
        add(whole, key, value)?;
    }
    Ok(())
}

fn add(whole: &mut Map<String, Value>, key: String, value: Value) -> Result<(), NotKept> {
    let Some(known) = whole.get_mut(&key).filter(|known| !known.is_null()) else {
        let mut value = value;
        if let Value::Array(pieces) = &mut value {
            let pieces = std::mem::take(pieces);
            value = Value::Array(Vec::new());
            extend(&mut value, pieces)?;
        }
        whole.insert(key, value);
        return Ok(());
    };
    match (known, value) {
        (_, Value::Null) => {}
        (Value::String(known), Value::String(piece)) if TEXTS.contains(&key.as_str()) => {
            known.push_str(&piece);
        }
        (Value::Object(known), Value::Object(delta)) => merge(known, delta)?,
        (known @ Value::Array(_), Value::Array(pieces)) => extend(known, pieces)?,
        (Value::String(known), Value::String(piece)) if known.is_empty() => *known = piece,
        // Some servers send the names of a call again with an empty text.
        (Value::String(_), Value::String(piece)) if piece.is_empty() => {}
        (known, value) if *known == value => {}
        _ => return Err(NotKept::form(format!("two values for `{key}`"))),
    }
    Ok(())
}

/// Adds to a list: pieces with an `index` to the one of that index, others behind it.
fn extend(list: &mut Value, pieces: Vec<Value>) -> Result<(), NotKept> {
    let Value::Array(list) = list else {
        return Ok(());
    };
    for piece in pieces {
        let index = piece.get("index").cloned();
        let same = index.and_then(|index| {
            list.iter_mut()
                .find(|known| known.get("index") == Some(&index))
        });
        match (same, piece) {
            (Some(Value::Object(known)), Value::Object(piece)) => merge(known, piece)?,
            (_, piece) => list.push(piece),
        }
    }
    Ok(())
}
