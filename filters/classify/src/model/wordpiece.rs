//! Word pieces, as `tokenizers` makes them with BERT's normaliser (lower case, accents off), BERT's pre-tokeniser and WordPiece.
//!
//! That library is the reference in tests. Here is the same in one pass, without an allocation per word, because tokenising is
//! most of what a verdict in the proxy costs (docs/adr/0012); and a text can be read in parts, see [`Reader`].
//!
//! 1. Control characters go, white space ends a word, CJK ideographs are words of their own.
//! 2. A character is decomposed (NFD), its nonspacing marks go, the rest is lower-cased.
//! 3. Punctuation characters are words of their own.
//! 4. A word is cut into the longest pieces of the vocabulary from its start; one that cannot be is [`UNKNOWN`] as a whole.
//!
//! Unlike BERT's own setting, no word is too long to be cut, so that an attack without spaces is read too. A vocabulary of
//! another model ([`Vocabulary::of`]) has that limit as its `tokenizer.json` does.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

/// Number of the piece that stands for what the vocabulary cannot write.
pub const UNKNOWN: u32 = 1;

/// A piece that continues a word begins with this in the vocabulary.
const CONTINUES: &str = "##";

/// A word longer than this is cut in parts, so that reading can stop within it. Only an [`UNKNOWN`] shows the difference: it
/// then stands for the rest of the word, not for the whole.
pub const LONG_WORD: usize = 512;

/// Most characters of a word that a limit may allow: a part of [`LONG_WORD`] bytes has at least as many.
pub const MAX_WORD_CHARS: usize = LONG_WORD / 4 - 1;

/// The vocabulary.
#[derive(Debug)]
pub struct Vocabulary {
    /// All pieces, one behind the other.
    bytes: Vec<u8>,
    /// Where each piece begins in `bytes`, and the end of the last.
    starts: Vec<u32>,
    begin: Table,
    continued: Table,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: u32,
    /// Characters of a word beyond which it is unknown.
    longest_word: usize,
}

/// Numbers of pieces by the hash of their bytes: open addressing, 0 = free, a power of two of slots, at most a half of them taken.
#[derive(Debug)]
struct Table(Vec<u16>);

/// FNV-1a, so that the hashes of all beginnings of a word come from one pass.
#[derive(Debug, Clone, Copy)]
struct Hash(u32);

impl Hash {
    const START: Self = Self(0x811c_9dc5);

    fn with(self, byte: u8) -> Self {
        Self((self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    fn of(bytes: &[u8]) -> Self {
        bytes
            .iter()
            .fold(Self::START, |hash, byte| hash.with(*byte))
    }
}

impl Table {
    fn with_room_for(pieces: usize) -> Self {
        Self(vec![0; pieces.saturating_mul(2).max(2).next_power_of_two()])
    }

    /// The slots that may hold a hash, in their order; endless.
    fn probe(&self, hash: Hash) -> impl Iterator<Item = usize> {
        let mask = self.0.len().wrapping_sub(1);
        let first = (hash.0 ^ (hash.0 >> 15)) as usize;
        (0..=mask).map(move |step| first.wrapping_add(step) & mask)
    }

    fn insert(&mut self, hash: Hash, number: u16) {
        let free = self
            .probe(hash)
            .find(|slot| self.0.get(*slot).is_some_and(|taken| *taken == 0));
        if let Some(slot) = free.and_then(|slot| self.0.get_mut(slot)) {
            *slot = number;
        }
    }

    fn find(&self, hash: Hash, is: impl Fn(u16) -> bool) -> Option<u16> {
        for slot in self.probe(hash) {
            match self.0.get(slot) {
                None | Some(0) => return None,
                Some(number) if is(*number) => return Some(*number),
                Some(_) => {}
            }
        }
        None
    }
}

/// Why a vocabulary is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VocabularyError {
    /// More pieces than can be numbered.
    TooLarge(usize),
    /// Fewer than two pieces.
    TooSmall,
    /// A line without a piece.
    Empty(usize),
    /// A limit of words that is longer than the part of one that is looked at.
    LongWords(usize),
}

impl std::fmt::Display for VocabularyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(pieces) => write!(f, "{pieces} word pieces; at most 65535 are allowed"),
            Self::TooSmall => f.write_str("fewer than two word pieces"),
            Self::Empty(line) => write!(f, "line {line} of the vocabulary is empty"),
            Self::LongWords(limit) => write!(
                f,
                "words of {limit} characters; at most {MAX_WORD_CHARS} can be told"
            ),
        }
    }
}

impl std::error::Error for VocabularyError {}

impl Vocabulary {
    /// Reads a vocabulary: one piece a line, numbered from 0. The first two are names: padding and [`UNKNOWN`].
    ///
    /// # Errors
    /// Too many or too few pieces, an empty line.
    pub fn read(text: &str) -> Result<Self, VocabularyError> {
        let pieces: Vec<&str> = text.lines().collect();
        Self::build(&pieces, UNKNOWN, usize::MAX)
    }

    /// The vocabulary of another model: its pieces by their numbers, of which 0 is a name, not a piece; the number of the
    /// unknown; and how many characters a word may have before it is unknown (`max_input_chars_per_word`).
    ///
    /// # Errors
    /// Too many or too few pieces, an empty one, a limit above [`MAX_WORD_CHARS`].
    pub fn of(pieces: &[&str], unknown: u32, longest_word: usize) -> Result<Self, VocabularyError> {
        if longest_word > MAX_WORD_CHARS {
            return Err(VocabularyError::LongWords(longest_word));
        }
        Self::build(pieces, unknown, longest_word)
    }

    fn build(pieces: &[&str], unknown: u32, longest_word: usize) -> Result<Self, VocabularyError> {
        if pieces.len() < 2 {
            return Err(VocabularyError::TooSmall);
        }
        if pieces.len() > usize::from(u16::MAX) {
            return Err(VocabularyError::TooLarge(pieces.len()));
        }
        let continued = pieces
            .iter()
            .filter(|piece| piece.starts_with(CONTINUES))
            .count();
        let mut vocabulary = Self {
            bytes: Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum()),
            starts: Vec::with_capacity(pieces.len().saturating_add(1)),
            begin: Table::with_room_for(pieces.len().saturating_sub(continued)),
            continued: Table::with_room_for(continued),
            longest: 0,
            unknown,
            longest_word,
        };
        for (line, piece) in pieces.iter().enumerate() {
            let (piece, table) = match piece.strip_prefix(CONTINUES) {
                Some(rest) if !rest.is_empty() => (rest.as_bytes(), &mut vocabulary.continued),
                _ => (piece.as_bytes(), &mut vocabulary.begin),
            };
            if piece.is_empty() {
                return Err(VocabularyError::Empty(line.saturating_add(1)));
            }
            vocabulary.starts.push(end_of(&vocabulary.bytes));
            vocabulary.bytes.extend_from_slice(piece);
            let number = u16::try_from(line).unwrap_or_default();
            if number > 0 && u32::from(number) != unknown {
                table.insert(Hash::of(piece), number);
                vocabulary.longest = vocabulary.longest.max(piece.len());
            }
        }
        vocabulary.starts.push(end_of(&vocabulary.bytes));
        Ok(vocabulary)
    }

    /// Number of pieces.
    #[must_use]
    pub fn size(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn is_too_long(&self, word: &[u8]) -> bool {
        // A character begins with every byte that continues none.
        let characters = || word.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        word.len() > self.longest_word && characters() > self.longest_word
    }

    fn piece(&self, number: u16) -> Option<&[u8]> {
        let at = usize::from(number);
        let start = usize::try_from(*self.starts.get(at)?).ok()?;
        let end = usize::try_from(*self.starts.get(at.checked_add(1)?)?).ok()?;
        self.bytes.get(start..end)
    }

    /// The longest piece that `word` begins with, and its length.
    fn longest_piece(
        &self,
        word: &[u8],
        continued: bool,
        hashes: &mut Vec<Hash>,
    ) -> Option<(u16, usize)> {
        let table = if continued {
            &self.continued
        } else {
            &self.begin
        };
        hashes.clear();
        let mut hash = Hash::START;
        for byte in word.iter().take(self.longest) {
            hash = hash.with(*byte);
            hashes.push(hash);
        }
        for (index, hash) in hashes.iter().enumerate().rev() {
            let length = index.saturating_add(1);
            let text = word.get(..length)?;
            if let Some(number) = table.find(*hash, |number| self.piece(number) == Some(text)) {
                return Some((number, length));
            }
        }
        None
    }
}

fn end_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// A place in a text, from which it is read on.
#[derive(Debug, Default)]
pub struct Reader {
    /// Byte offset of what was not read yet.
    at: usize,
    /// The word in work, normalised.
    word: Vec<u8>,
    /// Whether pieces of that word were given out already.
    continued: bool,
    /// Whether that word is unknown: what follows of it is no token.
    unknown: bool,
    hashes: Vec<Hash>,
}

impl Reader {
    /// Reads on in `text`, the same at each call, until `tokens` holds at least `enough` or the text ends. Tells whether there
    /// is more to read. One call reads at most [`LONG_WORD`] bytes more than it needs.
    pub fn read(
        &mut self,
        vocabulary: &Vocabulary,
        text: &str,
        tokens: &mut Vec<u32>,
        enough: usize,
    ) -> bool {
        while tokens.len() < enough {
            let Some(byte) = text.as_bytes().get(self.at).copied() else {
                self.end_word(vocabulary, tokens);
                return false;
            };
            match ascii(byte) {
                Ascii::Word(lower) => {
                    self.word.push(lower);
                    self.at = self.at.saturating_add(1);
                    if self.word.len() >= LONG_WORD {
                        self.cut_long_word(vocabulary, tokens);
                    }
                }
                Ascii::Space => {
                    self.end_word(vocabulary, tokens);
                    self.at = self.at.saturating_add(1);
                }
                Ascii::Punctuation => {
                    self.end_word(vocabulary, tokens);
                    self.word.push(byte);
                    self.end_word(vocabulary, tokens);
                    self.at = self.at.saturating_add(1);
                }
                Ascii::Dropped => self.at = self.at.saturating_add(1),
                Ascii::Not => {
                    let Some(c) = text.get(self.at..).and_then(|rest| rest.chars().next()) else {
                        // Not at a character: only a text that changed between two calls.
                        self.at = self.at.saturating_add(1);
                        continue;
                    };
                    self.at = self.at.saturating_add(c.len_utf8());
                    self.other(c, vocabulary, tokens);
                }
            }
        }
        true
    }

    /// A character beyond ASCII.
    fn other(&mut self, c: char, vocabulary: &Vocabulary, tokens: &mut Vec<u32>) {
        if c == '\u{fffd}' || c.is_other() {
            return;
        }
        let alone = is_ideograph(c);
        if alone || c.is_whitespace() {
            self.end_word(vocabulary, tokens);
        }
        if c.is_whitespace() {
            return;
        }
        for (part, _) in std::iter::once(c).nfd() {
            if part.is_mark_nonspacing() {
                continue;
            }
            for lower in part.to_lowercase() {
                self.normalised(lower, vocabulary, tokens);
            }
        }
        if alone {
            self.end_word(vocabulary, tokens);
        }
        if self.word.len() >= LONG_WORD {
            self.cut_long_word(vocabulary, tokens);
        }
    }

    fn normalised(&mut self, c: char, vocabulary: &Vocabulary, tokens: &mut Vec<u32>) {
        let stands_alone = c.is_ascii_punctuation() || c.is_punctuation();
        if stands_alone || c.is_whitespace() {
            self.end_word(vocabulary, tokens);
        }
        if !c.is_whitespace() {
            self.word
                .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if stands_alone {
            self.end_word(vocabulary, tokens);
        }
    }

    /// The word is complete: gives out its pieces.
    fn end_word(&mut self, vocabulary: &Vocabulary, tokens: &mut Vec<u32>) {
        if !self.word.is_empty() {
            self.cut(vocabulary, tokens, 0);
            self.word.clear();
        }
        self.continued = false;
        self.unknown = false;
    }

    /// Gives out pieces of a word that goes on, as long as what follows cannot change them.
    fn cut_long_word(&mut self, vocabulary: &Vocabulary, tokens: &mut Vec<u32>) {
        let used = self.cut(vocabulary, tokens, vocabulary.longest);
        self.word.drain(..used.min(self.word.len()));
        self.continued = true;
    }

    /// Cuts the word into pieces while more than `keep` bytes of it are left; tells how many bytes it used.
    fn cut(&mut self, vocabulary: &Vocabulary, tokens: &mut Vec<u32>, keep: usize) -> usize {
        if self.unknown {
            return self.word.len();
        }
        let before = tokens.len();
        if vocabulary.is_too_long(&self.word) {
            tokens.push(vocabulary.unknown);
            self.unknown = true;
            return self.word.len();
        }
        let mut at = 0_usize;
        while let Some(rest) = self.word.get(at..).filter(|rest| rest.len() > keep) {
            let continued = self.continued || at > 0;
            match vocabulary.longest_piece(rest, continued, &mut self.hashes) {
                Some((number, length)) => {
                    tokens.push(number.into());
                    at = at.saturating_add(length);
                }
                None => {
                    tokens.truncate(before);
                    tokens.push(vocabulary.unknown);
                    self.unknown = true;
                    return self.word.len();
                }
            }
        }
        at
    }
}

/// What an ASCII byte is to the tokeniser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ascii {
    /// Part of a word, in lower case.
    Word(u8),
    Space,
    Punctuation,
    Dropped,
    /// Part of a longer character.
    Not,
}

fn ascii(byte: u8) -> Ascii {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => Ascii::Word(byte),
        b'A'..=b'Z' => Ascii::Word(byte.to_ascii_lowercase()),
        b' ' | b'\t' | b'\n' | b'\r' => Ascii::Space,
        0x21..=0x7e => Ascii::Punctuation,
        0x00..=0x1f | 0x7f => Ascii::Dropped,
        0x80.. => Ascii::Not,
    }
}

/// CJK ideographs, which are words of their own: the blocks that BERT's normaliser names.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_B73F | 0x2_B740..=0x2_B81F
        | 0x2_B920..=0x2_CEAF | 0xF900..=0xFAFF | 0x2_F800..=0x2_FA1F)
}
