//! The canonical family, `version: v0.3`, moved into the flat one.

use serde_json::{Map, Value, json};

use super::origin::below;
use super::{Work, conditions, providers, recipes};
use crate::config::load::unknown_key;

/// The version that is read.
pub(super) const VERSION: &str = "v0.3";

/// Keys that only the canonical family has.
const ITS_OWN: [&str; 5] = ["providers", "routing", "global", "entrypoints", "recipes"];

/// Turnpike's sections, which stand beside either family.
const OURS: [&str; 8] = [
    "sidecar",
    "envoy",
    "guards",
    "routing_cache",
    "limits",
    "telemetry",
    "explain",
    "maas_integration",
];

/// From a place in the canonical family to one in the flat family; of two for one place the first counts.
const MOVES: &[(&str, &str)] = &[
    ("setup", "setup"),
    ("evaluation", "evaluation"),
    ("evaluation_catalog", "evaluation_catalog"),
    ("listeners", "listeners"),
    ("providers.defaults.model", "default_model"),
    ("providers.defaults.default_model", "default_model"),
    (
        "providers.defaults.reasoning_effort",
        "default_reasoning_effort",
    ),
    (
        "providers.defaults.default_reasoning_effort",
        "default_reasoning_effort",
    ),
    (
        "providers.defaults.reasoning_families",
        "reasoning_families",
    ),
    ("routing.strategy", "strategy"),
    ("routing.decisions", "decisions"),
    ("routing.projections", "projections"),
    ("routing.model_bindings", "model_bindings"),
    ("routing.candidate_requirements", "candidate_requirements"),
    ("routing.data_policy", "data_policy"),
    ("routing.fallback", "fallback"),
    ("routing.signals.keywords", "keyword_rules"),
    ("routing.signals.embeddings", "embedding_rules"),
    ("routing.signals.domains", "categories"),
    ("routing.signals.fact_check", "fact_check_rules"),
    ("routing.signals.language", "language_rules"),
    ("routing.signals.context", "context_rules"),
    ("routing.signals.structure", "structure_rules"),
    ("routing.signals.conversation", "conversation_rules"),
    ("routing.signals.complexity", "complexity_rules"),
    ("routing.signals.jailbreak", "jailbreak_rules"),
    ("routing.signals.pii", "pii_rules"),
    ("routing.signals.role_bindings", "role_bindings"),
    ("routing.signals.metadata", "metadata_rules"),
    ("routing.signals.headers", "header_rules"),
    ("routing.signals.user_feedbacks", "user_feedback_rules"),
    ("routing.signals.reasks", "reask_rules"),
    ("routing.signals.preferences", "preference_rules"),
    ("routing.signals.modality", "modality_rules"),
    ("routing.signals.kb", "kb"),
    ("routing.signals.events", "events"),
    ("routing.signals.classifiers", "classifiers"),
    ("routing.signals.safety", "safety"),
    ("routing.signals.hallucination", "hallucination"),
    ("routing.signals.input_modality", "input_modality"),
    ("routing.signals.decision", "decision_signals"),
    ("global.router.config_source", "config_source"),
    ("global.router.strategy", "strategy"),
    ("global.router.auto_model_name", "auto_model_name"),
    ("global.router.auto_model_names", "auto_model_names"),
    (
        "global.router.include_config_models_in_list",
        "include_config_models_in_list",
    ),
    ("global.router.clear_route_cache", "clear_route_cache"),
    ("global.router.streamed_body", "streamed_body"),
    ("global.router.skip_processing", "skip_processing"),
    ("global.router.model_selection", "model_selection"),
    ("global.router.learning", "router_learning"),
    ("global.router.fallback", "fallback"),
    ("global.services.api", "api"),
    ("global.services.response_api", "response_api"),
    ("global.services.observability", "observability"),
    ("global.services.authz", "authz"),
    ("global.services.ratelimit", "ratelimit"),
    ("global.services.management_api", "management_api"),
    ("global.services.router_replay", "router_replay"),
    ("global.services.startup_status", "startup_status"),
    ("global.services.backend_dispatch", "backend_dispatch"),
    ("global.services.backend_egress", "backend_egress"),
    ("global.billing", "billing"),
    ("global.stores.response_cache", "semantic_cache"),
    ("global.stores.semantic_cache", "semantic_cache"),
    ("global.stores.memory", "memory"),
    ("global.stores.vector_store", "vector_store"),
    ("global.stores.tool_sessions", "tool_sessions"),
    ("global.integrations.tools", "tools"),
    ("global.integrations.looper", "looper"),
    ("global.integrations.kv_transfer", "kv_transfer"),
    ("global.model_catalog.bindings", "model_catalog.bindings"),
    (
        "global.model_catalog.deployments",
        "model_catalog.deployments",
    ),
    ("global.model_catalog.embeddings", "embedding_models"),
    ("global.model_catalog.system", "model_catalog.system"),
    ("global.model_catalog.external", "external_models"),
    ("global.model_catalog.kbs", "model_catalog.kbs"),
    ("global.model_catalog.admission", "model_catalog.admission"),
    (
        "global.model_catalog.signal_timeout_ms",
        "model_catalog.signal_timeout_ms",
    ),
    ("global.model_catalog.modules.prompt_guard", "prompt_guard"),
    (
        "global.model_catalog.modules.classifier.domain",
        "classifier.category_model",
    ),
    (
        "global.model_catalog.modules.classifier.pii",
        "classifier.pii_model",
    ),
    (
        "global.model_catalog.modules.classifier.mcp",
        "classifier.mcp_category_model",
    ),
    (
        "global.model_catalog.modules.classifier.preference",
        "classifier.preference_model",
    ),
    (
        "global.model_catalog.modules.classifier.heads",
        "classifier.heads",
    ),
    (
        "global.model_catalog.modules.complexity",
        "complexity_model",
    ),
    (
        "global.model_catalog.modules.hallucination_mitigation",
        "hallucination_mitigation",
    ),
    (
        "global.model_catalog.modules.feedback_detector",
        "feedback_detector",
    ),
    (
        "global.model_catalog.modules.modality_detector",
        "modality_detector",
    ),
    (
        "global.model_catalog.modules.prompt_compression",
        "prompt_compression",
    ),
    ("global.model_catalog.modules.safety", "safety_models"),
];

/// Whether a document is, or says that it is, of the canonical family.
pub(super) fn is(document: &Value) -> bool {
    let has = |key: &str| document.get(key).is_some();
    has("version") || ITS_OWN.into_iter().any(has)
}

/// The document in the flat family.
pub(super) fn flat(document: Value, work: &mut Work) -> Value {
    let Value::Object(mut given) = document else {
        return document;
    };
    if !version(&mut given, work) {
        return Value::Object(Map::new());
    }
    let family = ITS_OWN.into_iter().find(|key| given.contains_key(*key));
    let family = family.unwrap_or("version");
    let mut flat = Map::new();
    for (from, to) in MOVES.iter().rev() {
        // What is missing is told where it would be written.
        work.origins.add(*to, *from);
    }
    providers::models(&mut given, &mut flat, work);
    let routing = recipes::merge(&mut given, work);
    for (from, to) in MOVES {
        let Some(value) = take(&mut given, from) else {
            continue;
        };
        let from = match from.strip_prefix("routing.") {
            Some(rest) => format!("{routing}.{rest}"),
            None => (*from).to_owned(),
        };
        if put(&mut flat, to, value) {
            work.origins.add(*to, from);
        } else {
            let why = format!("`{}` decides", work.origins.given(to));
            work.notes.push(super::Note::without_effect(from, &why));
        }
    }
    for key in OURS {
        if let Some(value) = given.remove(key) {
            flat.insert(key.to_owned(), value);
        }
    }
    let mut models = flat
        .get("model_config")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys);
    if let (Some(only), None) = (models.next().cloned(), models.next()) {
        // Nothing else could be meant.
        put(&mut flat, "default_model", Value::String(only));
    }
    left(&Value::Object(given), "", family, &routing, work);
    switches(&mut flat, work);
    if !flat.contains_key("categories") {
        // The topics that decisions name are known by these names to the model.
        let topics = conditions::named(&flat, "domain").into_iter();
        let topics: Vec<Value> = topics.map(|name| json!({"name": name})).collect();
        if !topics.is_empty() {
            put(&mut flat, "categories", Value::Array(topics));
        }
    }
    for category in flat
        .get_mut("categories")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        // Decisions alone choose models in this family.
        category
            .as_object_mut()
            .and_then(|map| map.remove("model_scores"));
    }
    Value::Object(flat)
}

/// `enabled` of the modules that read texts: they are read where a decision asks. Off and asked for is a contradiction.
fn switches(flat: &mut Map<String, Value>, work: &mut Work) {
    for (module, signal) in [
        ("prompt_guard", "jailbreak"),
        ("classifier.category_model", "domain"),
        ("classifier.pii_model", "pii"),
    ] {
        let key = format!("{module}.enabled");
        if take(flat, &key) == Some(Value::Bool(false))
            && !conditions::named(flat, signal).is_empty()
        {
            work.error(&key, format!("is off, but a decision has a condition of type `{signal}`: switch it on, or take the condition out"));
        }
    }
}

/// Whether the version, if there is one, is the one that is read; of others nothing more is told.
fn version(given: &mut Map<String, Value>, work: &mut Work) -> bool {
    let version = given.remove("version");
    let other = version.filter(|version| version != VERSION);
    if let Some(version) = &other {
        work.error(
            "version",
            format!(
                "must be `{VERSION}`, got `{}`; `vllm-sr config migrate` brings other files of vLLM Semantic Router to {VERSION}",
                version.as_str().map_or_else(|| version.to_string(), str::to_owned)
            ),
        );
    }
    other.is_none()
}

/// Takes the value at `path` out; sections that become empty stay.
pub(super) fn take(map: &mut Map<String, Value>, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => map.remove(path),
        Some((first, rest)) => take(map.get_mut(first)?.as_object_mut()?, rest),
    }
}

/// Puts a value at `path`; `false` where there is one.
pub(super) fn put(map: &mut Map<String, Value>, path: &str, value: Value) -> bool {
    match path.split_once('.') {
        None if map.contains_key(path) => false,
        None => map.insert(path.to_owned(), value).is_none(),
        Some((first, rest)) => {
            let section = map
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            section
                .as_object_mut()
                .is_some_and(|inner| put(inner, rest, value))
        }
    }
}

/// What nobody took: names that the family has not, and values where it has sections.
fn left(node: &Value, at: &str, family: &str, routing: &str, work: &mut Work) {
    let known = names_below(at);
    let place = |path: &str| match path.strip_prefix("routing") {
        Some(rest) => format!("{routing}{rest}"),
        None => path.to_owned(),
    };
    let Value::Object(map) = node else {
        if !node.is_null() {
            let message = "must be a mapping of keys to values";
            work.errors
                .push(super::ConfigError::new(place(at), message));
        }
        return;
    };
    for (key, value) in map {
        let path = below(at, key);
        if known.contains(&key.as_str()) {
            left(value, &path, family, routing, work);
        } else if at.is_empty() && super::rest::is_flat(key) {
            let message = format!(
                "is a key of the flat family, and `{family}` one of {VERSION}: a file is written in one of them; `turnpike convert` brings {VERSION} into the flat one"
            );
            work.errors.push(super::ConfigError::new(path, message));
        } else {
            let message = unknown_key(key, &known);
            work.errors
                .push(super::ConfigError::new(place(&path), message));
        }
    }
}

/// The names that the family has below `at`.
fn names_below(at: &str) -> Vec<&'static str> {
    let beside = [
        "providers.models",
        "routing.modelCards",
        "entrypoints",
        "recipes",
        "version",
    ];
    let paths = MOVES.iter().map(|(from, _)| *from).chain(beside);
    let mut names: Vec<&str> = paths
        .filter_map(|path| match at {
            "" => Some(path),
            _ => path.strip_prefix(at)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split('.').next())
        .collect();
    if at.is_empty() {
        names.extend(OURS);
    }
    names.sort_unstable();
    names.dedup();
    names
}
