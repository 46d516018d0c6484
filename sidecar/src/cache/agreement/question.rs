//! What a text asks for: a person, a time, a place, a reason, a manner, a number, yes or no.
//!
//! 1. A question word counts where it begins a clause, stands before an auxiliary (`in Docker how do I …`), or follows a verb of asking
//!    (`tell me why …`). `When it rains, …` is no question.
//! 2. `How` is read with its next word, `what` with its noun: `what time` asks when, `what makes` asks why.
//! 3. A clause that begins with an auxiliary asks for yes or no, unless it is a request (`could you …`).
//!
//! English only: a text without English question words asks nothing here, and agrees with another such text.

use super::scan::{Kind, Token};

/// Words of a tag: `isn't it`, `are they not`.
pub(super) const MAX_TAG: usize = 3;

/// What is asked, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asks(u16);

const WHO: u16 = 1;
const WHEN: u16 = 1 << 1;
const WHERE: u16 = 1 << 2;
const WHY: u16 = 1 << 3;
const HOW: u16 = 1 << 4;
const HOW_MANY: u16 = 1 << 5;
const HOW_MUCH: u16 = 1 << 6;
const HOW_LONG: u16 = 1 << 7;
const HOW_OFTEN: u16 = 1 << 8;
const MEASURE: u16 = 1 << 9;
const WHAT: u16 = 1 << 10;
const WHAT_TO_DO: u16 = 1 << 11;
const YES_NO: u16 = 1 << 12;
/// Yes or no, from the one who is asked: `do you deliver`.
const YES_NO_OF_YOU: u16 = 1 << 14;
/// `Could you …`.
const REQUEST: u16 = 1 << 15;
/// Nothing, as a statement or a request does.
const NOTHING: u16 = 1 << 13;

/// What may stand for one another, when all other words agree: "how to X" and "X"; "what is X" and "explain X"; "what is the height"
/// and "how tall"; "what can I do" and "how can I".
const ALIKE: [(u16, u16); 9] = [
    (HOW_MUCH, MEASURE),
    (NOTHING, REQUEST),
    (REQUEST, YES_NO_OF_YOU),
    (NOTHING, HOW),
    (NOTHING, WHAT),
    (NOTHING, WHAT_TO_DO),
    (WHAT, MEASURE),
    (WHAT, WHAT_TO_DO),
    (HOW, WHAT_TO_DO),
];

impl Asks {
    /// Whether an answer to one may answer the other.
    pub(super) fn agree(self, other: Self) -> bool {
        self.covers(other) && other.covers(self)
    }

    fn covers(self, other: Self) -> bool {
        let (own, others) = (self.or_nothing(), other.or_nothing());
        let alike = ALIKE.iter().fold(others, |all, (a, b)| {
            match (others & a != 0, others & b != 0) {
                (true, _) => all | b,
                (_, true) => all | a,
                _ => all,
            }
        });
        own & !alike == 0
    }

    /// A request beside a question only frames it.
    fn or_nothing(self) -> u16 {
        match self.0 {
            0 => NOTHING,
            asks if asks & !REQUEST != 0 => asks & !REQUEST,
            asks => asks,
        }
    }

    /// Asks how, where or what to do, where `can I` and `should I` are the same.
    pub(super) fn advice(self) -> bool {
        self.0 & (HOW | WHERE | WHAT_TO_DO) != 0
    }

    /// Asks how or where.
    pub(super) fn how_or_where(self) -> bool {
        self.0 & (HOW | WHERE) != 0
    }

    /// Asks nothing, but to do something.
    pub(super) fn only_requests(self) -> bool {
        self.or_nothing() & !(REQUEST | NOTHING) == 0
    }

    /// Asks how long something takes.
    pub(super) fn how_long(self) -> bool {
        self.0 & HOW_LONG != 0
    }

    /// Asks nothing, as keywords do.
    pub(super) fn nothing(self) -> bool {
        self.or_nothing() == NOTHING
    }

    /// Asks who.
    pub(super) fn who(self) -> bool {
        self.0 & WHO != 0
    }

    /// Asks how something is done.
    pub(super) fn how(self) -> bool {
        self.0 & HOW != 0
    }
}

/// What a text asks, and which of its words only say so.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) asks: Asks,
    /// Indices of tokens.
    pub(super) words: Vec<usize>,
    /// Indices of nouns that say no more than `when`: `on what date`.
    pub(super) nouns: Vec<usize>,
}

/// Reads the tokens of a text.
pub(super) fn read(tokens: &[Token]) -> Question {
    let mut question = Question::default();
    let mut begin: usize = 0;
    for clause in tokens.split(|t| t.kind == Kind::Break) {
        let joined = begin
            .checked_sub(1)
            .and_then(|i| tokens.get(i))
            .is_some_and(|t| t.text == ",");
        question.clause(clause, begin, joined);
        begin += clause.len() + 1;
    }
    question
}

impl Question {
    /// `joined`: a comma stands before it.
    fn clause(&mut self, clause: &[Token], begin: usize, joined: bool) {
        let text = |i: usize| clause.get(i).map_or("", |t| t.text.as_str());
        let first = (0..clause.len())
            .find(|i| !is_lead_in(text(*i)))
            .unwrap_or(clause.len());
        let mut found = false;
        let mut asked = false;
        for i in 0..clause.len() {
            let word = stripped(text(i));
            asked |= is_verb_of_asking(word);
            if asked && !found && matches!(word, "if" | "whether") {
                self.asks.0 |= YES_NO;
                found = true;
            }
            if !is_question_word(word) {
                continue;
            }
            let place = Place {
                first: i == first,
                joined,
                contracted: text(i).len() > word.len(),
                before_auxiliary: is_auxiliary(text(i + 1)),
                asked,
                found,
                alone: i + 1 == clause.len(),
            };
            if !place.asks(word) {
                continue;
            }
            let next = if place.contracted { "is" } else { text(i + 1) };
            let (asks, length) = meaning(word, next, clause.get(i + 1..).unwrap_or_default());
            self.asks.0 |= asks;
            let length = if place.contracted { 1 } else { length };
            self.words.extend((i..i + length).map(|at| begin + at));
            if asks == WHEN && !place.contracted && matches!(next, "time" | "year" | "date" | "day")
            {
                self.nouns.push(begin + i + 1);
            }
            found = true;
        }
        // `…, isn't it?` asks nothing of its own.
        let tag = joined && clause.len() <= MAX_TAG;
        if !found && !tag && first + 1 < clause.len() {
            self.asks.0 |= without_question_word(text(first), text(first + 1));
        }
    }
}

/// Where a question word stands in its clause.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: bool,
    joined: bool,
    contracted: bool,
    before_auxiliary: bool,
    /// A verb of asking stands before it.
    asked: bool,
    /// Another question word stands before it.
    found: bool,
    alone: bool,
}

impl Place {
    /// Whether `word` asks here; otherwise it joins clauses.
    fn asks(self, word: &str) -> bool {
        match word {
            "when" | "where" => {
                (self.first && (self.before_auxiliary || self.contracted || self.alone))
                    || (!self.found && (self.asked || self.before_auxiliary))
            }
            "who" | "whom" | "whose" => (self.first && !self.joined) || (self.asked && !self.found),
            "which" => !(self.found || self.first && self.joined),
            _ => !self.found || self.before_auxiliary,
        }
    }
}

/// What a clause asks that begins with an auxiliary.
fn without_question_word(first: &str, second: &str) -> u16 {
    if !is_auxiliary(first) || first == "to" {
        return 0;
    }
    match (first, second) {
        (
            "can" | "could" | "would" | "will",
            "you" | "somebody" | "someone" | "anybody" | "anyone",
        ) => REQUEST,
        ("may" | "might", "i") => REQUEST,
        (_, "you") => YES_NO_OF_YOU,
        _ => YES_NO,
    }
}

/// What a question word asks with its next words, and how many words say so.
fn meaning(word: &str, next: &str, rest: &[Token]) -> (u16, usize) {
    match (word, next) {
        ("who" | "whom" | "whose", _) => (WHO, 1),
        ("when", _) => (WHEN, 1),
        ("where", _) => (WHERE, 1),
        ("why", _) => (WHY, 1),
        ("how", "many") => (HOW_MANY, 2),
        ("how", "much") => (HOW_MUCH, 2),
        ("how", "long") => (HOW_LONG, 2),
        ("how", "often" | "frequently") => (HOW_OFTEN, 2),
        ("how", "come") => (WHY, 2),
        (
            "how",
            "tall" | "high" | "old" | "big" | "large" | "small" | "heavy" | "fast" | "far" | "deep"
            | "wide" | "thick" | "hot" | "cold" | "strong" | "expensive" | "soon" | "close"
            | "late" | "early" | "quickly",
        ) => (MEASURE, 1),
        ("how", _) => (HOW, 1),
        (_, "time" | "year" | "date" | "day") if !has(rest, 2, &["of"]) => (WHEN, 1),
        (_, "is" | "was" | "are" | "does" | "do" | "would")
            if has(rest, 7, &["cost", "price", "fee", "salary"]) =>
        {
            (HOW_MUCH, 1)
        }
        (_, "makes" | "make" | "made") => (WHY, 2),
        (_, "is" | "was" | "are") if has(rest, 3, &["reason"]) => (WHY, 1),
        (_, "is" | "was" | "are") if has(rest, 4, &["number"]) && has(rest, 5, &["of"]) => {
            (HOW_MANY, 1)
        }
        (_, "is" | "are")
            if has(
                rest,
                6,
                &[
                    "way",
                    "ways",
                    "method",
                    "process",
                    "procedure",
                    "steps",
                    "formula",
                ],
            ) =>
        {
            (HOW, 1)
        }
        (_, "now" | "next" | "to") => (WHAT_TO_DO, 1),
        (_, "can" | "could" | "should" | "shall" | "must" | "do" | "would" | "might")
            if has(rest.get(2..).unwrap_or_default(), 1, &["do", "help"]) =>
        {
            (WHAT_TO_DO, 1)
        }
        _ => (WHAT, 1),
    }
}

fn has(rest: &[Token], within: usize, words: &[&str]) -> bool {
    rest.iter()
        .take(within)
        .any(|t| words.contains(&t.text.as_str()))
}

/// Without the ending of `what's`.
fn stripped(word: &str) -> &str {
    let end = word.find('\'').unwrap_or(word.len());
    match word.get(..end).unwrap_or(word) {
        "whats" => "what",
        "hows" => "how",
        "whos" => "who",
        "wheres" => "where",
        "whys" => "why",
        other => other,
    }
}

fn is_question_word(word: &str) -> bool {
    class(word).is_some()
}

/// The mark of a question word.
pub(super) fn class(word: &str) -> Option<&'static str> {
    Some(match stripped(word) {
        "who" | "whom" | "whose" => "who?",
        "when" => "when?",
        "where" => "where?",
        "why" => "why?",
        "how" => "how?",
        "what" | "which" => "what?",
        _ => return None,
    })
}

pub(super) fn is_auxiliary(word: &str) -> bool {
    let end = word.find('\'').unwrap_or(word.len());
    let word = word.get(..end).unwrap_or(word);
    matches!(
        word.strip_suffix('n')
            .filter(|w| w.len() > 1)
            .unwrap_or(word),
        "is" | "are"
            | "am"
            | "was"
            | "were"
            | "do"
            | "does"
            | "did"
            | "can"
            | "ca"
            | "cannot"
            | "could"
            | "will"
            | "wo"
            | "would"
            | "shall"
            | "should"
            | "may"
            | "might"
            | "must"
            | "has"
            | "have"
            | "had"
            | "to"
    )
}

fn is_verb_of_asking(word: &str) -> bool {
    matches!(
        word,
        "tell"
            | "know"
            | "explain"
            | "wonder"
            | "wondering"
            | "show"
            | "ask"
            | "curious"
            | "describe"
            | "question"
            | "teach"
            | "understand"
            | "find"
    )
}

/// What may stand before the question itself.
fn is_lead_in(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "but"
            | "so"
            | "or"
            | "then"
            | "also"
            | "please"
            | "hi"
            | "hello"
            | "hey"
            | "ok"
            | "okay"
            | "well"
            | "in"
            | "at"
            | "for"
            | "on"
            | "to"
            | "from"
            | "by"
            | "with"
            | "of"
            | "just"
            | "sorry"
            | "quick"
            | "there"
    )
}
