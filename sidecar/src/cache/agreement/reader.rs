//! Turns tokens into a [`Reading`]: what each word does, in the order of the text.

mod marking;
mod quantities;

use marking::{begins_noun, is_contracted};

use super::degree;
use super::lexicon::{Lexicon, Role, Word};
use super::marks;
use super::question::{self, MAX_TAG};
use super::reading::{Class, Degree, Item, Negation, Reading};
use super::scan::{self, Kind, Marks, Token};
use super::sequence::{NOT, OWNS};

/// Reads `text`.
pub(super) fn read(text: &str, marks: Marks) -> Reading {
    let tokens = scan::tokens(text, marks);
    let question = question::read(&tokens);
    let mixed_case = text.contains(char::is_lowercase);
    let mut reader = Reader::new(question.asks);
    reader.reading.cased = text
        .chars()
        .find(|c| c.is_alphabetic())
        .is_some_and(char::is_uppercase)
        && mixed_case;
    let mut at = 0;
    let mut skip = question.words.iter().peekable();
    while let Some(token) = tokens.get(at) {
        while skip.next_if(|i| **i < at).is_some() {}
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
    /// Of the one before that.
    before_that: String,
    /// A noun, or nothing, may follow the token.
    before_noun: bool,
    /// Nothing but a break or politeness stands before the token.
    after_break: bool,
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
            upper: false,
            before: String::new(),
            before_that: String::new(),
            before_noun: false,
            after_break: true,
            leads: true,
            particle: None,
            sentence: 0,
            since_be: usize::MAX,
            comma: None,
            since_comma: 0,
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
        if self.reading.items.iter().all(|item| item.optional) {
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
        self.since_comma += usize::from(token.kind != Kind::Break);
        self.capital = token.capital;
        match token.kind {
            Kind::Break => {
                self.link = "";
                self.drop_tag();
                self.particle = None;
                if token.text == "," {
                    self.since_comma = 0;
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

    /// Takes `'s`, `n't` and the like off.
    fn word(&mut self, text: &str) {
        let Some((head, tail)) = text.split_once('\'') else {
            return self.plain_word(text);
        };
        match tail {
            "t" if head.ends_with('n') => {
                let auxiliary = head.strip_suffix('n').unwrap_or(head);
                if let Some(modal) = marks::modal(auxiliary, "") {
                    self.modal(modal);
                }
                self.negate(true);
                self.note(match auxiliary {
                    "wo" => "will",
                    other => other,
                });
            }
            "s" | "m" | "re" | "ve" | "ll" | "d" | "" => {
                if tail == "ll" {
                    self.note("will");
                    self.modal("will");
                }
                self.plain_word(head);
                if matches!(tail, "s" | "") && !is_contracted(head) {
                    self.push_mark(OWNS);
                }
            }
            // French: `l'eau`, `n'est`.
            _ if head.chars().count() <= 2 => {
                if head == "n" {
                    self.negate(false);
                }
                self.plain_word(tail);
            }
            _ => self.plain_word(&text.replace('\'', "")),
        }
    }

    fn plain_word(&mut self, text: &str) {
        self.note(text);
        self.mark(text);
        if text == "a" && self.capital {
            // `Plan A`.
            return self.push(Class::Entity, "A".to_owned(), None);
        }
        let own = self.lexicon.word(text);
        if self.upper
            && own.is_some_and(|w| {
                !matches!(
                    w.role,
                    None | Some(Role::Negator | Role::Unit | Role::Entity)
                )
            })
        {
            // `US`, `IT`, `AND`: a name, though its letters are those of a function word.
            return self.push(Class::Entity, text.to_uppercase(), None);
        }
        if self.role(text, own) {
            return;
        }
        if let Some(denied) = self.lexicon.denied(text) {
            self.negate(false);
            return self.plain_word(denied);
        }
        let (base, degree) = degree::base(self.lexicon, text);
        let word = self.lexicon.word(&base);
        let inflected = base != text && !self.capital && self.since_be > 3;
        let irregular = self.lexicon.is_irregular(text) && !text.ends_with("ing");
        if inflected && (text.ends_with("ed") || irregular) {
            self.modal("past");
        }
        if degree == Degree::Plain
            && base != text
            && own.is_none_or(|w| w.role.is_none())
            && self.role(&base, word)
        {
            return;
        }
        let known = self.lexicon.spells(&base);
        let class = if self.capital || !known {
            Class::Entity
        } else {
            Class::Content
        };
        self.push(class, base.into_owned(), word);
        if let Some(item) = self.reading.items.last_mut() {
            item.degree = degree;
            item.passive = self.since_be <= 3
                && !self.capital
                && !matches!(text, "men" | "women" | "children")
                && (text.ends_with("ed") || text.ends_with("en") || base_differs(text, &item.text));
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
                self.edges.push(Edge {
                    item: self.reading.items.len(),
                    leads: self.leads,
                    trails: self.after_break,
                });
                self.push(Class::Content, shown(), word);
                self.make_optional();
            }
            Role::Soft => {
                let base = self.lexicon.base(text);
                self.push(
                    Class::Content,
                    base.clone().into_owned(),
                    self.lexicon.word(&base).or(word),
                );
                self.make_optional();
            }
            Role::Neutral | Role::Explain | Role::List | Role::Write if !self.is_request() => {
                return false;
            }
            Role::Stop => {
                self.link = self.link_after(text);
                if matches!(
                    text,
                    "is" | "are" | "was" | "were" | "be" | "been" | "being"
                ) {
                    self.since_be = 0;
                }
            }
            Role::Preposition | Role::Particle => {
                self.link = form.or_else(|| preposition(text)).unwrap_or("on")
            }
            Role::Negator => self.negate(text.ends_with("nt")),
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
            "a" | "an" | "the" | "my" | "your" | "our" | "their" | "its" | "this" | "that"
            | "these" | "those" => self.link,
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
        let own = matches!(
            self.before.as_str(),
            "i" | "we" | "they" | "he" | "she" | "it" | "the" | "a" | "my"
        ) || (self.before == "you"
            && !matches!(
                self.before_that.as_str(),
                "can" | "could" | "would" | "will"
            ));
        self.reading
            .items
            .iter()
            .skip(self.sentence)
            .all(|i| i.optional)
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
        if let Some((items, negations, marks)) = self.comma
            && items > 0
            && self.since_comma <= MAX_TAG
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
            passive: false,
        });
    }
}

/// An irregular participle: another word than its base.
fn base_differs(text: &str, base: &str) -> bool {
    text != base && !text.ends_with('s') && !text.ends_with("ing")
}

fn preposition(text: &str) -> Option<&'static str> {
    const ALL: [&str; 26] = [
        "behind", "beside", "from", "of", "by", "in", "at", "on", "for", "with", "about",
        "between", "over", "against", "through", "across", "along", "among", "per", "near",
        "under", "above", "below", "inside", "outside", "up",
    ];
    ALL.iter().find(|p| **p == text).copied()
}
