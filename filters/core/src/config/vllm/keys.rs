//! Every key of a file with what becomes of it, and the nearest name to one that nobody knows.

use serde_json::Value;

use super::origin::below;
use crate::config::{ConfigError, Note};

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState<'k> {
    /// It is read.
    Used,
    /// It is accepted and changes nothing, for this reason.
    NoEffect(&'k str),
    /// It is wrong.
    Mistake(&'k str),
}

/// Every key of `document` by its path, with its state. Nothing is told of what stands below a mistake.
pub(super) fn list<'k>(
    document: &Value,
    notes: &'k [Note],
    errors: &'k [ConfigError],
) -> Vec<(String, KeyState<'k>)> {
    let mut found = Vec::new();
    let states = States { notes, errors };
    states.visit(document, "", KeyState::Used, &mut found);
    found
}

struct States<'k> {
    notes: &'k [Note],
    errors: &'k [ConfigError],
}

impl<'k> States<'k> {
    fn at(&self, path: &str) -> Option<KeyState<'k>> {
        let wrong = self.errors.iter().find(|error| error.path == path);
        let mistake = wrong.map(|error| KeyState::Mistake(&error.message));
        let noted = self.notes.iter().filter(|note| note.path == path);
        let mut reasons = noted.filter_map(Note::no_effect);
        mistake.or_else(|| reasons.next().map(KeyState::NoEffect))
    }

    fn visit(
        &self,
        node: &Value,
        at: &str,
        around: KeyState<'k>,
        found: &mut Vec<(String, KeyState<'k>)>,
    ) {
        match node {
            Value::Array(list) => {
                for (i, element) in list.iter().enumerate() {
                    let path = format!("{at}[{i}]");
                    let state = self.at(&path).unwrap_or(around);
                    if !matches!(state, KeyState::Mistake(_)) {
                        self.visit(element, &path, state, found);
                    }
                }
            }
            Value::Object(map) => {
                for (key, value) in map {
                    let path = below(at, key);
                    let state = self.at(&path).unwrap_or(around);
                    found.push((path.clone(), state));
                    if !matches!(state, KeyState::Mistake(_)) {
                        self.visit(value, &path, state, found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The name among `known` that `written` was probably meant to be.
pub(in crate::config) fn nearest<'n>(
    written: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let most = written.chars().count().div_euclid(3).clamp(1, 3);
    let near = known.into_iter().filter_map(|name| {
        let edits = edits(written, name);
        (edits <= most).then_some((edits, name))
    });
    near.min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// Letters to put in, take out, replace or swap with the next one to come from `a` to `b`; case, `-` and `_` do not count.
fn edits(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let chars = text.chars().filter(|c| !matches!(c, '-' | '_'));
        chars.flat_map(char::to_lowercase).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let replaced = cell(&row, j).saturating_add(usize::from(x != y));
            let left_out = cell(&row, j.saturating_add(1)).saturating_add(1);
            let put_in = cell(&next, j).saturating_add(1);
            let previous =
                |list: &[char], at: usize| at.checked_sub(1).and_then(|p| list.get(p).copied());
            let is_swap = previous(&a, i) == Some(*y) && previous(&b, j) == Some(*x);
            let swapped = match j.checked_sub(1) {
                Some(p) if is_swap => cell(&before, p).saturating_add(1),
                _ => usize::MAX,
            };
            next.push(replaced.min(left_out).min(put_in).min(swapped));
        }
        before = std::mem::replace(&mut row, next);
    }
    cell(&row, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let known = ["decisions", "default_model", "modelRefs", "pii", "top_k"];
        for (written, expected) in [
            ("decisons", Some("decisions")),
            ("desicions", Some("decisions")),
            ("defaultModel", Some("default_model")),
            ("default-model", Some("default_model")),
            ("modelrefs", Some("modelRefs")),
            ("model_ref", Some("modelRefs")),
            ("pi", Some("pii")),
            ("ppi", Some("pii")),
            ("tpo_k", Some("top_k")),
            ("category", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }

    #[test]
    fn edits_are_counted_as_people_make_them() {
        for (a, b, n) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abcd", "abdc", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(edits(a, b), n, "{a} {b}");
        }
    }
}
