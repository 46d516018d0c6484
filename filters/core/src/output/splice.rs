//! Bytes of an answer that wait to be passed on, and edits among them.

use std::ops::Range;

/// Offsets in the answer as it comes from the server.
pub(super) type Span = Range<u64>;

/// Bytes that wait. Edits leave everything else as it came.
#[derive(Debug, Default)]
pub(super) struct Splicer {
    /// Offset of the first byte that waits.
    start: u64,
    bytes: Vec<u8>,
    edits: Vec<(Span, Vec<u8>)>,
}

impl Splicer {
    /// The next bytes have come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(length(&self.bytes))
    }

    /// Bytes that wait.
    pub(super) fn get(&self, span: &Span) -> &[u8] {
        let range = self.index(span.start)..self.index(span.end);
        self.bytes.get(range).unwrap_or_default()
    }

    /// Puts `new` in place of what stands at `span`, all of which waits.
    pub(super) fn edit(&mut self, span: Span, new: Vec<u8>) {
        self.edits.push((span, new));
    }

    /// The bytes before `upto`, edited; they wait no longer. No edit reaches over `upto`.
    pub(super) fn release(&mut self, upto: u64, out: &mut Vec<u8>) {
        let end = self.index(upto);
        self.edits.sort_by_key(|(span, _)| span.start);
        let due = self.edits.partition_point(|(span, _)| span.start < upto);
        let mut from = 0;
        for (span, new) in self.edits.drain(..due).collect::<Vec<_>>() {
            let (start, behind) = (self.index(span.start), self.index(span.end));
            out.extend_from_slice(self.bytes.get(from..start).unwrap_or_default());
            out.extend_from_slice(&new);
            from = behind;
        }
        out.extend_from_slice(self.bytes.get(from..end).unwrap_or_default());
        self.bytes.drain(..end);
        self.start = self.start.max(upto);
    }

    /// Drops the bytes before `upto`.
    pub(super) fn forget(&mut self, upto: u64) {
        self.edits.retain(|(span, _)| span.start >= upto);
        self.bytes.drain(..self.index(upto));
        self.start = self.start.max(upto);
    }

    fn index(&self, offset: u64) -> usize {
        let index = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        index.min(self.bytes.len())
    }
}

/// Length as an offset.
pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_in_order_with_their_edits() {
        let mut splicer = Splicer::default();
        splicer.push(b"0123456789");
        splicer.edit(6..8, b"six".to_vec());
        splicer.edit(1..3, Vec::new());
        let mut out = Vec::new();
        splicer.release(4, &mut out);
        assert_eq!(out, b"03");
        assert_eq!((splicer.start, splicer.end()), (4, 10));
        splicer.push(b"ab");
        assert_eq!(splicer.get(&(8..11)), b"89a");
        splicer.release(12, &mut out);
        assert_eq!(out, b"0345six89ab");
        assert_eq!(splicer.get(&(0..4)), b"");
    }

    #[test]
    fn what_is_forgotten_never_passes() {
        let mut splicer = Splicer::default();
        splicer.push(b"0123456789");
        splicer.edit(1..3, b"x".to_vec());
        splicer.edit(6..7, b"y".to_vec());
        splicer.forget(5);
        let mut out = Vec::new();
        splicer.release(10, &mut out);
        assert_eq!(out, b"5y789");
    }
}
