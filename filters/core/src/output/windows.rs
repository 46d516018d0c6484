//! Windows over a text that comes in pieces, each judged when it is full.
//!
//! ```text
//! text     0 ······ 256 ······ 512 ······ 768 ······ 1024 ···
//! windows  [────────────────────)
//!                    [────────────────────)
//!                               [────────────────────)
//! cleared             256        512        768            what was judged with 256 bytes behind it
//! ```
//!
//! A text is cleared only with [`OVERLAP`] bytes behind it, so that nothing of that length is let through before a window has seen it
//! whole. Where windows end depends on the text alone, not on how it was cut.

use super::judge::Judge;

/// Bytes that two windows share, and that must have been judged behind a byte before it passes: twice what the model looks at in one
/// piece (32 tokens), and, but for tokens, longer than any form of personal data.
pub(super) const OVERLAP: u64 = 256;

/// Bytes between two windows of a stream: with the overlap, 512 bytes of text wait at most, some 130 tokens. A window is judged in
/// 0.15 ms.
pub(super) const STREAM_STEP: u64 = 256;

/// Bytes between two windows of a document, which waits for its end anyhow.
pub(super) const DOCUMENT_STEP: u64 = 768;

/// One text.
#[derive(Debug)]
pub(super) struct Windows {
    step: u64,
    /// The end of the text: what the next window has of it.
    tail: Vec<u8>,
    seen: u64,
    judged: u64,
    cleared: u64,
    next: u64,
}

impl Windows {
    /// Before the first byte.
    pub(super) fn new(step: u64) -> Self {
        Self {
            step,
            tail: Vec::new(),
            seen: 0,
            judged: 0,
            cleared: 0,
            next: step.saturating_add(OVERLAP),
        }
    }

    /// Bytes of text so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// How many of them may pass.
    pub(super) fn cleared(&self) -> u64 {
        self.cleared
    }

    /// The next bytes, UTF-8 in the end. Tells whether all may pass so far; what may not is never cleared.
    pub(super) fn push(&mut self, mut bytes: &[u8], judge: &mut dyn Judge) -> bool {
        while !bytes.is_empty() {
            let room = usize::try_from(self.next.saturating_sub(self.seen)).unwrap_or(usize::MAX);
            let (part, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.tail.extend_from_slice(part);
            self.seen = self.seen.saturating_add(super::splice::length(part));
            bytes = rest;
            if self.seen == self.next {
                if !self.judge(judge) {
                    return false;
                }
                self.cleared = self.cleared.max(self.seen.saturating_sub(OVERLAP));
                self.next = self.next.saturating_add(self.step);
            }
        }
        true
    }

    /// Judges what no window has seen yet, and clears all if it may pass: no text follows, or what there is must not wait any longer.
    pub(super) fn flush(&mut self, judge: &mut dyn Judge) -> bool {
        let may_pass = self.judged >= self.seen || self.judge(judge);
        if may_pass {
            self.cleared = self.seen;
        }
        may_pass
    }

    fn judge(&mut self, judge: &mut dyn Judge) -> bool {
        let may_pass = judge.may_pass(&String::from_utf8_lossy(whole_characters(&self.tail)));
        self.judged = self.seen;
        let keep = usize::try_from(OVERLAP).unwrap_or_default();
        self.tail.drain(..self.tail.len().saturating_sub(keep));
        may_pass
    }
}

/// `bytes` without the halves of characters that the edges of a window cut.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let continues = |byte: &&u8| **byte & 0xC0 == 0x80;
    let front = bytes.iter().take(3).take_while(continues).count();
    let back = bytes.iter().rev().take(3).take_while(continues).count();
    // A character that is all there shows itself by its first byte.
    let last = bytes.len().saturating_sub(back).saturating_sub(1);
    let needs = match bytes.get(last) {
        Some(0xC0..=0xDF) => 1,
        Some(0xE0..=0xEF) => 2,
        Some(0xF0..) => 3,
        _ => 0,
    };
    let end = if back < needs { last } else { bytes.len() };
    bytes.get(front..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Stops;
    use super::*;

    fn judged(step: u64, pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let (mut windows, mut judge) = (Windows::new(step), Stops::default());
        for piece in pieces {
            assert!(windows.push(piece, &mut judge));
        }
        let cleared = windows.cleared();
        assert!(windows.flush(&mut judge));
        assert_eq!(windows.cleared(), windows.seen());
        (judge.texts, cleared)
    }

    #[test]
    fn what_may_not_pass_is_not_cleared() {
        let mut windows = Windows::new(STREAM_STEP);
        let mut judge = Stops {
            at: Some("bad"),
            ..Stops::default()
        };
        assert!(windows.push(&[b'a'; 700], &mut judge));
        assert_eq!(windows.cleared(), 256);
        assert!(!windows.push(format!("bad{}", "a".repeat(70)).as_bytes(), &mut judge));
        assert_eq!(windows.cleared(), 256);
        let mut windows = Windows::new(STREAM_STEP);
        assert!(windows.push(b"bad", &mut judge));
        assert!(!windows.flush(&mut judge));
        assert_eq!(windows.cleared(), 0);
    }

    #[test]
    fn windows_cover_the_text_with_their_overlap() {
        let text: String = ('a'..='z').cycle().take(3000).collect();
        for (step, sizes) in [
            (STREAM_STEP, [vec![512; 10], vec![440]].concat()),
            (DOCUMENT_STEP, vec![1024, 1024, 1024, 696]),
        ] {
            let (texts, cleared) = judged(step, &[text.as_bytes()]);
            let mut end = usize::try_from(step + OVERLAP).unwrap();
            for window in texts.iter().take(texts.len() - 1) {
                assert_eq!(*window, text[end - window.len()..end]);
                end += usize::try_from(step).unwrap();
            }
            assert!(text.ends_with(texts.last().unwrap()));
            assert_eq!(texts.iter().map(String::len).collect::<Vec<_>>(), sizes);
            assert!(3000 - cleared < OVERLAP + step, "{cleared}");
        }
    }

    #[test]
    fn a_short_text_is_judged_once_and_an_empty_one_never() {
        assert_eq!(
            judged(STREAM_STEP, &[b"a", b"", b"b"]),
            (vec!["ab".into()], 0)
        );
        assert_eq!(judged(STREAM_STEP, &[b""]), (vec![], 0));
        assert_eq!(judged(STREAM_STEP, &[&[b'a'; 512]]).0.len(), 1);
    }

    #[test]
    fn no_window_holds_half_a_character() {
        for text in [
            "é".repeat(700),
            format!("x{}", "€".repeat(500)),
            format!("ab{}", "😀".repeat(400)),
        ] {
            let (texts, _) = judged(STREAM_STEP, &[text.as_bytes()]);
            assert!(
                texts
                    .iter()
                    .all(|t| !t.contains('\u{fffd}') && text.contains(t.as_str()))
            );
            assert!(texts.iter().all(|t| t.len() > 300));
        }
    }

    proptest! {
        #[test]
        fn windows_do_not_depend_on_the_pieces(
            text in "[a-zé€😀 ]{0,1500}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            for step in [STREAM_STEP, DOCUMENT_STEP] {
                prop_assert_eq!(judged(step, &pieces), judged(step, &[text.as_bytes()]));
            }
        }
    }
}
