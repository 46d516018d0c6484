//! Turns tokens into a [`Reading`]: what each word does, in the order of the text.

mod marking;
mod quantities;
mod words;

use marking::begins_noun;

use super::frames;
use super::lexicon::{Lexicon, Role, Word};
use super::question::{self, MAX_TAG};
use super::reading::{Class, Degree, Item, Leave, Negation, Reading};
use super::scan::{self, Kind, Marks, Token};
use super::sequence::NOT;

/// Reads `text`.
pub(super) fn read(text: &str, marks: Marks) -> Reading {
    let tokens = scan::tokens(text, marks);
    let leave = Leave::of(&tokens);
    let tokens = frames::settle(tokens);
    let question = question::read(&tokens);
    let mixed_case = text.contains(char::is_lowercase);
    let mut reader = Reader::new(question.asks);
    reader.reading.cased = text
        .chars()
        .find(|c| c.is_alphabetic())
        .is_some_and(char::is_uppercase)
        && mixed_case;
    reader.mixed = mixed_case;
    reader.reading.leave = leave;
    let mut at = 0;
    let mut skip = question.words.iter().peekable();
    while let Some(token) = tokens.get(at) {
        while skip.next_if(|i| **i < at).is_some() {}
        reader.next = tokens
            .get(at + 1)
            .map(|token| token.text.clone())
            .unwrap_or_default();
        reader.before_noun = tokens.get(at + 1).is_none_or(begins_noun);
        let length = if skip.next_if(|i| **i == at).is_some() {
            reader.question_word(token)
        } else {
            reader.upper = mixed_case && token.upper;
            reader.token(tokens.get(at..).unwrap_or_default())
        };
        if question.nouns.contains(&at) {
            reader.make_optional();
        }
        let length = length.max(1);
        if let Some(last) = tokens.get(at + length - 1) {
            reader.after_break = last.kind == Kind::Break;
            std::mem::swap(&mut reader.before, &mut reader.before_that);
            reader.before.clone_from(&last.text);
        }
        at += length;
    }
    reader.finish()
}

/// Words of a subject between `is` and what is done to it, where that ends the clause: `how is the median of a list found`.
const MAX_SUBJECT: usize = 8;

#[derive(Debug)]
struct Reader {
    lexicon: &'static Lexicon,
    reading: Reading,
    link: &'static str,
    beside_number: bool,
    /// Of the token that is read.
    capital: bool,
    /// The text has small letters, too.
    mixed: bool,
    begins: bool,
    upper: bool,
    /// Of the token before.
    before: String,
    /// Of the one before that.
    before_that: String,
    /// Of the token behind.
    next: String,
    /// A noun, or nothing, may follow the token.
    before_noun: bool,
    /// Nothing but a break or politeness stands before the token.
    after_break: bool,
    /// Nothing of its clause follows the token, or a preposition.
    ends: bool,
    /// A break or a new clause follows the token.
    leads: bool,
    /// Of a verb before, still to come.
    particle: Option<String>,
    /// Items before this sentence.
    sentence: usize,
    /// Tokens since a form of `be`.
    since_be: usize,
    /// Items, negations and marks before the last comma of this sentence.
    comma: Option<(usize, usize, usize)>,
    /// Tokens since then.
    since_comma: usize,
    /// The first of them may begin a tag.
    is_tag: bool,
    /// Indices of items that count only between others.
    edges: Vec<Edge>,
}

/// Politeness: an item that counts only where it may be what the text is about.
#[derive(Debug, Clone, Copy)]
struct Edge {
    item: usize,
    /// It may stand in front.
    leads: bool,
    /// It may stand behind.
    trails: bool,
}

impl Reader {
    fn new(asks: question::Asks) -> Self {
        Self {
            lexicon: Lexicon::get(),
            reading: Reading {
                asks,
                ..Reading::default()
            },
            link: "",
            beside_number: false,
            capital: false,
            mixed: true,
            begins: false,
            upper: false,
            before: String::new(),
            before_that: String::new(),
            next: String::new(),
            before_noun: false,
            after_break: true,
            leads: true,
            ends: true,
            particle: None,
            sentence: 0,
            since_be: usize::MAX,
            comma: None,
            since_comma: 0,
            is_tag: false,
            edges: Vec::new(),
        }
    }

    fn note(&mut self, text: &str) {
        self.reading.note(text, &self.before);
    }

    /// `isn't` may hide in a question word's neighbour, never in the word itself.
    fn question_word(&mut self, token: &Token) -> usize {
        if token.text.ends_with("'s") {
            self.reading.time.present = true;
        }
        // A question is no tag, and what stands before it with nothing to ask about is politeness.
        self.comma = None;
        let says = |mark: &super::reading::Mark| {
            matches!(
                mark.class,
                "if" | "when"
                    | "while"
                    | "because"
                    | "they"
                    | "for"
                    | "from"
                    | "with"
                    | "by"
                    | "without"
                    | "against"
            )
        };
        if self.reading.items.iter().all(|item| item.optional)
            && !self.reading.marks.iter().any(says)
        {
            self.reading.marks.clear();
            self.reading.modals.clear();
        }
        if let Some(class) = question::class(&token.text) {
            self.push_mark(class);
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
        self.since_be = match token.text.as_str() {
            "get" | "gets" | "got" | "getting" => 0,
            _ => self.since_be.saturating_add(1),
        };
        if self.since_comma == 0 && token.kind != Kind::Break {
            self.is_tag = question::is_auxiliary(&token.text)
                || matches!(token.text.as_str(), "right" | "ok" | "okay" | "no" | "yes");
        }
        self.since_comma += usize::from(token.kind != Kind::Break);
        self.capital = token.capital;
        self.begins = token.begins;
        match token.kind {
            Kind::Break => {
                self.link = "";
                self.drop_tag();
                self.particle = None;
                if token.text == "," {
                    self.since_comma = 0;
                    self.is_tag = false;
                    self.comma = Some((
                        self.reading.items.len(),
                        self.reading.negations.len(),
                        self.reading.marks.len(),
                    ));
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
        let phrase = self.lexicon.phrase(tokens);
        let length = phrase.as_ref().map_or(1, |(length, _)| *length);
        self.ends = tokens.get(length).is_none_or(|next| {
            let role = self.lexicon.word(&next.text).and_then(|word| word.role);
            next.kind == Kind::Break || matches!(role, Some(Role::Preposition | Role::Particle))
        });
        self.leads = tokens
            .get(length)
            .is_none_or(|next| self.begins_clause(next));
        match phrase {
            Some((_, form)) => {
                for word in form.split('_').skip(1) {
                    self.note(word);
                }
                self.plain_word(&form);
            }
            None if self.particle.as_deref() == Some(&token.text) => self.particle = None,
            None => match self.lexicon.parted_phrase(tokens) {
                Some((phrase, particle)) => {
                    self.plain_word(&phrase);
                    self.note(&particle);
                    self.particle = Some(particle);
                }
                None => self.word(&token.text),
            },
        }
        length
    }

    /// Whether the text itself may begin with `next`: `hello how …`, but not `hello in Korean`.
    fn begins_clause(&self, next: &Token) -> bool {
        let role = || self.lexicon.word(&next.text).and_then(|w| w.role);
        next.kind == Kind::Break
            || matches!(
                role(),
                Some(
                    Role::Stop
                        | Role::Filler
                        | Role::Edge
                        | Role::Neutral
                        | Role::Explain
                        | Role::List
                        | Role::Write
                )
            )
    }

    fn make_optional(&mut self) {
        if let Some(item) = self.reading.items.last_mut() {
            item.optional = true;
        }
    }

    /// `…, isn't it?` denies nothing.
    fn drop_tag(&mut self) {
        if let Some((items, negations, marks)) = self.comma
            && items > 0
            && self.since_comma <= MAX_TAG
            && self.is_tag
            && self
                .reading
                .items
                .iter()
                .skip(items)
                .all(|i| matches!(i.text.as_str(), "he" | "she"))
        {
            self.reading.negations.truncate(negations);
            self.reading.marks.truncate(marks);
        }
    }

    /// Takes out what is said at either end of the text for politeness.
    fn finish(mut self) -> Reading {
        self.drop_tag();
        let all = self.reading.items.len();
        let edge = |item: usize| self.edges.iter().find(|e| e.item == item);
        let first = (0..all)
            .find(|i| !edge(*i).is_some_and(|e| e.leads))
            .unwrap_or(all);
        let mut last = all;
        // What trails hangs on the first of several: "Thanks in advance, regards".
        for i in (first..all).rev() {
            match edge(i) {
                Some(e) if e.trails => last = i,
                Some(_) => {}
                None => break,
            }
        }
        for negation in &mut self.reading.negations {
            negation.at = negation.at.saturating_sub(first);
        }
        for (at, item) in self.reading.items.iter_mut().enumerate() {
            if (first..last).contains(&at) && self.edges.iter().any(|edge| edge.item == at) {
                item.optional = false;
            }
        }
        self.settle_marks(first, last);
        self.reading.items.truncate(last);
        self.reading.items.drain(..first);
        self.reading
    }

    fn negate(&mut self, contracted: bool) {
        self.reading.negations.push(Negation {
            at: self.reading.items.len(),
            contracted,
        });
        self.push_mark(NOT);
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
            begins: self.begins,
            passive: false,
        });
    }
}
