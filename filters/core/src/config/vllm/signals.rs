//! Signals in our words.

use serde_json::{Map, Value, json};

use super::origin::below;
use super::{Work, conditions, fate};

/// Brings values of signals that are written another way there into our words.
pub(super) fn ours(flat: &mut Map<String, Value>, work: &mut Work) {
    for (at, rule) in rules(flat, "keyword_rules") {
        keywords(rule, &at, work);
    }
    for (_, rule) in rules(flat, "language_rules") {
        // 0 stands for the preset.
        if rule.get("threshold").is_some_and(fate::is_off) {
            rule.remove("threshold");
        }
    }
    for (at, rule) in rules(flat, "complexity_rules") {
        boundaries(rule, &at, work);
    }
    for (at, rule) in rules(flat, "jailbreak_rules") {
        direction(rule, &at, work);
    }
    let scores = flat
        .get_mut("projections")
        .and_then(|p| p.get_mut("scores"));
    for (i, score) in scores
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .enumerate()
    {
        if let Some(Value::Array(inputs)) = score.get_mut("inputs") {
            self::inputs(inputs, &format!("projections.scores[{i}].inputs"), work);
        }
    }
}

/// The rules of a list with their paths.
fn rules<'f>(
    flat: &'f mut Map<String, Value>,
    list: &'static str,
) -> impl Iterator<Item = (String, &'f mut Map<String, Value>)> {
    let rules = flat.get_mut(list).and_then(Value::as_array_mut);
    let rules = rules.into_iter().flatten().enumerate();
    rules.filter_map(move |(i, rule)| Some((format!("{list}[{i}]"), rule.as_object_mut()?)))
}

fn keywords(rule: &mut Map<String, Value>, at: &str, work: &mut Work) {
    if let Some(Value::String(operator)) = rule.get_mut("operator") {
        *operator = operator.to_uppercase();
    }
    let method = rule
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if ["bm25", "ngram"].contains(&method) {
        let message = format!(
            "there is no `{method}` here; take the key out for words as they are, or write `fuzzy` for words with typing errors"
        );
        work.error(&below(at, "method"), message);
        rule.remove("method");
    }
    // There it is a likeness in percent, here a number of typing errors.
    let threshold = rule.get("fuzzy_threshold").and_then(Value::as_u64);
    if threshold.is_some_and(|percent| percent > 3) {
        rule.remove("fuzzy_threshold");
        work.no_effect(
            &below(at, "fuzzy_threshold"),
            "it is a likeness in percent; here it counts typing errors, 2 at most if missing",
        );
    }
}

/// `hard_above` and `easy_below`, which are `threshold` where they are the same distance from zero.
fn boundaries(rule: &mut Map<String, Value>, at: &str, work: &mut Work) {
    let mut bound = |key: &str| rule.remove(key).and_then(|bound| bound.as_f64());
    let bounds = ["hard_above", "easy_below", "hard_below", "easy_above"].map(&mut bound);
    match bounds {
        [None, None, None, None] => {}
        [Some(hard), Some(easy), None, None] if hard.total_cmp(&-easy).is_eq() => {
            rule.insert("threshold".into(), json!(hard));
            let from = work.origins.given(&below(at, "hard_above"));
            work.origins.add(below(at, "threshold"), from);
        }
        _ => work.error(
            at,
            "must have one `threshold` for both sides: hard above it, easy below its negative",
        ),
    }
}

/// Whether requests or answers are read.
fn direction(rule: &mut Map<String, Value>, at: &str, work: &mut Work) {
    let direction = rule.remove("direction");
    let at = below(at, "direction");
    match direction.as_ref().and_then(Value::as_str) {
        None | Some("" | "request") => {}
        Some("response") => work.error(
            &at,
            "`response` is not available here: the plugin `response_jailbreak` reads answers by itself; take the rule out",
        ),
        Some(other) => work.error(&at, format!("must be `request`, got `{other}`")),
    }
}

/// Takes out inputs of a score that read what is not there.
fn inputs(inputs: &mut Vec<Value>, at: &str, work: &mut Work) {
    let mut kept = Vec::new();
    for (i, input) in std::mem::take(inputs).into_iter().enumerate() {
        let path = format!("{at}[{i}]");
        let kind = input
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(instead) = conditions::lacking(kind) {
            let message = format!("there is no signal `{kind}` here; {instead}");
            work.error(&below(&path, "type"), message);
            continue;
        }
        let from = work.origins.given(&path);
        work.origins.add(format!("{at}[{}]", kept.len()), from);
        kept.push(input);
    }
    *inputs = kept;
}
