//! Finds token usage in a JSON document that passes in pieces.
//!
//! Usage objects are looked for at `usage`, `response.usage` (responses API) and `message.usage` (Anthropic `message_start`).
//! Fields of a later object replace those of an earlier one, so that cumulative usage ends at its last value.
//! What is held: one key, one number and a few flags.

use crate::json::{Container, Lexer, Sink};

/// Largest count that is believed. No model takes or gives as many tokens in one request; a server that says so is broken, and a
/// few such answers would make a 64-bit counter start again at 0.
const MAX_TOKENS: u64 = 1 << 32;

/// Token counts as a server reported them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens` or `input_tokens`.
    pub prompt_tokens: Option<u64>,
    /// `completion_tokens` or `output_tokens`.
    pub completion_tokens: Option<u64>,
}

impl Usage {
    /// Takes over what `later` knows.
    pub fn merge(&mut self, later: Self) {
        self.prompt_tokens = later.prompt_tokens.or(self.prompt_tokens);
        self.completion_tokens = later.completion_tokens.or(self.completion_tokens);
    }

    /// Whether anything was reported.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.prompt_tokens.is_some() || self.completion_tokens.is_some()
    }
}

/// What a document told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Usage, as far as it was told.
    pub usage: Usage,
    /// `choices` is an empty list.
    pub no_choices: bool,
    /// Raw bytes of generated text.
    pub text_bytes: u64,
}

/// Reads one document, in pieces.
#[derive(Debug, Clone, Default)]
pub struct UsageScanner {
    lexer: Lexer,
    reader: Reader,
    broken: bool,
}

impl UsageScanner {
    /// Ready for the next document.
    pub fn reset(&mut self) {
        self.lexer.reset();
        self.reader = Reader::default();
        self.broken = false;
    }

    /// Takes the next bytes. What is not JSON (`[DONE]`) is ignored from there on.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.broken = self.lexer.push(bytes, &mut self.reader).is_err();
        }
    }

    /// What has been told so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.reader.report
    }
}

/// Key of an object that matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Key {
    Usage,
    /// `response`, `message`: may hold `usage`.
    Envelope,
    Choices,
    Prompt,
    Completion,
    /// Holds generated text.
    Text,
    #[default]
    Other,
}

#[derive(Debug, Clone, Default)]
struct Reader {
    report: Report,
    depth: u16,
    key: Key,
    /// The document's member that we are in.
    top: Key,
    /// Depth of the members of the usage object that we are in; 0 = in none.
    usage_depth: u16,
    /// Depth inside `choices`, to see whether anything comes before its end.
    choices_open: bool,
    in_text: bool,
}

impl Reader {
    fn value_starts(&mut self) {
        if self.choices_open {
            self.report.no_choices = false;
            self.choices_open = false;
        }
    }
}

impl Sink for Reader {
    fn open(&mut self, container: Container, _at: usize) {
        self.value_starts();
        let key = std::mem::take(&mut self.key);
        let in_envelope = self.depth == 2 && self.top == Key::Envelope;
        if container == Container::Object && key == Key::Usage && (self.depth == 1 || in_envelope) {
            self.usage_depth = self.depth.saturating_add(1);
        }
        if container == Container::Array && key == Key::Choices && self.depth == 1 {
            self.report.no_choices = true;
            self.choices_open = true;
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self, _container: Container, _end: usize) {
        if self.usage_depth == self.depth {
            self.usage_depth = 0;
        }
        self.choices_open = false;
        self.depth = self.depth.saturating_sub(1);
        self.key = Key::Other;
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        self.key = match key {
            b"usage" => Key::Usage,
            b"response" | b"message" if self.depth == 1 => Key::Envelope,
            b"choices" => Key::Choices,
            b"prompt_tokens" | b"input_tokens" => Key::Prompt,
            b"completion_tokens" | b"output_tokens" => Key::Completion,
            b"content" | b"text" | b"reasoning_content" | b"reasoning" | b"arguments"
            | b"delta" | b"thinking" | b"partial_json" => Key::Text,
            _ => Key::Other,
        };
        if self.depth == 1 {
            self.top = self.key;
        }
    }

    fn string_start(&mut self, _at: usize) {
        self.value_starts();
        self.in_text = self.key == Key::Text;
        self.key = Key::Other;
    }

    fn string_part(&mut self, raw: &[u8]) {
        if self.in_text {
            let more = u64::try_from(raw.len()).unwrap_or(u64::MAX);
            self.report.text_bytes = self.report.text_bytes.saturating_add(more);
        }
    }

    fn string_end(&mut self, _end: usize) {
        self.in_text = false;
    }

    fn scalar(&mut self, raw: &[u8], _end: usize) {
        self.value_starts();
        let key = std::mem::take(&mut self.key);
        if self.usage_depth == 0 || self.usage_depth != self.depth {
            return;
        }
        let number = std::str::from_utf8(raw)
            .ok()
            .and_then(|n| n.parse::<u64>().ok())
            .filter(|n| *n <= MAX_TOKENS);
        match key {
            Key::Prompt => self.report.usage.prompt_tokens = number,
            Key::Completion => self.report.usage.completion_tokens = number,
            _ => {}
        }
    }
}
