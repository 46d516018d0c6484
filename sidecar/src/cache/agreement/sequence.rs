//! Whether two texts say the same one after the other: the things that they mention, by the numbers of [`super::align`], and the small words
//! of [`super::marks`] between them.
//!
//! 1. What may, must, should or will be, and what was, is the same; where somebody asks how, where or what to do, `can I` is `should I`.
//! 2. The same things are done to somebody (`is paid`), but for `how is it done`, which is `how to do it`.
//! 3. Things and small words come in one order, but for a part that moved as a whole, and for `A or B`.

use super::Disagreement;
use super::align::Alignment;
use super::reading::{Class, Item, Mark, Reading};

impl Alignment {
    /// Checks that both texts say the same, small words included, one after the other.
    pub(super) fn check_sequence(
        &self,
        asked: &Reading,
        stored: &Reading,
    ) -> Result<(), Disagreement> {
        let modals = |reading: &Reading| {
            let mut modals = reading.modals.clone();
            if reading.asks.advice() {
                modals.retain(|modal| !matches!(*modal, "may" | "should" | "would"));
            }
            modals.sort_unstable();
            modals.dedup();
            modals
        };
        if modals(asked) != modals(stored) {
            return Err(Disagreement::Date);
        }
        let passive = |reading: &Reading, numbers: &[Option<usize>]| {
            let done = done_by_nobody(reading, numbers);
            let mut all: Vec<usize> = reading
                .items
                .iter()
                .zip(numbers)
                .filter(|(item, _)| item.passive)
                .filter_map(|(_, number)| *number)
                .filter(|number| done != Some(*number))
                .collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        if passive(asked, &self.asked) != passive(stored, &self.stored) {
            return Err(Disagreement::Order);
        }
        if asked.cased && stored.cased && self.capitals_differ(asked, stored) {
            return Err(Disagreement::Entity);
        }
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
            .filter(|(item, _)| begin(item))
            .filter_map(|(_, number)| *number)
            .collect();
        if same_but_for_a_part_that_moved(&a, &b, &movable) {
            Ok(())
        } else {
            Err(Disagreement::Order)
        }
    }

    /// Whether something that is a name in one text, by its capital letter, is none in the other: `Rust`, `rust`. What a text begins with
    /// has one anyhow.
    fn capitals_differ(&self, asked: &Reading, stored: &Reading) -> bool {
        asked
            .items
            .iter()
            .zip(&self.asked)
            .skip(1)
            .any(|(item, number)| {
                let others = stored.items.iter().zip(&self.stored).skip(1);
                let mut same = others.filter(|(other, n)| {
                    *n == number && number.is_some() && other.text == item.text
                });
                same.any(|(other, _)| other.capital != item.capital && other.class != Class::Date)
            })
    }
}

/// What a text says one after the other: a thing by its number, or a small word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Item(usize),
    Word(&'static str),
}

fn sequence(reading: &Reading, numbers: &[Option<usize>]) -> Vec<Said> {
    // Of one clause, what is denied, asked, and may or will be is known for the whole text.
    let is = |classes: &[&str], mark: &Mark| classes.contains(&mark.class);
    let several = reading.marks.iter().any(|mark| is(&CLAUSES, mark));
    let questions = reading
        .marks
        .iter()
        .filter(|mark| mark.class.ends_with('?'));
    let questions = questions.count();
    let advice = reading.asks.advice();
    let counts = |mark: &&Mark| match mark.class {
        "may" | "should" | "would" => several && !advice,
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
        if reading.items.get(at).is_some_and(|item| !moves(item)) {
            said.extend(number.map(Said::Item));
        }
    }
    said.extend(marks.map(|mark| Said::Word(mark.class)));
    put_owners_behind(&mut said);
    sort_joined(&mut said, reading, numbers);
    if let Some(done) = done_by_nobody(reading, numbers)
        && let Some(at) = said.iter().position(|said| *said == Said::Item(done))
    {
        said.get_mut(..=at).unwrap_or_default().rotate_right(1);
    }
    said
}

/// `Nvidia's CEO` becomes `CEO of Nvidia`.
fn put_owners_behind(said: &mut Vec<Said>) {
    let mut at = 0;
    while at < said.len() {
        if let Some([Said::Item(owner), Said::Word(OWNS), Said::Item(thing)]) =
            said.get_mut(at..at + 3)
        {
            std::mem::swap(owner, thing);
            said.remove(at + 1);
        }
        at += 1;
    }
}

/// The number of what is done, where a text asks how, and nobody is said to do it: `how is bread baked` is `how to bake bread`.
fn done_by_nobody(reading: &Reading, numbers: &[Option<usize>]) -> Option<usize> {
    let mut passive = reading
        .items
        .iter()
        .zip(numbers)
        .filter(|(item, _)| item.passive);
    let (_, number) = passive.next()?;
    let by = reading.marks.iter().any(|mark| mark.class == "by");
    (reading.asks.how() && !by && passive.next().is_none()).then_some(*number)?
}

/// Class of the mark of a genitive.
pub(super) const OWNS: &str = "'s";

/// What joins clauses.
const CLAUSES: [&str; 7] = ["and", "or", "but", "if", "because", "while", "when"];

/// Class of a negation's mark.
pub(super) const NOT: &str = "not";

/// Puts `spaces or tabs` and `May 3` into the order of `tabs or spaces` and `3 May`.
fn sort_joined(said: &mut [Said], reading: &Reading, numbers: &[Option<usize>]) {
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
    }) || reading.marks.iter().any(|mark| mark.class == "between");
    for at in 0..said.len() {
        match said.get_mut(at..).unwrap_or_default() {
            [Said::Item(x), Said::Word(word), Said::Item(y), ..]
                if *x > *y && (*word == "or" || (compares && *word == "and")) =>
            {
                std::mem::swap(x, y);
            }
            [Said::Word(x), Said::Word("or"), Said::Word(y), ..] if *x > *y => {
                std::mem::swap(x, y);
            }
            [Said::Item(x), Said::Item(y), ..]
                if matches!(
                    (class(*x), class(*y)),
                    (Some(Class::Date), Some(Class::Number))
                ) =>
            {
                std::mem::swap(x, y);
            }
            _ => {}
        }
    }
}

/// Whether `b` is `a`, or begins with what `a` ends with: `in Java, how do I sort`, `how do I sort in Java`.
fn same_but_for_a_part_that_moved(a: &[Said], b: &[Said], movable: &[usize]) -> bool {
    a == b
        || a.len() <= MAX_MOVED
            && a.len() == b.len()
            && (1..a.len()).any(|at| {
                let (front, back) = a.split_at(at);
                let moves = |part: &[Said]| match part.first() {
                    Some(Said::Word(word)) => MOVABLE.contains(word),
                    Some(Said::Item(number)) => movable.contains(number),
                    None => false,
                };
                (moves(front) || moves(back)) && b.starts_with(back) && b.ends_with(front)
            })
}

/// Things and small words of a text in which a part may have moved: several times those of an ordinary question.
const MAX_MOVED: usize = 128;

/// What may begin a part that moves.
const MOVABLE: [&str; 10] = [
    "in", "for", "with", "without", "from", "if", "because", "while", "when", "as",
];
