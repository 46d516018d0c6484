//! A piece of text that may be personal data, and what stands around it.

use std::ops::Range;

/// Bytes before a candidate in which words count for or against it: about eight words.
const BEFORE: usize = 48;

/// Bytes behind it.
const BEHIND: usize = 24;

/// A piece of text that may be personal data.
#[derive(Debug, Clone)]
pub struct Candidate<'t> {
    text: &'t str,
    range: Range<usize>,
}

impl<'t> Candidate<'t> {
    pub(super) fn new(text: &'t str, range: Range<usize>) -> Self {
        Self { text, range }
    }

    /// The piece.
    #[must_use]
    pub fn as_str(&self) -> &'t str {
        self.text.get(self.range.clone()).unwrap_or_default()
    }

    /// Its ASCII digits, as numbers.
    pub(super) fn digits(&self) -> Vec<u8> {
        let digits = self.as_str().bytes().filter(u8::is_ascii_digit);
        digits.map(|d| d.wrapping_sub(b'0')).collect()
    }

    /// Lengths of its groups of digits.
    pub(super) fn groups(&self) -> Vec<usize> {
        let groups = self.as_str().split(|c: char| !c.is_ascii_digit());
        groups.map(str::len).filter(|len| *len > 0).collect()
    }

    /// The character before it.
    pub(super) fn previous(&self) -> Option<char> {
        self.text.get(..self.range.start)?.chars().next_back()
    }

    /// The two characters behind it.
    pub(super) fn following(&self) -> (Option<char>, Option<char>) {
        let mut behind = self.text.get(self.range.end..).unwrap_or_default().chars();
        (behind.next(), behind.next())
    }

    /// Whether it stands for itself: no letter, digit or `_` touches it, nor a digit behind a dot, comma or hyphen.
    pub(super) fn stands_alone(&self) -> bool {
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let (next, second) = self.following();
        let goes_on = next.is_some_and(|c| matches!(c, '.' | ',' | '-'))
            && second.is_some_and(|c| c.is_ascii_digit());
        let mut before = self
            .text
            .get(..self.range.start)
            .unwrap_or_default()
            .chars()
            .rev();
        let previous = before.next();
        let came_from = previous.is_some_and(|c| matches!(c, '.' | ',' | '-'))
            && before.next().is_some_and(|c| c.is_ascii_digit());
        !previous.is_some_and(in_word) && !next.is_some_and(in_word) && !goes_on && !came_from
    }

    /// Where a candidate that was none is searched on: behind its first group of letters or digits.
    pub(super) fn next_start(&self) -> usize {
        let piece = self.as_str();
        let word = piece.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let rest = word.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        self.range
            .start
            .saturating_add(piece.len().saturating_sub(rest.len()))
    }

    /// Whether one of these words, in lower case, stands shortly before or behind it.
    pub(super) fn is_near(&self, words: &[&str]) -> bool {
        self.is_after(words) || contains(&self.behind(), words)
    }

    /// Whether one of these words, in lower case, stands shortly before it.
    pub(super) fn is_after(&self, words: &[&str]) -> bool {
        contains(&self.before(), words)
    }

    fn before(&self) -> String {
        let mut start = self.range.start.saturating_sub(BEFORE);
        while !self.text.is_char_boundary(start) {
            start = start.saturating_add(1);
        }
        let window = self.text.get(start..self.range.start);
        window.unwrap_or_default().to_lowercase()
    }

    fn behind(&self) -> String {
        let mut end = self.range.end.saturating_add(BEHIND).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let window = self.text.get(self.range.end..end);
        window.unwrap_or_default().to_lowercase()
    }
}

/// Whether one of `words` begins a word of `window`: `tel` is in `tel:` and `telephone`, not in `hotel`.
fn contains(window: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        window.match_indices(word).any(|(at, _)| {
            let before = window.get(..at).unwrap_or_default().chars().next_back();
            !before.is_some_and(char::is_alphanumeric)
        })
    })
}
