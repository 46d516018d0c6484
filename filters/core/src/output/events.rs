//! An answer that comes as server-sent events.
//!
//! 1. Events wait until they are complete, then their texts are read ([`EventReader`]).
//! 2. Under a guard that may cut the stream, an event waits until the windows over its texts have cleared them. Where several
//!    texts stream side by side and one fills no window, at most [`MAX_WAITING_TEXT`] bytes wait between the first and the last event.
//! 3. An event whose text may end in the beginning of a placeholder waits for the next of the same text, at most
//!    [`MAX_PENDING_BYTES`].
//! 4. Events leave in the order in which they came, so one that holds no text may wait for one before it.
//!
//! Texts that the API tells again when they are complete are judged once: a digest tells that nothing else is told.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use super::judge::{Judge, Unread};
use super::restore::{Pending, Placeholders};
use super::splice::{Splicer, length};
use super::texts::{Data, EventReader, Text};
use super::walk::Place;
use super::windows::{DOCUMENT_STEP, STREAM_STEP, Windows};
use crate::json::unescape_into;
use crate::sse::{EventSink, Framer};

/// Bytes of text that wait between the first event and the last where no window clears them; then all is judged as it is. More than
/// one text alone ever has there.
const MAX_WAITING_TEXT: u64 = 1024;

/// Bytes of events that wait for the rest of a placeholder; what goes on for longer is none. A hundred events: the pieces of a
/// placeholder come one after the other, but other choices may stream between them.
const MAX_PENDING_BYTES: u64 = 32 << 10;

/// Texts that stream side by side; with more of them, all begin anew. An answer has a handful.
const MAX_STREAMS: usize = 128;

/// Texts that the API may tell again; then the first are forgotten, and judged again. A long answer has a dozen.
const MAX_JUDGED: usize = 64;

/// The events of an answer.
#[derive(Debug)]
pub(super) struct Events {
    framer: Framer,
    queue: Queue,
}

/// What is asked of [`Events`].
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) placeholders: Placeholders,
    /// Texts are judged.
    pub(super) guarded: bool,
    /// What was not judged waits.
    pub(super) holds: bool,
    /// Bytes that wait at most; a larger event passes unread, if it may.
    pub(super) limit: u64,
}

impl Events {
    pub(super) fn new(wishes: Wishes) -> Self {
        Self {
            framer: Framer::new(),
            queue: Queue {
                wishes,
                splicer: Splicer::default(),
                reader: EventReader::default(),
                waiting: VecDeque::new(),
                streams: Vec::new(),
                judged: VecDeque::new(),
                boundary: 0,
                free: 0,
                is_unread: false,
                is_cut: false,
                text: Vec::new(),
            },
        }
    }

    /// Takes the next chunk; gives the bytes that may pass now. Once [`Self::is_cut`], none do.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        end_of_stream: bool,
        judge: &mut dyn Judge,
    ) -> Vec<u8> {
        let Self { framer, queue } = self;
        queue.splicer.push(chunk);
        framer.push(chunk, &mut Passing { queue, judge });
        queue.pass_unread(judge);
        if end_of_stream {
            queue.finish(judge);
        }
        queue.take_free()
    }

    /// Whether something was found that may not pass: what waited is gone.
    pub(super) fn is_cut(&self) -> bool {
        self.queue.is_cut
    }

    /// The number of the last event that has one.
    pub(super) fn sequence(&self) -> u64 {
        self.queue.reader.sequence()
    }
}

#[derive(Debug)]
struct Queue {
    wishes: Wishes,
    splicer: Splicer,
    reader: EventReader,
    /// Complete events that wait.
    waiting: VecDeque<Waiting>,
    streams: Vec<Stream>,
    /// Complete texts that were judged.
    judged: VecDeque<[u8; 32]>,
    /// Where the event in work begins.
    boundary: u64,
    /// Up to where bytes may pass.
    free: u64,
    /// The event in work is too large.
    is_unread: bool,
    is_cut: bool,
    /// Memory for a text.
    text: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    end: u64,
    /// Texts by their place in `streams`, and how far they must be cleared.
    texts: Vec<(usize, u64)>,
    /// Bytes of these texts.
    size: u64,
}

/// A text that comes in pieces.
#[derive(Debug)]
struct Stream {
    place: Place,
    windows: Windows,
    /// Of the whole text, where the API tells it again.
    digest: Sha256,
    pending: Pending,
}

/// The queue while bytes are read.
struct Passing<'p> {
    queue: &'p mut Queue,
    judge: &'p mut dyn Judge,
}

impl EventSink for Passing<'_> {
    fn data(&mut self, at: u64, bytes: &[u8]) {
        if !self.queue.is_unread && !self.queue.is_cut {
            self.queue.reader.push(at, bytes);
        }
    }

    fn end(&mut self, end: u64) {
        self.queue.event(end, self.judge);
    }

    fn late_line_feed(&mut self, end: u64) {
        self.queue.boundary = end;
        match self.queue.waiting.back_mut() {
            Some(last) => last.end = end,
            None if !self.queue.is_cut => self.queue.free = end,
            None => {}
        }
    }
}

impl Queue {
    /// The event in work is complete.
    fn event(&mut self, end: u64, judge: &mut dyn Judge) {
        self.limit(end, judge);
        if self.is_cut {
            return;
        }
        let mut event = Waiting {
            end,
            texts: Vec::new(),
            size: 0,
        };
        if !std::mem::take(&mut self.is_unread) {
            match self.reader.finish() {
                Data::Nothing => {}
                Data::Done => self.settle(judge),
                Data::Unreadable => self.unread(Unread::Syntax, judge),
                Data::Json {
                    is_delta,
                    ends_texts,
                    ends_stream,
                } => {
                    if ends_texts {
                        self.give_up();
                    }
                    self.texts(is_delta, &mut event, judge);
                    if ends_stream {
                        self.settle(judge);
                    }
                }
            }
        }
        self.reader.reset();
        if self.is_cut {
            return;
        }
        self.boundary = end;
        self.waiting.push_back(event);
        self.advance();
        self.limit_waiting(judge);
        self.advance();
    }

    fn texts(&mut self, is_delta: bool, event: &mut Waiting, judge: &mut dyn Judge) {
        let is_repeated = self.reader.repeats_texts();
        for text in self.reader.take_texts() {
            if is_delta {
                let at = self.stream(&text, judge);
                self.delta(at, &text, is_repeated, judge);
                let seen = self.streams.get(at).map(|stream| stream.windows.seen());
                if let Some(seen) = seen.filter(|_| self.wishes.holds) {
                    event.texts.push((at, seen));
                    event.size = event.size.saturating_add(length(&self.text));
                }
            } else {
                self.whole(&text, judge);
            }
        }
    }

    /// The text that `text` goes on with. A text of the same owner that was before it has ended.
    fn stream(&mut self, text: &Text, judge: &mut dyn Judge) -> usize {
        let place = text.place;
        for other in &mut self.streams {
            if other.place.owner == place.owner && other.place != place {
                other.pending.give_up();
            }
        }
        if let Some(at) = self.streams.iter().position(|s| s.place == place) {
            return at;
        }
        if self.streams.len() >= MAX_STREAMS {
            self.settle(judge);
            self.advance();
            self.streams.clear();
        }
        self.streams.push(Stream {
            place,
            windows: Windows::new(STREAM_STEP),
            digest: Sha256::new(),
            pending: Pending::default(),
        });
        self.streams.len().saturating_sub(1)
    }

    fn delta(&mut self, at: usize, text: &Text, is_repeated: bool, judge: &mut dyn Judge) {
        let Some(stream) = self.streams.get_mut(at) else {
            return;
        };
        if self.wishes.guarded {
            self.text.clear();
            unescape_into(self.splicer.get(&text.span), &mut self.text);
            if is_repeated {
                stream.digest.update(&self.text);
            }
            if !stream.windows.push(&self.text, judge) {
                self.is_cut = true;
            }
        }
        if !self.wishes.placeholders.is_empty() {
            let raw = self.splicer.get(&text.span).to_vec();
            let piece = (text.span.start, raw.as_slice());
            let pending = &mut stream.pending;
            let placeholders = &self.wishes.placeholders;
            placeholders.feed(pending, piece, text.escaping, &mut self.splicer);
        }
    }

    /// A text that is complete in its event.
    fn whole(&mut self, text: &Text, judge: &mut dyn Judge) {
        if self.wishes.guarded {
            self.text.clear();
            unescape_into(self.splicer.get(&text.span), &mut self.text);
            if !self.judge_whole(judge) {
                self.is_cut = true;
            }
        }
        if !self.wishes.placeholders.is_empty() {
            let raw = self.splicer.get(&text.span).to_vec();
            let piece = (text.span.start, raw.as_slice());
            let placeholders = &self.wishes.placeholders;
            let mut pending = Pending::default();
            placeholders.feed(&mut pending, piece, text.escaping, &mut self.splicer);
        }
    }

    /// Judges [`Self::text`], unless it was before.
    fn judge_whole(&mut self, judge: &mut dyn Judge) -> bool {
        let digest: [u8; 32] = Sha256::digest(&self.text).into();
        if self.text.is_empty() || self.judged.contains(&digest) {
            return true;
        }
        let size = length(&self.text);
        let streamed = self.streams.iter_mut().find(|stream| {
            stream.windows.seen() == size
                && <[u8; 32]>::from(stream.digest.clone().finalize()) == digest
        });
        let may_pass = match streamed {
            Some(stream) => stream.windows.flush(judge),
            None => {
                let mut windows = Windows::new(DOCUMENT_STEP);
                windows.push(&self.text, judge) && windows.flush(judge)
            }
        };
        if self.judged.len() >= MAX_JUDGED {
            self.judged.pop_front();
        }
        self.judged.push_back(digest);
        may_pass
    }

    /// Nothing waits for the rest of a placeholder any longer.
    fn give_up(&mut self) {
        for stream in &mut self.streams {
            stream.pending.give_up();
        }
    }

    /// Judges what waits as it is.
    fn settle(&mut self, judge: &mut dyn Judge) {
        self.give_up();
        self.flush(judge);
    }

    fn flush(&mut self, judge: &mut dyn Judge) {
        for stream in &mut self.streams {
            if !self.is_cut && !stream.windows.flush(judge) {
                self.is_cut = true;
            }
        }
    }

    fn unread(&mut self, why: Unread, judge: &mut dyn Judge) {
        if !judge.may_pass_unread(why) {
            self.is_cut = true;
        }
    }

    /// Keeps what waits within its bounds.
    fn limit_waiting(&mut self, judge: &mut dyn Judge) {
        let waits = |from: u64| self.boundary.saturating_sub(from);
        let pending = self.pending_from().map_or(0, waits);
        if pending > MAX_PENDING_BYTES {
            self.give_up();
        }
        // The first and the last event may be larger than a window each; what is between them in one text is less than one.
        let between = self.waiting.iter().skip(1).rev().skip(1);
        let text = between.map(|event| event.size).fold(0, u64::saturating_add);
        let bytes = self.boundary.saturating_sub(self.free);
        if self.wishes.holds && (text >= MAX_WAITING_TEXT || bytes > self.wishes.limit) {
            self.flush(judge);
        }
    }

    /// Where the first event stands that waits for the rest of a placeholder.
    fn pending_from(&self) -> Option<u64> {
        let pending = self.streams.iter().filter_map(|s| s.pending.start());
        pending.min()
    }

    /// Lets those events go that wait for nothing.
    fn advance(&mut self) {
        if self.is_cut {
            return;
        }
        let pending = self.pending_from().unwrap_or(u64::MAX);
        let is_clear = |(at, needed): &(usize, u64)| {
            let stream = self.streams.get(*at);
            stream.is_none_or(|stream| stream.windows.cleared() >= *needed)
        };
        while let Some(event) = self.waiting.front()
            && event.end <= pending
            && event.texts.iter().all(is_clear)
        {
            self.free = event.end;
            self.waiting.pop_front();
        }
    }

    /// An event that reaches to `end`, further than what may wait, is not read.
    fn limit(&mut self, end: u64, judge: &mut dyn Judge) {
        let size = end.saturating_sub(self.boundary);
        if size > self.wishes.limit && !self.is_unread && !self.is_cut {
            self.is_unread = true;
            self.unread(Unread::Size, judge);
            self.settle(judge);
            self.advance();
        }
    }

    /// The event in work passes as it comes if it is not read.
    fn pass_unread(&mut self, judge: &mut dyn Judge) {
        self.limit(self.splicer.end(), judge);
        if self.is_unread && !self.is_cut {
            self.free = self.splicer.end();
        }
    }

    /// The stream is over; what waits is judged, the beginning of an event too.
    fn finish(&mut self, judge: &mut dyn Judge) {
        if self.splicer.end() > self.boundary {
            self.event(self.splicer.end(), judge);
        }
        self.settle(judge);
        self.advance();
    }

    /// Takes the bytes that may pass.
    fn take_free(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.splicer.release(self.free, &mut out);
        if self.is_cut {
            self.splicer.forget(self.splicer.end());
        }
        out
    }
}
