//! Finds token usage in a JSON document that passes in pieces.
//!
//! Usage objects are looked for at `usage`, `response.usage` (responses API) and `message.usage` (Anthropic `message_start`),
//! their details one level deeper. Fields of a later object replace those of an earlier one, so that cumulative usage ends at its
//! last value. What is held: one key, one number and a few flags.
//!
//! Sources: OpenAI API reference, "The chat completion object" and "The response object"; Anthropic API reference, "Messages";
//! Gemini API, "OpenAI compatibility".

use crate::json::{Container, Lexer, Sink};

/// Largest count that is believed. No model takes or gives as many tokens in one request; a server that says so is broken, and a
/// few such answers would make a 64-bit counter start again at 0.
const MAX_TOKENS: u64 = 1 << 32;

/// Token counts as a server reported them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens`, or `input_tokens`.
    pub prompt_tokens: Option<u64>,
    /// `completion_tokens`, or `output_tokens`.
    pub completion_tokens: Option<u64>,
    /// `cached_tokens` of the prompt's details: part of `prompt_tokens`.
    pub cached_tokens: Option<u64>,
    /// `reasoning_tokens` of the completion's details: part of `completion_tokens`.
    pub reasoning_tokens: Option<u64>,
    /// Anthropic's `cache_read_input_tokens`: *not* part of `input_tokens`.
    pub cache_read_tokens: Option<u64>,
    /// Anthropic's `cache_creation_input_tokens`: *not* part of `input_tokens`.
    pub cache_creation_tokens: Option<u64>,
}

impl Usage {
    /// Takes over what `later` knows.
    pub fn merge(&mut self, later: Self) {
        self.prompt_tokens = later.prompt_tokens.or(self.prompt_tokens);
        self.completion_tokens = later.completion_tokens.or(self.completion_tokens);
        self.cached_tokens = later.cached_tokens.or(self.cached_tokens);
        self.reasoning_tokens = later.reasoning_tokens.or(self.reasoning_tokens);
        self.cache_read_tokens = later.cache_read_tokens.or(self.cache_read_tokens);
        self.cache_creation_tokens = later.cache_creation_tokens.or(self.cache_creation_tokens);
    }

    /// Whether anything was reported.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.prompt_tokens.is_some() || self.completion_tokens.is_some()
    }

    /// All tokens of the prompt, cached ones included.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.prompt_tokens
            .unwrap_or_default()
            .saturating_add(self.cache_read_tokens.unwrap_or_default())
            .saturating_add(self.cache_creation_tokens.unwrap_or_default())
    }

    /// All tokens of the completion, reasoning included.
    #[must_use]
    pub fn completion(&self) -> u64 {
        self.completion_tokens.unwrap_or_default()
    }

    /// Tokens of the prompt that the server had cached, at most [`Self::prompt`].
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.cached_tokens
            .or(self.cache_read_tokens)
            .unwrap_or_default()
            .min(self.prompt())
    }

    /// Tokens of the completion that were spent on reasoning, at most [`Self::completion`].
    #[must_use]
    pub fn reasoning(&self) -> u64 {
        self.reasoning_tokens
            .unwrap_or_default()
            .min(self.completion())
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

    /// Whether the document is not JSON from some byte on.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
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
    /// `prompt_tokens_details`, `completion_tokens_details` and their `input`, `output` names.
    Details,
    Cached,
    Reasoning,
    CacheRead,
    CacheCreation,
    /// Holds generated text.
    Text,
    #[default]
    Other,
}

impl Key {
    fn of(key: &[u8], depth: u16) -> Self {
        match key {
            b"usage" => Self::Usage,
            b"response" | b"message" if depth == 1 => Self::Envelope,
            b"choices" => Self::Choices,
            b"prompt_tokens" | b"input_tokens" => Self::Prompt,
            b"completion_tokens" | b"output_tokens" => Self::Completion,
            b"prompt_tokens_details"
            | b"input_tokens_details"
            | b"completion_tokens_details"
            | b"output_tokens_details" => Self::Details,
            b"cached_tokens" => Self::Cached,
            b"reasoning_tokens" => Self::Reasoning,
            b"cache_read_input_tokens" => Self::CacheRead,
            b"cache_creation_input_tokens" => Self::CacheCreation,
            b"content" | b"text" | b"reasoning_content" | b"reasoning" | b"arguments"
            | b"delta" | b"thinking" | b"partial_json" => Self::Text,
            _ => Self::Other,
        }
    }
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
    /// Depth of the members of its details that we are in; 0 = in none.
    details_depth: u16,
    /// `choices` is open and nothing has come in it yet.
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
        let members = self.depth.saturating_add(1);
        let in_envelope = self.depth == 2 && self.top == Key::Envelope;
        if container == Container::Object {
            if key == Key::Usage && (self.depth == 1 || in_envelope) {
                self.usage_depth = members;
            } else if key == Key::Details && self.usage_depth != 0 && self.depth == self.usage_depth
            {
                self.details_depth = members;
            }
        }
        if container == Container::Array && key == Key::Choices && self.depth == 1 {
            self.report.no_choices = true;
            self.choices_open = true;
        }
        self.depth = members;
    }

    fn close(&mut self, _container: Container, _end: usize) {
        if self.usage_depth == self.depth {
            self.usage_depth = 0;
        }
        if self.details_depth == self.depth {
            self.details_depth = 0;
        }
        self.choices_open = false;
        self.depth = self.depth.saturating_sub(1);
        self.key = Key::Other;
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        self.key = Key::of(key, self.depth);
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
        if self.usage_depth == 0 {
            return;
        }
        let number = std::str::from_utf8(raw)
            .ok()
            .and_then(|n| n.parse::<u64>().ok())
            .filter(|n| *n <= MAX_TOKENS);
        let usage = &mut self.report.usage;
        if self.depth == self.usage_depth {
            match key {
                Key::Prompt => usage.prompt_tokens = number,
                Key::Completion => usage.completion_tokens = number,
                Key::CacheRead => usage.cache_read_tokens = number,
                Key::CacheCreation => usage.cache_creation_tokens = number,
                _ => {}
            }
        } else if self.depth == self.details_depth {
            match key {
                Key::Cached => usage.cached_tokens = number,
                Key::Reasoning => usage.reasoning_tokens = number,
                _ => {}
            }
        }
    }
}
