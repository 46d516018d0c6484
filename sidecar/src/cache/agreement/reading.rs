//! A text as the comparison sees it: its items in order, what they are tied by, and what is said about the whole.

use super::lexicon::{PARTICLES, Word};
use super::question::Asks;
use super::reader;
use super::scan::{Marks, Token};

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
    /// A sentence began with it, so a capital letter would not have shown.
    pub(super) begins: bool,
    /// Something is done to what stands before it: `the plant is watered`.
    pub(super) passive: bool,
}

/// Why something may or must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Possible,
    Allowed,
    Fine,
    Needed,
    Demanded,
}

impl Leave {
    /// By the first word of `tokens` that says so.
    pub(super) fn of(tokens: &[Token]) -> Option<Self> {
        tokens.iter().enumerate().find_map(|(at, token)| {
            let to = tokens.get(at + 1).is_some_and(|next| next.text == "to");
            Some(match token.text.as_str() {
                "possible" | "possibility" | "able" | "way" => Self::Possible,
                "allowed" | "permitted" | "may" | "legal" => Self::Allowed,
                "ok" | "okay" | "fine" | "alright" => Self::Fine,
                // `A visa is needed`, `a visa is required`
                "need" | "needs" | "necessary" if to => Self::Needed,
                "required" | "obliged" if to => Self::Demanded,
                "mandatory" | "compulsory" | "obligatory" => Self::Demanded,

                _ => return None,
            })
        })
    }
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
    pub(super) negations: Vec<Negation>,
    pub(super) asks: Asks,
    /// One bit for each half of [`PARTICLES`].
    pub(super) particles: u16,
    pub(super) person: Person,
    pub(super) time: Time,
    pub(super) form: Forms,
    pub(super) marks: Vec<Mark>,
    /// It begins with a capital letter, as texts do whose writer uses such.
    pub(super) cased: bool,
    /// Somebody asks what to do: `how do I`, `where can you`, `how to`.
    pub(super) advises: bool,
    /// What is said of what may or must be, in the words of the text: a way that exists is no permission.
    pub(super) leave: Option<Leave>,
    /// What may, must, should or will be, or was.
    pub(super) modals: Vec<&'static str>,
}

/// One of the small words of [`super::marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Items before it.
    pub(super) at: usize,
    pub(super) class: &'static str,
}

/// One `not` or its kin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Negation {
    /// Items before it.
    pub(super) at: usize,
    /// `isn't`, which may stand before the subject of what it denies.
    pub(super) contracted: bool,
}

/// Whose thing it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) mine: bool,
    /// `I` does something.
    pub(super) i: bool,
    /// Something is done to `me`, other than answering.
    pub(super) me: bool,
    pub(super) yours: bool,
}

/// When it is, by `was`, `is` and `will`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) past: bool,
    /// `did`.
    pub(super) done: bool,
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
        reader::read(text, marks)
    }

    /// Texts of the items of `class`.
    pub(super) fn of_class(&self, class: Class) -> impl Iterator<Item = &str> {
        self.items
            .iter()
            .filter(move |i| i.class == class)
            .map(|i| i.text.as_str())
    }

    /// Asks for advice, where `can I` and `should I` are the same; `how should the court decide` does not.
    pub(super) fn is_advice(&self) -> bool {
        self.asks.advice() && (self.advises || self.items.iter().any(|item| item.passive))
    }

    /// Whether something is to be done to a text that is given: "translate X" wants a translation, "how do I translate X" wants advice.
    pub(super) fn demands(&self) -> bool {
        let first = self.items.iter().find(|item| !item.optional);
        self.asks.only_requests()
            && first.is_some_and(|item| {
                matches!(
                    item.text.as_str(),
                    "summarize"
                        | "summarise"
                        | "translate"
                        | "rewrite"
                        | "solve"
                        | "rephrase"
                        | "proofread"
                )
            })
    }

    /// Notes what a function word says about the whole text.
    /// `before`: the word before `text`.
    pub(super) fn note(&mut self, text: &str, before: &str) {
        match text {
            "my" | "our" | "mine" | "ours" => self.person.mine = true,
            "your" | "yours" => self.person.yours = true,
            "i" | "we" | "im" | "ive" | "id" => self.person.i = true,
            "me" | "us" if !answers(before) => self.person.me = true,
            "to" if matches!(before, "have" | "has" | "had") => self.form.must = true,
            "did" => self.time.done = true,
            "was" | "were" => self.time.past = true,
            "is" | "are" | "am" => self.time.present = true,
            "will" | "shall" => self.time.future = true,
            "must" | "require" | "required" | "requires" | "need" | "needs" | "obliged"
            | "mandatory" => self.form.must = true,
            "can" | "could" | "may" | "allowed" | "possible" | "able" | "permitted" => {
                self.form.may = true
            }
            _ => {}
        }
        for (bit, (one, other)) in PARTICLES.iter().enumerate() {
            if text == *one {
                self.particles |= 1 << (2 * bit);
            } else if text == *other {
                self.particles |= 2 << (2 * bit);
            }
        }
    }
}

/// Whether `me` after `before` is the one who is answered.
fn answers(before: &str) -> bool {
    matches!(
        before,
        "tell"
            | "show"
            | "give"
            | "help"
            | "let"
            | "for"
            | "to"
            | "with"
            | "teach"
            | "remind"
            | "send"
            | "get"
            | "bring"
            | "find"
            | "make"
            | "write"
            | "recommend"
            | "suggest"
            | "allow"
            | "allows"
            | "of"
            | "near"
            | "around"
    )
}
