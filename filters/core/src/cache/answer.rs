//! Which answers may be stored: complete chat completions whose every choice ended by itself.

use crate::json::{Container, Lexer, Sink};

/// Whether `body` is a complete chat completion in which every choice has `finish_reason: "stop"`.
#[must_use]
pub fn is_storable(body: &[u8]) -> bool {
    if std::str::from_utf8(body).is_err() {
        return false;
    }
    let mut lexer = Lexer::new();
    let mut answer = Answer::default();
    let complete = lexer
        .push(body, &mut answer)
        .and_then(|()| lexer.finish(&mut answer))
        .is_ok();
    complete && !answer.failed && answer.choices > 0 && answer.stopped == answer.choices
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Key {
    Choices,
    FinishReason,
    Error,
    #[default]
    Other,
}

#[derive(Debug, Default)]
struct Answer {
    depth: u16,
    key: Key,
    in_choices: bool,
    choices: u32,
    stopped: u32,
    failed: bool,
    reason: Vec<u8>,
    in_reason: bool,
}

impl Sink for Answer {
    fn open(&mut self, container: Container, _at: usize) {
        let key = std::mem::take(&mut self.key);
        if self.depth == 1 {
            self.in_choices = key == Key::Choices && container == Container::Array;
            self.failed |= key == Key::Error;
        }
        if self.depth == 2 && self.in_choices {
            self.choices = self.choices.saturating_add(1);
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self, _container: Container, _end: usize) {
        self.depth = self.depth.saturating_sub(1);
        self.key = Key::Other;
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        self.key = match key {
            b"choices" => Key::Choices,
            b"finish_reason" => Key::FinishReason,
            b"error" => Key::Error,
            _ => Key::Other,
        };
    }

    fn string_start(&mut self, _at: usize) {
        let key = std::mem::take(&mut self.key);
        self.failed |= key == Key::Error && self.depth == 1;
        self.in_reason = key == Key::FinishReason && self.depth == 3 && self.in_choices;
        self.reason.clear();
    }

    fn string_part(&mut self, raw: &[u8]) {
        if self.in_reason && self.reason.len() < 16 {
            self.reason.extend_from_slice(raw);
        }
    }

    fn string_end(&mut self, _end: usize) {
        if std::mem::take(&mut self.in_reason) && self.reason == b"stop" {
            self.stopped = self.stopped.saturating_add(1);
        }
    }

    fn scalar(&mut self, _raw: &[u8], _end: usize) {
        self.key = Key::Other;
    }
}

#[cfg(test)]
mod tests {
    use super::is_storable;

    #[test]
    fn complete_answers_are_storable() {
        assert!(is_storable(
            br#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"error":null}"#
        ));
        assert!(is_storable(
            br#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"stop"}]}"#
        ));
    }

    #[test]
    fn others_are_not() {
        for body in [
            r#"{"choices":[{"finish_reason":"length"}]}"#,
            r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"content_filter"}]}"#,
            r#"{"choices":[{"finish_reason":null}]}"#,
            r#"{"choices":[{"message":{"finish_reason":"stop"}}]}"#,
            r#"{"choices":[]}"#,
            r#"{"error":{"message":"x"},"choices":[{"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"finish_reason":"stop"}]"#,
            r#"[]"#,
            "",
        ] {
            assert!(!is_storable(body.as_bytes()), "{body}");
        }
    }
}
