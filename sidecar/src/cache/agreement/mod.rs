//! Whether two questions that an encoder finds similar may have one answer.
//!
//! Encoders place "turn on" beside "turn off" and "15 %" beside "50 %". Before a stored answer is served, the text that was asked and the
//! text that was stored are compared by rules:
//!
//! 1. Texts that are the same agree. Other texts of more than [`MAX_BYTES`] do not.
//! 2. Both are written in one script; code, formulas and quotations are the same, letter by letter; texts with indented lines agree with
//!    none but themselves.
//! 3. As many negations in each, and about the same things. Of a pair such as on/off, up/down or to/from, not one on each side.
//! 4. They ask for the same: a person, a time, a reason, yes or no. Ways to ask become one form first ([`frames`]).
//! 5. Every number, unit, date, name and other word with a meaning of its own has its match in the other text: the same form, another
//!    ending, another notation, or a word that shares a frequent sense. What only one text says must be a word that goes without saying.
//! 6. No two things changed places, as in "from A to B" and "from B to A", nor their preposition: "near A", "in A".
//! 7. Small words stand in both texts, in their places among these things ([`marks`]): persons, prepositions, conjunctions, quantifiers; and
//!    what may, must, should or will be, or was. A part that begins with a preposition or conjunction may move as a whole, and what is said
//!    may be said in another grammar ([`rewriting`]): `symptoms of flu`, `flu symptoms`.
//!
//! What the rules do not understand disagrees, so a missing synonym costs a hit and not a wrong answer. The word lists are English; in
//! other languages only their negations are known, so a text must have the same words there, in the same order.
//!
//! Not done here: neither grammar nor knowledge of the world. A dictionary's synonym that is none in the question ("travel", "move") agrees,
//! but for those that are listed.

mod align;
mod degree;
mod frames;
mod lexicon;
mod marks;
mod numbers;
mod question;
mod reader;
mod reading;
mod rewriting;
mod scan;
mod script;
mod sequence;
mod signs;
mod signs_in_order;

use lexicon::PARTICLES;
use reading::{Class, Item, Negation, Reading};
use scan::Marks;

/// Bytes of a text that are read; of a longer one only the identical text agrees. Questions are shorter; pasted documents, where one
/// word in a thousand may matter, are not.
pub const MAX_BYTES: usize = 8 << 10;

/// Why a stored answer is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Disagreement {
    /// A negation on one side, or opposites.
    #[error("a negation or an opposite")]
    Polarity,
    /// Numbers.
    #[error("a number")]
    Number,
    /// Units of measure and currencies.
    #[error("a unit")]
    Unit,
    /// Weekdays, months, relative dates, tense.
    #[error("a date or time")]
    Date,
    /// Names, files, addresses, identifiers, and words that no dictionary has.
    #[error("a name")]
    Entity,
    /// Code between backticks.
    #[error("code")]
    Code,
    /// Text between quotation marks.
    #[error("a quotation")]
    Quote,
    /// Two things changed places.
    #[error("the order of things")]
    Order,
    /// Scripts.
    #[error("the language")]
    Language,
    /// Who, when, where, why, how many, yes or no.
    #[error("what is asked for")]
    Question,
    /// Large, larger, largest.
    #[error("the degree of a property")]
    Degree,
    /// Any other word without a match, and nothing else that is known.
    #[error("a word")]
    Content,
    /// Texts that are too long to be compared, or have too much without a match.
    #[error("the text, which is long")]
    Length,
}

impl Disagreement {
    /// All, for metrics that show each from the start.
    pub const ALL: [Self; 13] = [
        Self::Polarity,
        Self::Number,
        Self::Unit,
        Self::Date,
        Self::Entity,
        Self::Code,
        Self::Quote,
        Self::Order,
        Self::Language,
        Self::Question,
        Self::Degree,
        Self::Content,
        Self::Length,
    ];

    /// Whether the rules know that the questions differ. Else they have a word that they found no match for, and all that they know of is the
    /// same: a model may know more.
    #[must_use]
    pub const fn is_certain(self) -> bool {
        !matches!(self, Self::Content)
    }

    /// The label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polarity => "polarity",
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Date => "date",
            Self::Entity => "entity",
            Self::Code => "code",
            Self::Quote => "quote",
            Self::Order => "order",
            Self::Language => "language",
            Self::Question => "question",
            Self::Degree => "degree",
            Self::Content => "content",
            Self::Length => "length",
        }
    }
}

/// Reads the word lists, so that the first comparison does not: tens of milliseconds, some megabytes, once in a process.
pub fn prepare() {
    lexicon::Lexicon::get();
}

/// A question, read: once, however many stored ones it is compared with.
#[derive(Debug)]
pub struct Question<'t> {
    text: &'t str,
    script: script::Script,
    has_layout: bool,
    strict_part: Option<String>,
    reading: Reading,
}

impl<'t> Question<'t> {
    /// Reads a text; none of more than [`MAX_BYTES`].
    ///
    /// Takes microseconds for ordinary questions, after [`prepare`].
    #[must_use]
    pub fn read(text: &'t str) -> Option<Self> {
        let text = text.trim();
        (text.len() <= MAX_BYTES).then(|| Self {
            text,
            script: script::of(text),
            has_layout: signs_in_order::has_layout(text),
            strict_part: signs_in_order::strict_part(text),
            reading: Reading::of(text, Marks::Kept),
        })
    }

    fn agrees_with(&self, stored: &Self) -> Result<(), Disagreement> {
        ensure(self.script == stored.script, Disagreement::Language)?;
        ensure(!self.has_layout && !stored.has_layout, Disagreement::Code)?;
        ensure(self.strict_part == stored.strict_part, Disagreement::Code)?;
        ensure(said(self.text) == said(stored.text), Disagreement::Quote)?;
        let without_marks = read_without_marks(self, stored)?;
        let (a, b) = without_marks
            .as_ref()
            .map_or((&self.reading, &stored.reading), |(a, b)| (a, b));
        check_polarity(a, b)?;
        check_question(a, b)?;
        check_numbers(a, b)?;
        if a.items.is_empty() && b.items.is_empty() {
            // Nothing but function words: "who are you" and "who am I".
            return ensure(same_words(self.text, stored.text), Disagreement::Question);
        }
        let alignment = align::align(&a.items, &b.items)?;
        alignment.check_degrees(&a.items, &b.items)?;
        alignment.check_places(&a.items, &b.items)?;
        check_negated(a, b)?;
        alignment.check_modals_and_names(a, b)?;
        // Behind all that can be compared without a match of every word.
        ensure(alignment.is_whole, Disagreement::Content)?;
        alignment.check_sequence(a, b)
    }
}

/// Compares two questions; which of them was stored makes no difference.
///
/// # Errors
/// The first disagreement found. The name is for metrics: a pair may disagree in more than one way.
pub fn compare(asked: &str, stored: &str) -> Result<(), Disagreement> {
    compare_read(asked, Question::read(asked).as_ref(), stored)
}

/// The same, of a question that was read before.
///
/// # Errors
/// The same.
pub fn compare_read(
    asked: &str,
    read: Option<&Question<'_>>,
    stored: &str,
) -> Result<(), Disagreement> {
    if asked.trim() == stored.trim() {
        return Ok(());
    }
    let stored = Question::read(stored);
    let both = read.zip(stored.as_ref()).ok_or(Disagreement::Length);
    both.and_then(|(asked, stored)| asked.agrees_with(stored))
}

fn ensure(agrees: bool, disagreement: Disagreement) -> Result<(), Disagreement> {
    if agrees { Ok(()) } else { Err(disagreement) }
}

/// Marks that only one text has are no difference, if the other one has the words between them: both are read again then, without.
fn read_without_marks(
    asked: &Question<'_>,
    stored: &Question<'_>,
) -> Result<Option<(Reading, Reading)>, Disagreement> {
    let (a, b) = (&asked.reading, &stored.reading);
    let mut one_sided = false;
    for (class, disagreement) in [
        (Class::Code, Disagreement::Code),
        (Class::Quote, Disagreement::Quote),
    ] {
        let (mut held_a, mut held_b): (Vec<&str>, Vec<&str>) =
            (a.of_class(class).collect(), b.of_class(class).collect());
        if held_a.is_empty() != held_b.is_empty() {
            let within = if held_a.is_empty() { asked } else { stored };
            let within = words_of(within.text);
            let all = held_a
                .iter()
                .chain(&held_b)
                .all(|held| within.contains(&words_of(held)));
            ensure(all, disagreement)?;
            one_sided = true;
        } else {
            held_a.sort_unstable();
            held_b.sort_unstable();
            ensure(held_a == held_b, disagreement)?;
        }
    }
    let without = |question: &Question<'_>| Reading::of(question.text, Marks::Ignored);
    Ok(one_sided.then(|| (without(asked), without(stored))))
}

/// What somebody wants to say or spell: words that mean nothing but themselves.
fn said(text: &str) -> Option<String> {
    let words = words_of(text);
    [" say ", " saying ", " spell ", " pronounce "]
        .iter()
        .find_map(|verb| words.split_once(verb))
        .map(|(_, words)| words.to_owned())
}

/// In lower case, one space between and around words, and nothing else but signs that code has.
fn words_of(text: &str) -> String {
    let mut words = String::from(" ");
    for word in text.to_lowercase().split(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '“' | '”' | '\'' | '‘' | '’' | '`' | ',' | '.' | '?' | '!'
            )
    }) {
        if !word.is_empty() {
            words.push_str(word);
            words.push(' ');
        }
    }
    words
}

fn same_words(asked: &str, stored: &str) -> bool {
    words_of(asked) == words_of(stored)
}

fn check_polarity(a: &Reading, b: &Reading) -> Result<(), Disagreement> {
    ensure(
        a.negations.len() == b.negations.len(),
        Disagreement::Polarity,
    )?;
    let mirrored = (0..PARTICLES.len()).any(|pair| {
        let (of_a, of_b) = (
            (a.particles >> (2 * pair)) & 3,
            (b.particles >> (2 * pair)) & 3,
        );
        matches!((of_a, of_b), (1, 2) | (2, 1))
    });
    ensure(!mirrored, Disagreement::Polarity)
}

fn check_question(a: &Reading, b: &Reading) -> Result<(), Disagreement> {
    ensure(a.asks.agree(b.asks), Disagreement::Question)?;
    // "Write X" wants X, "how do I write X" wants advice.
    ensure(
        a.form.writes == b.form.writes || !(a.asks.how() || b.asks.how()),
        Disagreement::Question,
    )?;
    let how = a.asks.how() || b.asks.how();
    let other_leave = a.leave.zip(b.leave).is_some_and(|(a, b)| a != b);
    ensure(how || !other_leave, Disagreement::Question)?;
    ensure(a.demands() == b.demands() || !how, Disagreement::Question)?;
    let differ = |rule: fn(&Reading, &Reading) -> bool| rule(a, b) || rule(b, a);
    let duty: fn(&Reading, &Reading) -> bool =
        |a, b| a.form.must && !a.form.may && b.form.may && !b.form.must;
    ensure(how || !differ(duty), Disagreement::Question)?;
    ensure(
        !differ(|a, b| a.person.mine && !a.person.yours && b.person.yours && !b.person.mine),
        Disagreement::Entity,
    )?;
    ensure(
        !differ(|a, b| a.person.i && !a.person.me && b.person.me && !b.person.i),
        Disagreement::Order,
    )?;
    let past = differ(|a, b| {
        a.time.past && !a.time.present && !b.time.past && (b.time.present || b.time.future)
    });
    ensure(
        !past && !differ(|a, b| a.time.done && !b.time.done && b.time.future),
        Disagreement::Date,
    )
}

/// The same numbers, as often. "One" may be a pronoun: it is a number where the other text has it.
fn check_numbers(a: &Reading, b: &Reading) -> Result<(), Disagreement> {
    let numbers = |reading: &Reading| {
        let all = reading.items.iter().filter(|i| i.class == Class::Number);
        let mut others: Vec<String> = all
            .clone()
            .filter(|i| i.text != "1")
            .map(|i| i.text.clone())
            .collect();
        others.sort_unstable();
        let ones = all.filter(|i| i.text == "1");
        let certain = ones.clone().filter(|i| !i.optional).count();
        (others, certain, ones.count())
    };
    let (others_a, certain_a, ones_a) = numbers(a);
    let (others_b, certain_b, ones_b) = numbers(b);
    ensure(
        others_a == others_b && certain_a <= ones_b && certain_b <= ones_a,
        Disagreement::Number,
    )
}

/// Negations must be about the same: what one may deny, the other may deny too.
fn check_negated(a: &Reading, b: &Reading) -> Result<(), Disagreement> {
    let agrees = a.negations.iter().zip(&b.negations).all(|(of_a, of_b)| {
        let (denied_a, denied_b) = (denied(a, *of_a), denied(b, *of_b));
        denied_a.is_empty()
            || denied_b.is_empty()
            || denied_a
                .iter()
                .any(|x| denied_b.iter().any(|y| align::same(x, y)))
    });
    ensure(agrees, Disagreement::Polarity)
}

/// What a negation may deny: the next item. Behind a contraction the subject comes first, of up to two words.
fn denied(reading: &Reading, negation: Negation) -> &[Item] {
    let behind = reading.items.get(negation.at..).unwrap_or_default();
    let behind = match behind {
        [first, rest @ ..] if first.text == "go" => rest,
        all => all,
    };
    let reach = if negation.contracted { 3 } else { 1 };
    behind.get(..reach).unwrap_or(behind)
}

#[cfg(test)]
mod tests;
