//! `plugins` of a decision in our words.

use serde_json::{Map, Value};

use super::Work;
use super::fate::Fate::{self, Missing, NoEffect, Only};
use super::fate::{Table, apply, is_off};

/// Plugins that Turnpike has not.
const THEIRS: &[(&str, Fate)] = &[
    (
        "router_replay",
        NoEffect("nothing is recorded; the access log tells what was decided"),
    ),
    (
        "shadow_dispatch",
        NoEffect("no copies of requests are sent"),
    ),
    (
        "context_compression",
        NoEffect("requests go on as long as they are"),
    ),
    (
        "prompt_cache",
        NoEffect("servers cache the beginnings of prompts by themselves"),
    ),
    (
        "hallucination",
        Missing("answers are not checked against their sources; take the plugin out"),
    ),
    (
        "rag",
        Missing("put documents into the request before the gateway, and take the plugin out"),
    ),
    (
        "memory",
        Missing("put memories into the request before the gateway, and take the plugin out"),
    ),
    (
        "tools",
        Missing("choose tools in the client or the server, and take the plugin out"),
    ),
    (
        "tool_selection",
        Missing("choose tools in the client, and take the plugin out"),
    ),
    (
        "image_gen",
        Missing("name a model for images in `modelRefs` whose server answers chat completions"),
    ),
];

/// Names of the plugin that caches answers.
const CACHE: [&str; 4] = [
    "semantic-cache",
    "semantic_cache",
    "response-cache",
    "response_cache",
];

const ONE_FOR_ALL: &str = "`semantic_cache` has one for all decisions";

/// Keys of `configuration` that plugins of ours have there and not here, by type.
const KEYS: &Table = &[
    (
        "semantic-cache.mode",
        Only(
            &["semantic", "exact_then_semantic"],
            "set `similarity_threshold: 1`",
        ),
    ),
    (
        "semantic-cache.ttl_seconds",
        Missing(
            "`semantic_cache.ttl_seconds` is one for all decisions; `enabled: false` keeps answers out",
        ),
    ),
    (
        "semantic-cache.request_controls",
        Missing("set `semantic_cache.request_control`, which is one for all decisions"),
    ),
    (
        "semantic-cache.allow_request_controls",
        Missing("set `semantic_cache.request_control`, which is one for all decisions"),
    ),
    (
        "semantic-cache.control_header",
        NoEffect("the headers are `cache-control` and `x-turnpike-cache-similarity`"),
    ),
    (
        "semantic-cache.personalized",
        NoEffect("answers are kept for the request as it goes upstream"),
    ),
    (
        "semantic-cache.revision",
        NoEffect("change `semantic_cache.cache_epoch` to make older answers unreachable"),
    ),
    (
        "jailbreak.include_history",
        NoEffect("the whole conversation is read"),
    ),
    (
        "pii.include_history",
        NoEffect("the whole conversation is read"),
    ),
    (
        "request_params.default_max_tokens",
        NoEffect("`max_tokens_limit` sets a limit where the client sent none"),
    ),
];

/// Brings the plugins of a decision into our words; those that have no effect go. `flat` is the rest of the document.
pub(super) fn ours(
    decision: &mut Map<String, Value>,
    at: &str,
    flat: &Map<String, Value>,
    work: &mut Work,
) {
    let Some(Value::Array(plugins)) = decision.get_mut("plugins") else {
        return;
    };
    let mut kept = Vec::new();
    for (i, mut plugin) in std::mem::take(plugins).into_iter().enumerate() {
        let path = format!("{at}.plugins[{i}]");
        if let Some(plugin) = plugin.as_object_mut()
            && !one(plugin, &path, flat, work)
        {
            continue;
        }
        let ours = format!("{at}.plugins[{}]", kept.len());
        if ours != path {
            work.origins.add(ours, work.origins.given(&path));
        }
        kept.push(plugin);
    }
    *plugins = kept;
}

/// Brings one plugin into our words; `false` where it goes.
fn one(
    plugin: &mut Map<String, Value>,
    at: &str,
    flat: &Map<String, Value>,
    work: &mut Work,
) -> bool {
    let kind = plugin
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut configuration = plugin.get("configuration").cloned().unwrap_or_default();
    if let Some((_, fate)) = THEIRS.iter().find(|(name, _)| *name == kind) {
        let is_off =
            configuration.as_object().is_some_and(|map| !map.is_empty()) && is_off(&configuration);
        let passes = kind == "tools"
            && configuration.get("mode").and_then(Value::as_str) == Some("passthrough");
        match fate {
            NoEffect(why) => work.no_effect(at, why),
            _ if is_off => work.no_effect(at, "it is off"),
            _ if passes => work.no_effect(at, "tools of a request go on as the client sent them"),
            Missing(instead) | Fate::Switch(instead) | Only(_, instead) => {
                work.error(
                    &format!("{at}.type"),
                    format!("there is no plugin `{kind}` here; {instead}"),
                );
            }
        }
        return false;
    }
    let kind = if CACHE.contains(&kind.as_str()) {
        let kind = "semantic-cache".to_owned();
        plugin.insert("type".into(), Value::String(kind.clone()));
        cache(&mut configuration, at, flat, work);
        kind
    } else {
        kind
    };
    let mut by_type = Map::new();
    by_type.insert(kind.clone(), configuration);
    let mut by_type = Value::Object(by_type);
    // The table names keys by type, the file does not.
    let place = format!("{at}.configuration");
    work.origins
        .add(format!("{place}.{kind}"), work.origins.given(&place));
    apply(KEYS, &mut by_type, &place, work);
    if let Some(configuration) = by_type.get_mut(&kind).map(Value::take)
        && plugin.contains_key("configuration")
    {
        plugin.insert("configuration".into(), configuration);
    }
    true
}

/// What the plugin `semantic-cache` says another way there.
fn cache(configuration: &mut Value, at: &str, flat: &Map<String, Value>, work: &mut Work) {
    let Some(map) = configuration.as_object_mut() else {
        return;
    };
    let at = format!("{at}.configuration");
    if let Some(Value::Object(mut semantic)) = map.remove("semantic") {
        if let Some(threshold) = semantic.remove("similarity_threshold") {
            work.origins.add(
                format!("{at}.similarity_threshold"),
                work.origins
                    .given(&format!("{at}.semantic.similarity_threshold")),
            );
            map.insert("similarity_threshold".into(), threshold);
        }
        for key in semantic.keys() {
            let message = crate::config::load::unknown_key(key, &["similarity_threshold"]);
            work.error(&format!("{at}.semantic.{key}"), message);
        }
    }
    let all = |key: &str| flat.get("semantic_cache").and_then(|cache| cache.get(key));
    let scope = map.remove("scope");
    let of_all = all("scope").and_then(Value::as_str).unwrap_or("user");
    match scope.as_ref().and_then(Value::as_str) {
        Some(scope) if scope != of_all => {
            let message =
                format!("`{scope}` is not available here: {ONE_FOR_ALL}, `scope: {of_all}`");
            work.error(&format!("{at}.scope"), message);
        }
        _ => {}
    }
    // 3600 is what both have where nothing is written.
    let ttl = all("ttl_seconds").and_then(Value::as_u64).unwrap_or(3_600);
    match map.get("ttl_seconds").and_then(Value::as_u64) {
        Some(0) => {
            map.insert("enabled".into(), Value::Bool(false));
            map.remove("ttl_seconds");
        }
        Some(own) if own >= ttl => {
            map.remove("ttl_seconds");
            work.no_effect(&format!("{at}.ttl_seconds"), ONE_FOR_ALL);
        }
        _ => {}
    }
}
