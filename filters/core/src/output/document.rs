//! An answer that is one JSON document, read while it comes.
//!
//! Each text is judged by itself, window by window. Bytes pass as they come, but for the beginning of what may be a placeholder; it is
//! the caller who holds an answer until it was judged.

use super::judge::{Judge, Unread};
use super::restore::{Escaping, Pending, Placeholders};
use super::splice::{Span, Splicer, length};
use super::walk::{Role, Walk};
use super::windows::{DOCUMENT_STEP, Windows};
use crate::json::{Container, Lexer, Sink, unescape_into, unescape_settled};

/// The document.
#[derive(Debug)]
pub(super) struct Document {
    lexer: Lexer,
    reader: Reader,
    is_broken: bool,
    is_empty: bool,
}

#[derive(Debug)]
struct Reader {
    walk: Walk,
    placeholders: Placeholders,
    guarded: bool,
    splicer: Splicer,
    /// The text that we are in.
    text: Option<Text>,
    /// Where the document's `usage` stands; it has no end before it is complete.
    usage: Option<Span>,
    is_stopped: bool,
}

#[derive(Debug)]
struct Text {
    windows: Windows,
    escape: Escape,
    escaping: Escaping,
    pending: Pending,
    /// Where its next byte stands.
    at: u64,
}

/// Reader and judge, while bytes are read.
struct Reading<'r> {
    reader: &'r mut Reader,
    judge: &'r mut dyn Judge,
}

impl Document {
    pub(super) fn new(placeholders: Placeholders, guarded: bool) -> Self {
        Self {
            lexer: Lexer::new(),
            reader: Reader {
                walk: Walk::default(),
                placeholders,
                guarded,
                splicer: Splicer::default(),
                text: None,
                usage: None,
                is_stopped: false,
            },
            is_broken: false,
            is_empty: true,
        }
    }

    /// Takes the next chunk; gives the bytes that take its place, where placeholders are looked for.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        end_of_stream: bool,
        judge: &mut dyn Judge,
    ) -> Option<Vec<u8>> {
        let reader = &mut self.reader;
        let restores = !reader.placeholders.is_empty();
        if restores {
            reader.splicer.push(chunk);
        }
        self.is_empty &= chunk.is_empty();
        if !self.is_broken {
            let mut sink = Reading { reader, judge };
            let mut read = self.lexer.push(chunk, &mut sink);
            if end_of_stream && !self.is_empty {
                read = read.and_then(|()| self.lexer.finish(&mut sink));
            }
            self.is_broken = read.is_err();
            if self.is_broken {
                self.reader.text = None;
                if !self.reader.is_stopped {
                    self.reader.is_stopped = !judge.may_pass_unread(Unread::Syntax);
                }
            }
        }
        restores.then(|| self.take(end_of_stream))
    }

    /// Whether something was found that may not pass.
    pub(super) fn is_stopped(&self) -> bool {
        self.reader.is_stopped
    }

    /// Where the document's `usage` stands.
    pub(super) fn usage(&self) -> Option<&Span> {
        self.reader.usage.as_ref().filter(|usage| !usage.is_empty())
    }

    /// Takes the bytes that may pass.
    fn take(&mut self, end_of_stream: bool) -> Vec<u8> {
        let Reader { splicer, text, .. } = &mut self.reader;
        let pending = text.as_ref().and_then(|text| text.pending.start());
        let free = pending.filter(|_| !end_of_stream);
        let mut out = Vec::new();
        splicer.release(free.unwrap_or_else(|| splicer.end()), &mut out);
        out
    }
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

impl Sink for Reading<'_> {
    fn open(&mut self, container: Container, at: usize) {
        if self.reader.walk.open(container, 0) {
            self.reader.usage = Some(offset(at)..offset(at));
        }
    }

    fn close(&mut self, _container: Container, end: usize) {
        let depth = self.reader.walk.close();
        // Only `usage` has an open span while a member of the document closes.
        if depth == 1
            && let Some(usage) = self.reader.usage.as_mut().filter(|usage| usage.is_empty())
        {
            usage.end = offset(end);
        }
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        self.reader.walk.key(key);
    }

    fn string_start(&mut self, at: usize) {
        if let Role::Text(_, escaping) = self.reader.walk.string() {
            self.reader.text = Some(Text {
                windows: Windows::new(DOCUMENT_STEP),
                escape: Escape::default(),
                escaping,
                pending: Pending::default(),
                at: offset(at).saturating_add(1),
            });
        }
    }

    fn string_part(&mut self, raw: &[u8]) {
        let Reader {
            placeholders,
            guarded,
            splicer,
            text: Some(text),
            is_stopped,
            ..
        } = &mut *self.reader
        else {
            return;
        };
        if *guarded && !*is_stopped {
            let part = text.escape.push(raw);
            *is_stopped = !text.windows.push(part, self.judge);
        }
        if !placeholders.is_empty() {
            let piece = (text.at, raw);
            placeholders.feed(&mut text.pending, piece, text.escaping, splicer);
            text.at = text.at.saturating_add(length(raw));
        }
    }

    fn string_end(&mut self, _end: usize) {
        let Some(mut text) = self.reader.text.take() else {
            return;
        };
        if self.reader.guarded && !self.reader.is_stopped {
            let part = text.escape.finish();
            let may_pass = text.windows.push(part, self.judge) && text.windows.flush(self.judge);
            self.reader.is_stopped = !may_pass;
        }
    }

    fn scalar(&mut self, raw: &[u8], _end: usize) {
        self.reader.walk.scalar(raw);
    }
}

/// Unescapes a string that comes in pieces.
#[derive(Debug, Default)]
struct Escape {
    /// Of an escape that is not complete.
    raw: Vec<u8>,
    text: Vec<u8>,
}

impl Escape {
    /// The text that is complete with these raw bytes.
    fn push(&mut self, raw: &[u8]) -> &[u8] {
        self.text.clear();
        if self.raw.is_empty() {
            let open = unescape_settled(raw, &mut self.text);
            self.raw.extend_from_slice(open);
        } else {
            self.raw.extend_from_slice(raw);
            let open = unescape_settled(&self.raw, &mut self.text).len();
            self.raw.drain(..self.raw.len().saturating_sub(open));
        }
        &self.text
    }

    /// What is left at the end of the string.
    fn finish(&mut self) -> &[u8] {
        self.text.clear();
        unescape_into(&self.raw, &mut self.text);
        self.raw.clear();
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_pieces_are_what_they_are_in_one() {
        for raw in [
            r#"a\n\"b\\\u00e9c\/"#,
            r"\ud83d\ude00x\ud83d\ude00",
            r"\ud83dx",
            r"\ud83d\n",
            r"\ud83d\u0041",
            r"\ud83d",
            r"\ude00\uD83D\uDE00",
            r"\\ud83d\\",
        ] {
            let mut whole = Vec::new();
            unescape_into(raw.as_bytes(), &mut whole);
            for size in 1..=raw.len() {
                let (mut escape, mut text) = (Escape::default(), Vec::new());
                for part in raw.as_bytes().chunks(size) {
                    text.extend_from_slice(escape.push(part));
                }
                text.extend_from_slice(escape.finish());
                assert_eq!(text, whole, "{raw} in pieces of {size}");
            }
        }
    }
}
