//! Whether two sequences of things and small words say the same in another grammar.
//!
//! ```text
//! compound   symptoms of flu                  flu symptoms
//! moved      to Oslo from Rome                from Rome to Oslo
//! voice      damage is covered by my policy   my policy covers damage
//! nobody     plants should be watered         I should water plants
//! contents   breakfast is included in it      it includes breakfast
//! ```
//!
//! Each rule takes a part of one text and the part of the other one that says the same; all else must be the same, in its place.

use super::marks::OF;
use super::sequence::{OWNS, Said};

/// Comparisons of two places in one pair of texts; behind that the pair differs. Ordinary ones take as many as they have words.
const MAX_STEPS: usize = 500;

/// Things and small words of a part that moves.
const MAX_PART: usize = 6;

/// Programs, whose things are theirs: `commit in git`, `git commit`.
const TOOLS: [&str; 20] = [
    "git", "docker", "linux", "python", "java", "excel", "word", "css", "html", "sql", "react",
    "node", "bash", "vim", "windows", "android", "chrome", "browser", "slack", "gmail",
];

/// A cup of coffee is no coffee cup, a photo of a passport no passport photo.
const CONTAINERS: [&str; 33] = [
    "cup", "glass", "bottle", "can", "box", "bag", "pot", "tin", "jar", "barrel", "mug", "bowl",
    "plate", "pack", "packet", "carton", "case", "tube", "crate", "keg", "tank", "roll", "tray",
    "tub", "jug", "basket", "bucket", "sack", "spoon", "photo", "picture", "copy", "video",
];

/// What may begin a part that changes places with the next.
const PREPOSITIONS: [&str; 2] = ["from", "to"];

/// What holds for both texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// They ask who.
    pub(super) who: bool,
    /// They ask how to do something: `clear the cache in my browser`, but not `milk in chocolate`.
    pub(super) how: bool,
    /// They ask what should or must be done, which is done by whoever asks: `should the chicken be washed`.
    pub(super) by_me: bool,
}

#[derive(Debug)]
pub(super) struct Rewriting {
    rules: Rules,
    steps: usize,
}

impl Rewriting {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, steps: 0 }
    }

    /// Whether `b` says what `a` says.
    pub(super) fn same(&mut self, a: &[Said<'_>], b: &[Said<'_>]) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return false;
        }
        match (a, b) {
            ([], []) => return true,
            ([x, rest_a @ ..], [y, rest_b @ ..]) if x == y && self.same(rest_a, rest_b) => {
                return true;
            }
            _ => {}
        }
        let mut parts = Vec::new();
        rewritten(a, b, self.rules, &mut |m, n| parts.push((m, n)));
        rewritten(b, a, self.rules, &mut |n, m| parts.push((m, n)));
        parts.into_iter().any(|(m, n)| {
            let (rest_a, rest_b) = (a.get(m..), b.get(n..));
            matches!((rest_a, rest_b), (Some(rest_a), Some(rest_b)) if self.same(rest_a, rest_b))
        })
    }
}

/// Tells how long the parts are at the beginning of `a` and `b` that say the same, `b` in the shorter or plainer way.
fn rewritten(a: &[Said<'_>], b: &[Said<'_>], rules: Rules, found: &mut impl FnMut(usize, usize)) {
    compound(a, b, rules, found);
    moved(a, b, found);
    noun(a, b, found);
    has(a, b, found);
    voice(a, b, rules, found);
}

fn compound(a: &[Said<'_>], b: &[Said<'_>], rules: Rules, found: &mut impl FnMut(usize, usize)) {
    owner(a, b, found);
    let tie = a
        .iter()
        .take(3)
        .position(|said| matches!(said, Said::Word(OF | "in" | "for")));
    let Some(tie) = tie.filter(|tie| *tie > 0) else {
        return;
    };
    let (Some(head), Some(behind)) = (a.get(..tie), a.get(tie + 1..)) else {
        return;
    };
    let tool =
        matches!(behind, [Said::Item(thing), ..] if thing.name || TOOLS.contains(&thing.text));
    let container =
        matches!(head.last(), Some(Said::Item(thing)) if CONTAINERS.contains(&thing.text));
    let may = match a.get(tie) {
        Some(Said::Word("in")) => rules.how && tool,
        Some(Said::Word("for")) => {
            let kind = matches!(head.last(), Some(Said::Item(thing))
                if matches!(thing.text, "card" | "house" | "table" | "bank" | "room"));
            !rules.how && !kind && !matches!(behind, [Said::Word(_), ..])
        }
        _ => !container,
    };
    if !may {
        return;
    }
    let is_of = a.get(tie) == Some(&Said::Word(OF));
    if !is_things(head, 0) || (head.len() > 1 && !is_of && a.get(tie) != Some(&Said::Word("for"))) {
        return;
    }
    for length in 1..=behind.len().min(4) {
        let Some(of) = behind.get(..length) else {
            return;
        };
        if is_things(of, 1)
            && !of
                .iter()
                .any(|said| matches!(said, Said::Item(thing) if thing.modifier && length == 1))
            && b.starts_with(of)
            && b.get(length..).is_some_and(|rest| spelt(rest, head))
        {
            found(tie + 1 + length, length + tie);
        }
    }
}

/// `The CEO of Nvidia` is `Nvidia's CEO`.
fn owner(a: &[Said<'_>], b: &[Said<'_>], found: &mut impl FnMut(usize, usize)) {
    for tie in 1..4 {
        if b.get(tie) != Some(&Said::Word(OWNS)) {
            continue;
        }
        let (Some(owner), Some(behind)) = (b.get(..tie), b.get(tie + 1..)) else {
            return;
        };
        for length in 1..=behind.len().min(3) {
            let Some(owned) = behind.get(..length).filter(|owned| is_things(owned, 0)) else {
                return;
            };
            if is_things(owner, 1)
                && a.starts_with(owned)
                && a.get(length) == Some(&Said::Word(OF))
                && a.get(length + 1..)
                    .is_some_and(|rest| rest.starts_with(owner))
            {
                found(length + 1 + tie, tie + 1 + length);
            }
        }
    }
}

/// Whether `part` begins with `head` in the same words: `employ` and `employer` are one thing, but not one noun.
fn spelt(part: &[Said<'_>], head: &[Said<'_>]) -> bool {
    part.len() >= head.len()
        && part.iter().zip(head).all(|pair| {
            matches!(pair, (Said::Item(one), Said::Item(other)) if one == other && one.text == other.text)
        })
}

/// Whether these are things alone, but for up to `persons` of whose they are in front.
fn is_things(part: &[Said<'_>], persons: usize) -> bool {
    let things = match part {
        [Said::Word("i" | "you" | "they"), rest @ ..] if persons > 0 => rest,
        all => all,
    };
    !things.is_empty()
        && things
            .iter()
            .all(|said| matches!(said, Said::Item(thing) if !thing.passive))
}

/// `The passport renewal`, `the renewal of the passport` is `renew the passport`: one thing, in another word.
fn noun(a: &[Said<'_>], b: &[Said<'_>], found: &mut impl FnMut(usize, usize)) {
    let Some(Said::Item(verb)) = b.first() else {
        return;
    };
    let is_noun = |said: Option<&Said<'_>>| {
        matches!(said, Some(Said::Item(noun))
            if noun.number == verb.number && noun.text != verb.text && !noun.passive && !verb.passive)
    };
    for length in 1..=3 {
        let Some(object) = b.get(1..1 + length).filter(|object| is_things(object, 1)) else {
            return;
        };
        let alike =
            matches!(a.get(length), Some(Said::Item(noun)) if noun.modifier == verb.modifier);
        if a.starts_with(object) && is_noun(a.get(length)) && alike {
            found(length + 1, length + 1);
        }
        if is_noun(a.first())
            && matches!(a.get(1), Some(Said::Word(OF | "for")))
            && a.get(2..).is_some_and(|rest| rest.starts_with(object))
        {
            found(length + 2, length + 1);
        }
    }
}

/// `Parking at the hotel` is what `the hotel has`.
fn has(a: &[Said<'_>], b: &[Said<'_>], found: &mut impl FnMut(usize, usize)) {
    let Some(tie) = b
        .iter()
        .take(4)
        .position(|said| *said == Said::Word("have"))
    else {
        return;
    };
    let (Some(owner), Some(behind)) = (b.get(..tie), b.get(tie + 1..)) else {
        return;
    };
    for length in 1..=behind.len().min(3) {
        let Some(owned) = behind.get(..length) else {
            return;
        };
        let named = matches!(owner.first(), Some(Said::Item(thing)) if thing.name);
        if is_things(owner, 0)
            && !named
            && is_things(owned, 0)
            && a.starts_with(owned)
            && a.get(length) == Some(&Said::Word("in"))
            && a.get(length + 1..)
                .is_some_and(|rest| rest.starts_with(owner))
        {
            found(length + 1 + tie, tie + 1 + length);
        }
    }
}

fn moved(a: &[Said<'_>], b: &[Said<'_>], found: &mut impl FnMut(usize, usize)) {
    let begins = |part: &[Said<'_>]| matches!(part.first(), Some(Said::Word(word)) if PREPOSITIONS.contains(word));
    if !begins(a) || !begins(b) {
        return;
    }
    for first in 2..=MAX_PART.min(a.len()) {
        let (Some(one), Some(rest)) = (a.get(..first), a.get(first..)) else {
            return;
        };
        if !begins(rest) {
            continue;
        }
        for second in 2..=MAX_PART.min(rest.len()) {
            let Some(other) = rest.get(..second) else {
                break;
            };
            if b.starts_with(other) && b.get(second..).is_some_and(|rest| rest.starts_with(one)) {
                found(first + second, first + second);
            }
        }
    }
}

fn voice(a: &[Said<'_>], b: &[Said<'_>], rules: Rules, found: &mut impl FnMut(usize, usize)) {
    for done in 0..MAX_PART.min(a.len()) {
        let Some(Said::Item(verb)) = a
            .get(done)
            .filter(|said| matches!(said, Said::Item(thing) if thing.passive))
        else {
            continue;
        };
        let active = |said: &Said<'_>| matches!(said, Said::Item(thing) if thing.number == verb.number && !thing.passive);
        let (Some(object), Some(behind)) = (a.get(..done), a.get(done + 1..)) else {
            return;
        };
        let by = match behind.first() {
            Some(Said::Word("by")) => true,
            Some(Said::Word("in")) if matches!(verb.text, "include" | "contain") => true,
            _ => false,
        };
        if by {
            // `O is V by S`: `S V O`; `[which O] is V by S`: `[which O] S V`.
            for length in 0..=MAX_PART.min(behind.len() - 1) {
                let Some(subject) = behind.get(1..1 + length) else {
                    break;
                };
                if length == 0 && (!rules.who || object.is_empty()) {
                    continue;
                }
                let Some(rest) = b.strip_prefix(subject) else {
                    continue;
                };
                if rest.first().is_some_and(active)
                    && rest.get(1..).is_some_and(|rest| rest.starts_with(object))
                {
                    found(done + 2 + length, length + 1 + done);
                }
            }
        } else if !behind.contains(&Said::Word("by")) {
            // `O is V`: `I V O`; `[which O] is V`: `[which O] they V`.
            if let [Said::Word(person @ ("i" | "they")), rest @ ..] = b
                && (*person != "i" || rules.by_me)
                && rest.first().is_some_and(active)
                && rest.get(1..).is_some_and(|rest| rest.starts_with(object))
            {
                found(done + 1, done + 2);
            }
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare;

    #[test]
    fn another_grammar_says_the_same() {
        for (a, b) in [
            (
                "What are the symptoms of the flu?",
                "What are flu symptoms?",
            ),
            (
                "What are the side effects of ibuprofen?",
                "What are the ibuprofen side effects?",
            ),
            ("Who is the CEO of Nvidia?", "Who is Nvidia's CEO?"),
            (
                "What is the main idea of Darwin's theory?",
                "What is the main idea of the theory of Darwin?",
            ),
            (
                "Does my policy cover water damage?",
                "Is water damage covered by my policy?",
            ),
            (
                "Which languages does the app support?",
                "Which languages are supported by the app?",
            ),
            (
                "Who discovered penicillin?",
                "Who was penicillin discovered by?",
            ),
            (
                "Does my health plan include dental?",
                "Is dental included in my health plan?",
            ),
            (
                "How often should I water a cactus?",
                "How often should a cactus be watered?",
            ),
            (
                "How long does it take to renew a passport?",
                "How long does a passport renewal take?",
            ),
            (
                "Is there free parking at the hotel?",
                "Does the hotel have free parking?",
            ),
            (
                "How do I send a parcel to Norway from Spain?",
                "How do I send a parcel from Spain to Norway?",
            ),
        ] {
            assert_eq!(compare(a, b), Ok(()), "{a} | {b}");
            assert_eq!(compare(b, a), Ok(()), "{b} | {a}");
        }
    }

    #[test]
    fn who_does_what_to_whom_is_kept() {
        for (a, b) in [
            ("Who was Caesar betrayed by?", "Who did Caesar betray?"),
            (
                "What is Paris the capital of?",
                "What is the capital of Paris?",
            ),
            ("Who was Tesla's employer?", "Who did Tesla employ?"),
            (
                "Does my policy cover the damage?",
                "Is my policy covered by the damage?",
            ),
            ("Do you have cork floors?", "Do you have floors in Cork?"),
            (
                "What is my old employer's phone number?",
                "What is my employer's old phone number?",
            ),
            (
                "Does the deposit of 500 euros cover a room?",
                "Does the deposit cover a room of 500 euros?",
            ),
            ("Who are the men in black?", "Who are the black men?"),
            ("Do school children play?", "Do children play in schools?"),
            (
                "Does the plan include the phone?",
                "Is the plan included in the phone?",
            ),
            ("Are you paid weekly?", "Do you pay weekly?"),
            ("Is my account charged?", "Do I charge my account?"),
            ("Is there milk in chocolate?", "Is there chocolate milk?"),
            (
                "How do I travel from Spain to Norway?",
                "How do I travel from Norway to Spain?",
            ),
        ] {
            assert!(compare(a, b).is_err(), "{a} | {b}");
            assert!(compare(b, a).is_err(), "{b} | {a}");
        }
    }
}
