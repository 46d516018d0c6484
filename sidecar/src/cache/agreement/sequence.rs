//! Whether two texts say the same one after the other: the things that they mention, by the numbers of [`super::align`], and the small words
//! of [`super::marks`] between them.
//!
//! 1. What may, must, should or will be, and what was, is the same; where somebody asks how, where or what to do, `can I` is `should I`.
//! 2. The same things are done to somebody (`is paid`), but for `how is it done`, which is `how to do it`.
//! 3. Things and small words come in one order, but for a part that moved as a whole, and for `A or B`.

use super::Disagreement;
use super::align::Alignment;
use super::marks::OF;
use super::reading::{Class, Item, Mark, Reading};
use super::rewriting::{Rewriting, Rules};

impl Alignment {
    /// Checks that both texts say the same of what may, must, should or will be, and have the same names. It needs no match of all words.
    pub(super) fn check_modals_and_names(
        &self,
        asked: &Reading,
        stored: &Reading,
    ) -> Result<(), Disagreement> {
        let modals = |reading: &Reading| {
            let mut modals = reading.modals.clone();
            if reading.is_advice() {
                // `What can I do` is not `what should I do`.
                let all = reading.asks.how_or_where();
                modals.retain(|modal| match *modal {
                    "should" | "would" => false,
                    "may" | "might" => !all,
                    _ => true,
                });
            }
            modals.sort_unstable();
            modals.dedup();
            modals
        };
        if modals(asked) != modals(stored) {
            return Err(Disagreement::Date);
        }
        if asked.cased && stored.cased && self.capitals_differ(asked, stored) {
            return Err(Disagreement::Entity);
        }
        Ok(())
    }

    /// Checks that both texts say the same, small words included, one after the other.
    pub(super) fn check_sequence(
        &self,
        asked: &Reading,
        stored: &Reading,
    ) -> Result<(), Disagreement> {
        let (a, b) = (sequence(asked, &self.asked), sequence(stored, &self.stored));
        let begin = |item: &Item| {
            matches!(
                item.text.as_str(),
                "before" | "after" | "during" | "until" | "since"
            )
        };
        let movable: Vec<usize> = asked
            .items
            .iter()
            .zip(&self.asked)
            .chain(stored.items.iter().zip(&self.stored))
            .filter(|(item, _)| begin(item))
            .filter_map(|(_, number)| *number)
            .collect();
        let by_me = |reading: &Reading| {
            reading
                .modals
                .iter()
                .any(|modal| matches!(*modal, "should" | "must"))
        };
        let rules = Rules {
            who: asked.asks.who() && stored.asks.who(),
            how: asked.asks.how() && stored.asks.how(),
            by_me: by_me(asked) && by_me(stored),
        };
        let keywords = asked.asks.nothing() && are_keywords(&b, &a)
            || stored.asks.nothing() && are_keywords(&a, &b);
        if keywords || same_but_for_a_part_that_moved(&a, &b, &movable, rules) {
            Ok(())
        } else {
            Err(Disagreement::Order)
        }
    }

    /// Whether something that is a name in one text, by its capital letter, is none in the other: `Rust`, `rust`. What a sentence begins
    /// with has one anyhow.
    fn capitals_differ(&self, asked: &Reading, stored: &Reading) -> bool {
        asked.items.iter().zip(&self.asked).any(|(item, number)| {
            let others = stored.items.iter().zip(&self.stored);
            let mut same = others
                .filter(|(other, n)| *n == number && number.is_some() && other.text == item.text);
            same.any(|(other, _)| {
                other.capital != item.capital
                    && other.class != Class::Date
                    && !(item.begins || other.begins)
            })
        })
    }
}

/// What a text says one after the other: a thing, or a small word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'r> {
    Item(Thing<'r>),
    Word(&'static str),
}

/// An item of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing<'r> {
    /// Of the alignment.
    pub(super) number: usize,
    /// Its base form.
    pub(super) text: &'r str,
    /// Something is done to what stands before it.
    pub(super) passive: bool,
    /// It only says how something is.
    pub(super) modifier: bool,
    /// It is a name.
    pub(super) name: bool,
}

impl PartialEq for Thing<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.passive == other.passive
    }
}

impl Eq for Thing<'_> {}

fn sequence<'r>(reading: &'r Reading, numbers: &[Option<usize>]) -> Vec<Said<'r>> {
    // Of one clause, what is denied, asked, and may or will be is known for the whole text.
    let is = |classes: &[&str], mark: &Mark| classes.contains(&mark.class);
    let several = reading.marks.iter().any(|mark| is(&CLAUSES, mark));
    let questions = reading
        .marks
        .iter()
        .filter(|mark| mark.class.ends_with('?'));
    let questions = questions.count();
    let advice = reading.is_advice();
    let counts = |mark: &&Mark| match mark.class {
        "may" | "might" | "should" | "would" => several && !advice,
        NOT | "must" | "will" | "past" => several,
        class if class.ends_with('?') => questions > 1,
        _ => true,
    };
    let mut marks = reading.marks.iter().filter(counts).peekable();
    let mut said = Vec::with_capacity(numbers.len() + reading.marks.len());
    for (at, number) in numbers.iter().enumerate() {
        while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            said.push(Said::Word(mark.class));
        }
        let moves = |item: &Item| matches!(item.text.as_str(), "mean" | "meaning" | "take");
        if let Some((item, number)) = reading.items.get(at).zip(*number)
            && !moves(item)
        {
            said.push(Said::Item(Thing {
                number,
                text: &item.text,
                passive: item.passive,
                name: item.capital || item.class == Class::Entity,
                modifier: item.word.is_some_and(|word| word.modifier),
            }));
        }
    }
    said.extend(marks.map(|mark| Said::Word(mark.class)));
    // `Some of the`, `because of` ties no two things.
    let mut thing = false;
    said.retain(|said| {
        let keeps = thing || *said != Said::Word(OF);
        thing = matches!(said, Said::Item(_));
        keeps
    });
    contrast(&mut said);
    sort_joined(&mut said, reading, numbers);
    if let Some(done) = done_by_nobody(reading, numbers)
        && let Some(at) = said
            .iter()
            .position(|said| matches!(said, Said::Item(thing) if thing.number == done))
        && let Some(front) = said.get_mut(..=at)
    {
        front.rotate_right(1);
        if let Some(Said::Item(thing)) = front.first_mut() {
            thing.passive = false;
        }
    }
    said
}

/// The number of what is done, where a text asks how, and nobody is said to do it: `how is bread baked` is `how to bake bread`.
fn done_by_nobody(reading: &Reading, numbers: &[Option<usize>]) -> Option<usize> {
    let mut passive = reading
        .items
        .iter()
        .zip(numbers)
        .filter(|(item, _)| item.passive);
    let (item, number) = passive.next()?;
    if !DONE_AT_HOME.contains(&item.text.as_str()) {
        return None;
    }
    let by = reading.marks.iter().any(|mark| mark.class == "by") || reading.person.mine;
    (reading.asks.how() && !by && passive.next().is_none()).then_some(*number)?
}

/// Puts what is compared into one form and order: `A and B differ`, `B differs from A`, `the difference between A and B`.
fn contrast(said: &mut Vec<Said<'_>>) {
    let is_thing = |at: usize| matches!(said.get(at), Some(Said::Item(_)));
    let run = |from: usize| (from..said.len()).take_while(|at| is_thing(*at)).count();
    let run_back = |to: usize| (0..to).rev().take_while(|at| is_thing(*at)).count();
    let word = |at: usize, word: &str| matches!(said.get(at), Some(Said::Word(w)) if *w == word);
    let differ = said.iter().position(|said| {
        matches!(said, Said::Item(thing) if matches!(thing.text, "difference" | "differ" | "different"))
    });
    let between = (0..said.len()).find(|at| word(*at, "between"));
    // Where both things stand, and all that says so.
    let compared = |at: usize| {
        matches!(said.get(at), Some(Said::Item(thing))
            if matches!(thing.text, "difference" | "distance" | "compare" | "similarity" | "choose" | "relationship"))
    };
    let compares = between
        .and_then(|at| at.checked_sub(1))
        .is_some_and(compared);
    let found = if let Some(between) = between.filter(|_| compares) {
        let first = between + 1..between + 1 + run(between + 1);
        let second = first.end + 1..first.end + 1 + run(first.end + 1);
        word(first.end, "and").then(|| (first, second.clone(), between..second.end))
    } else if let Some(differ) = differ.filter(|_| between.is_none()) {
        if word(differ + 1, "from") || word(differ + 1, "to") || word(differ + 1, "than") {
            let second = differ + 2..differ + 2 + run(differ + 2);
            let first = differ - run_back(differ)..differ;
            Some((first.clone(), second.clone(), first.start..second.end))
        } else {
            let second = differ - run_back(differ)..differ;
            let tie = second.start.saturating_sub(1);
            let first = tie - run_back(tie)..tie;
            word(tie, "and").then(|| (first.clone(), second, first.start..differ + 1))
        }
    } else {
        None
    };
    let Some((first, second, all)) = found.filter(|(a, b, _)| !a.is_empty() && !b.is_empty())
    else {
        return;
    };
    let part = |range: std::ops::Range<usize>| said.get(range).unwrap_or_default().to_vec();
    let number = |part: &[Said<'_>]| -> Vec<usize> {
        let things = part.iter().filter_map(|said| match said {
            Said::Item(thing) => Some(thing.number),
            Said::Word(_) => None,
        });
        things.collect()
    };
    let (mut one, mut other) = (part(first), part(second));
    if number(&one) > number(&other) {
        std::mem::swap(&mut one, &mut other);
    }
    let mut form = Vec::new();
    if between.is_none()
        && let Some(differ) = differ.and_then(|at| said.get(at))
    {
        form.push(*differ);
    }
    form.push(Said::Word("between"));
    form.extend(one);
    form.push(Said::Word("and"));
    form.extend(other);
    said.splice(all, form);
}

/// What everybody does, so that how it is done is how I do it; how a benefit is paid is not how I pay one.
const DONE_AT_HOME: [&str; 24] = [
    "bake",
    "cook",
    "make",
    "brew",
    "boil",
    "fry",
    "grill",
    "roast",
    "prepare",
    "install",
    "sort",
    "mount",
    "query",
    "parse",
    "configure",
    "pronounce",
    "knit",
    "fold",
    "clean",
    "wash",
    "peel",
    "store",
    "write",
    "solve",
];

/// Class of the mark of a genitive.
pub(super) const OWNS: &str = "'s";

/// What joins clauses.
const CLAUSES: [&str; 7] = ["and", "or", "but", "if", "because", "while", "when"];

/// Class of a negation's mark.
pub(super) const NOT: &str = "not";

/// Puts `spaces or tabs` and `May 3` into the order of `tabs or spaces` and `3 May`.
fn sort_joined(said: &mut [Said<'_>], reading: &Reading, numbers: &[Option<usize>]) {
    let mut classes = vec![None; numbers.iter().flatten().max().map_or(0, |most| most + 1)];
    for (item, number) in reading.items.iter().zip(numbers) {
        if let Some(slot) = number.and_then(|number| classes.get_mut(number)) {
            *slot = Some(item.class);
        }
    }
    let class = |number: usize| classes.get(number).copied().flatten();
    let compares = reading.items.iter().any(|item| {
        matches!(
            item.text.as_str(),
            "compare" | "difference" | "differ" | "similarity"
        )
    });
    // Of a chain each pass brings one thing to its place.
    let joints = said
        .iter()
        .filter(|said| matches!(said, Said::Word("or" | "and")));
    let passes = joints.count().min(MAX_CHAIN);
    let length = said.len();
    for at in (0..=passes).flat_map(|_| 0..length) {
        let before = at.checked_sub(1).and_then(|at| said.get(at));
        // `An electric car or a truck` is no `electric truck or a car`.
        // Nor is `tap water or soda` a `tap soda or water`.
        let modified = matches!(before, Some(Said::Item(thing)) if !TAKES_ALTERNATIVES.contains(&thing.text))
            || matches!(said.get(at + 3), Some(Said::Item(_)));
        match said.get_mut(at..).unwrap_or_default() {
            [Said::Item(x), Said::Word(word), Said::Item(y), ..]
                if x.number > y.number
                    && !modified
                    && (*word == "or" || (compares && *word == "and")) =>
            {
                std::mem::swap(x, y);
            }
            [Said::Word(x), Said::Word("or"), Said::Word(y), ..] if *x > *y => {
                std::mem::swap(x, y);
            }
            [Said::Item(x), Said::Item(y), ..]
                if matches!(
                    (class(x.number), class(y.number)),
                    (Some(Class::Date), Some(Class::Number))
                ) =>
            {
                std::mem::swap(x, y);
            }
            _ => {}
        }
    }
}

/// Whether `keywords` are nothing but the things of a question, one after the other, or what it is all `in` before them: `python reverse
/// list`.
fn are_keywords(question: &[Said<'_>], keywords: &[Said<'_>]) -> bool {
    let is_thing = |said: &&Said<'_>| matches!(said, Said::Item(_));
    let ties = |said: &Said<'_>| match said {
        Said::Item(_) => true,
        Said::Word(word) => matches!(*word, "in" | "for" | OF) || word.ends_with('?'),
    };
    let things: Vec<_> = question.iter().filter(is_thing).collect();
    let topic = || match (question, keywords) {
        ([.., Said::Word("in"), last], [first, rest @ ..]) => {
            first == last
                && things
                    .split_last()
                    .is_some_and(|(_, things)| things.iter().copied().eq(rest))
        }
        _ => false,
    };
    keywords.iter().all(|said| is_thing(&said))
        && question.iter().all(ties)
        && (things.iter().copied().eq(keywords) || topic())
}

/// Whether `b` says what `a` says, or begins with what `a` ends with: `in Java, how do I sort`, `how do I sort in Java`.
fn same_but_for_a_part_that_moved<'r>(
    a: &[Said<'r>],
    b: &[Said<'r>],
    movable: &[usize],
    rules: Rules,
) -> bool {
    if a == b {
        return true;
    }
    if a.len().max(b.len()) > MAX_MOVED {
        return false;
    }
    let moves = |part: &[Said<'r>]| match part.first() {
        Some(Said::Word(word)) => MOVABLE.contains(word),
        Some(Said::Item(thing)) => movable.contains(&thing.number),
        None => false,
    };
    let without_of = |all: &[Said<'r>]| -> Vec<Said<'r>> {
        let words = all.iter().filter(|said| **said != Said::Word(OF));
        words.copied().collect()
    };
    let (plain_a, plain_b) = (without_of(a), without_of(b));
    let rotated = plain_a.len() == plain_b.len()
        && (1..plain_a.len()).any(|at| {
            let (front, back) = plain_a.split_at(at);
            (moves(front) || moves(back)) && plain_b.starts_with(back) && plain_b.ends_with(front)
        });
    rotated || Rewriting::new(rules).same(a, b)
}

/// Things and small words of a text in which a part may have moved: several times those of an ordinary question.
const MAX_MOVED: usize = 128;

/// What may stand right before `A or B` without belonging to A.
const TAKES_ALTERNATIVES: [&str; 16] = [
    "use",
    "compare",
    "choose",
    "buy",
    "drink",
    "eat",
    "take",
    "prefer",
    "pick",
    "learn",
    "need",
    "get",
    "difference",
    "similarity",
    "wear",
    "order",
];

/// Things in a chain of `or` whose order may differ.
const MAX_CHAIN: usize = 8;

/// What may begin a part that moves.
const MOVABLE: [&str; 10] = [
    "in", "for", "with", "without", "from", "if", "because", "while", "when", "as",
];
