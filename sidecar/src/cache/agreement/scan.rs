//! Cuts a text into words, numbers, names, quotations and code.
//!
//! 1. Code between backticks and text between quotation marks is taken out whole, unless [`Marks::Ignored`].
//! 2. The rest is split at white space; the punctuation around a piece goes, a full stop or comma leaves a [`Kind::Break`].
//! 3. A piece is a number; or a name, if it has signs that words do not have (`config.yaml`, `--force`, `a@b.c`, `B12`); or words, split
//!    at hyphens, slashes and apostrophes.
//!
//! Works on any text in linear time.

use super::numbers::{self, Amount};
use super::signs::{is_closing, is_letters, is_name, is_operator, is_separator};

/// Whether quotation marks and backticks hold their content together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    Kept,
    Ignored,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// `text` is the value.
    Number,
    /// `text` has its ending: `3rd`.
    Ordinal,
    /// Right beside a number.
    Unit,
    /// A word-like piece with signs or digits in it, in the case that its writer chose where that matters.
    Name,
    /// Signs alone, such as `==`.
    Symbol,
    Quote,
    Code,
    /// End of a sentence, or a comma.
    Break,
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// In lower case, but for names with signs, units, quotes and code.
    pub(super) text: String,
    /// A capital letter where no sentence begins.
    pub(super) capital: bool,
    /// Capital letters alone, two or more.
    pub(super) upper: bool,
    /// A sentence or clause begins with it.
    pub(super) begins: bool,
}

/// The tokens of `text`.
pub(super) fn tokens(text: &str, marks: Marks) -> Vec<Token> {
    let mut scan = Scan {
        tokens: Vec::new(),
        unclosed: Vec::new(),
    };
    scan.text(text, marks);
    scan.tokens
}

#[derive(Debug)]
struct Scan {
    tokens: Vec<Token>,
    /// Closing marks that do not come again, so that each is looked for once.
    unclosed: Vec<&'static str>,
}

/// Marks by pairs: how they open and close, and what they hold. Single quotes are apostrophes too, see [`quote_stands`].
const PAIRS: [(&str, &str, Kind); 8] = [
    ("```", "```", Kind::Code),
    ("`", "`", Kind::Code),
    ("\"", "\"", Kind::Quote),
    ("“", "”", Kind::Quote),
    ("„", "“", Kind::Quote),
    ("«", "»", Kind::Quote),
    ("'", "'", Kind::Quote),
    ("‘", "’", Kind::Quote),
];

impl Scan {
    fn text(&mut self, text: &str, marks: Marks) {
        let mut start = 0;
        let mut at = 0;
        let mut before = ' ';
        while let Some(rest) = text.get(at..) {
            let Some(c) = rest.chars().next() else { break };
            let found = match marks {
                Marks::Kept if !c.is_alphanumeric() && !c.is_whitespace() => {
                    self.marked(rest, before)
                }
                _ => None,
            };
            if let Some((open, inner, close, kind)) = found {
                self.pieces(text.get(start..at).unwrap_or_default());
                self.push(kind, held(inner, kind));
                at += open + inner.len() + close;
                start = at;
                before = ' ';
            } else {
                at += c.len_utf8();
                before = c;
            }
        }
        self.pieces(text.get(start..).unwrap_or_default());
    }

    /// What stands between marks at the beginning of `rest`: length of the opening mark, content, length of the closing one.
    fn marked<'a>(&mut self, rest: &'a str, before: char) -> Option<(usize, &'a str, usize, Kind)> {
        let (open, close, kind) = PAIRS.iter().find(|(open, _, _)| rest.starts_with(open))?;
        if self.unclosed.contains(close) || (kind == &Kind::Quote && before.is_alphanumeric()) {
            return None;
        }
        let inside = rest.get(open.len()..)?;
        let Some(end) = inside
            .match_indices(close)
            .map(|(end, _)| end)
            .find(|end| !matches!(*close, "'" | "’") || quote_stands(inside, *end, close.len()))
        else {
            self.unclosed.push(close);
            return None;
        };
        let content = inside.get(..end)?;
        (!content.trim().is_empty()).then_some((open.len(), content, close.len(), *kind))
    }

    fn pieces(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let mut pieces = line
                .split(|c: char| c.is_whitespace() || is_separator(c))
                .filter(|piece| !piece.is_empty())
                .peekable();
            while let Some(piece) = pieces.next() {
                let goes_on = pieces
                    .peek()
                    .is_some_and(|next| next.starts_with(char::is_lowercase));
                self.piece(piece, goes_on);
            }
            if line.ends_with('\n') {
                self.push_break("\n");
            }
        }
    }

    /// `goes_on`: the sentence does, behind `piece`.
    fn piece(&mut self, piece: &str, goes_on: bool) {
        if piece.chars().all(|c| !c.is_alphanumeric()) {
            return self.signs(piece, goes_on);
        }
        let piece = piece.trim_start_matches([
            '(', '[', '{', '<', '¿', '¡', '"', '\'', '“', '‘', '`', '*', '…', ',',
        ]);
        let bare = piece.trim_end_matches(is_closing);
        let tail = piece.get(bare.len()..).unwrap_or_default();
        // `main()` and `a++` keep what makes them names.
        let bare = if tail.starts_with("()") || bare.contains('(') && tail.starts_with(')') {
            piece.trim_end_matches(['.', ',', '?', '!', ';', ':'])
        } else {
            bare
        };
        self.bare(bare);
        if tail.contains(['.', ',', '?', '!', ';', ':', '…']) {
            self.push_break(tail);
        }
    }

    /// A piece without letters and digits: an operator, a face, brackets, or punctuation that stands alone.
    fn signs(&mut self, piece: &str, goes_on: bool) {
        let signs: String = piece.chars().filter(|c| is_operator(*c)).collect();
        // `what does ! mean` is about the sign.
        let mentioned = goes_on && self.tokens.last().is_some_and(|t| t.kind != Kind::Break);
        match signs.as_str() {
            "" if mentioned || piece.contains(['(', '[', '{']) => {
                self.push(Kind::Symbol, piece.to_owned())
            }
            "" => {}
            "-" | "/" | "*" if self.computes() => self.push(Kind::Symbol, signs),
            "-" | "--" | "---" | "#" | "##" | "###" | "*" | "/" => {}
            "&" => self.push(Kind::Word, "and".to_owned()),
            "%" => self.push(Kind::Word, "percent".to_owned()),
            "°" => self.push(Kind::Word, "degree".to_owned()),
            sign => match sign.chars().next().and_then(numbers::currency) {
                Some(name) if sign.chars().count() == 1 => self.push(Kind::Unit, name.to_owned()),
                _ => self.push(Kind::Symbol, signs),
            },
        }
        if !mentioned && piece.contains(['.', ',', '?', '!', ';', ':']) {
            self.push_break(piece);
        }
    }

    /// Whether a sign that stands here is an operator: behind a number or a single letter.
    fn computes(&self) -> bool {
        self.tokens.last().is_some_and(|t| {
            matches!(t.kind, Kind::Number | Kind::Name) || t.text.chars().count() == 1
        })
    }

    /// A piece without punctuation around it.
    fn bare(&mut self, piece: &str) {
        // Most pieces: letters alone are neither a number nor a name.
        if piece.bytes().all(|b| b.is_ascii_alphabetic()) {
            return self.word(piece, piece);
        }
        if let Some(amount) = numbers::read(piece) {
            return self.amount(amount);
        }
        if piece
            .chars()
            .any(|c| (c == '¬' || u32::from(c) >= 0x2070) && is_operator(c))
        {
            // `√x`, `Na⁺`
            return self.push(Kind::Name, piece.to_owned());
        }
        let name = is_name(piece);
        if name || piece.bytes().any(|b| b.is_ascii_digit()) && !piece.contains('-') {
            let has_sign = piece.chars().any(is_operator);
            let text = if has_sign {
                piece.to_owned()
            } else {
                piece.to_lowercase()
            };
            return self.push(Kind::Name, text);
        }
        match piece.split_once('-') {
            // `e-mail`, `wi-fi`, `x-ray`: one word with or without its hyphen.
            Some((first, rest))
                if first.chars().count() <= 2 && is_letters(first) && is_letters(rest) =>
            {
                self.word(&format!("{first}{rest}"), first);
            }
            _ => {
                for part in piece.split([
                    '-', '/', '–', '—', '|', '…', ',', ':', ';', '(', ')', '!', '?',
                ]) {
                    match numbers::read(part) {
                        Some(amount) => self.amount(amount),
                        None if part.bytes().any(|b| b.is_ascii_digit()) => {
                            self.push(Kind::Name, part.to_lowercase());
                        }
                        None => self.word(part, part),
                    }
                }
            }
        }
    }

    fn word(&mut self, word: &str, written: &str) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '°');
        if word.is_empty() {
            return;
        }
        let after_number = self.tokens.last().is_some_and(|t| t.kind == Kind::Number);
        if after_number && word.len() <= 4 && word.contains(char::is_uppercase) {
            // The case tells `MB` from `Mb`.
            return self.push(Kind::Unit, word.to_owned());
        }
        let begins = self.tokens.last().is_none_or(|t| t.kind == Kind::Break);
        let capital = written.chars().next().is_some_and(char::is_uppercase) && !begins;
        let mut text = word.to_lowercase();
        if text.contains(['.', '’']) {
            // The dots of `U.S.` and `a.m.` go.
            text = text.replace('.', "").replace('’', "'");
        }
        self.tokens.push(Token {
            kind: Kind::Word,
            text,
            capital,
            upper: is_upper(word),
            begins,
        });
    }

    fn amount(&mut self, amount: Amount<'_>) {
        let kind = if amount.ordinal {
            Kind::Ordinal
        } else {
            Kind::Number
        };
        for value in amount.values {
            let text = if amount.ordinal {
                with_ending(&value)
            } else {
                value
            };
            self.push(kind, text);
        }
        for unit in amount.unit.into_iter().flat_map(|u| u.split('-')) {
            self.push(Kind::Unit, unit.to_owned());
        }
    }

    fn push(&mut self, kind: Kind, text: String) {
        self.tokens.push(Token {
            kind,
            text,
            capital: false,
            upper: false,
            begins: false,
        });
    }

    /// `tail`: the punctuation. A break remembers whether a comma is all of it.
    fn push_break(&mut self, tail: &str) {
        let sentence = tail.contains(['.', '?', '!', ';', ':', '…', '\n']);
        match self.tokens.last_mut() {
            Some(last) if last.kind == Kind::Break && sentence => last.text.clear(),
            Some(last) if last.kind != Kind::Break => self.push(
                Kind::Break,
                if sentence {
                    String::new()
                } else {
                    ",".to_owned()
                },
            ),
            _ => {}
        }
    }
}

/// Capital letters alone, two or more, with dots or without.
fn is_upper(word: &str) -> bool {
    let mut letters = word.chars().filter(|c| *c != '.').peekable();
    letters.peek().is_some() && letters.clone().count() > 1 && letters.all(char::is_uppercase)
}

/// Whether the single quote at `at` closes: a letter before it, no letter after.
fn quote_stands(inside: &str, at: usize, length: usize) -> bool {
    let before = inside.get(..at).and_then(|s| s.chars().next_back());
    let after = inside.get(at + length..).and_then(|s| s.chars().next());
    before.is_some_and(|c| !c.is_whitespace()) && after.is_none_or(|c| !c.is_alphanumeric())
}

/// Quotes and code, so that spaces and line ends do not make a difference that is none.
fn held(inner: &str, kind: Kind) -> String {
    if kind == Kind::Code {
        return inner.trim().to_owned();
    }
    let words: Vec<&str> = inner.split_whitespace().collect();
    words.join(" ")
}

fn with_ending(digits: &str) -> String {
    let ending = match digits.as_bytes() {
        [.., b'1', _] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    };
    format!("{digits}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let tokens = tokens(text, Marks::Kept);
        let parts = tokens.iter().map(|t| match t.kind {
            Kind::Word => t.text.clone(),
            Kind::Break => "/".into(),
            kind => format!("{kind:?}({})", t.text),
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_numbers_and_names_are_told_apart() {
        assert_eq!(
            shown("Edit config.yaml, set MAX_ROWS to 2.5k and run --force."),
            "edit Name(config.yaml) / set Name(MAX_ROWS) to Number(2500) and run Name(--force) /"
        );
        assert_eq!(shown("a two-day trip by e-mail"), "a two day trip by email");
        assert_eq!(
            shown("30 °C or 5km/h"),
            "Number(30) Unit(°C) or Number(5) Unit(km/h)"
        );
    }

    #[test]
    fn quotations_and_code_are_kept_whole_and_apostrophes_are_none() {
        assert_eq!(
            shown("What's 'a  b' in \"C d\" and `x || y`?"),
            "what's Quote(a b) in Quote(C d) and Code(x || y) /"
        );
        assert_eq!(
            shown("the dogs' bowls aren't \"open"),
            "the dogs bowls aren't open"
        );
    }
}
