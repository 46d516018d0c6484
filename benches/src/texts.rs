//! Texts of an exact number of tokens, no two alike.
//!
//! 1. Sentences are put together from the words below by a generator with a fixed seed: every run reads the same texts.
//! 2. The rest is filled with words of one token each. Words of a WordPiece model are cut each by itself, so their tokens add up.
//! 3. The sidecar's own tokenizer says at last whether a text has as many tokens as wanted, special ones included.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, anyhow, bail};
use turnpike_sidecar::model::TokenizedText;
use turnpike_sidecar::tokenizer::TextTokenizer;

const SUBJECTS: [&str; 16] = [
    "the harbour master",
    "a careful nurse",
    "our neighbour",
    "the old baker",
    "an engineer from Porto",
    "the night train",
    "a young mathematician",
    "the council",
    "my grandmother",
    "the second violin",
    "a locksmith",
    "the river ferry",
    "a student of law",
    "the gardener",
    "an unhurried photographer",
    "the lighthouse keeper",
];

const VERBS: [&str; 16] = [
    "repaired",
    "measured",
    "forgot",
    "described",
    "sold",
    "borrowed",
    "painted",
    "counted",
    "questioned",
    "translated",
    "carried",
    "postponed",
    "admired",
    "inspected",
    "mislaid",
    "rebuilt",
];

const OBJECTS: [&str; 16] = [
    "seven wooden boats",
    "the longest bridge",
    "a proof about prime numbers",
    "the contract",
    "three unmarked parcels",
    "a recipe for rye bread",
    "the clock in the tower",
    "a map of the valley",
    "the new turbine",
    "an overdue invoice",
    "the spreadsheet",
    "a letter without a stamp",
    "the irrigation pump",
    "two chapters of the thesis",
    "a faulty thermostat",
    "the garden wall",
];

const TIMES: [&str; 12] = [
    "before the storm",
    "on a Tuesday",
    "without any help",
    "while it rained",
    "for the first time",
    "in spite of the noise",
    "after a long discussion",
    "near the frontier",
    "at half past nine",
    "with great patience",
    "during the strike",
    "as everybody had expected",
];

/// Of one token each, in every English vocabulary.
const FILL: [&str; 16] = [
    "again", "slowly", "today", "there", "indeed", "often", "later", "perhaps", "early", "once",
    "together", "still", "soon", "already", "outside", "alone",
];

/// A text and how the encoder reads it.
#[derive(Debug, Clone)]
pub struct Text {
    /// What a request sends.
    pub text: String,
    /// Its tokens.
    pub row: TokenizedText,
}

/// `number` texts of `tokens` tokens each.
///
/// # Errors
/// When the tokenizer reads fewer, or cuts words in another way.
pub fn compose(tokenizer: &TextTokenizer, tokens: usize, number: usize) -> Result<Vec<Text>> {
    let mut composer = Composer {
        tokenizer,
        frame: count(tokenizer, "")?,
        known: HashMap::new(),
        random: Random::new(tokens as u64),
    };
    let (mut texts, mut seen) = (Vec::with_capacity(number), HashSet::new());
    for _ in 0..number * 4 {
        if texts.len() == number {
            break;
        }
        let text = composer.text(tokens)?;
        if seen.insert(text.clone()) {
            let row = tokenizer.tokenize(&text).map_err(|e| anyhow!(e))?;
            if row.input_ids.len() != tokens || row.truncated {
                let found = row.input_ids.len();
                bail!("a text of {found} tokens instead of {tokens}: {text}");
            }
            texts.push(Text { text, row });
        }
    }
    if texts.len() < number {
        bail!("only {} different texts of {tokens} tokens", texts.len());
    }
    Ok(texts)
}

fn count(tokenizer: &TextTokenizer, text: &str) -> Result<usize> {
    let row = tokenizer.tokenize(text).map_err(|e| anyhow!(e))?;
    Ok(row.input_ids.len())
}

struct Composer<'t> {
    tokenizer: &'t TextTokenizer,
    /// Special tokens.
    frame: usize,
    /// Tokens of a part.
    known: HashMap<&'static str, usize>,
    random: Random,
}

impl Composer<'_> {
    fn text(&mut self, tokens: usize) -> Result<String> {
        let mut left = tokens.checked_sub(self.frame).context("too few tokens")?;
        let mut text = String::new();
        loop {
            let parts = [
                self.random.of(&SUBJECTS),
                self.random.of(&VERBS),
                self.random.of(&OBJECTS),
                self.random.of(&TIMES),
            ];
            // The full stop is a token.
            let mut size = 1;
            for part in parts {
                size += self.tokens_of(part)?;
            }
            if size > left {
                break;
            }
            left -= size;
            text.push_str(&parts.join(" "));
            text.push_str(". ");
        }
        for _ in 0..left {
            text.push_str(self.random.of(&FILL));
            text.push(' ');
        }
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    fn tokens_of(&mut self, part: &'static str) -> Result<usize> {
        if let Some(tokens) = self.known.get(part) {
            return Ok(*tokens);
        }
        let tokens = count(self.tokenizer, part)? - self.frame;
        self.known.insert(part, tokens);
        Ok(tokens)
    }
}

/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 (never reached) and 1.
    pub fn share(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
    }

    fn of(&mut self, list: &[&'static str]) -> &'static str {
        let at = self.bits() % list.len() as u64;
        list.get(at as usize).copied().unwrap_or_default()
    }
}
