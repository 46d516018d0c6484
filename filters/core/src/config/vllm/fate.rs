//! What becomes of keys that vLLM Semantic Router has and Turnpike has not.

use serde_json::Value;

use super::Work;
use super::origin::below;

/// What becomes of one such key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is accepted and changes nothing; why.
    NoEffect(&'static str),
    /// It is refused unless its value says "off": without it another model would answer, or a guard would be gone. What to do
    /// instead.
    Missing(&'static str),
    /// As `Missing`, for a section that is off unless it says `enabled: true`.
    Switch(&'static str),
    /// These values say what is done here anyway; others are refused. What to do instead.
    Only(&'static [&'static str], &'static str),
}

/// Keys with their fates; `*` stands for any name or place in a list.
pub(super) type Table = [(&'static str, Fate)];

/// Takes the keys of `table` out of `document`, with a note or a mistake for each. `at` is the path of `document`.
pub(super) fn apply(table: &'static Table, document: &mut Value, at: &str, work: &mut Work) {
    let rows: Vec<(Vec<&'static str>, Fate)> = table
        .iter()
        .map(|(path, fate)| (path.split('.').collect(), *fate))
        .collect();
    let rows: Vec<(&[&str], Fate)> = rows.iter().map(|(p, f)| (p.as_slice(), *f)).collect();
    visit(&rows, document, at, work);
}

fn visit(rows: &[(&[&str], Fate)], node: &mut Value, at: &str, work: &mut Work) {
    match node {
        Value::Array(list) => {
            let inner = step(rows, "*");
            if inner.is_empty() {
                return;
            }
            for (i, element) in list.iter_mut().enumerate() {
                visit(&inner, element, &format!("{at}[{i}]"), work);
            }
        }
        Value::Object(map) => map.retain(|key, value| {
            let inner = step(rows, key);
            let path = below(at, key);
            match inner.iter().find(|(rest, _)| rest.is_empty()) {
                Some((_, fate)) => {
                    meet(*fate, value, &path, work);
                    false
                }
                None => {
                    visit(&inner, value, &path, work);
                    true
                }
            }
        }),
        _ => {}
    }
}

/// The rows that go on below `key`.
fn step<'r>(rows: &[(&'r [&'r str], Fate)], key: &str) -> Vec<(&'r [&'r str], Fate)> {
    let below = |(path, fate): &(&'r [&'r str], Fate)| {
        let (first, rest) = path.split_first()?;
        (*first == "*" || *first == key).then_some((rest, *fate))
    };
    rows.iter().filter_map(below).collect()
}

fn meet(fate: Fate, value: &Value, at: &str, work: &mut Work) {
    match fate {
        Fate::NoEffect(why) => work.no_effect(at, why),
        Fate::Missing(_) if is_off(value) => work.no_effect(at, "it is off"),
        Fate::Switch(_) if value.get("enabled") != Some(&Value::Bool(true)) => {
            work.no_effect(at, "it is off");
        }
        Fate::Missing(instead) | Fate::Switch(instead) => {
            work.error(at, format!("is not available here; {instead}"))
        }
        Fate::Only(values, instead) => {
            let given = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if !value.is_null() && !values.contains(&given.as_str()) {
                work.error(at, format!("`{given}` is not available here; {instead}"));
            }
        }
    }
}

/// Whether a value says that something is not wanted.
pub(super) fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => {
            map.get("enabled") == Some(&Value::Bool(false)) || map.values().all(is_off)
        }
    }
}
