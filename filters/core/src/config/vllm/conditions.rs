//! `rules` of a decision in our words.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Work;
use super::origin::below;

/// Kinds of signal that vLLM Semantic Router has and Turnpike has not, with what to use instead.
const LACKING: &[(&str, &str)] = &[
    (
        "fact_check",
        "read the head `fresh:fresh` (needs facts of today), or one of your own (`turnpike train-head`), by a condition of type `head`",
    ),
    (
        "user_feedback",
        "a head of your own tells such turns: `turnpike train-head` and a condition of type `head`",
    ),
    (
        "reask",
        "a head of your own tells dissatisfied turns: `turnpike train-head` and a condition of type `head`",
    ),
    (
        "preference",
        "write its examples as `candidates` of an embedding rule, or have `sidecar.llm_classifier` choose among labels",
    ),
    (
        "modality",
        "write keyword rules, or an embedding rule with samples of requests for images",
    ),
    (
        "kb",
        "write its samples as `candidates` of an embedding rule, or train a head on them: `turnpike train-head`",
    ),
    (
        "event",
        "write its words as a keyword rule, or read `metadata` by a metadata rule",
    ),
    (
        "classifier",
        "load the model by `sidecar.classifiers` and read it by a condition of type `head` with the name `classifier:label`, or let `sidecar.llm_classifier` choose a label and read it by one of type `llm`",
    ),
    (
        "safety",
        "read the head `toxicity:toxic`, or load a model by `sidecar.classifiers`, and read it by a condition of type `head`",
    ),
    (
        "hallucination",
        "answers are not checked against their sources",
    ),
    (
        "input_modality",
        "a conversation rule with the source `image_content` tells images",
    ),
    (
        "decision",
        "load a model by `sidecar.classifiers` and read it by a condition of type `head`",
    ),
    (
        "kb_metric",
        "train a head on the samples: `turnpike train-head`, and read it by `head`",
    ),
];

/// What to use instead of a kind of signal that Turnpike has not.
pub(super) fn lacking(kind: &str) -> Option<&'static str> {
    let found = LACKING.iter().find(|(name, _)| *name == kind);
    found.map(|(_, instead)| *instead)
}

/// The `rules` of a decision. In the canonical family one without takes every request, which is `AND` of nothing; in the flat one
/// it took none, and is a mistake here.
pub(super) fn rules(decision: &mut Map<String, Value>, at: &str, work: &mut Work) {
    let is_empty = |rules: &Value| rules.is_null() || rules.as_object().is_some_and(Map::is_empty);
    let every = json!({"operator": "AND", "conditions": []});
    if work.is_canonical && decision.get("rules").is_none_or(is_empty) {
        decision.insert("rules".into(), every.clone());
    }
    if let Some(rules) = decision.get_mut("rules")
        && !node(rules, &below(at, "rules"), work)
    {
        // The mistake is told; something has to stand here.
        *rules = every;
    }
}

/// Brings a node into our words; `false` where it has to go because it reads what is not there.
fn node(rule: &mut Value, at: &str, work: &mut Work) -> bool {
    let Value::Object(map) = rule else {
        return true;
    };
    change(map, "operator", str::to_uppercase);
    change(map, "type", str::to_lowercase);
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    if let Some(instead) = lacking(kind) {
        let message = format!("there is no signal `{kind}` here; {instead}");
        work.error(&below(at, "type"), message);
        return false;
    }
    for key in ["label", "predicate", "on_error", "on_unknown"] {
        let path = below(at, key);
        match map.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(policy)) if key.starts_with("on_") && policy == "no_match" => {}
            Some(_) if key.starts_with("on_") => work.error(
                &path,
                "is not available here; a signal that cannot be told does not hold, and `sidecar.on_error` says what happens to the request",
            ),
            Some(_) => work.error(&path, "is not available here; give the rule its own `threshold`"),
        }
    }
    if let Some(Value::Array(conditions)) = map.get_mut("conditions") {
        let mut kept = Vec::new();
        for (i, mut condition) in std::mem::take(conditions).into_iter().enumerate() {
            let path = format!("{at}.conditions[{i}]");
            if node(&mut condition, &path, work) {
                let ours = format!("{at}.conditions[{}]", kept.len());
                if ours != path {
                    work.origins.add(ours, work.origins.given(&path));
                }
                kept.push(condition);
            }
        }
        *conditions = kept;
    }
    true
}

fn change(map: &mut Map<String, Value>, key: &str, how: fn(&str) -> String) {
    if let Some(Value::String(text)) = map.get_mut(key) {
        *text = how(text.trim());
    }
}

/// Names in conditions of decisions, and in inputs of scores, of one kind of signal.
pub(super) fn named(flat: &Map<String, Value>, kind: &str) -> BTreeSet<String> {
    fn collect(node: &Value, kind: &str, found: &mut BTreeSet<String>) {
        let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("type").trim().eq_ignore_ascii_case(kind) {
            found.insert(text("name").to_owned());
        }
        for inner in list(node.get("conditions")) {
            collect(inner, kind, found);
        }
    }
    fn list(node: Option<&Value>) -> &[Value] {
        let list = node.and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }
    let mut found = BTreeSet::new();
    for rules in list(flat.get("decisions"))
        .iter()
        .filter_map(|d| d.get("rules"))
    {
        collect(rules, kind, &mut found);
    }
    let scores = list(flat.get("projections").and_then(|p| p.get("scores")));
    for input in scores.iter().flat_map(|score| list(score.get("inputs"))) {
        collect(input, kind, &mut found);
    }
    found
}
