//! Finds the texts in the data of a stream event.
//!
//! The event's `type` tells whether they go on with those of events before, and which event is the last of its stream.
//!
//! Sources: OpenAI API reference (streaming events of chat completions, completions and responses), Anthropic API reference
//! (streaming).

use super::restore::Escaping;
use super::splice::Span;
use super::walk::{Number, Place, Role, Walk};
use crate::json::{Container, Lexer, Sink};

/// Longest name of an event that matters, and more.
const MAX_KIND_BYTES: usize = 64;

/// The end of a chat completion's stream, which is no JSON.
const DONE: &[u8] = b"[DONE]";

/// A text of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) place: Place,
    /// Where it stands, without quotes.
    pub(super) span: Span,
    pub(super) escaping: Escaping,
}

/// What the data of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// Nothing, as in a comment.
    Nothing,
    /// `[DONE]`
    Done,
    /// A JSON document.
    Json {
        /// Its texts go on where earlier ones of the same place ended.
        is_delta: bool,
        /// No text follows that belongs to one before.
        ends_texts: bool,
        /// No event with text follows.
        ends_stream: bool,
    },
    /// Anything else.
    Unreadable,
}

/// Reads the data of one event, in pieces.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    lexer: Lexer,
    reader: Reader,
    broken: bool,
    /// The first bytes of the data, as many as `[DONE]` has and one more.
    head: Vec<u8>,
}

#[derive(Debug, Default)]
struct Reader {
    walk: Walk,
    texts: Vec<Text>,
    role: Option<Role>,
    kind: Vec<u8>,
    sequence: u64,
    /// Bytes of data before the piece in work, and where the piece stands in the stream.
    before: u64,
    at: u64,
}

impl EventReader {
    /// Ready for the next event.
    pub(super) fn reset(&mut self) {
        self.lexer.reset();
        self.reader.walk.reset();
        self.reader.texts.clear();
        self.reader.kind.clear();
        self.reader.before = 0;
        self.broken = false;
        self.head.clear();
    }

    /// Takes the next bytes of data, which stand at `at`.
    pub(super) fn push(&mut self, at: u64, bytes: &[u8]) {
        let missing = DONE.len().saturating_add(1).saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        self.reader.at = at;
        if !self.broken {
            self.broken = self.lexer.push(bytes, &mut self.reader).is_err();
        }
        let more = super::splice::length(bytes);
        self.reader.before = self.reader.before.saturating_add(more);
    }

    /// The event is complete.
    pub(super) fn finish(&mut self) -> Data {
        if self.head == DONE {
            return Data::Done;
        }
        let is_json = !self.broken && self.lexer.finish(&mut self.reader).is_ok();
        let is_blank = self.head.len() <= DONE.len() && self.head.trim_ascii().is_empty();
        let kind = self.reader.kind.as_slice();
        match is_json {
            true => Data::Json {
                is_delta: self.is_delta(),
                ends_texts: !self.is_delta() && kind != b"ping",
                ends_stream: matches!(
                    kind,
                    b"message_stop"
                        | b"response.completed"
                        | b"response.incomplete"
                        | b"response.failed"
                        | b"error"
                ),
            },
            false if is_blank => Data::Nothing,
            false => Data::Unreadable,
        }
    }

    /// Events of chat completions and completions have no `type`, and each is one.
    fn is_delta(&self) -> bool {
        let kind = self.reader.kind.as_slice();
        kind.is_empty() || kind == b"content_block_delta" || kind.ends_with(b".delta")
    }

    /// Whether the API tells its texts again when they are complete.
    pub(super) fn repeats_texts(&self) -> bool {
        self.reader.kind.starts_with(b"response.")
    }

    /// The texts of the event that is complete.
    pub(super) fn take_texts(&mut self) -> Vec<Text> {
        let mut texts = std::mem::take(&mut self.reader.texts);
        let kind = &self.reader.kind;
        // `response.function_call_arguments.delta` holds arguments under `delta`.
        if kind.windows(9).any(|part| part == b"arguments") {
            for text in &mut texts {
                text.escaping = Escaping::Twice;
            }
        }
        texts
    }

    /// The number of the last event that has one.
    pub(super) fn sequence(&self) -> u64 {
        self.reader.sequence
    }
}

impl Reader {
    /// Where an offset of the data stands in the stream. A string stands in one line, so this holds for both its ends.
    fn offset(&self, at: usize) -> u64 {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.at.wrapping_add(at).wrapping_sub(self.before)
    }
}

impl Sink for Reader {
    fn open(&mut self, container: Container, _at: usize) {
        self.walk.open(container, self.texts.len());
    }

    fn close(&mut self, _container: Container, _end: usize) {
        self.walk.close();
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        self.walk.key(key);
    }

    fn string_start(&mut self, at: usize) {
        let role = self.walk.string();
        if let Role::Text(word, escaping) = role {
            let start = self.offset(at.saturating_add(1));
            let place = self.walk.place(word);
            self.texts.push(Text {
                place,
                span: start..start,
                escaping,
            });
        }
        self.role = Some(role);
    }

    fn string_part(&mut self, raw: &[u8]) {
        if self.role == Some(Role::Kind) {
            let room = MAX_KIND_BYTES.saturating_sub(self.kind.len());
            self.kind.extend(raw.iter().take(room));
        }
    }

    fn string_end(&mut self, end: usize) {
        let end = self.offset(end.saturating_sub(1));
        if let (Some(Role::Text(..)), Some(text)) = (self.role.take(), self.texts.last_mut()) {
            text.span.end = end;
        }
    }

    fn scalar(&mut self, raw: &[u8], _end: usize) {
        match self.walk.scalar(raw) {
            Number::Index(found, more) => {
                for text in self.texts.iter_mut().skip(found) {
                    text.place.add(more);
                }
            }
            Number::Sequence(number) => self.sequence = number,
            Number::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> (Data, Vec<(String, Place, Escaping)>) {
        let mut reader = EventReader::default();
        for (at, byte) in data.bytes().enumerate() {
            reader.push(u64::try_from(at).unwrap(), &[byte]);
        }
        let kind = reader.finish();
        let texts = reader.take_texts();
        let text = |text: Text| {
            let span =
                usize::try_from(text.span.start).unwrap()..usize::try_from(text.span.end).unwrap();
            (data[span].to_owned(), text.place, text.escaping)
        };
        (kind, texts.into_iter().map(text).collect())
    }

    fn texts(data: &str) -> Vec<String> {
        read(data).1.into_iter().map(|(text, _, _)| text).collect()
    }

    fn place(data: &str) -> Place {
        let (_, texts) = read(data);
        assert_eq!(texts.len(), 1, "{data}");
        texts[0].1
    }

    #[test]
    fn texts_of_all_apis_are_found_and_nothing_else() {
        for (data, expected) in [
            (
                r#"{"id":"text","object":"chat.completion.chunk","model":"content","choices":[{"index":0,"delta":{"role":"assistant","content":"a\"b","refusal":null,"reasoning_content":"c","tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":"{\"q\""}}]},"logprobs":{"content":[{"token":"t"}]},"finish_reason":"stop"}]}"#,
                vec![r#"a\"b"#, "c", r#"{\"q\""#],
            ),
            (
                r#"{"choices":[{"text":"a","index":0,"finish_reason":null}],"usage":null}"#,
                vec!["a"],
            ),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},"b"]}}]}"#,
                vec!["a", "b"],
            ),
            (
                r#"{"choices":[{"message":{"function_call":{"name":"f","arguments":{"to":["a",{"x":"b"}]}}}}]}"#,
                vec!["a", "b"],
            ),
            (
                r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"a"}"#,
                vec!["a"],
            ),
            (
                r#"{"type":"response.created","response":{"instructions":"no","text":{"format":{"type":"text"}},"output":[{"summary":[{"type":"summary_text","text":"a"}]}]}}"#,
                vec!["a"],
            ),
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}"#,
                vec!["a"],
            ),
            (
                r#"{"type":"message","content":[{"type":"tool_use","name":"f","input":{"to":"a","n":[1,"b"]}},{"type":"text","text":"c"}]}"#,
                vec!["a", "b", "c"],
            ),
            (r#"{"error":{"message":"no","type":"text"}}"#, vec![]),
        ] {
            assert_eq!(texts(data), expected, "{data}");
        }
    }

    #[test]
    fn arguments_are_escaped_twice_and_input_is_not() {
        for (data, escaping) in [
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"a"}}]}}]}"#,
                Escaping::Twice,
            ),
            (
                r#"{"type":"content_block_delta","delta":{"partial_json":"a"}}"#,
                Escaping::Twice,
            ),
            (
                r#"{"type":"response.function_call_arguments.delta","delta":"a"}"#,
                Escaping::Twice,
            ),
            (
                r#"{"delta":"a","type":"response.function_call_arguments.delta"}"#,
                Escaping::Twice,
            ),
            (
                r#"{"type":"response.custom_tool_call_input.delta","delta":"a"}"#,
                Escaping::Once,
            ),
            (r#"{"content":[{"input":{"to":"a"}}]}"#, Escaping::Once),
        ] {
            assert_eq!(read(data).1[0].2, escaping, "{data}");
        }
    }

    #[test]
    fn places_tell_texts_apart_wherever_the_numbers_stand() {
        let chat = |index, key| {
            place(&format!(
                r#"{{"choices":[{{"index":{index},"delta":{{"{key}":"a"}}}}]}}"#
            ))
        };
        let late = place(r#"{"choices":[{"delta":{"content":"a"},"index":1}]}"#);
        assert_eq!(chat(1, "content"), late);
        assert_ne!(chat(0, "content"), late);
        assert_ne!(chat(1, "reasoning_content"), late);
        assert_eq!(chat(1, "reasoning_content").owner, late.owner);
        assert_ne!(chat(0, "content").owner, late.owner);
        let tool = |index| {
            place(&format!(
                r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},"function":{{"arguments":"a"}}}}]}}}}]}}"#
            ))
        };
        assert_ne!(tool(0), tool(1));
        assert_eq!(tool(0).owner, chat(0, "content").owner);
        let item = |output, content| {
            place(&format!(
                r#"{{"type":"response.output_text.delta","output_index":{output},"content_index":{content},"delta":"a"}}"#
            ))
        };
        assert_ne!(item(0, 1), item(1, 0));
        assert_eq!(item(0, 1).owner, item(0, 0).owner);
        let turned = place(
            r#"{"delta":"a","content_index":1,"output_index":0,"type":"response.output_text.delta"}"#,
        );
        assert_eq!(turned, item(0, 1));
    }

    #[test]
    fn events_tell_what_they_end() {
        let json = |is_delta, ends_texts, ends_stream| Data::Json {
            is_delta,
            ends_texts,
            ends_stream,
        };
        for (data, expected) in [
            ("", Data::Nothing),
            (" \n", Data::Nothing),
            ("[DONE]", Data::Done),
            ("[DONE] ", Data::Unreadable),
            ("hello", Data::Unreadable),
            ("{\"a\":", Data::Unreadable),
            ("{} {}", Data::Unreadable),
            ("{}", json(true, false, false)),
            (r#"{"type":"ping"}"#, json(false, false, false)),
            (r#"{"type":"content_block_stop"}"#, json(false, true, false)),
            (r#"{"type":"message_stop"}"#, json(false, true, true)),
            (r#"{"type":"response.completed"}"#, json(false, true, true)),
            (r#"{"a":{"type":"message_stop"}}"#, json(true, false, false)),
        ] {
            assert_eq!(read(data).0, expected, "{data}");
        }
    }
}
