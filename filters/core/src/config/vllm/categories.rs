//! Categories that choose models, as vLLM Semantic Router had them before decisions: each becomes a decision.

use serde_json::{Map, Value, json};

use super::Work;

/// Keys of such a category.
const KEYS: [&str; 14] = [
    "model_scores",
    "use_reasoning",
    "reasoning_description",
    "reasoning_effort",
    "system_prompt",
    "system_prompt_enabled",
    "system_prompt_mode",
    "semantic_cache_enabled",
    "semantic_cache_similarity_threshold",
    "jailbreak_enabled",
    "jailbreak_threshold",
    "pii_enabled",
    "pii_threshold",
    "pii_types_allowed",
];

/// Plugins with their keys: in the category, in `configuration`.
const PLUGINS: &[(&str, &[(&str, &str)])] = &[
    (
        "system_prompt",
        &[
            ("system_prompt", "system_prompt"),
            ("system_prompt_enabled", "enabled"),
            ("system_prompt_mode", "mode"),
        ],
    ),
    (
        "semantic-cache",
        &[
            ("semantic_cache_enabled", "enabled"),
            (
                "semantic_cache_similarity_threshold",
                "similarity_threshold",
            ),
        ],
    ),
    (
        "jailbreak",
        &[
            ("jailbreak_enabled", "enabled"),
            ("jailbreak_threshold", "threshold"),
        ],
    ),
];

/// Takes those keys out of `categories` and writes decisions behind the others, with a lower priority than any of them.
pub(super) fn decisions(flat: &mut Map<String, Value>, work: &mut Work) {
    let default_model = flat.get("default_model").cloned().unwrap_or_default();
    let mut decisions = match flat.remove("decisions") {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(other) => {
            flat.insert("decisions".into(), other);
            return;
        }
    };
    let lowest = decisions
        .iter()
        .map(|d| d.get("priority").and_then(Value::as_i64).unwrap_or(0))
        .min();
    let priority = lowest.map_or(0, |lowest| lowest.saturating_sub(1));
    let categories = flat.get_mut("categories").and_then(Value::as_array_mut);
    for (i, category) in categories.into_iter().flatten().enumerate() {
        let Some(category) = category.as_object_mut() else {
            continue;
        };
        let old: Map<String, Value> = KEYS
            .iter()
            .filter_map(|key| category.remove_entry(*key))
            .collect();
        if old.is_empty() {
            continue;
        }
        let at = format!("categories[{i}]");
        let Some(name) = category.get("name").and_then(Value::as_str) else {
            continue;
        };
        let given = work.origins.given(&at);
        let ours = format!("decisions[{}]", decisions.len());
        for (ours_key, key) in [("", ""), (".rules", ""), (".modelRefs", ".model_scores")] {
            work.origins
                .add(format!("{ours}{ours_key}"), format!("{given}{key}"));
        }
        let taken = decisions
            .iter()
            .any(|d| d.get("name").and_then(Value::as_str) == Some(name));
        let decision_name = if taken {
            format!("{name}_category")
        } else {
            name.to_owned()
        };
        for key in ["pii_enabled", "pii_threshold", "pii_types_allowed"] {
            if old.contains_key(key) {
                work.no_effect(
                    &format!("{at}.{key}"),
                    "`pii_policy` of the model and `classifier.pii_model` decide",
                );
            }
        }
        decisions.push(json!({
            "name": decision_name,
            "priority": priority,
            "rules": {"type": "domain", "name": name},
            "modelRefs": model_refs(&old, &default_model, &ours, &given, work),
            "plugins": plugins(&old, &ours, &given, work),
        }));
    }
    if !decisions.is_empty() {
        flat.insert("decisions".into(), Value::Array(decisions));
    }
}

/// The models by falling score; the default model where none is named.
fn model_refs(
    old: &Map<String, Value>,
    default_model: &Value,
    ours: &str,
    given: &str,
    work: &mut Work,
) -> Vec<Value> {
    let shared = |map: &mut Map<String, Value>| {
        for key in ["use_reasoning", "reasoning_effort", "reasoning_description"] {
            if let Some(value) = old.get(key) {
                map.entry(key).or_insert(value.clone());
            }
        }
    };
    let written = old.get("model_scores").and_then(Value::as_array);
    let mut scored: Vec<(usize, Value)> =
        written.into_iter().flatten().cloned().enumerate().collect();
    let score = |entry: &Value| entry.get("score").and_then(Value::as_f64).unwrap_or(0.0);
    scored.sort_by(|(_, a), (_, b)| score(b).total_cmp(&score(a)));
    if scored.is_empty() {
        let mut map = Map::new();
        map.insert("model".into(), default_model.clone());
        shared(&mut map);
        return vec![Value::Object(map)];
    }
    let mut refs = Vec::new();
    for (place, (i, mut entry)) in scored.into_iter().enumerate() {
        work.origins.add(
            format!("{ours}.modelRefs[{place}]"),
            format!("{given}.model_scores[{i}]"),
        );
        if let Some(map) = entry.as_object_mut() {
            shared(map);
        }
        refs.push(entry);
    }
    refs
}

/// What else happened to requests of the category, as plugins.
fn plugins(old: &Map<String, Value>, ours: &str, given: &str, work: &mut Work) -> Vec<Value> {
    let mut plugins = Vec::new();
    for (kind, keys) in PLUGINS {
        let mut configuration = Map::new();
        for (from, to) in *keys {
            if let Some(value) = old.get(*from) {
                configuration.insert((*to).to_owned(), value.clone());
                let path = format!("{ours}.plugins[{}].configuration.{to}", plugins.len());
                work.origins.add(path, format!("{given}.{from}"));
            }
        }
        if !configuration.is_empty() {
            plugins.push(json!({"type": kind, "configuration": configuration}));
        }
    }
    plugins
}
