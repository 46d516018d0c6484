//! The response body, metered while it passes.
//!
//! 1. JSON goes straight through a [`UsageScanner`].
//! 2. SSE goes through the [`Framer`]; each event's data through the scanner.
//! 3. Where Turnpike asked for a usage chunk that the client did not ask for, that one event is taken out again: the bytes of an
//!    event that is not complete are held (at most [`MAX_HELD_BYTES`]) until it is known not to be that chunk.
//!
//! Without 3 nothing is held and no byte is touched.

use super::usage::{Report, Usage, UsageScanner};
use crate::sse::{EventSink, Framer};

/// Bytes of an incomplete event that are held back; a larger one is no usage chunk and passes.
pub const MAX_HELD_BYTES: usize = 4096;

/// Form of a response body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Json,
    /// Server-sent events.
    Sse,
    /// Anything else; not read.
    Other,
}

impl Form {
    /// The form that a `content-type` announces.
    #[must_use]
    pub fn of_content_type(value: &[u8]) -> Self {
        let kind = value
            .split(|&b| b == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if kind.eq_ignore_ascii_case(b"text/event-stream") {
            Self::Sse
        } else if kind.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// What a response told about its tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Usage as reported.
    pub usage: Usage,
    /// Raw bytes of generated text.
    pub text_bytes: u64,
}

/// Meters one response body.
#[derive(Debug, Clone)]
pub struct ResponseMeter {
    form: Form,
    framer: Framer,
    events: Events,
    /// Bytes of the current event that were held back.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Events {
    scanner: UsageScanner,
    seen: Seen,
    strip: bool,
    /// Offset at which the current event began.
    start: u64,
    /// Bytes before this offset of the current event have already been let through.
    released: bool,
    /// Events of this push that are to be taken out, as stream offsets.
    dropped: Vec<(u64, u64)>,
    last_was_dropped: bool,
}

impl Events {
    fn take(&mut self, report: Report) {
        self.seen.usage.merge(report.usage);
        self.seen.text_bytes = self.seen.text_bytes.saturating_add(report.text_bytes);
    }
}

impl EventSink for Events {
    fn data(&mut self, _at: u64, bytes: &[u8]) {
        self.scanner.push(bytes);
    }

    fn end(&mut self, end: u64) {
        let report = self.scanner.report();
        self.scanner.reset();
        self.take(report);
        let extra = self.strip && !self.released && report.no_choices && report.usage.is_some();
        if extra {
            self.dropped.push((self.start, end));
        }
        self.last_was_dropped = extra;
        self.released = false;
        self.start = end;
    }

    fn late_line_feed(&mut self, end: u64) {
        if self.last_was_dropped {
            self.dropped.push((self.start, end));
        }
        self.start = end;
    }
}

impl ResponseMeter {
    /// For a response of `form`; `strip` takes the usage chunk out of a stream.
    #[must_use]
    pub fn new(form: Form, strip: bool) -> Self {
        Self {
            form,
            framer: Framer::new(),
            events: Events {
                strip: strip && form == Form::Sse,
                ..Events::default()
            },
            held: Vec::new(),
        }
    }

    /// Takes the next chunk; returns the bytes to send instead of it, if they differ.
    ///
    /// `end_of_stream`: no chunk follows, so nothing is held any longer.
    pub fn push(&mut self, chunk: &[u8], end_of_stream: bool) -> Option<Vec<u8>> {
        match self.form {
            Form::Other => None,
            Form::Json => {
                self.events.scanner.push(chunk);
                None
            }
            Form::Sse => {
                let from = self.framer.offset();
                self.framer.push(chunk, &mut self.events);
                if self.events.strip {
                    self.strip(chunk, from, end_of_stream)
                } else {
                    None
                }
            }
        }
    }

    /// What has been told so far, an unfinished document or event included.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut events = self.events.clone();
        let report = events.scanner.report();
        events.take(report);
        events.seen
    }

    /// `chunk` without dropped events, with held bytes before it and without those to be held now.
    fn strip(&mut self, chunk: &[u8], from: u64, end_of_stream: bool) -> Option<Vec<u8>> {
        let held = std::mem::take(&mut self.held);
        let dropped = std::mem::take(&mut self.events.dropped);
        let held_len = u64::try_from(held.len()).unwrap_or(u64::MAX);
        let base = from.saturating_sub(held_len);
        let tail = self.framer.offset().saturating_sub(self.events.start);
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        let hold = !end_of_stream && !self.events.released && tail > 0 && tail <= MAX_HELD_BYTES;
        if tail > MAX_HELD_BYTES {
            self.events.released = true;
        }
        if held.is_empty() && dropped.is_empty() && !hold {
            return None;
        }
        let mut bytes = held;
        bytes.extend_from_slice(chunk);
        if hold {
            self.held = bytes.split_off(bytes.len().saturating_sub(tail));
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for (start, end) in dropped {
            let index =
                |offset: u64| usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX);
            let (start, end) = (index(start).max(at), index(end));
            out.extend_from_slice(bytes.get(at..start).unwrap_or_default());
            at = end.min(bytes.len());
        }
        out.extend_from_slice(bytes.get(at..).unwrap_or_default());
        Some(out)
    }
}

#[cfg(test)]
mod tests;
