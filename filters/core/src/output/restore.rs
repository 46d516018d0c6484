//! Placeholders in the texts of an answer, put back to what they stand for.
//!
//! 1. A text comes in pieces, as it is written in JSON. [`Placeholders::feed`] joins the end of the pieces before, if that may be the
//!    beginning of a placeholder, with the next piece, and looks for placeholders in both.
//! 2. One that is found is an edit: the part in the pieces before goes, what it stands for takes the place of the part in the last.
//! 3. What may be the beginning of a placeholder at the end stays [`Pending`]; its bytes must wait.
//!
//! A placeholder ends with its only `]`, so at each `[` one look into an ordered map tells which it is, however many there are.
//!
//! Not done here: a placeholder that the model or the server writes in another way (`\u005b`) is none.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::splice::{Span, Splicer, length};

/// What placeholders begin with. No JSON escape holds it, so what is found never begins within one.
const OPEN: u8 = b'[';

/// What placeholders end with.
const CLOSE: u8 = b']';

/// How the text stands in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// In a JSON string.
    Once,
    /// In a JSON document that is itself in a JSON string: arguments of a tool call.
    Twice,
}

/// Placeholders and what they stand for.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    /// As they are written.
    by_name: BTreeMap<Vec<u8>, Original>,
    /// Bytes of the longest.
    longest: usize,
}

/// What a placeholder stands for.
#[derive(Debug)]
struct Original {
    once: Vec<u8>,
    twice: Vec<u8>,
}

/// The end of a text that may be the beginning of a placeholder, and where its pieces stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pending {
    text: Vec<u8>,
    pieces: Vec<Span>,
}

impl Pending {
    /// Where it begins.
    pub(super) fn start(&self) -> Option<u64> {
        self.pieces.first().map(|piece| piece.start)
    }

    /// It is text: nothing of it waits any longer.
    pub(super) fn give_up(&mut self) {
        self.text.clear();
        self.pieces.clear();
    }

    /// The pieces from the byte `from` of the text on.
    fn behind(&self, from: u64) -> Vec<Span> {
        let mut skip = from;
        let mut behind = Vec::new();
        for piece in &self.pieces {
            let size = piece.end.saturating_sub(piece.start);
            if skip < size {
                behind.push(piece.start.saturating_add(skip)..piece.end);
            }
            skip = skip.saturating_sub(size);
        }
        behind
    }
}

/// `text` as it stands in a JSON string, without quotes.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len().saturating_add(2));
    crate::json::push_escaped(&String::from_utf8_lossy(text), &mut json);
    let inside = json.get(1..json.len().saturating_sub(1));
    inside.unwrap_or_default().to_vec()
}

impl Placeholders {
    /// Those of a plan. A placeholder must begin with `[`, end with its first `]` and hold nothing that JSON escapes; another one is never
    /// found.
    pub(super) fn compile(restore: &[(String, String)]) -> Self {
        let mut all = Self::default();
        for (placeholder, original) in restore {
            let written = placeholder.as_bytes();
            let inside = written
                .strip_prefix(&[OPEN])
                .and_then(|w| w.strip_suffix(&[CLOSE]));
            let is_usable = inside.is_some_and(|inside| !inside.contains(&CLOSE));
            if !is_usable || escaped(written) != written {
                continue;
            }
            let once = escaped(original.as_bytes());
            let twice = escaped(&once);
            all.longest = all.longest.max(written.len());
            all.by_name
                .entry(written.to_vec())
                .or_insert(Original { once, twice });
        }
        all
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The next piece of a text: `raw`, which stands at `at` and waits in `splicer`, as `pending` does.
    pub(super) fn feed(
        &self,
        pending: &mut Pending,
        (at, raw): (u64, &[u8]),
        escaping: Escaping,
        splicer: &mut Splicer,
    ) {
        if pending.text.is_empty() && !raw.contains(&OPEN) {
            return;
        }
        let before = length(&pending.text);
        let mut text = std::mem::take(&mut pending.text);
        text.extend_from_slice(raw);
        // Offset in the answer of a byte of the last piece.
        let place = |offset: u64| at.saturating_add(offset.saturating_sub(before));
        let open = self.scan(&text, |original, start, end| {
            for piece in pending.behind(start) {
                splicer.edit(piece, Vec::new());
            }
            let original = match escaping {
                Escaping::Once => &original.once,
                Escaping::Twice => &original.twice,
            };
            splicer.edit(place(start)..place(end), original.clone());
        });
        let mut pieces = pending.behind(open);
        let last = place(open)..place(length(&text));
        if !last.is_empty() {
            pieces.push(last);
        }
        *pending = Pending {
            text: text.split_off(usize::try_from(open).unwrap_or(usize::MAX).min(text.len())),
            pieces,
        };
    }

    /// Tells the placeholders in `text`; gives where the one begins that may be cut by its end, or the end.
    fn scan(&self, text: &[u8], mut found: impl FnMut(&Original, u64, u64)) -> u64 {
        let offset = |rest: &[u8]| length(text).saturating_sub(length(rest));
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == OPEN) {
            rest = rest.get(at..).unwrap_or_default();
            rest = match self.at(rest) {
                Begins::Placeholder(original, behind) => {
                    found(original, offset(rest), offset(behind));
                    behind
                }
                Begins::Cut => return offset(rest),
                Begins::Text => rest.get(1..).unwrap_or_default(),
            };
        }
        length(text)
    }

    /// What `text` begins with.
    fn at<'t>(&self, text: &'t [u8]) -> Begins<'_, 't> {
        let mut bytes = text.iter().take(self.longest);
        let whole = bytes
            .position(|byte| *byte == CLOSE)
            .and_then(|last| text.split_at_checked(last.saturating_add(1)));
        if let Some((name, behind)) = whole {
            let original = self.by_name.get(name);
            return original.map_or(Begins::Text, |original| {
                Begins::Placeholder(original, behind)
            });
        }
        let from = (Bound::Included(text), Bound::Unbounded);
        let next = self.by_name.range::<[u8], _>(from).next();
        match next {
            Some((name, _)) if name.starts_with(text) => Begins::Cut,
            _ => Begins::Text,
        }
    }
}

/// What a text that begins with [`OPEN`] begins with.
enum Begins<'p, 't> {
    /// A placeholder; the original, and what follows it.
    Placeholder(&'p Original, &'t [u8]),
    /// What may be the beginning of one.
    Cut,
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders() -> Placeholders {
        let pair = |p: &str, o: &str| (p.to_owned(), o.to_owned());
        Placeholders::compile(&[
            pair("[EMAIL_ADDRESS_1]", "a\"b\\c@example.org"),
            pair("[EMAIL_ADDRESS_11]", "eleven"),
            pair("[NAME_1]", ""),
            pair("{NOT}", "found"),
            pair("[\"]", "found"),
            pair("[A]B]", "found"),
            pair("[NOT", "found"),
        ])
    }

    /// Feeds `pieces` of a text, 3 bytes apart; gives the edited bytes and what is pending.
    fn fed(pieces: &[&str], escaping: Escaping) -> (String, usize) {
        let (mut splicer, mut pending) = (Splicer::default(), Pending::default());
        for piece in pieces {
            let at = splicer.end();
            splicer.push(piece.as_bytes());
            placeholders().feed(&mut pending, (at, piece.as_bytes()), escaping, &mut splicer);
            splicer.push(b" | ");
        }
        let mut out = Vec::new();
        splicer.release(splicer.end(), &mut out);
        let bytes: u64 = pending.pieces.iter().map(|p| p.end - p.start).sum();
        assert_eq!(bytes, length(&pending.text));
        (String::from_utf8(out).unwrap(), pending.text.len())
    }

    #[test]
    fn what_a_placeholder_stands_for_is_escaped_as_often_as_it_stands_in_json() {
        let text = ["to [EMAIL_ADDRESS_1], [EMAIL_ADDRESS_11][NAME_1]."];
        let (once, _) = fed(&text, Escaping::Once);
        assert_eq!(once, r#"to a\"b\\c@example.org, eleven. | "#);
        let (twice, _) = fed(&text, Escaping::Twice);
        assert_eq!(twice, r#"to a\\\"b\\\\c@example.org, eleven. | "#);
    }

    #[test]
    fn a_placeholder_cut_anywhere_is_found_and_stands_in_its_last_piece() {
        let whole = "x[[EMAIL_ADDRESS_11] y";
        for first in 0..whole.len() {
            for second in first..whole.len() {
                let pieces = [&whole[..first], &whole[first..second], &whole[second..]];
                let (out, pending) = fed(&pieces, Escaping::Once);
                assert_eq!(out.replace(" | ", ""), "x[eleven y", "{pieces:?}");
                assert_eq!(pending, 0);
            }
        }
        let (out, _) = fed(&["a [EMAIL_ADDRE", "SS_1", "1", "] b"], Escaping::Once);
        assert_eq!(out, "a  |  |  | eleven b | ");
    }

    #[test]
    fn what_only_begins_like_one_stays_as_it_is() {
        for pieces in [
            ["[EMAIL", "_ADDRESS_2]"],
            ["[EMAIL", "[x]"],
            ["{NOT}", "[\"]"],
            ["[A]", "[A]B] [NOT"],
            ["[EMAIL_ADDRESS_1 ", "and far more than is long]"],
            ["\\u005bNAME_1]", "[\\u004eAME_1]"],
        ] {
            let (out, pending) = fed(&pieces, Escaping::Once);
            assert_eq!(
                (out, pending),
                (format!("{} | {} | ", pieces[0], pieces[1]), 0)
            );
        }
        assert_eq!(
            fed(&["[NA", "", "ME"], Escaping::Once),
            ("[NA |  | ME | ".into(), 5)
        );
    }

    #[test]
    fn a_beginning_within_a_beginning_is_kept() {
        assert_eq!(fed(&["[NA[NAME", "_1]"], Escaping::Once).0, "[NA |  | ");
        assert_eq!(fed(&["[", "[", "NAME_1]"], Escaping::Once).0, "[ |  |  | ");
    }
}
