//! Formulas and code that nobody has marked as such: every sign counts, in its place.

/// What of `text` must be the same, letter by letter but for white space: all from its first word with a sign of formulas or code to its
/// last one. None where there is no such word.
pub(super) fn strict_part(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_strict = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        words
            .get(at)
            .is_some_and(|word| has_sign(word, before.copied(), words.get(at + 1).copied()))
    };
    let first = (0..words.len()).find(|at| is_strict(*at))?;
    let last = (first..words.len()).rev().find(|at| is_strict(*at))?;
    // A sign that stands alone belongs to what is beside it.
    let alone = |at: usize| {
        words
            .get(at)
            .is_some_and(|word| !word.contains(char::is_alphanumeric))
    };
    let first = if alone(first) {
        first.saturating_sub(1)
    } else {
        first
    };
    let last = if alone(last) {
        (last + 1).min(words.len() - 1)
    } else {
        last
    };
    let part = words.get(first..=last)?.concat();
    // One word is a name, such as C++; more are a formula or code, where case counts.
    let part = if first == last {
        part.to_lowercase()
    } else {
        part
    };
    Some(part.trim_end_matches(['.', ',', '?', ';', ':']).to_owned())
}

/// Whether a word has a sign that turns the meaning of its neighbours.
fn has_sign(word: &str, before: Option<&str>, after: Option<&str>) -> bool {
    let digit =
        |word: Option<&str>| word.is_some_and(|word| word.contains(|c: char| c.is_ascii_digit()));
    let between_numbers = digit(before) && digit(after);
    word.contains([
        '(', ')', '[', ']', '{', '}', '<', '>', '=', '+', '*', '^', '|', '~', '\\', '×', '÷', '−',
        '≤', '≥', '≠',
    ]) || (word.contains('&') && word.len() > 1)
        || (matches!(word, "-" | "–" | "/" | "%" | "x" | ":") && between_numbers)
        || word.starts_with('!')
        || word
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
        || word
            .strip_suffix('!')
            .is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
}

/// Whether a text has lines whose white space may mean something: code without marks, YAML, tables.
pub(super) fn has_layout(text: &str) -> bool {
    text.contains('\t') || text.lines().skip(1).any(|line| line.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::super::{Disagreement, compare};

    #[test]
    fn signs_of_formulas_and_code_count_in_their_places() {
        for (a, b) in [
            ("What is (2 + 3) * 4?", "What is 2 + (3 * 4)?"),
            ("What is 10 - (4 - 2)?", "What is 10 - 4 - 2?"),
            ("What is 8 - 4 + 2 - 1?", "What is 8 - 4 - 2 + 1?"),
            (
                "What does WHERE (a = 1 OR b = 2) AND c = 3 select?",
                "What does WHERE a = 1 OR (b = 2 AND c = 3) select?",
            ),
            (
                "What is the type of (1, 2, 3) in Python?",
                "What is the type of [1, 2, 3] in Python?",
            ),
            (
                "What does if (!ready) return do?",
                "What does if (ready) return do?",
            ),
            ("What is 3! + 2!", "What is 3 + 2"),
            ("What does int *p mean?", "What does int p mean?"),
            ("List all primes <10", "List all primes 10"),
            ("What does ls -l print?", "What does ls l print?"),
            (
                "Explain:\nfor i in range(3):\n    x()\nprint(i)",
                "Explain:\nfor i in range(3):\n    x()\n    print(i)",
            ),
        ] {
            assert!(compare(a, b).is_err(), "{a} | {b}");
            assert!(compare(b, a).is_err(), "{b} | {a}");
        }
        assert_eq!(
            compare("What is 8 - 4 + 2 - 1?", "What is 8 - 4 - 2 + 1?"),
            Err(Disagreement::Code)
        );
    }

    #[test]
    fn the_same_formula_in_other_words_around_it_agrees() {
        let (a, b) = (
            "What is (2 + 3) * 4?",
            "Can you tell me what is (2 + 3) * 4?",
        );
        assert_eq!(compare(a, b), Ok(()));
    }
}
