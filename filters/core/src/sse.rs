//! Splits an SSE byte stream into events, whatever the chunk boundaries.
//!
//! 1. Lines end in LF, CRLF or CR; the fields of a line are told as they come, nothing is carried but a few flags.
//! 2. Values of `data:` lines go to [`EventSink::data`], a line feed between two of them.
//! 3. A blank line ends the event: [`EventSink::end`] gets the stream offset behind it.
//!
//! Not done here: `event`, `id` and `retry` fields are skipped. Format: WHATWG HTML, "Parsing an event stream".

/// What a stream is told to.
pub trait EventSink {
    /// The next bytes of the event's data, which stand at the stream offset `at`; the line feed between two lines stands nowhere.
    fn data(&mut self, at: u64, bytes: &[u8]);
    /// The event ends; `end` is the offset behind its blank line.
    fn end(&mut self, end: u64);
    /// The LF of a CRLF that came in a later chunk than its CR belongs to the event that just ended.
    fn late_line_feed(&mut self, end: u64);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of a line.
    Start,
    /// So many bytes of `data` have been seen.
    Field(u8),
    /// Behind `data:`; one space may follow.
    Colon,
    /// In the value of a `data` line.
    Value,
    /// In any other line.
    Skip,
}

const DATA: &[u8] = b"data";

/// The splitter.
#[derive(Debug, Clone)]
pub struct Framer {
    line: Line,
    after_cr: bool,
    has_data: bool,
    offset: u64,
    /// The event that ended was ended by a CR at this offset.
    ended_by_cr: Option<u64>,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            line: Line::Start,
            after_cr: false,
            has_data: false,
            offset: 0,
            ended_by_cr: None,
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl EventSink) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.line == Line::Value || self.line == Line::Skip {
                let until = bytes.iter().position(|&b| b == b'\n' || b == b'\r');
                let (part, rest) = bytes
                    .split_at_checked(until.unwrap_or(bytes.len()))
                    .unwrap_or((bytes, &[]));
                if !part.is_empty() {
                    if self.line == Line::Value {
                        sink.data(self.offset, part);
                    }
                    self.after_cr = false;
                    self.advance(part.len());
                    bytes = rest;
                    continue;
                }
            }
            self.advance(1);
            bytes = rest;
            self.byte(byte, sink);
        }
    }

    fn advance(&mut self, by: usize) {
        self.offset = self
            .offset
            .saturating_add(u64::try_from(by).unwrap_or(u64::MAX));
    }

    fn byte(&mut self, byte: u8, sink: &mut impl EventSink) {
        let after_cr = std::mem::take(&mut self.after_cr);
        let ended_by_cr = self.ended_by_cr.take();
        match byte {
            b'\n' if after_cr => {
                if ended_by_cr.is_some() {
                    sink.late_line_feed(self.offset);
                }
            }
            b'\n' | b'\r' => {
                self.after_cr = byte == b'\r';
                self.end_line(sink);
            }
            _ => self.line_byte(byte, sink),
        }
    }

    fn end_line(&mut self, sink: &mut impl EventSink) {
        if self.line == Line::Start {
            self.has_data = false;
            sink.end(self.offset);
            if self.after_cr {
                self.ended_by_cr = Some(self.offset);
            }
        } else if matches!(self.line, Line::Colon) || self.line == Line::Field(4) {
            // `data:` and `data` alone are a line of empty data.
            self.start_data(sink);
        }
        self.line = Line::Start;
    }

    fn start_data(&mut self, sink: &mut impl EventSink) {
        if self.has_data {
            sink.data(self.offset, b"\n");
        }
        self.has_data = true;
    }

    fn line_byte(&mut self, byte: u8, sink: &mut impl EventSink) {
        let at = self.offset.saturating_sub(1);
        self.line = match self.line {
            Line::Start if byte == b'd' => Line::Field(1),
            Line::Field(seen) if DATA.get(usize::from(seen)) == Some(&byte) => {
                Line::Field(seen.saturating_add(1))
            }
            Line::Field(4) if byte == b':' => Line::Colon,
            Line::Colon => {
                self.start_data(sink);
                if byte != b' ' {
                    sink.data(at, &[byte]);
                }
                Line::Value
            }
            Line::Value => {
                sink.data(at, &[byte]);
                Line::Value
            }
            _ => Line::Skip,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default, Debug, PartialEq)]
    struct Events {
        done: Vec<(Vec<u8>, u64)>,
        data: Vec<u8>,
    }

    /// Where data stands.
    #[derive(Default)]
    struct Places(Vec<(u64, Vec<u8>)>);

    impl EventSink for Places {
        fn data(&mut self, at: u64, bytes: &[u8]) {
            if bytes != b"\n" {
                self.0.push((at, bytes.to_vec()));
            }
        }
        fn end(&mut self, _end: u64) {}
        fn late_line_feed(&mut self, _end: u64) {}
    }

    impl EventSink for Events {
        fn data(&mut self, _at: u64, bytes: &[u8]) {
            self.data.extend_from_slice(bytes);
        }
        fn end(&mut self, end: u64) {
            self.done.push((std::mem::take(&mut self.data), end));
        }
        fn late_line_feed(&mut self, end: u64) {
            self.done.last_mut().unwrap().1 = end;
        }
    }

    fn events(pieces: &[&[u8]]) -> Events {
        let (mut framer, mut events) = (Framer::new(), Events::default());
        for piece in pieces {
            framer.push(piece, &mut events);
        }
        events
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for stream in [
            "data: a\ndata:b\n\nevent: x\ndata: c\n\n",
            "data: a\r\ndata:b\r\n\r\nevent: x\r\ndata: c\r\n\r\n",
            "data: a\rdata:b\r\revent: x\rdata: c\r\r",
        ] {
            let found = events(&[stream.as_bytes()]);
            let data: Vec<&[u8]> = found.done.iter().map(|e| e.0.as_slice()).collect();
            assert_eq!(data, [b"a\nb".as_slice(), b"c"], "{stream:?}");
            assert_eq!(found.done[1].1, stream.len() as u64, "{stream:?}");
        }
    }

    #[test]
    fn only_one_space_is_taken_and_other_fields_are_skipped() {
        let found = events(&[b"data:  a\ndatax: no\ndat: no\n:comment\nid: 1\ndata\n\n"]);
        assert_eq!(found.done[0].0, b" a\n");
    }

    #[test]
    fn data_stands_where_it_is_told() {
        let stream = b"data: {\"a\":1}\r\n: x\r\ndata:b c\n\nid: 7\ndata: [DONE]\n\n";
        for size in [1, 3, stream.len()] {
            let (mut framer, mut places) = (Framer::new(), Places::default());
            for chunk in stream.chunks(size) {
                framer.push(chunk, &mut places);
            }
            for (at, bytes) in &places.0 {
                let at = usize::try_from(*at).unwrap();
                assert_eq!(&stream[at..at + bytes.len()], bytes);
            }
            let bytes: usize = places.0.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!(bytes, "{\"a\":1}b c[DONE]".len());
        }
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let stream =
            "data: {\"a\":\"é\"}\r\n\r\n: ping\r\n\r\ndata: b\r\ndata: c\r\n\r\ndata: [DONE]\n\n"
                .as_bytes();
        let whole = events(&[stream]);
        for at in 0..=stream.len() {
            let (a, b) = stream.split_at(at);
            assert_eq!(events(&[a, b]), whole, "split at {at}");
        }
        assert_eq!(events(&stream.chunks(1).collect::<Vec<_>>()), whole);
    }

    proptest! {
        #[test]
        fn any_bytes_at_any_split_give_the_same_events(stream in "[da:t \\r\\nx]{0,40}", at in any::<prop::sample::Index>()) {
            let stream = stream.as_bytes();
            let (a, b) = stream.split_at(at.index(stream.len() + 1));
            prop_assert_eq!(events(&[a, b]), events(&[stream]));
        }
    }
}
