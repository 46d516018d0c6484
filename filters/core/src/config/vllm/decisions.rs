//! `decisions` in our words: tiers as priorities, models, algorithms.

use serde_json::{Map, Value};

use super::fate::is_off;
use super::{Work, conditions, plugins};

/// Algorithms that Turnpike has.
const OURS: [&str; 5] = ["static", "weighted", "score", "cost_aware", "latency_aware"];

/// Algorithms that choose one model, which Turnpike has not.
const ONE_MODEL: [&str; 13] = [
    "router_dc",
    "automix",
    "hybrid",
    "multi_factor",
    "prompt",
    "knn",
    "kmeans",
    "svm",
    "mlp",
    "elo",
    "rl_driven",
    "gmtrouter",
    "session_aware",
];

/// Algorithms that ask several models for one request.
const SEVERAL_MODELS: [&str; 5] = ["confidence", "ratings", "remom", "fusion", "workflows"];

/// Keys of an algorithm that are Turnpike's.
const ALGORITHM_KEYS: [&str; 4] = ["type", "min_quality", "sticky", "switch_margin"];

/// Brings all decisions into our words.
pub(super) fn ours(flat: &mut Map<String, Value>, work: &mut Work) {
    tiers(flat, work);
    model_selection(flat, work);
    let Some(Value::Array(mut decisions)) = flat.remove("decisions") else {
        return;
    };
    for (i, decision) in decisions.iter_mut().enumerate() {
        let at = format!("decisions[{i}]");
        if let Value::Object(decision) = decision {
            conditions::rules(decision, &at, work);
            algorithm(decision, &at, work);
            model_refs(decision, &at, work);
            plugins::ours(decision, &at, flat, work);
        }
    }
    flat.insert("decisions".into(), Value::Array(decisions));
}

fn number(decision: &Value, key: &str) -> i64 {
    decision.get(key).and_then(Value::as_i64).unwrap_or(0)
}

/// `tier`: the lowest wins, whatever the priority. As priorities, that is all decisions in one order.
fn tiers(flat: &mut Map<String, Value>, work: &mut Work) {
    let is_by_confidence = flat.get("strategy").and_then(Value::as_str) == Some("confidence");
    let decisions = flat.get_mut("decisions").and_then(Value::as_array_mut);
    let mut decisions: Vec<&mut Value> = decisions.into_iter().flatten().collect();
    let Some(first) = decisions.iter().position(|d| number(d, "tier") > 0) else {
        decisions
            .iter_mut()
            .for_each(|decision| take_tier(decision));
        return;
    };
    let at = format!("decisions[{first}].tier");
    if is_by_confidence {
        work.error(
            &at,
            "is not available here with `strategy: confidence`; order the decisions by `priority`",
        );
    } else {
        work.note(&at, "all tiers became priorities, in the same order; within a tier the priority decides, not the confidence");
    }
    let rank = |decision: &Value| {
        (
            number(decision, "tier"),
            number(decision, "priority").saturating_neg(),
        )
    };
    let mut ranks: Vec<(i64, i64)> = decisions.iter().map(|d| rank(d)).collect();
    ranks.sort_unstable();
    ranks.dedup();
    for decision in decisions {
        let place = ranks.binary_search(&rank(decision)).unwrap_or_default();
        let priority = ranks.len().saturating_sub(place);
        take_tier(decision);
        if let Some(map) = decision.as_object_mut() {
            map.insert("priority".into(), priority.into());
        }
    }
}

fn take_tier(decision: &mut Value) {
    decision.as_object_mut().and_then(|map| map.remove("tier"));
}

/// `model_selection`: how decisions choose that do not say it themselves.
fn model_selection(flat: &mut Map<String, Value>, work: &mut Work) {
    const AT: &str = "model_selection";
    let Some(selection) = flat.remove(AT) else {
        return;
    };
    let method = ["method", "default_algorithm"]
        .into_iter()
        .find_map(|key| selection.get(key)?.as_str());
    let lists = flat.get("decisions").and_then(Value::as_array);
    let mut open = lists.into_iter().flatten().filter(|decision| {
        let models = decision.get("modelRefs").and_then(Value::as_array);
        models.is_some_and(|models| models.len() > 1) && decision.get("algorithm").is_none()
    });
    match method {
        Some(method) if method != "static" && !is_off(&selection) && open.next().is_some() => work
            .error(
                &format!("{AT}.method"),
                format!("there is no `{method}` here; {}", instead(method)),
            ),
        _ => work.no_effect(AT, "a decision's `algorithm` chooses, or its first model"),
    }
}

fn instead(method: &str) -> &'static str {
    if SEVERAL_MODELS.contains(&method) {
        return "one model answers a request: name it, or let `score`, `cost_aware` or `latency_aware` choose";
    }
    match method {
        "multi_factor" => "choose by `cost_aware` with `min_quality`, or by `latency_aware`",
        "prompt" => {
            "let `sidecar.llm_classifier` choose a label, and write a decision with a condition of type `llm` for each"
        }
        "session_aware" => "`algorithm.sticky` keeps a conversation with its model",
        _ => {
            "choose by `score`, `cost_aware` or `latency_aware`, with `score` or `quality_score` as measured"
        }
    }
}

fn algorithm(decision: &mut Map<String, Value>, at: &str, work: &mut Work) {
    let models = decision.get("modelRefs").and_then(Value::as_array);
    let one_model = models.is_none_or(|models| models.len() <= 1);
    let Some(Value::Object(algorithm)) = decision.get_mut("algorithm") else {
        return;
    };
    let at = format!("{at}.algorithm");
    let kind = algorithm
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("static")
        .to_owned();
    if ONE_MODEL.contains(&kind.as_str()) && one_model {
        work.no_effect(&at, "there is one model to choose from");
        decision.remove("algorithm");
        return;
    }
    if ONE_MODEL.contains(&kind.as_str()) || SEVERAL_MODELS.contains(&kind.as_str()) {
        work.error(
            &format!("{at}.type"),
            format!("there is no `{kind}` here; {}", instead(&kind)),
        );
        decision.remove("algorithm");
        return;
    }
    let theirs = |key: &str| {
        let blocks = ONE_MODEL.iter().chain(&SEVERAL_MODELS).chain(&OURS);
        ["on_error", "minimum_candidates", "momentum"]
            .into_iter()
            .chain(blocks.copied())
            .any(|k| k == key)
    };
    algorithm.retain(|key, _| {
        let goes = theirs(key) && !ALGORITHM_KEYS.contains(&key.as_str());
        if goes {
            let why = match key.as_str() {
                "latency_aware" => "the model that was fastest to its first byte of late is chosen",
                _ => "the algorithm of this `type` needs none",
            };
            work.no_effect(&format!("{at}.{key}"), why);
        }
        !goes
    });
}

fn model_refs(decision: &mut Map<String, Value>, at: &str, work: &mut Work) {
    let algorithm = decision
        .get("algorithm")
        .and_then(|algorithm| algorithm.get("type"));
    let is_weighted = algorithm.and_then(Value::as_str) == Some("weighted");
    let refs = decision.get_mut("modelRefs").and_then(Value::as_array_mut);
    for (i, model_ref) in refs.into_iter().flatten().enumerate() {
        let Some(map) = model_ref.as_object_mut() else {
            continue;
        };
        let path = |key: &str| format!("{at}.modelRefs[{i}].{key}");
        if !is_weighted && map.remove("weight").is_some() {
            work.no_effect(&path("weight"), "only `algorithm.type: weighted` reads it");
        }
        let reasons = map
            .get("use_reasoning")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        match map
            .remove("reasoning_mode")
            .as_ref()
            .and_then(Value::as_str)
        {
            None => {}
            Some(mode) if (mode == "enabled") == reasons => {
                work.no_effect(&path("reasoning_mode"), "`use_reasoning` says the same");
            }
            Some(mode) => work.error(
                &path("reasoning_mode"),
                format!("`{mode}` contradicts `use_reasoning`, which decides here"),
            ),
        }
        if map.get("use_reasoning") == Some(&Value::Null) {
            map.remove("use_reasoning");
        }
    }
}
