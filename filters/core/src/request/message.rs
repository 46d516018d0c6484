//! A message and where its texts stand.

use std::cmp::Reverse;
use std::ops::Range;

use crate::json::{Span, pieces, unescape_into};

/// A message and the raw spans (without quotes) of its texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Text parts.
    pub texts: Vec<Span>,
    /// Value of its `content`, if it has one.
    pub content: Option<Span>,
    /// Offset behind the `{` of its object; `None` where it is a string.
    pub start: Option<usize>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// `system` or `developer`
    System,
    /// `user`, and where none is written
    #[default]
    User,
    /// `assistant`
    Assistant,
    /// `tool`, `function`, and any other; results of tools, however the API writes them
    Tool,
}

impl Message {
    pub(super) fn of_text(role: Role, text: Span) -> Self {
        Self {
            role,
            texts: vec![text],
            ..Self::default()
        }
    }

    /// Its text parts, unescaped, joined by line feeds.
    #[must_use]
    pub fn text(&self, body: &[u8]) -> String {
        let mut text = Vec::new();
        for (i, span) in self.texts.iter().enumerate() {
            if i > 0 {
                text.push(b'\n');
            }
            unescape_into(body.get(span.clone()).unwrap_or_default(), &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.texts.iter().map(ExactSizeIterator::len).sum()
    }

    /// Where bytes of [`Self::text`] stand in `body`: for each of `ranges` its number and the raw span, one for each text part that it
    /// touches, in order of the parts. Whole characters and escapes: what is touched in part is in the span.
    #[must_use]
    pub fn spans_of(&self, body: &[u8], ranges: &[Range<usize>]) -> Vec<(usize, Span)> {
        // By their start, the last one first, to be taken from the end as parts come.
        let mut later: Vec<(usize, Range<usize>)> = ranges.iter().cloned().enumerate().collect();
        later.sort_unstable_by_key(|(i, range)| Reverse((range.start, *i)));
        // Those that began and have not ended.
        let mut open: Vec<(usize, Range<usize>)> = Vec::new();
        let mut spans = Vec::new();
        let mut begin = 0_usize;
        for part in &self.texts {
            if later.is_empty() && open.is_empty() {
                break;
            }
            let raw = body.get(part.clone()).unwrap_or_default();
            let length = pieces(raw).map(|piece| piece.text);
            let end = begin.saturating_add(length.fold(0, usize::saturating_add));
            while let Some(range) = later.pop_if(|(_, range)| range.start < end) {
                open.push(range);
            }
            let inside = |offset: usize| offset.max(begin).min(end).saturating_sub(begin);
            let mut touching: Vec<(usize, Range<usize>)> = open
                .iter()
                .map(|(i, range)| (*i, inside(range.start)..inside(range.end)))
                .filter(|(_, range)| !range.is_empty())
                .collect();
            touching.sort_unstable_by_key(|(i, _)| *i);
            for (i, span) in raw_spans(raw, touching) {
                let at = |offset: usize| offset.saturating_add(part.start);
                spans.push((i, at(span.start)..at(span.end)));
            }
            open.retain(|(_, range)| range.end > end);
            // The line feed that joins two parts stands nowhere.
            begin = end.saturating_add(1);
        }
        spans
    }
}

/// Spans of `raw` whose texts hold `ranges` of its text.
fn raw_spans(raw: &[u8], ranges: Vec<(usize, Range<usize>)>) -> Vec<(usize, Span)> {
    if ranges.is_empty() {
        return Vec::new();
    }
    // Every start and end, in order, to be met in one walk: its offset, the range, whether it is an end.
    let mut wanted: Vec<(usize, usize, bool)> = Vec::with_capacity(ranges.len().saturating_mul(2));
    for (at, (_, range)) in ranges.iter().enumerate() {
        wanted.push((range.start, at, false));
        wanted.push((range.end, at, true));
    }
    wanted.sort_unstable();
    let mut wanted = wanted.into_iter().peekable();
    let mut spans: Vec<(usize, Span)> = ranges.iter().map(|(i, _)| (*i, 0..0)).collect();
    let (mut text, mut from) = (0_usize, 0_usize);
    for piece in pieces(raw) {
        let text_end = text.saturating_add(piece.text);
        let raw_end = from.saturating_add(piece.raw);
        let is_inside =
            |offset: usize, is_end: bool| offset < text_end || is_end && offset == text_end;
        while let Some((offset, at, is_end)) = wanted.next_if(|w| is_inside(w.0, w.2)) {
            let into = offset.saturating_sub(text);
            let found = match (piece.is_plain, is_end) {
                (true, _) => whole_char(raw, from.saturating_add(into), is_end),
                (false, true) if into > 0 => raw_end,
                (false, _) => from,
            };
            if let Some((_, span)) = spans.get_mut(at) {
                match is_end {
                    true => span.end = found,
                    false => span.start = found,
                }
            }
        }
        (text, from) = (text_end, raw_end);
    }
    spans
}

/// The boundary of a character at `offset` of UTF-8, or the next one out of what begins or ends there.
fn whole_char(raw: &[u8], mut offset: usize, is_end: bool) -> usize {
    let is_inside = |offset: usize| raw.get(offset).is_some_and(|b| b & 0xC0 == 0x80);
    while is_inside(offset) {
        offset = match is_end {
            true => offset.saturating_add(1),
            false => offset.saturating_sub(1),
        };
    }
    offset
}
