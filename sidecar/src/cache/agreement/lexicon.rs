//! What is known about words: their part in a question, the senses that they share, their opposites, their base forms.
//!
//! Two lists are compiled in: `english.txt`, written for this module, and `wordnet.txt`, drawn from WordNet 3.0 by
//! `scripts/wordnet_agreement.py`. They are read at the first comparison, once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::frames::Frame;
use super::scan::{Kind, Token};

const ENGLISH: &str = include_str!("english.txt");
const WORDNET: &str = include_str!("wordnet.txt");

/// What a word does in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Politeness and frames.
    Filler,
    /// The same, at either end of a text.
    Edge,
    /// May be left out.
    Soft,
    /// Function words.
    Stop,
    /// Says whose thing follows.
    Preposition,
    /// Only says that a thing follows, and which way in a pair of [`PARTICLES`].
    Particle,
    /// `not` and its kin.
    Negator,
    /// `tell`, `give`: any form of answer.
    Neutral,
    /// `explain`, `describe`.
    Explain,
    /// `list`, `name`.
    List,
    /// `write`, `create`.
    Write,
    /// A number word; the form is its value.
    Number,
    /// `third`; the form is its digits.
    Ordinal,
    /// A unit of measure or a currency.
    Unit,
    /// A weekday, month or relative date.
    Date,
    /// A pronoun or country that is a name.
    Entity,
    /// An ordinary word, whatever other lists say.
    Content,
}

/// Words of one pair say opposite ways, and much else besides: they count only where each side has one of them.
pub(super) const PARTICLES: [(&str, &str); 6] = [
    ("up", "down"),
    ("in", "out"),
    ("on", "off"),
    ("over", "under"),
    ("above", "below"),
    ("inside", "outside"),
];

/// One word.
#[derive(Debug, Default)]
pub(super) struct Word {
    pub(super) role: Option<Role>,
    /// The form that stands for it.
    pub(super) form: Option<&'static str>,
    /// Numbers of the senses that it shares with others.
    senses: Vec<u32>,
    opposites: Vec<&'static str>,
    known: bool,
    /// Only says how something is: an adjective or adverb.
    pub(super) modifier: bool,
}

impl Word {
    /// Whether the two have a sense in common.
    pub(super) fn means(&self, other: &Self) -> bool {
        self.senses.iter().any(|sense| other.senses.contains(sense))
    }

    /// Whether `other` is listed as the opposite.
    pub(super) fn opposes(&self, other: &str) -> bool {
        self.opposites.contains(&other)
    }
}

/// Of keys that are compiled in: nobody can choose them so that they collide.
type Map<V> = HashMap<&'static str, V, FixedState>;

/// All words.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    words: Map<Word>,
    /// Units by their symbol, which letters' case tells apart.
    symbols: Map<&'static str>,
    /// The first word of each phrase, and the most words of one that begins so.
    phrases: Map<usize>,
    irregular: Map<&'static str>,
    /// By the words that they may begin with.
    frames: Map<Vec<std::sync::Arc<Frame>>>,
    /// Words that are too rare to be related to others, sorted.
    rare: Vec<&'static str>,
    senses: u32,
}

impl Lexicon {
    /// The one that is compiled in.
    pub(super) fn get() -> &'static Self {
        static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
            let mut lexicon = Lexicon::default();
            for line in ENGLISH.lines() {
                lexicon.read_english(line);
            }
            for line in WORDNET.lines() {
                lexicon.read_wordnet(line);
            }
            lexicon
        });
        &LEXICON
    }

    /// Frames that a clause may begin with whose first word is `first`.
    pub(super) fn frames(&self, first: &str) -> &[std::sync::Arc<Frame>] {
        self.frames.get(first).map_or(&[], Vec::as_slice)
    }

    /// The word as it is written, in lower case.
    pub(super) fn word(&self, text: &str) -> Option<&Word> {
        self.words.get(text)
    }

    /// The unit that a symbol beside a number means.
    pub(super) fn symbol(&self, text: &str) -> Option<&'static str> {
        self.symbols.get(text).copied()
    }

    /// The longest listed phrase that `tokens` begin with, and how many they are.
    pub(super) fn phrase(&self, tokens: &[Token]) -> Option<(usize, String)> {
        let first = &tokens.first()?.text;
        self.phrase_from(first, tokens).or_else(|| {
            let base = self.base(first);
            (base != first.as_str())
                .then(|| self.phrase_from(&base, tokens))
                .flatten()
        })
    }

    fn phrase_from(&self, first: &str, tokens: &[Token]) -> Option<(usize, String)> {
        let longest = *self.phrases.get(first)?;
        let mut phrase = first.to_owned();
        let mut found = None;
        for (length, token) in (2..=longest).zip(tokens.iter().skip(1)) {
            if token.kind != Kind::Word {
                break;
            }
            phrase.push('_');
            phrase.push_str(&token.text);
            if self.words.contains_key(phrase.as_str()) {
                found = Some((length, phrase.clone()));
            }
        }
        found
    }

    /// The listed phrase of a verb and its particle, where the object stands between them: `turn the light off`. The particle must end
    /// its clause or stand before a preposition.
    pub(super) fn parted_phrase(&self, tokens: &[Token]) -> Option<(String, String)> {
        /// Words between verb and particle.
        const MOST: usize = 4;
        let verb = self.base(&tokens.first()?.text);
        self.phrases.get(verb.as_ref())?;
        let behind = tokens.get(1..)?;
        let clause = behind
            .iter()
            .take(MOST + 1)
            .take_while(|t| t.kind != Kind::Break);
        let is_particle = |t: &Token| {
            self.word(&t.text).and_then(|w| w.role) == Some(Role::Particle)
                || matches!(t.text.as_str(), "on" | "in" | "together")
        };
        let (at, particle) = clause.enumerate().skip(1).find(|(_, t)| is_particle(t))?;
        let ends = behind.get(at + 1).is_none_or(|next| {
            next.kind == Kind::Break
                || self.word(&next.text).and_then(|w| w.role) == Some(Role::Preposition)
        });
        let phrase = format!("{verb}_{}", particle.text);
        (ends && self.words.contains_key(phrase.as_str())).then(|| (phrase, particle.text.clone()))
    }

    /// Whether the word is a form of another one, by no rule.
    pub(super) fn is_irregular(&self, text: &str) -> bool {
        self.irregular.contains_key(text)
    }

    /// Whether dictionaries have the word.
    pub(super) fn knows(&self, text: &str) -> bool {
        self.words.get(text).is_some_and(|word| word.known)
    }

    /// Whether it is a word at all, however rare.
    pub(super) fn spells(&self, text: &str) -> bool {
        self.knows(text) || self.rare.binary_search(&text).is_ok()
    }

    fn read_english(&mut self, line: &'static str) {
        let Some((role, words)) = line.split_once(": ") else {
            return;
        };
        let (form, words) = match words.split_once(" = ") {
            Some((form, words)) => (Some(form), words),
            None => (None, words),
        };
        if role == "frame" {
            let frame = std::sync::Arc::new(Frame::parse(form.unwrap_or("-"), words));
            for first in frame.first_words() {
                self.frames.entry(first).or_default().push(frame.clone());
            }
            return;
        }
        for word in words.split(' ') {
            if let Some((first, rest)) = word.split_once('_') {
                let length = 2 + rest.matches('_').count();
                let longest = self.phrases.entry(first).or_default();
                *longest = length.max(*longest);
            }
        }
        match role {
            "synonyms" => self.add_sense(words),
            "opposites" | "different" => self.add_opposites(words),
            "symbol" => {
                let symbols = words.split(' ').filter_map(|word| Some((word, form?)));
                self.symbols.extend(symbols);
            }
            _ => {
                let Some(role) = role_of(role) else { return };
                for word in words.split(' ') {
                    let entry = self.words.entry(word).or_default();
                    entry.known = true;
                    if entry.role.is_none() {
                        entry.role = Some(role);
                        entry.form = form;
                    }
                }
            }
        }
    }

    fn read_wordnet(&mut self, line: &'static str) {
        let Some((kind, words)) = line.split_once(' ') else {
            return;
        };
        match kind {
            // Who does it is not what is done: `teach`, `teacher`.
            "~" if words.split_once(' ').is_some_and(is_doer) => {
                for word in words.split(' ') {
                    self.words.entry(word).or_default().known = true;
                }
            }
            "=" | "~" => self.add_sense(words),
            "!" => self.add_opposites(words),
            ">" => self.irregular.extend(words.split_once(' ')),
            "." | ":" => {
                for word in words.split(' ') {
                    let entry = self.words.entry(word).or_default();
                    entry.known = true;
                    entry.modifier = kind == ":";
                }
            }
            "," => self.rare.extend(words.split(' ')),
            _ => {}
        }
    }

    fn add_sense(&mut self, words: &'static str) {
        for word in words.split(' ') {
            let entry = self.words.entry(word).or_default();
            entry.senses.push(self.senses);
            entry.known = true;
        }
        self.senses += 1;
    }

    fn add_opposites(&mut self, words: &'static str) {
        if let Some((a, b)) = words.split_once(' ') {
            self.words.entry(a).or_default().opposites.push(b);
            self.words.entry(b).or_default().opposites.push(a);
        }
    }

    /// The base form of `word`, by irregular forms and endings, in the American spelling; itself where no base is known.
    pub(super) fn base<'a>(&self, word: &'a str) -> Cow<'a, str> {
        if let Some(base) = self.irregular.get(word) {
            return Cow::Borrowed(base);
        }
        if !word.is_ascii() || word.len() < 4 {
            return Cow::Borrowed(word);
        }
        let mut base = String::new();
        for (ending, replacements) in ENDINGS {
            let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.len() >= 2) else {
                continue;
            };
            for replacement in *replacements {
                base.clear();
                base.push_str(stem);
                base.push_str(replacement);
                if self.knows(&base) {
                    return Cow::Owned(base);
                }
            }
            if let Some(single) = undoubled(stem).filter(|single| self.knows(single)) {
                return Cow::Owned(single.to_owned());
            }
        }
        Cow::Borrowed(plural(word).unwrap_or(word))
    }

    /// What `word` denies with its prefix: `unsafe` denies `safe`. A word that dictionaries have must be its opposite there, so
    /// `discount` denies nothing; a rare one need not be listed.
    pub(super) fn denied<'a>(&self, word: &'a str) -> Option<&'a str> {
        let own = self.base(word);
        NEGATIVE_PREFIXES.iter().find_map(|prefix| {
            let rest = word.strip_prefix(prefix).filter(|rest| rest.len() >= 3)?;
            let denied = self.base(rest);
            let opposite = match self.word(&own).filter(|w| w.known) {
                Some(known) => known.opposes(&denied),
                None => {
                    let certain = matches!(*prefix, "un" | "non") || !self.spells(&own);
                    certain && self.knows(&denied)
                }
            };
            opposite.then_some(rest)
        })
    }
}

/// Whether one word of a pair is the other one with the ending of somebody or something that does it, or of a state.
fn is_doer((one, other): (&str, &str)) -> bool {
    let of = |verb: &str, noun: &str| {
        let stem = verb.strip_suffix(['e', 'y']).unwrap_or(verb);
        let ending = noun.strip_prefix(stem).unwrap_or_default();
        matches!(
            ending,
            "er" | "r" | "or" | "ier" | "ist" | "ee" | "ship" | "ant"
        ) || undoubled(noun.trim_end_matches("er")) == Some(verb) && noun.ends_with("er")
    };
    of(one, other) || of(other, one)
}

const NEGATIVE_PREFIXES: [&str; 7] = ["un", "non", "in", "im", "ir", "il", "dis"];

/// What may end a word, and what its base may end in there. Looked through in this order.
const ENDINGS: &[(&str, &[&str])] = &[
    ("isations", &["ization"]),
    ("isation", &["ization"]),
    ("ising", &["ize", "ise"]),
    ("ised", &["ize", "ise"]),
    ("ises", &["ize", "ise"]),
    ("ise", &["ize", "ise"]),
    ("ies", &["y", "ie"]),
    ("ied", &["y", "ie"]),
    ("es", &["e", ""]),
    ("s", &["", "e"]),
    ("ing", &["e", ""]),
    ("ed", &["e", ""]),
    ("ours", &["or", "our"]),
    ("our", &["or", "our"]),
    ("tre", &["ter"]),
    ("tres", &["ter"]),
    ("yse", &["yze"]),
    ("ogue", &["og"]),
];

/// `stem` without its last letter, if that is doubled.
fn undoubled(stem: &str) -> Option<&str> {
    let bytes = stem.as_bytes();
    let (last, rest) = bytes.split_last()?;
    if rest.last() == Some(last) {
        stem.get(..rest.len())
    } else {
        None
    }
}

/// A word that no list has, without the ending of a plural.
fn plural(word: &str) -> Option<&str> {
    word.strip_suffix('s')
        .filter(|stem| stem.len() >= 3 && !stem.ends_with(['s', 'u', 'i']))
}

fn role_of(name: &str) -> Option<Role> {
    Some(match name {
        "filler" => Role::Filler,
        "edge" => Role::Edge,
        "soft" => Role::Soft,
        "stop" => Role::Stop,
        "preposition" => Role::Preposition,
        "particle" => Role::Particle,
        "negator" => Role::Negator,
        "neutral" => Role::Neutral,
        "explain" => Role::Explain,
        "list" => Role::List,
        "write" => Role::Write,
        "number" => Role::Number,
        "ordinal" => Role::Ordinal,
        "unit" => Role::Unit,
        "date" => Role::Date,
        "entity" => Role::Entity,
        "content" => Role::Content,
        _ => return None,
    })
}
