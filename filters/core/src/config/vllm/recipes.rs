//! `entrypoints` and `recipes`: several sets of decisions, chosen by the name that a client asks for. Here is one.

use serde_json::{Map, Value, json};

use super::Work;
use super::canonical::{put, take};
use crate::config::load::unknown_key;

/// The recipe that `routing` itself is, unless one in `recipes` is called so.
const DEFAULT: &str = "default";

/// Keys of an entrypoint.
const ENTRYPOINT: [&str; 3] = ["model_names", "recipe", "assignments"];

/// Makes the one recipe that entrypoints name the `routing` of the document, and their names names for routing. Returns where
/// that `routing` stands in the file.
pub(super) fn merge(given: &mut Map<String, Value>, work: &mut Work) -> String {
    let entrypoints = list(given.remove("entrypoints"));
    let recipes = list(given.remove("recipes"));
    let chosen = choose(&entrypoints, &recipes, has_decisions(given), work);
    let mut at = "routing".to_owned();
    for (i, recipe) in recipes.into_iter().enumerate() {
        let path = format!("recipes[{i}]");
        if text(&recipe, "name") != chosen {
            work.no_effect(&path, "no entrypoint names it");
        } else if has_decisions(given) {
            work.error(&path, "is not available here beside `routing.decisions`: a gateway has one set of decisions");
        } else if let Value::Object(mut recipe) = recipe {
            at = format!("{path}.routing");
            let routing = recipe.remove("routing").unwrap_or_else(|| json!({}));
            given.insert("routing".into(), routing);
        }
    }
    if take(given, "routing.modelCards").is_some() {
        work.error(
            &format!("{at}.modelCards"),
            "is not available here; write it under `routing`",
        );
    }
    let mut names = Vec::new();
    for (i, entrypoint) in entrypoints.into_iter().enumerate() {
        let assignments = entrypoint.get("assignments").and_then(Value::as_object);
        for (decision, assigned) in assignments.into_iter().flatten() {
            let from = format!("entrypoints[{i}].assignments.{decision}");
            assign(given, decision, assigned, &from, work);
        }
        names.extend(list(entrypoint.get("model_names").cloned()));
    }
    add_names(given, names);
    at
}

fn has_decisions(given: &Map<String, Value>) -> bool {
    let routing = given.get("routing");
    let decisions = routing.and_then(|routing| routing.get("decisions"));
    decisions
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

/// The name of the recipe that is used; others that entrypoints name are mistakes.
fn choose(
    entrypoints: &[Value],
    recipes: &[Value],
    has_decisions: bool,
    work: &mut Work,
) -> Option<String> {
    let is_recipe = |name: &str| {
        recipes
            .iter()
            .any(|r| text(r, "name").as_deref() == Some(name))
    };
    let by_itself = has_decisions || is_recipe(DEFAULT);
    let mut chosen = by_itself.then(|| DEFAULT.to_owned());
    for (i, entrypoint) in entrypoints.iter().enumerate() {
        let at = format!("entrypoints[{i}]");
        for key in entrypoint.as_object().into_iter().flat_map(Map::keys) {
            if !ENTRYPOINT.contains(&key.as_str()) {
                work.error(&format!("{at}.{key}"), unknown_key(key, &ENTRYPOINT));
            }
        }
        let recipe = text(entrypoint, "recipe").unwrap_or_else(|| DEFAULT.to_owned());
        let path = format!("{at}.recipe");
        match &chosen {
            _ if recipe != DEFAULT && !is_recipe(&recipe) => {
                work.error(&path, format!("unknown recipe `{recipe}`"));
            }
            Some(other) if *other != recipe => work.error(
                &path,
                format!("is not available here beside the recipe `{other}`: a gateway has one set of decisions; run one for each recipe, or tell requests apart by conditions"),
            ),
            _ => chosen = Some(recipe),
        }
    }
    chosen
}

/// Gives the models that an entrypoint assigns to a decision to it.
fn assign(
    given: &mut Map<String, Value>,
    decision: &str,
    assigned: &Value,
    from: &str,
    work: &mut Work,
) {
    let decisions = given
        .get_mut("routing")
        .and_then(|routing| routing.get_mut("decisions"));
    let mut decisions = decisions
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .enumerate();
    let found = decisions.find(|(_, d)| text(d, "name").as_deref() == Some(decision));
    let Some((i, Value::Object(found))) = found else {
        work.error(from, format!("unknown decision `{decision}`"));
        return;
    };
    if found.contains_key("modelRefs") {
        work.no_effect(from, "`modelRefs` of the decision decides");
        return;
    }
    let mut refs = Vec::new();
    for model in list(assigned.get("models").cloned()) {
        let mut model_ref = json!({"model": model.get("model")});
        let reasoning = model.get("reasoning");
        for (key, value) in [
            (
                "use_reasoning",
                reasoning.and_then(|reasoning| reasoning.get("enabled")),
            ),
            (
                "reasoning_effort",
                reasoning.and_then(|reasoning| reasoning.get("effort")),
            ),
            ("lora_name", model.get("lora_name")),
            ("weight", model.get("weight")),
        ] {
            if let (Some(value), Some(map)) = (value, model_ref.as_object_mut()) {
                map.insert(key.to_owned(), value.clone());
            }
        }
        refs.push(model_ref);
    }
    work.origins.add(
        format!("decisions[{i}].modelRefs"),
        format!("{from}.models"),
    );
    found.insert("modelRefs".into(), Value::Array(refs));
}

/// Names for routing, beside those that the document lists.
fn add_names(given: &mut Map<String, Value>, names: Vec<Value>) {
    if names.is_empty() {
        return;
    }
    let mut all = list(take(given, "global.router.auto_model_names"));
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    put(given, "global.router.auto_model_names", Value::Array(all));
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn text(node: &Value, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(str::to_owned)
}
