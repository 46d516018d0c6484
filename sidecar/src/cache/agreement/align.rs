//! Finds each item of one text in the other, and whether two of them changed places.
//!
//! 1. Items match by their form, or by a sense that their words share; names, numbers, quotes and code by their form alone.
//! 2. What is left over on both sides disagrees; on one side alone only what is optional may be left over. Where nothing but ordinary words
//!    is left over, the texts are not understood: they may still say the same.
//! 3. Two items changed places when their order is the other way round and each stands where the other stood: behind the same
//!    preposition, or beside the same neighbour (`A beats B`, `from A to B`). A phrase that moved as a whole is none of that, and neither
//!    are things joined by `and` or `or`.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Disagreement;
use super::lexicon::Lexicon;
use super::reading::{Class, Degree, Item};

/// Items of a text whose order may be compared: twice the words of an ordinary question. Longer ones must keep their order.
const MAX_REORDERED: usize = 64;

/// Leftovers that are looked at for shared senses; more than these disagree anyhow.
const MAX_LEFT_OVER: usize = 24;

/// Links that say who does what: where they differ, the roles do.
const DIRECTED: [&str; 4] = ["from", "to", "than", "by"];

/// The items of both texts by shared numbers: equal numbers match.
#[derive(Debug)]
pub(super) struct Alignment {
    pub(super) asked: Vec<Option<usize>>,
    pub(super) stored: Vec<Option<usize>>,
    /// Whether no ordinary word is without a match.
    pub(super) is_whole: bool,
}

/// Matches the items.
///
/// # Errors
/// The kind of the first item without a match that is no ordinary word.
pub(super) fn align(asked: &[Item], stored: &[Item]) -> Result<Alignment, Disagreement> {
    // Callers choose the keys, of which [`super::MAX_BYTES`] leaves some thousands at most: a hash that is fast will do.
    let mut numbers: HashMap<(&str, bool), usize, RandomState> = HashMap::default();
    for item in stored {
        let next = numbers.len();
        numbers.entry(key(item)).or_insert(next);
    }
    let known = numbers.len();
    let mut a: Vec<Option<usize>> = asked
        .iter()
        .map(|i| numbers.get(&key(i)).copied())
        .collect();
    let mut b: Vec<Option<usize>> = stored
        .iter()
        .map(|i| numbers.get(&key(i)).copied())
        .collect();
    let mut met = vec![false; known];
    for number in a.iter().flatten() {
        if let Some(slot) = met.get_mut(*number) {
            *slot = true;
        }
    }
    for slot in &mut b {
        *slot = slot.filter(|number| met.get(*number) == Some(&true));
    }
    match_senses(asked, &mut a, stored, &mut b, known)?;
    let (left_a, left_b) = (left_over(asked, &a), left_over(stored, &b));
    // Leftovers on both sides are a substitution; one side's may only say what goes without saying.
    let substituted = !left_a.is_empty() && !left_b.is_empty();
    let missing = left_a.iter().chain(&left_b);
    let missing = missing.filter(|item| substituted || !item.optional);
    let reasons: Vec<Disagreement> = missing.map(|item| reason(item, &left_a, &left_b)).collect();
    match reasons.iter().find(|reason| reason.is_certain()) {
        Some(reason) => Err(*reason),
        None => Ok(Alignment {
            is_whole: reasons.is_empty(),
            asked: a,
            stored: b,
        }),
    }
}

fn key(item: &Item) -> (&str, bool) {
    let whole = matches!(item.class, Class::Quote | Class::Code);
    (item.text.as_str(), whole)
}

fn left_over<'a>(items: &'a [Item], matched: &[Option<usize>]) -> Vec<&'a Item> {
    items
        .iter()
        .zip(matched)
        .filter(|(_, number)| number.is_none())
        .map(|(item, _)| item)
        .collect()
}

/// Gives items that share a sense one number; several of one side may share one of the other.
fn match_senses(
    asked: &[Item],
    a: &mut [Option<usize>],
    stored: &[Item],
    b: &mut [Option<usize>],
    mut next: usize,
) -> Result<(), Disagreement> {
    let free = |slots: &[Option<usize>]| -> Vec<usize> {
        let slots = slots.iter().enumerate();
        slots.filter(|(_, s)| s.is_none()).map(|(i, _)| i).collect()
    };
    let (free_a, free_b) = (free(a), free(b));
    if free_a.len().max(free_b.len()) > MAX_LEFT_OVER {
        return Err(Disagreement::Length);
    }
    let of_a = free_a.iter().flat_map(|i| (0..b.len()).map(|j| (*i, j)));
    let of_b = free_b.iter().flat_map(|j| (0..a.len()).map(|i| (i, *j)));
    for (i, j) in of_a.chain(of_b).collect::<Vec<_>>() {
        let (Some(slot_a), Some(slot_b)) = (a.get_mut(i), b.get_mut(j)) else {
            continue;
        };
        let alike = || match (asked.get(i), stored.get(j)) {
            (Some(one), Some(other)) => similar(one, other),
            _ => false,
        };
        if (slot_a.is_none() || slot_b.is_none()) && alike() {
            let number = slot_a.or(*slot_b).unwrap_or(next);
            next = next.max(number + 1);
            *slot_a = Some(number);
            *slot_b = Some(number);
        }
    }
    Ok(())
}

/// Whether two items match.
pub(super) fn same(one: &Item, other: &Item) -> bool {
    key(one) == key(other) || similar(one, other)
}

/// Whether two items with different forms mean the same.
fn similar(one: &Item, other: &Item) -> bool {
    let ordinary = |i: &Item| matches!(i.class, Class::Content | Class::Form | Class::Entity);
    if !ordinary(one) || !ordinary(other) {
        return false;
    }
    let shared = match (one.word, other.word) {
        (Some(a), Some(b)) if !one.capital && !other.capital => {
            a.means(b) && !a.opposes(&other.text) && !b.opposes(&one.text)
        }
        _ => false,
    };
    shared || misspelt(one, other)
}

/// One letter more, less, other or exchanged, where one of the two is no word and no name.
fn misspelt(one: &Item, other: &Item) -> bool {
    let knows = |i: &Item| Lexicon::get().spells(&i.text);
    let (wrong, right) = match (knows(one), knows(other)) {
        (true, false) => (other, one),
        (false, true) => (one, other),
        _ => return false,
    };
    let letters = |i: &Item| i.text.len() >= 5 && i.text.chars().all(char::is_alphabetic);
    letters(wrong) && letters(right) && !wrong.capital && one_edit(&wrong.text, &right.text)
}

fn one_edit(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.first() != b.first() || a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let rest = |text: &[char], from: usize| text.get(from..).unwrap_or_default().to_vec();
    let (tail_a, tail_b) = (rest(&a, start), rest(&b, start));
    let swapped = match (tail_a.as_slice(), tail_b.as_slice()) {
        ([x, y, more_a @ ..], [v, w, more_b @ ..]) => x == w && y == v && more_a == more_b,
        _ => false,
    };
    swapped
        || rest(&a, start + 1) == rest(&b, start + 1)
        || tail_a == rest(&b, start + 1)
        || rest(&a, start + 1) == tail_b
}

/// The name of what `item` is, seen with the leftovers that may stand in its place.
fn reason(item: &Item, left_a: &[&Item], left_b: &[&Item]) -> Disagreement {
    let opposes = |one: &Item, other: &Item| one.word.is_some_and(|word| word.opposes(&other.text));
    let opposed = left_a
        .iter()
        .any(|a| left_b.iter().any(|b| opposes(a, b) || opposes(b, a)));
    match item.class {
        Class::Number => Disagreement::Number,
        Class::Unit => Disagreement::Unit,
        Class::Date => Disagreement::Date,
        Class::Quote => Disagreement::Quote,
        Class::Code => Disagreement::Code,
        _ if opposed => Disagreement::Polarity,
        Class::Entity => Disagreement::Entity,
        Class::Form => Disagreement::Question,
        Class::Content => Disagreement::Content,
    }
}

impl Alignment {
    /// Checks that matched adjectives have the same degree: `large`, `larger`, `largest`.
    pub(super) fn check_degrees(
        &self,
        asked: &[Item],
        stored: &[Item],
    ) -> Result<(), Disagreement> {
        let degrees = |items: &[Item], numbers: &[Option<usize>]| {
            let mut found: Vec<(usize, u8)> = items
                .iter()
                .zip(numbers)
                .filter(|(item, _)| item.degree != Degree::Plain)
                .filter_map(|(item, number)| Some(((*number)?, item.degree as u8)))
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        if degrees(asked, &self.asked) == degrees(stored, &self.stored) {
            Ok(())
        } else {
            Err(Disagreement::Degree)
        }
    }

    /// Checks that matched items stand in the same places: behind prepositions that say the same, and no two of them exchanged.
    pub(super) fn check_places(&self, asked: &[Item], stored: &[Item]) -> Result<(), Disagreement> {
        let a = Places::of(asked, &self.asked);
        let b = Places::of(stored, &self.stored);
        if linked_differently(&a, &b) || changed_places(&a, &b) {
            return Err(Disagreement::Order);
        }
        Ok(())
    }
}

fn linked_differently(a: &Places, b: &Places) -> bool {
    let mut both = a.order.iter().filter_map(|n| a.get(*n).zip(b.get(*n)));
    both.any(|(place, other)| !linked_alike(place.link, other.link))
}

fn changed_places(a: &Places, b: &Places) -> bool {
    if turned_round(a, b) || turned_round(b, a) {
        return true;
    }
    if a.order == b.order {
        return false;
    }
    if a.order.len().max(b.order.len()) > MAX_REORDERED {
        return true;
    }
    a.order.iter().enumerate().any(|(i, x)| {
        let mut behind = a.order.iter().skip(i + 1);
        behind.any(|y| b.before(*y, *x) && exchanged(a, b, *x, *y))
    })
}

/// Prepositions that no other one may replace: `near Rome`, `a book about Rome`.
const DISTINCT: [&str; 16] = [
    "about", "near", "between", "against", "through", "across", "along", "among", "per", "under",
    "over", "above", "below", "outside", "behind", "beside",
];

/// Pairs of prepositions that say different things; others (`in`, `on`, `at`, `of`, `for`, `with`) are often exchanged.
const DIFFERENT: [(&str, &str); 5] = [
    ("from", "to"),
    ("from", "for"),
    ("from", "with"),
    ("to", "by"),
    ("for", "by"),
];

/// Whether two prepositions may say the same; none says nothing.
fn linked_alike(one: &str, other: &str) -> bool {
    let says = |link: &str| !matches!(link, "" | "and" | "or" | "than" | "versus");
    let differs = |(a, b): &(&str, &str)| (one == *a && other == *b) || (one == *b && other == *a);
    let contrasts = |link: &str| matches!(link, "between" | "from" | "and");
    one == other
        || contrasts(one) && contrasts(other)
        || !says(one)
        || !says(other)
        || !(DISTINCT.contains(&one) || DISTINCT.contains(&other) || DIFFERENT.iter().any(differs))
}

/// Where matched items stand: each once, at its first mention.
#[derive(Debug)]
struct Places {
    order: Vec<usize>,
    /// By the numbers of [`Alignment`], which are small.
    at: Vec<Option<Place>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    index: usize,
    link: &'static str,
    before: Option<usize>,
    after: Option<usize>,
    class: Class,
    modifier: bool,
    passive: bool,
}

impl Places {
    fn of(items: &[Item], numbers: &[Option<usize>]) -> Self {
        let mut order: Vec<usize> = Vec::new();
        let most = numbers.iter().flatten().max();
        let mut at: Vec<Option<Place>> = vec![None; most.map_or(0, |n| n + 1)];
        for (item, number) in items.iter().zip(numbers) {
            let Some(number) = *number else { continue };
            if at.get(number).is_none_or(Option::is_some) {
                continue;
            }
            let before = order.last().copied();
            if let Some(Some(place)) = before.and_then(|n| at.get_mut(n)) {
                place.after = Some(number);
            }
            let place = Place {
                index: order.len(),
                link: item.link,
                before,
                after: None,
                class: match item.class {
                    Class::Number | Class::Unit | Class::Date => item.class,
                    _ => Class::Content,
                },
                modifier: item.class == Class::Content && item.word.is_some_and(|w| w.modifier),
                passive: item.passive,
            };
            if let Some(slot) = at.get_mut(number) {
                *slot = Some(place);
            }
            order.push(number);
        }
        Self { order, at }
    }

    fn get(&self, number: usize) -> Option<&Place> {
        self.at.get(number)?.as_ref()
    }

    fn before(&self, x: usize, y: usize) -> bool {
        match (self.get(x), self.get(y)) {
            (Some(x), Some(y)) => x.index < y.index,
            _ => false,
        }
    }
}

/// Whether `x` and `y` stand in `b` where the other one stands in `a`.
fn exchanged(a: &Places, b: &Places, x: usize, y: usize) -> bool {
    let (Some(ax), Some(ay), Some(bx), Some(by)) = (a.get(x), a.get(y), b.get(x), b.get(y)) else {
        return false;
    };
    let joined = |second: &Place, first: usize| {
        matches!(second.link, "and" | "or" | "versus") && second.before == Some(first)
    };
    if joined(ay, x) && joined(bx, y) {
        return false;
    }
    // A property, or a number and a month, cannot change places with a thing; a verb's subject and object do when its voice changes.
    let other_kind = ax.class != ay.class || ax.modifier != ay.modifier;
    let other_voice = ax.passive != bx.passive || ay.passive != by.passive;
    if other_kind || other_voice {
        return false;
    }
    stands_for(ax, by) && stands_for(ay, bx)
}

/// Whether two places in two texts are the same place.
fn stands_for(one: &Place, other: &Place) -> bool {
    one.link == other.link
        && (DIRECTED.contains(&one.link) || one.before == other.before || one.after == other.after)
}

/// Whether an item is the source in `a` and the target in `b`, or the doer behind `by` in `b` though it stood in the same place in `a`.
fn turned_round(a: &Places, b: &Places) -> bool {
    let mut both = a.order.iter().filter_map(|n| a.get(*n).zip(b.get(*n)));
    both.any(|(place, other)| {
        let turned = place.link == "from" && other.link == "to";
        let passive = place.link.is_empty()
            && other.link == "by"
            && place.before.is_some()
            && place.before == other.before;
        turned || passive
    })
}
