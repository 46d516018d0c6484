//! Text to token ids, with the `tokenizer.json` of the model.
//!
//! Padding and truncation settings of that file are replaced: the queue pads per batch, and the configuration has the limit.

mod pairs;
mod word_pieces;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use crate::blocking::INLINE_BYTES;
use crate::model::TokenizedText;
use word_pieces::WordPieces;

pub use pairs::PairTokenizer;

/// Bytes of a text that are looked at, per token of the limit. English has about 4.5 bytes a token; 64 leaves room for any
/// script and for runs of spaces, and keeps a megabyte of text from costing a second of tokenization.
const MAX_BYTES_PER_TOKEN: usize = 64;

/// Bytes of a text that are cut into windows: the default limit of a request in the proxy.
pub const MAX_WINDOWED_BYTES: usize = 1 << 20;

/// Word pieces take some 10 ns a byte.
const INLINE_WORD_PIECE_BYTES: usize = 16 << 10;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Where it lies, in bytes of the text.
    pub range: Range<usize>,
    /// How many of the text's tokens lie before its own.
    pub start: usize,
    /// As the model reads it.
    pub tokens: TokenizedText,
    /// Where each of its own tokens lies in the text; those of the frame are left out. Empty in a [`TextTokenizer::single_window`].
    pub offsets: Vec<Range<usize>>,
    /// Tokens of the frame before them.
    pub lead: usize,
}

impl Window {
    /// How many of the text's tokens lie before its end.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.offsets.len()
    }
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Without truncation: a tokenizer that truncates stops reading at its limit, and windows are cut from the whole.
    whole: Tokenizer,
    /// The fast way, for tokenizers that have one.
    word_pieces: Option<WordPieces>,
    max_tokens: usize,
    prefix: String,
    /// Special tokens around every text.
    frame: (Vec<u32>, Vec<u32>),
    /// Tokens around every window: special ones, and the prefix.
    before: Vec<u32>,
    after: Vec<u32>,
}

impl TextTokenizer {
    /// Loads `tokenizer.json`. `prefix` stands before every text, as the model was trained.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn from_file(path: &Path, max_tokens: usize, prefix: &str) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        let mut whole = tokenizer.clone();
        whole.with_truncation(None).map_err(|e| e.to_string())?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| e.to_string())?;
        let frame = frame(&whole)?;
        let (mut before, after) = frame.clone();
        let prefix_tokens = whole
            .encode_fast(prefix, false)
            .map_err(|e| e.to_string())?;
        before.extend(prefix_tokens.get_ids());
        Ok(Self {
            word_pieces: WordPieces::of(&whole),
            tokenizer,
            whole,
            max_tokens,
            prefix: prefix.to_owned(),
            frame,
            before,
            after,
        })
    }

    /// Most tokens of a text or window, special ones and the prefix included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Bytes of a text that [`Self::tokenize`] looks at.
    #[must_use]
    pub fn read_bytes(&self) -> usize {
        self.max_tokens * MAX_BYTES_PER_TOKEN
    }

    /// Tokenizes one text behind the prefix. At most 64 bytes per token of the limit are read.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn tokenize(&self, text: &str) -> Result<TokenizedText, String> {
        self.tokenize_behind(&self.prefix, text)
    }

    /// Tokenizes one text behind another prefix.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn tokenize_behind(&self, prefix: &str, text: &str) -> Result<TokenizedText, String> {
        let read = &text[..text.floor_char_boundary(self.read_bytes())];
        let text_is_cut = read.len() < text.len();
        let read = match prefix {
            "" => Cow::Borrowed(read),
            prefix => Cow::Owned(format!("{prefix}{read}")),
        };
        if let Some(mut tokenized) = self.read_word_pieces(&read) {
            tokenized.truncated |= text_is_cut;
            return Ok(tokenized);
        }
        let encoding = self.tokenizer.encode_fast(&*read, true);
        let encoding = encoding.map_err(|e| e.to_string())?;
        Ok(TokenizedText {
            input_ids: encoding.get_ids().to_vec(),
            token_type_ids: Vec::new(),
            truncated: text_is_cut || !encoding.get_overflowing().is_empty(),
        })
    }

    /// Bytes of text up to which [`Self::tokenize`] takes less time than the way to another thread.
    #[must_use]
    pub(crate) fn inline_bytes(&self) -> usize {
        inline_bytes(self.word_pieces.as_ref())
    }

    /// The window of a text that has room in one of `size` tokens, its tokens without their places; read fast, or not at all.
    #[must_use]
    pub fn single_window(&self, text: &str, size: usize) -> Option<Window> {
        let room = size
            .min(self.max_tokens)
            .checked_sub(self.before.len() + self.after.len())?;
        if text.len() > self.inline_bytes() {
            return None;
        }
        let tokens = self.word_pieces.as_ref()?.read(text, room + 1)?;
        (tokens.len() <= room).then(|| Window {
            range: 0..text.len(),
            start: 0,
            tokens: TokenizedText {
                input_ids: [&*self.before, &tokens, &self.after].concat(),
                token_type_ids: Vec::new(),
                truncated: false,
            },
            offsets: Vec::new(),
            lead: self.before.len(),
        })
    }

    fn read_word_pieces(&self, text: &str) -> Option<TokenizedText> {
        let (before, after) = &self.frame;
        let room = self.max_tokens.checked_sub(before.len() + after.len())?;
        let tokens = self.word_pieces.as_ref()?.read(text, room + 1)?;
        let taken = tokens.get(..room).unwrap_or(&tokens);
        Some(TokenizedText {
            input_ids: [before, taken, after].concat(),
            token_type_ids: Vec::new(),
            truncated: tokens.len() > room,
        })
    }

    /// Cuts a text, the first megabyte of it, into windows of at most `size` tokens with the frame, `overlap` of them shared
    /// with the next. There is always one.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn windows(&self, text: &str, size: usize, overlap: usize) -> Result<Vec<Window>, String> {
        let read = &text[..text.floor_char_boundary(MAX_WINDOWED_BYTES)];
        let frame = self.before.len() + self.after.len();
        let room = size.min(self.max_tokens).saturating_sub(frame).max(1);
        let step = room - overlap.min(room / 4);
        let encoding = self.whole.encode(read, false).map_err(|e| e.to_string())?;
        let (ids, offsets) = (encoding.get_ids(), encoding.get_offsets());
        let mut windows = Vec::with_capacity(ids.len() / step + 1);
        let mut start = 0;
        loop {
            let end = (start + room).min(ids.len());
            let offsets: Vec<Range<usize>> = offsets
                .get(start..end)
                .unwrap_or_default()
                .iter()
                .map(|(from, to)| *from..*to)
                .collect();
            let is_whole = start == 0 && end == ids.len();
            windows.push(Window {
                range: if is_whole {
                    0..read.len()
                } else {
                    covered(&offsets)
                },
                start,
                tokens: TokenizedText {
                    input_ids: [
                        &self.before,
                        ids.get(start..end).unwrap_or_default(),
                        &self.after,
                    ]
                    .concat(),
                    token_type_ids: Vec::new(),
                    truncated: false,
                },
                offsets,
                lead: self.before.len(),
            });
            if end == ids.len() {
                return Ok(windows);
            }
            start += step;
        }
    }
}

/// Bytes of text that are read in less time than the way to another thread takes.
fn inline_bytes(word_pieces: Option<&WordPieces>) -> usize {
    match word_pieces {
        Some(_) => INLINE_WORD_PIECE_BYTES,
        None => INLINE_BYTES,
    }
}

/// What the post-processor puts before and after a text.
fn frame(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), String> {
    let encode = |special| {
        let encoding = tokenizer
            .encode_fast("a", special)
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(encoding.get_ids().to_vec())
    };
    let (bare, framed) = (encode(false)?, encode(true)?);
    let at = framed
        .windows(bare.len().max(1))
        .position(|part| part == bare)
        .ok_or("the post-processor changes the text")?;
    let (before, rest) = framed.split_at(at);
    Ok((before.to_vec(), rest[bare.len()..].to_vec()))
}

/// What tokens cover of the text, those without a place (0..0) left out.
fn covered(offsets: &[Range<usize>]) -> Range<usize> {
    let real = || offsets.iter().filter(|range| !range.is_empty());
    let from = real().map(|range| range.start).min().unwrap_or_default();
    from..real().map(|range| range.end).max().unwrap_or_default()
}
