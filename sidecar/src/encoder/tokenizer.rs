//! Text to token ids, with the `tokenizer.json` of the model.
//!
//! Padding and truncation settings of that file are replaced: the queue pads per batch, and `sidecar.encoder.max_tokens`
//! is the limit.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

/// Bytes of a text that are looked at, per token of the limit. English has about 4.5 bytes a token; 64 leaves room for any
/// script and for runs of spaces, and keeps a megabyte of text from costing a second of tokenization.
const MAX_BYTES_PER_TOKEN: usize = 64;

/// A text as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedText {
    /// Token ids, special tokens included.
    pub input_ids: Vec<u32>,
    /// Whether the end of the text was cut off: the vector then says nothing about it.
    pub truncated: bool,
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
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
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            tokenizer,
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
}
