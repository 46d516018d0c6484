//! Text to token ids, with the `tokenizer.json` of the model.
//!
//! Padding and truncation settings of that file are replaced: the queue pads per batch, and `sidecar.encoder.max_tokens`
//! is the limit.

use std::path::Path;

use tokenizers::{Encoding, PostProcessor as _, Tokenizer, TruncationDirection, TruncationParams};

/// Bytes of a text that are looked at, per token of the limit. English has about 4.5 bytes a token; 64 leaves room for any
/// script and for runs of spaces, and keeps a megabyte of text from costing a second of tokenization.
const MAX_BYTES_PER_TOKEN: usize = 64;

/// Tokens of a window that trained heads read, special tokens included, and those that it shares with the next: as in the
/// training (`models/classifier/teacher.py`).
pub const WINDOW: usize = 128;
const OVERLAP: usize = 30;

/// Bytes of a text that are cut into windows: the default limit of a request in the proxy.
const MAX_WINDOWED_BYTES: usize = 1 << 20;

/// A text as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedText {
    /// Token ids, special tokens included.
    pub input_ids: Vec<u32>,
    /// Whether the end of the text was cut off: the vector then says nothing about it.
    pub truncated: bool,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The part itself.
    pub text: String,
    /// As the model reads it.
    pub tokens: TokenizedText,
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    windows: Tokenizer,
    max_tokens: usize,
}

impl TextTokenizer {
    /// Loads `tokenizer.json`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn from_file(path: &Path, max_tokens: usize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        let mut windows = tokenizer.clone();
        // A tokenizer that truncates stops reading at its limit: windows are cut from the whole.
        windows.with_truncation(None).map_err(|e| e.to_string())?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            tokenizer,
            windows,
            max_tokens,
        })
    }

    /// Tokenizes one text. At most 64 bytes per token of the limit are read.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn tokenize(&self, text: &str) -> Result<TokenizedText, String> {
        let read = &text[..text.floor_char_boundary(self.max_tokens * MAX_BYTES_PER_TOKEN)];
        let encoding = self
            .tokenizer
            .encode_fast(read, true)
            .map_err(|e| e.to_string())?;
        Ok(TokenizedText {
            input_ids: encoding.get_ids().to_vec(),
            truncated: read.len() < text.len() || !encoding.get_overflowing().is_empty(),
        })
    }

    /// Cuts a text into the windows that trained heads read, the first megabyte of it.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn windows(&self, text: &str) -> Result<Vec<Window>, String> {
        let read = &text[..text.floor_char_boundary(MAX_WINDOWED_BYTES)];
        let special = self.windows.get_post_processor();
        let special = special.map_or(0, |processor| processor.added_tokens(false));
        let room = WINDOW.min(self.max_tokens).saturating_sub(special).max(1);
        let mut first = self
            .windows
            .encode(read, false)
            .map_err(|e| e.to_string())?;
        first.truncate(room, OVERLAP.min(room / 4), TruncationDirection::Right);
        let first = self
            .windows
            .post_process(first, None, true)
            .map_err(|e| e.to_string())?;
        if first.get_overflowing().is_empty() {
            return Ok(vec![Window {
                text: read.to_owned(),
                tokens: tokens(&first),
            }]);
        }
        let mut all: Vec<&Encoding> = vec![&first];
        all.extend(first.get_overflowing());
        Ok(all
            .into_iter()
            .map(|encoding| Window {
                text: covered(read, encoding).to_owned(),
                tokens: tokens(encoding),
            })
            .collect())
    }
}

fn tokens(encoding: &Encoding) -> TokenizedText {
    TokenizedText {
        input_ids: encoding.get_ids().to_vec(),
        truncated: false,
    }
}

/// What a window covers of the text, special tokens (0..0) left out.
fn covered<'t>(text: &'t str, encoding: &Encoding) -> &'t str {
    let real = || encoding.get_offsets().iter().filter(|(from, to)| from < to);
    let from = real().map(|(from, _)| *from).min().unwrap_or_default();
    let to = real().map(|(_, to)| *to).max().unwrap_or_default();
    text.get(from..to).unwrap_or_default()
}
