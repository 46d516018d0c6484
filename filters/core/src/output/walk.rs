//! Which strings of an answer are texts of the model, in the JSON of all APIs.
//!
//! Texts are known by their key, wherever it stands: `content`, `text`, `delta`, `arguments` … as the servers of chat completions,
//! completions, responses and Anthropic messages write them, and strings within `input` and `arguments` where these are no strings.
//! Which texts of a stream belong together is told by their key and by the members `index`, `output_index` … of the objects around
//! them.
//!
//! Sources: OpenAI API reference (chat completions, completions, responses), Anthropic API reference (messages), vLLM
//! (`reasoning_content`).

use super::restore::Escaping;
use crate::json::Container;

/// Keys of strings that hold text of the model.
const TEXTS: [&[u8]; 10] = [
    b"content",
    b"text",
    b"delta",
    b"reasoning_content",
    b"reasoning",
    b"thinking",
    b"refusal",
    b"transcript",
    b"code",
    b"output_text",
];

/// Key of a member that matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Key {
    /// One of [`TEXTS`].
    Text(u8),
    /// `arguments`, `partial_json`: a string holds a JSON document, an object texts.
    Arguments,
    /// `input`: every string in it is a text.
    Input,
    /// A member that tells apart what streams side by side, and where its number goes in [`Place::path`].
    Index(u32),
    /// `type`
    Kind,
    /// `sequence_number`
    Sequence,
    /// `usage`
    Usage,
    #[default]
    Other,
}

impl Key {
    fn of(key: &[u8]) -> Self {
        match key {
            b"arguments" | b"partial_json" => Self::Arguments,
            b"input" => Self::Input,
            b"index" | b"output_index" => Self::Index(0),
            b"content_index" => Self::Index(16),
            b"summary_index" => Self::Index(32),
            b"type" => Self::Kind,
            b"sequence_number" => Self::Sequence,
            b"usage" => Self::Usage,
            _ => TEXTS
                .iter()
                .position(|text| *text == key)
                .and_then(|at| u8::try_from(at).ok())
                .map_or(Self::Other, Self::Text),
        }
    }
}

/// What a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Text of the model, under a key of this number.
    Text(u8, Escaping),
    /// The document's `type`.
    Kind,
    Other,
}

/// Number of the keys of tool calls, behind those of [`TEXTS`].
const ARGUMENTS: u8 = 100;
const INPUT: u8 = 101;

/// Odd, and without a pattern: numbers at different depths add up to different sums.
const DEPTHS: u64 = 0x9E37_79B9_7F4A_7C15;

/// Texts of a stream that belong together have the same place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the choice, block or item; one text of it follows the other.
    pub(super) owner: u64,
    /// All numbers on the way to the text.
    path: u64,
    /// Number of its key.
    word: u8,
}

impl Place {
    /// Under a key of this number.
    fn of(word: u8) -> Self {
        Self {
            word,
            ..Self::default()
        }
    }

    /// That of a text below `other` too.
    pub(super) fn add(&mut self, other: Self) {
        self.path = self.path.wrapping_add(other.path);
        self.owner = self.owner.wrapping_add(other.owner);
    }
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// It tells apart: the texts from this one on have this in their place.
    Index(usize, Place),
    /// The document's `sequence_number`.
    Sequence(u64),
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    container: Container,
    /// Under which it stands.
    key: Key,
    /// Every string in it is a text.
    all: bool,
    /// Texts found before it.
    found: usize,
    /// What its numbers add to the place of its texts.
    place: Place,
}

/// Where in a document we are.
#[derive(Debug, Default)]
pub(super) struct Walk {
    levels: Vec<Level>,
    key: Key,
}

impl Walk {
    pub(super) fn reset(&mut self) {
        self.levels.clear();
        self.key = Key::Other;
    }

    /// The key of the value that starts: elements of an array stand under the array's.
    fn take_key(&mut self) -> Key {
        let key = std::mem::take(&mut self.key);
        match self.levels.last() {
            Some(level) if level.container == Container::Array => level.key,
            _ => key,
        }
    }

    fn in_all(&self) -> bool {
        self.levels.last().is_some_and(|level| level.all)
    }

    /// A container opens, `found` texts behind it; tells whether it is the document's `usage`.
    pub(super) fn open(&mut self, container: Container, found: usize) -> bool {
        let key = self.take_key();
        let all = self.in_all() || matches!(key, Key::Input | Key::Arguments);
        let is_usage = key == Key::Usage && self.levels.len() == 1;
        self.levels.push(Level {
            container,
            key,
            all,
            found,
            place: Place::default(),
        });
        is_usage
    }

    /// The innermost container closes; tells how deep it stood, 0 = the document.
    pub(super) fn close(&mut self) -> usize {
        self.levels.pop();
        self.key = Key::Other;
        self.levels.len()
    }

    pub(super) fn key(&mut self, key: &[u8]) {
        self.key = Key::of(key);
    }

    /// A number, `true`, `false` or `null` has passed.
    pub(super) fn scalar(&mut self, raw: &[u8]) -> Number {
        let key = self.take_key();
        if !matches!(key, Key::Index(_) | Key::Sequence) {
            return Number::Other;
        }
        let number = std::str::from_utf8(raw).ok().and_then(|n| n.parse().ok());
        match (key, number) {
            (Key::Index(shift), Some(number)) => self.index(shift, number),
            (Key::Sequence, Some(number)) if self.levels.len() == 1 => Number::Sequence(number),
            _ => Number::Other,
        }
    }

    fn index(&mut self, shift: u32, number: u64) -> Number {
        let depth = u32::try_from(self.levels.len()).unwrap_or_default();
        let Some(level) = self.levels.last_mut() else {
            return Number::Other;
        };
        let part = number.wrapping_add(1).wrapping_shl(shift);
        let place = Place {
            path: part.wrapping_mul(DEPTHS.wrapping_pow(depth)),
            // Of a choice, or of the event.
            owner: if depth <= 3 && shift == 0 { part } else { 0 },
            word: 0,
        };
        level.place.add(place);
        Number::Index(level.found, place)
    }

    /// The place of a text that starts, as far as its numbers came before it.
    pub(super) fn place(&self, word: u8) -> Place {
        let mut place = Place::of(word);
        for level in &self.levels {
            place.add(level.place);
        }
        place
    }

    /// A string starts.
    pub(super) fn string(&mut self) -> Role {
        let key = self.take_key();
        match key {
            Key::Kind if self.levels.len() == 1 => Role::Kind,
            _ if self.in_all() => Role::Text(INPUT, Escaping::Once),
            Key::Text(number) => Role::Text(number, Escaping::Once),
            Key::Input => Role::Text(INPUT, Escaping::Once),
            Key::Arguments => Role::Text(ARGUMENTS, Escaping::Twice),
            _ => Role::Other,
        }
    }
}
