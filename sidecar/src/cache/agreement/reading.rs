//! A text as the comparison sees it: its items in order, what they are tied by, and what is said about the whole.

use std::borrow::Cow;

use super::lexicon::{Lexicon, PARTICLES, Role, Word};
use super::numbers;
use super::question::{self, Asks};
use super::scan::{self, Kind, Marks, Token};

/// What kind of thing an item is; the name of a disagreement follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Content,
    Entity,
    Number,
    Unit,
    Date,
    Quote,
    Code,
    /// `explain`, `list`, `write`: the form of the answer.
    Form,
}

/// One thing that a text mentions.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) class: Class,
    /// The form that stands for it: base form, value, symbol.
    pub(super) text: String,
    pub(super) word: Option<&'static Word>,
    /// `largest`, `larger`.
    pub(super) degree: Degree,
    /// The preposition before it, empty when there is none.
    pub(super) link: &'static str,
    /// The other text may be without it.
    pub(super) optional: bool,
    /// Written with a capital letter where no sentence begins.
    pub(super) capital: bool,
    /// Something is done to what stands before it: `the plant is watered`.
    pub(super) passive: bool,
}

/// How much of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Degree {
    #[default]
    Plain,
    More,
    Most,
}

/// A text, read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) items: Vec<Item>,
    /// For each negation, the number of items before it.
    pub(super) negations: Vec<usize>,
    pub(super) asks: Asks,
    /// One bit for each half of [`PARTICLES`].
    pub(super) particles: u16,
    pub(super) person: Person,
    pub(super) time: Time,
    pub(super) form: Forms,
}

/// Whose thing it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) mine: bool,
    pub(super) yours: bool,
}

/// When it is, by `was`, `is` and `will`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) past: bool,
    pub(super) present: bool,
    pub(super) future: bool,
}

/// What form of answer is wanted, and what is asked of somebody: must or may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) neutral: bool,
    /// The first thing said is `write …`.
    pub(super) writes: bool,
    pub(super) must: bool,
    pub(super) may: bool,
}

impl Reading {
    /// Reads `text`.
    pub(super) fn of(text: &str, marks: Marks) -> Self {
        let tokens = scan::tokens(text, marks);
        let question = question::read(&tokens);
        let mut reader = Reader {
            lexicon: Lexicon::get(),
            reading: Self {
                asks: question.asks,
                ..Self::default()
            },
            link: "",
            beside_number: false,
            capital: false,
            upper: false,
            before: String::new(),
            sentence: 0,
            since_be: usize::MAX,
            comma: None,
            edges: Vec::new(),
        };
        let mixed_case = text.contains(char::is_lowercase);
        let mut at = 0;
        let mut skip = question.words.iter().peekable();
        while let Some(token) = tokens.get(at) {
            while skip.next_if(|i| **i < at).is_some() {}
            let length = if skip.next_if(|i| **i == at).is_some() {
                reader.question_word(token)
            } else {
                reader.upper = mixed_case && token.upper;
                reader.token(tokens.get(at..).unwrap_or_default())
            };
            if question.nouns.contains(&at)
                && let Some(item) = reader.reading.items.last_mut()
            {
                item.optional = true;
            }
            reader.before.clone_from(&token.text);
            at += length.max(1);
        }
        reader.finish()
    }

    /// Texts of the items of `class`.
    pub(super) fn of_class(&self, class: Class) -> impl Iterator<Item = &str> {
        self.items
            .iter()
            .filter(move |i| i.class == class)
            .map(|i| i.text.as_str())
    }
}

#[derive(Debug)]
struct Reader {
    lexicon: &'static Lexicon,
    reading: Reading,
    link: &'static str,
    beside_number: bool,
    /// Of the token that is read.
    capital: bool,
    upper: bool,
    /// Of the token before.
    before: String,
    /// Items before this sentence.
    sentence: usize,
    /// Tokens since a form of `be`.
    since_be: usize,
    /// Items and negations before the last comma of this sentence.
    comma: Option<(usize, usize)>,
    /// Indices of items that count only between others.
    edges: Vec<usize>,
}

impl Reader {
    /// `isn't` may hide in a question word's neighbour, never in the word itself.
    fn question_word(&mut self, token: &Token) -> usize {
        if token.text.ends_with("'s") {
            self.reading.time.present = true;
        }
        self.link = "";
        1
    }

    /// Reads the first token, or the phrase that begins with it; returns how many tokens that were.
    fn token(&mut self, tokens: &[Token]) -> usize {
        let Some(token) = tokens.first() else {
            return 1;
        };
        let beside_number = std::mem::take(&mut self.beside_number);
        self.since_be = self.since_be.saturating_add(1);
        self.capital = token.capital;
        match token.kind {
            Kind::Break => {
                self.link = "";
                self.drop_tag();
                if token.text == "," {
                    self.comma = Some((self.reading.items.len(), self.reading.negations.len()));
                } else {
                    self.comma = None;
                    self.sentence = self.reading.items.len();
                }
            }
            Kind::Number => self.number(token.text.clone(), false),
            Kind::Ordinal => self.push(Class::Number, token.text.clone(), None),
            Kind::Unit => self.unit(&token.text),
            Kind::Name | Kind::Symbol => self.push(Class::Entity, token.text.clone(), None),
            Kind::Quote => self.push(Class::Quote, token.text.clone(), None),
            Kind::Code => self.push(Class::Code, token.text.clone(), None),
            Kind::Word => return self.word_or_phrase(tokens, beside_number),
        }
        1
    }

    fn word_or_phrase(&mut self, tokens: &[Token], beside_number: bool) -> usize {
        let Some(token) = tokens.first() else {
            return 1;
        };
        if beside_number && self.symbol(&token.text) {
            return 1;
        }
        if let Some((length, form)) = self.lexicon.phrase(tokens) {
            self.plain_word(&form);
            return length;
        }
        self.word(&token.text);
        1
    }

    /// Takes `'s`, `n't` and the like off.
    fn word(&mut self, text: &str) {
        let Some((head, tail)) = text.split_once('\'') else {
            return self.plain_word(text);
        };
        match tail {
            "t" if head.ends_with('n') => {
                self.negate();
                let auxiliary = head.strip_suffix('n').unwrap_or(head);
                self.flags(match auxiliary {
                    "wo" => "will",
                    other => other,
                });
            }
            "s" | "m" | "re" | "ve" | "ll" | "d" | "" => {
                if tail == "ll" {
                    self.flags("will");
                }
                self.plain_word(head);
            }
            // French: `l'eau`, `n'est`.
            _ if head.chars().count() <= 2 => {
                if head == "n" {
                    self.negate();
                }
                self.plain_word(tail);
            }
            _ => self.plain_word(&text.replace('\'', "")),
        }
    }

    fn plain_word(&mut self, text: &str) {
        self.flags(text);
        let own = self.lexicon.word(text);
        if self.upper && own.is_some_and(|w| !matches!(w.role, None | Some(Role::Negator | Role::Unit | Role::Entity))) {
            // `US`, `IT`, `AND`: a name, though its letters are those of a function word.
            return self.push(Class::Entity, text.to_uppercase(), None);
        }
        if self.role(text, own) {
            return;
        }
        if let Some(denied) = self.lexicon.denied(text) {
            self.negate();
            return self.plain_word(denied);
        }
        let (base, degree) = self.base(text);
        let word = self.lexicon.word(&base);
        if degree == Degree::Plain && base != text && own.is_none_or(|w| w.role.is_none()) && self.role(&base, word) {
            return;
        }
        let known = self.lexicon.knows(&base);
        let class = if self.capital || !known { Class::Entity } else { Class::Content };
        self.push(class, base.into_owned(), word);
        if let Some(item) = self.reading.items.last_mut() {
            item.degree = degree;
            item.passive = self.since_be <= 3 && (text.ends_with("ed") || text.ends_with("en") || base_differs(text, &item.text));
        }
    }

    /// Does what the word's role says; `false` when it has none and is an ordinary word.
    fn role(&mut self, text: &str, word: Option<&'static Word>) -> bool {
        let Some(role) = word.and_then(|w| w.role) else {
            return false;
        };
        let form = word.and_then(|w| w.form);
        let shown = || form.map_or_else(|| text.to_owned(), str::to_owned);
        match role {
            Role::Filler => {}
            Role::Edge => {
                self.edges.push(self.reading.items.len());
                self.push(Class::Content, shown(), word);
                self.make_optional();
            }
            Role::Soft => {
                let base = self.lexicon.base(text);
                self.push(Class::Content, base.clone().into_owned(), self.lexicon.word(&base).or(word));
                self.make_optional();
            }
            Role::Neutral | Role::Explain | Role::List | Role::Write if !self.is_request() => return false,
            Role::Stop => {
                self.link = self.link_after(text);
                if matches!(text, "is" | "are" | "was" | "were" | "be" | "been" | "being") {
                    self.since_be = 0;
                }
            }
            Role::Preposition | Role::Particle => self.link = form.or_else(|| preposition(text)).unwrap_or("on"),
            Role::Negator => self.negate(),
            Role::Neutral => self.reading.form.neutral = true,
            Role::Explain | Role::List | Role::Write => self.form(role, text),
            Role::Number => self.number(shown(), true),
            Role::Ordinal => self.push(Class::Number, shown(), None),
            Role::Unit => self.push(Class::Unit, shown(), None),
            Role::Date => self.push(Class::Date, shown(), None),
            Role::Entity => self.push(Class::Entity, shown(), None),
            Role::Content => self.push(Class::Content, shown(), word),
        }
        true
    }

    /// Articles keep what a preposition began; conjunctions tie, other function words end it.
    fn link_after(&self, text: &str) -> &'static str {
        match text {
            "a" | "an" | "the" | "my" | "your" | "our" | "their" | "its" | "this" | "that" | "these" | "those" | "all" | "any" | "some"
            | "each" | "every" | "own" | "same" | "another" | "other" => self.link,
            "and" => "and",
            "or" => "or",
            _ => "",
        }
    }

    fn form(&mut self, role: Role, text: &str) {
        let form = match role {
            Role::Explain => "explain",
            Role::List => "list",
            _ => "write",
        };
        self.reading.form.writes |= role == Role::Write;
        self.push(Class::Form, form.to_owned(), self.lexicon.word(text));
        if role != Role::Write {
            self.make_optional();
        }
    }

    /// Whether a verb that stands here asks for an answer, and is no part of what is asked about: `show me …`, not `how do I show …`.
    fn is_request(&self) -> bool {
        let own = matches!(self.before.as_str(), "i" | "we" | "they" | "he" | "she" | "it" | "the" | "a" | "my")
            || (self.before == "you" && self.reading.asks.how());
        self.reading.items.iter().skip(self.sentence).all(|i| i.optional)
            && !own
            && !(self.before == "to" && self.reading.asks.how())
    }

    fn make_optional(&mut self) {
        if let Some(item) = self.reading.items.last_mut() {
            item.optional = true;
        }
    }

    /// `…, isn't it?` denies nothing.
    fn drop_tag(&mut self) {
        if let Some((items, negations)) = self.comma
            && items > 0
            && items == self.reading.items.len()
        {
            self.reading.negations.truncate(negations);
        }
    }

    /// Takes out what is said at either end of the text for politeness.
    fn finish(mut self) -> Reading {
        self.drop_tag();
        let items = &self.reading.items;
        let is_edge = |i: usize| self.edges.contains(&i);
        let first = (0..items.len()).find(|i| !is_edge(*i)).unwrap_or(items.len());
        let last = (0..items.len()).rev().find(|i| !is_edge(*i)).map_or(first, |i| i + 1);
        for place in &mut self.reading.negations {
            *place = place.saturating_sub(first);
        }
        self.reading.items.truncate(last);
        self.reading.items.drain(..first);
        self.reading
    }

    fn number(&mut self, value: String, word: bool) {
        self.beside_number = true;
        if let Some(item) = self.reading.items.last_mut()
            && item.class == Class::Number
            && !item.text.contains(|c: char| c.is_alphabetic())
            && let Some(joined) = joined(&item.text, &value, word)
        {
            item.text = joined;
            item.optional = false;
            return;
        }
        let pronoun = word && value == "1";
        self.push(Class::Number, value, None);
        if let Some(item) = self.reading.items.last_mut() {
            item.optional = pronoun;
        }
    }

    /// A unit beside a number; other letters there are a word.
    fn unit(&mut self, text: &str) {
        if self.symbol(text) {
            return;
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        for part in parts {
            if !self.symbol(part) {
                self.plain_word(&part.to_lowercase());
            }
        }
    }

    fn symbol(&mut self, text: &str) -> bool {
        if text == "k" {
            if let Some(item) = self.reading.items.last_mut() {
                item.text = numbers::scaled(&item.text, 3);
            }
            return true;
        }
        match self.lexicon.symbol(text) {
            Some(unit) => {
                self.push(Class::Unit, unit.to_owned(), None);
                true
            }
            None => false,
        }
    }

    fn negate(&mut self) {
        self.reading.negations.push(self.reading.items.len());
    }

    fn push(&mut self, class: Class, text: String, word: Option<&'static Word>) {
        self.reading.items.push(Item {
            class,
            text,
            word,
            degree: Degree::Plain,
            link: self.link,
            optional: false,
            capital: self.capital,
            passive: false,
        });
    }

    /// Notes what a function word says about the whole text.
    fn flags(&mut self, text: &str) {
        let reading = &mut self.reading;
        match text {
            "my" | "our" | "mine" | "ours" => reading.person.mine = true,
            "your" | "yours" => reading.person.yours = true,
            "was" | "were" => reading.time.past = true,
            "is" | "are" | "am" => reading.time.present = true,
            "will" | "shall" => reading.time.future = true,
            "must" | "require" | "required" | "requires" | "need" | "needs" | "obliged" | "mandatory" => reading.form.must = true,
            "can" | "could" | "may" | "allowed" | "possible" | "able" | "permitted" => reading.form.may = true,
            _ => {}
        }
        for (bit, (one, other)) in PARTICLES.iter().enumerate() {
            if text == *one {
                reading.particles |= 1 << (2 * bit);
            } else if text == *other {
                reading.particles |= 2 << (2 * bit);
            }
        }
    }

    /// The base form, and the degree that the ending says.
    fn base<'a>(&self, text: &'a str) -> (Cow<'a, str>, Degree) {
        let (base, degree) = match text {
            "best" => ("good", Degree::Most),
            "better" => ("good", Degree::More),
            "worst" => ("bad", Degree::Most),
            "worse" => ("bad", Degree::More),
            _ => return self.graded(text).unwrap_or_else(|| (self.lexicon.base(text), Degree::Plain)),
        };
        (Cow::Borrowed(base), degree)
    }

    fn graded<'a>(&self, text: &str) -> Option<(Cow<'a, str>, Degree)> {
        let (stem, degree) = match (text.strip_suffix("est"), text.strip_suffix("er")) {
            (Some(stem), _) => (stem, Degree::Most),
            (_, Some(stem)) if !self.lexicon.knows(text) => (stem, Degree::More),
            _ => return None,
        };
        if degree == Degree::Most && self.lexicon.knows(text) && !matches!(text, "latest" | "nearest") {
            return None;
        }
        let candidates = [
            stem.to_owned(),
            format!("{stem}e"),
            stem.strip_suffix('i').map(|s| format!("{s}y")).unwrap_or_default(),
            stem.get(..stem.len().saturating_sub(1)).unwrap_or_default().to_owned(),
        ];
        let base = candidates
            .into_iter()
            .find(|c| c.len() > 2 && self.lexicon.knows(c))?;
        Some((Cow::Owned(base), degree))
    }
}

/// `two hundred`, `5 million`, `twenty five`, `two hundred fifty`: one number.
fn joined(first: &str, second: &str, word: bool) -> Option<String> {
    let scale = match second {
        "100" => 2,
        "1000" => 3,
        "1000000" => 6,
        "1000000000" => 9,
        _ => 0,
    };
    if word && scale > 0 {
        return Some(numbers::scaled(first, scale));
    }
    let (a, b): (u64, u64) = (first.parse().ok()?, second.parse().ok()?);
    let fits = word && a >= 20 && ((a % 10 == 0 && b < 10) || (a % 100 == 0 && b < 100) || (a % 1000 == 0 && b < 1000));
    (fits && b > 0).then(|| a.saturating_add(b).to_string())
}

/// An irregular participle: another word than its base.
fn base_differs(text: &str, base: &str) -> bool {
    text != base && !text.ends_with('s') && !text.ends_with("ing")
}

fn preposition(text: &str) -> Option<&'static str> {
    const ALL: [&str; 24] = [
        "from", "of", "by", "in", "at", "on", "for", "with", "about", "between", "over", "against", "through", "across", "along", "among",
        "per", "near", "under", "above", "below", "inside", "outside", "up",
    ];
    ALL.iter().find(|p| **p == text).copied()
}
