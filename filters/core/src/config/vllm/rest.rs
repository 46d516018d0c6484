//! The flat family of vLLM Semantic Router in our words.

use serde_json::{Map, Value, json};

use super::canonical::{put, take};
use super::origin::below;
use super::{Work, categories, conditions, decisions, fate, signals, table};
use crate::config::load::unknown_key;

/// Sections that the flat family has under the same names as Turnpike, in the order in which people read them.
pub const SHARED_SECTIONS: [&str; 27] = [
    "vllm_endpoints",
    "model_config",
    "default_model",
    "auto_model_name",
    "auto_model_names",
    "include_config_models_in_list",
    "reasoning_families",
    "default_reasoning_effort",
    "keyword_rules",
    "embedding_rules",
    "complexity_rules",
    "language_rules",
    "context_rules",
    "structure_rules",
    "conversation_rules",
    "jailbreak_rules",
    "pii_rules",
    "metadata_rules",
    "header_rules",
    "role_bindings",
    "categories",
    "projections",
    "strategy",
    "decisions",
    "classifier",
    "prompt_guard",
    "semantic_cache",
];

/// Further keys of a file in the flat family that neither stand beside the canonical one nor are unknown.
const KEYS: [&str; 8] = [
    "bert_model",
    "clear_route_cache",
    "jailbreak",
    "pii",
    "conversation",
    "metadata",
    "model_selection",
    "authz",
];

/// Lists of signals that have another name there.
const RENAMED: [(&str, &str); 4] = [
    ("jailbreak", "jailbreak_rules"),
    ("pii", "pii_rules"),
    ("conversation", "conversation_rules"),
    ("metadata", "metadata_rules"),
];

/// Whether the flat family has a section of this name.
pub(super) fn is_flat(key: &str) -> bool {
    let mut sections = table::SECTIONS
        .iter()
        .filter_map(|(path, _)| path.split('.').next());
    SHARED_SECTIONS.contains(&key) || KEYS.contains(&key) || sections.any(|section| section == key)
}

/// A document of the flat family in our words.
pub(super) fn ours(document: Value, work: &mut Work) -> Value {
    let Value::Object(mut flat) = document else {
        return document;
    };
    for (theirs, ours) in RENAMED {
        if !flat.contains_key(ours)
            && let Some(list) = flat.remove(theirs)
        {
            flat.insert(ours.to_owned(), list);
            work.origins.add(ours, theirs);
        }
    }
    endpoint_models(&mut flat, work);
    fallback_category(&mut flat, work);
    listeners(&mut flat, work);
    let mut document = Value::Object(flat);
    for table in [
        table::SECTIONS,
        table::MODELS,
        table::READERS,
        table::SIGNALS,
        table::DECISIONS,
        table::EMITS,
    ] {
        fate::apply(table, &mut document, "", work);
    }
    let Value::Object(mut flat) = document else {
        return document;
    };
    no_more(&mut flat, "listeners", &LISTENER, work);
    redis(&mut flat, work);
    signals::ours(&mut flat, work);
    categories::decisions(&mut flat, work);
    identity(&mut flat, work);
    decisions::ours(&mut flat, work);
    Value::Object(flat)
}

/// `vllm_endpoints[].models`, as it was before `preferred_endpoints`.
fn endpoint_models(flat: &mut Map<String, Value>, work: &mut Work) {
    let mut served: Vec<(String, String, Value)> = Vec::new();
    let endpoints = flat.get_mut("vllm_endpoints").and_then(Value::as_array_mut);
    for (i, endpoint) in endpoints.into_iter().flatten().enumerate() {
        let Some(Value::Array(models)) = endpoint
            .as_object_mut()
            .and_then(|map| map.remove("models"))
        else {
            continue;
        };
        let name = endpoint.get("name").cloned().unwrap_or_default();
        for (k, model) in models.iter().enumerate() {
            let at = format!("vllm_endpoints[{i}].models[{k}]");
            let model = model.as_str().map(str::to_owned);
            served.extend(model.map(|model| (at, model, name.clone())));
        }
    }
    let models = flat.entry("model_config").or_insert_with(|| json!({}));
    let Some(models) = models.as_object_mut() else {
        return;
    };
    let said: Vec<String> = models
        .iter()
        .filter(|(_, model)| model.get("preferred_endpoints").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    for (at, model, endpoint) in served {
        if said.contains(&model) {
            work.no_effect(&at, "`preferred_endpoints` of the model decides");
            continue;
        }
        let entry = models.entry(model.clone()).or_insert_with(|| json!({}));
        let Some(entry) = entry.as_object_mut() else {
            continue;
        };
        let endpoints = entry
            .entry("preferred_endpoints")
            .or_insert_with(|| json!([]));
        if let Some(list) = endpoints.as_array_mut() {
            let ours = format!("model_config.{model}.preferred_endpoints[{}]", list.len());
            work.origins.add(ours, at);
            list.push(endpoint);
        }
    }
    if models.is_empty() {
        flat.remove("model_config");
    }
}

/// `fallback_category`: the topic of a request that has none.
fn fallback_category(flat: &mut Map<String, Value>, work: &mut Work) {
    const AT: &str = "classifier.category_model.fallback_category";
    let Some(Value::String(name)) = take(flat, AT) else {
        return;
    };
    if conditions::named(flat, "domain").contains(&name) {
        work.error(AT, format!("is not available here: a request without a topic goes to `default_model`, not to the decision about `{name}`; take the key out"));
    } else {
        work.no_effect(AT, "no decision reads this category");
    }
}

/// Keys of a listener.
const LISTENER: [&str; 5] = ["name", "address", "port", "timeout", "api_keys"];

/// What is left in the mappings of a list that was read is unknown.
fn no_more(flat: &mut Map<String, Value>, list: &str, known: &[&str], work: &mut Work) {
    let Some(Value::Array(elements)) = flat.remove(list) else {
        return;
    };
    for (i, element) in elements.iter().enumerate() {
        for key in element.as_object().into_iter().flat_map(Map::keys) {
            work.error(&format!("{list}[{i}].{key}"), unknown_key(key, known));
        }
    }
}

/// The first of `listeners` is the one that is rendered.
fn listeners(flat: &mut Map<String, Value>, work: &mut Work) {
    let Some(Value::Array(list)) = flat.get_mut("listeners") else {
        return;
    };
    let mut first = Map::new();
    for (i, listener) in list.iter_mut().enumerate() {
        for key in ["address", "port"] {
            let value = listener.as_object_mut().and_then(|map| map.remove(key));
            match value {
                Some(value) if i == 0 => {
                    first.insert(key.to_owned(), value);
                }
                Some(_) => work.no_effect(
                    &format!("listeners[{i}].{key}"),
                    "one listener is rendered, the first",
                ),
                None => {}
            }
        }
    }
    if first.is_empty() {
        return;
    }
    let listener = Value::Object(first);
    let written = flat
        .get("envoy")
        .is_some_and(|envoy| envoy.get("listener").is_some());
    if written {
        work.no_effect("listeners[0]", "`envoy.listener` decides");
    } else if put(flat, "envoy.listener", listener) {
        work.origins
            .add("envoy.listener", work.origins.given("listeners[0]"));
    }
}

/// `semantic_cache.redis` as it is there: parts of an address, and the password itself.
fn redis(flat: &mut Map<String, Value>, work: &mut Work) {
    const AT: &str = "semantic_cache.redis";
    let redis = flat
        .get_mut("semantic_cache")
        .and_then(|cache| cache.get_mut("redis"));
    let Some(redis) = redis.and_then(Value::as_object_mut) else {
        return;
    };
    for key in ["index", "search", "development", "logging"] {
        if redis.remove(key).is_some() {
            work.no_effect(&format!("{AT}.{key}"), "the store indexes by itself");
        }
    }
    let Some(Value::Object(mut connection)) = redis.remove("connection") else {
        return;
    };
    let at = format!("{AT}.connection");
    let password = connection.remove("password").unwrap_or_default();
    if !fate::is_off(&password) {
        work.error(&format!("{at}.password"), "must not stand in the file: write it into a file of its own and name that in `semantic_cache.redis.password_file`");
    }
    let tls = connection.remove("tls").unwrap_or_default();
    let scheme = if fate::is_off(&tls) || tls.get("enabled").is_none() {
        "redis"
    } else {
        "rediss"
    };
    if let Some(file) = tls.get("ca_file").filter(|file| !fate::is_off(file)) {
        redis.insert("ca_file".into(), file.clone());
    }
    let text = |key: &str| match connection.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let host = text("host").unwrap_or_else(|| "localhost".into());
    let port = text("port").unwrap_or_else(|| "6379".into());
    let database = text("database").unwrap_or_else(|| "0".into());
    redis.insert(
        "url".into(),
        json!(format!("{scheme}://{host}:{port}/{database}")),
    );
    work.origins
        .add(format!("{AT}.url"), work.origins.given(&at));
    if connection.contains_key("timeout") {
        work.no_effect(
            &format!("{at}.timeout"),
            "`timeout_ms` is the time for a lookup",
        );
    }
}

/// Who is calling: there it is always read, from headers; here `maas_integration` reads it.
fn identity(flat: &mut Map<String, Value>, work: &mut Work) {
    let authz = flat.remove("authz");
    let section = |key: &str| authz.as_ref().and_then(|authz| authz.get(key)).cloned();
    let identity = section("identity").filter(|identity| !fate::is_off(identity));
    if section("fail_open").is_some() {
        work.no_effect(
            "authz.fail_open",
            "`maas_integration.authentication.on_missing` decides",
        );
    }
    if section("providers").is_some_and(|providers| !fate::is_off(&providers)) {
        work.error(
            "authz.providers",
            "is not available here; let Envoy's credential injector set the keys of servers",
        );
    }
    if let Some(authz) = authz.as_ref().and_then(Value::as_object) {
        let known = ["identity", "fail_open", "providers"];
        for key in authz.keys().filter(|key| !known.contains(&key.as_str())) {
            work.error(&below("authz", key), unknown_key(key, &known));
        }
    }
    let reads = !conditions::named(flat, "authz").is_empty();
    if flat.contains_key("maas_integration") {
        if identity.is_some() {
            work.no_effect(
                "authz.identity",
                "`maas_integration.authentication` says who is calling",
            );
        }
        return;
    }
    if identity.is_none() && !reads {
        return;
    }
    let header = |key: &str, preset: &str| {
        let named = identity
            .as_ref()
            .and_then(|identity| identity.get(key)?.as_str());
        named.unwrap_or(preset).to_owned()
    };
    let user = header("user_id_header", "x-authz-user-id");
    let group = header("user_groups_header", "x-authz-user-groups");
    let at = if identity.is_some() {
        "authz.identity"
    } else {
        "role_bindings"
    };
    work.note(at, format!("`maas_integration` is on with it: `{user}` is the user and `{group}` the tier, in metrics too"));
    for (ours, theirs) in [
        ("user_header", "user_id_header"),
        ("tier_header", "user_groups_header"),
    ] {
        let from = work.origins.given(&format!("authz.identity.{theirs}"));
        work.origins
            .add(format!("maas_integration.authentication.{ours}"), from);
    }
    let authentication = json!({"user_header": user, "tier_header": group});
    flat.insert(
        "maas_integration".into(),
        json!({"enabled": true, "authentication": authentication}),
    );
}
