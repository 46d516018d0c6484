//! `providers.models` and `routing.modelCards` as `model_config` and `vllm_endpoints`.

use serde_json::{Map, Value, json};

use super::Work;
use super::canonical::{put, take};

/// Reasoning families that vLLM Semantic Router knows by itself: name, `type`, `parameter`.
const FAMILIES: [(&str, &str, &str); 4] = [
    ("qwen3", "chat_template_kwargs", "enable_thinking"),
    ("deepseek", "chat_template_kwargs", "thinking"),
    ("gpt-oss", "reasoning_effort", "reasoning_effort"),
    ("gpt", "reasoning_effort", "reasoning_effort"),
];

/// A mapping and where it stands.
struct Entry {
    at: String,
    map: Map<String, Value>,
}

/// What is made of both lists.
#[derive(Default)]
struct Models {
    config: Map<String, Value>,
    endpoints: Vec<Value>,
}

/// Moves models and their servers.
pub(super) fn models(
    given: &mut Map<String, Value>,
    flat: &mut Map<String, Value>,
    work: &mut Work,
) {
    let mut models = Models::default();
    work.origins.add("model_config", "providers.models");
    work.origins.add("vllm_endpoints", "providers.models");
    for mut entry in entries(given, "providers.models", work) {
        let Some(name) = models.name_of(&mut entry, work) else {
            continue;
        };
        let refs = entry.map.remove("backend_refs");
        let mut served = Map::new();
        served.append(&mut entry.map);
        let family = reasoning(&mut served, &name, &entry.at, given, work);
        let health_check_path = served
            .get_mut("reliability")
            .and_then(Value::as_object_mut)
            .and_then(|reliability| reliability.remove("health_check_path"));
        prices(
            &mut served,
            &format!("model_config.{name}"),
            &entry.at,
            work,
        );
        let ids = served.remove("external_model_ids");
        let at = format!("{}.backend_refs", entry.at);
        let servers = models.servers(&name, refs, &at, health_check_path, work);
        if let Some(id) = servers
            .iter()
            .find_map(|server| ids.as_ref()?.get(&server.kind))
        {
            served.insert("provider_model_id".into(), id.clone());
            let from = format!("{}.external_model_ids", entry.at);
            work.origins
                .add(format!("model_config.{name}.provider_model_id"), from);
        }
        let names: Vec<Value> = servers
            .into_iter()
            .map(|server| Value::String(server.name))
            .collect();
        work.origins
            .add(format!("model_config.{name}.preferred_endpoints"), &at);
        if names.is_empty() {
            work.error(
                &format!("model_config.{name}.preferred_endpoints"),
                "must name at least one server",
            );
        }
        served.insert("preferred_endpoints".into(), Value::Array(names));
        if let Some(family) = family {
            served.insert("reasoning_family".into(), family);
        }
        models.config.insert(name, Value::Object(served));
    }
    for mut card in entries(given, "routing.modelCards", work) {
        let Some(name) = card
            .map
            .remove("name")
            .and_then(|name| Some(name.as_str()?.to_owned()))
        else {
            continue;
        };
        let place = format!("model_config.{name}");
        match models.config.get_mut(&name).and_then(Value::as_object_mut) {
            Some(model) => {
                for (key, value) in card.map {
                    if !model.contains_key(&key) {
                        work.origins
                            .add(format!("{place}.{key}"), format!("{}.{key}", card.at));
                        model.insert(key, value);
                    }
                }
            }
            None => work.notes.push(super::Note::without_effect(
                card.at,
                "`providers.models` has no such model, so nobody serves it",
            )),
        }
    }
    flat.insert("model_config".into(), Value::Object(models.config));
    flat.insert("vllm_endpoints".into(), Value::Array(models.endpoints));
}

/// The mappings of a list; other elements are mistakes.
fn entries(given: &mut Map<String, Value>, at: &str, work: &mut Work) -> Vec<Entry> {
    let list = match take(given, at) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            work.errors
                .push(super::ConfigError::new(at, "must be a list"));
            Vec::new()
        }
    };
    let mut found = Vec::new();
    for (i, element) in list.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        match element {
            Value::Object(map) => found.push(Entry { at, map }),
            _ => work.errors.push(super::ConfigError::new(
                at,
                "must be a mapping of keys to values",
            )),
        }
    }
    found
}

/// Prices of a million tokens under the names of later releases, which may be text.
fn prices(served: &mut Map<String, Value>, ours: &str, at: &str, work: &mut Work) {
    let Some(pricing) = served.get_mut("pricing").and_then(Value::as_object_mut) else {
        return;
    };
    for (later, key) in [
        ("input_cost_per_million_tokens", "prompt_per_1m"),
        ("output_cost_per_million_tokens", "completion_per_1m"),
    ] {
        let Some(price) = pricing.remove(later) else {
            continue;
        };
        let number = price.as_str().and_then(|text| text.parse::<f64>().ok());
        pricing.insert(key.to_owned(), number.map_or(price, |number| json!(number)));
        work.origins.add(
            format!("{ours}.pricing.{key}"),
            format!("{at}.pricing.{later}"),
        );
    }
}

/// Takes the reasoning family of a model, and puts one that vLLM Semantic Router knows by itself into the document.
fn reasoning(
    served: &mut Map<String, Value>,
    model: &str,
    at: &str,
    given: &mut Map<String, Value>,
    work: &mut Work,
) -> Option<Value> {
    let place = format!("model_config.{model}.reasoning_family");
    let family = match served.remove("reasoning") {
        None => served.remove("reasoning_family")?,
        Some(reasoning) => {
            work.origins.add(&place, format!("{at}.reasoning.family"));
            for key in reasoning.as_object().into_iter().flat_map(Map::keys) {
                if !["family", "type", "parameter"].contains(&key.as_str()) {
                    let path = format!("{at}.reasoning.{key}");
                    work.notes.push(super::Note::without_effect(path, "`low`, `medium` and `high` are the efforts; the family says how they are written"));
                }
            }
            match reasoning.get("family") {
                Some(family) => family.clone(),
                None => {
                    let own = json!({"type": reasoning.get("type")?, "parameter": reasoning.get("parameter")?});
                    work.origins.add(
                        format!("reasoning_families.{model}"),
                        format!("{at}.reasoning"),
                    );
                    families(given)?.insert(model.to_owned(), own);
                    Value::String(model.to_owned())
                }
            }
        }
    };
    let known = FAMILIES.iter().find(|(name, _, _)| family == *name);
    if let Some((name, kind, parameter)) = known {
        let all = families(given)?;
        if !all.contains_key(*name) {
            all.insert(
                (*name).to_owned(),
                json!({"type": kind, "parameter": parameter}),
            );
        }
    }
    Some(family)
}

/// `providers.defaults.reasoning_families`, made where it is missing.
fn families(given: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    put(given, "providers.defaults.reasoning_families", json!({}));
    let providers = given.get_mut("providers")?;
    let families = providers
        .get_mut("defaults")?
        .get_mut("reasoning_families")?;
    families.as_object_mut()
}

/// One server of a model.
struct Server {
    name: String,
    /// What `external_model_ids` calls it by.
    kind: String,
}

impl Models {
    fn name_of(&self, entry: &mut Entry, work: &mut Work) -> Option<String> {
        let name = entry.map.remove("name");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let problem = if name.is_empty() {
            "must be the name of a model".to_owned()
        } else if self.config.contains_key(name) {
            format!("`{name}` is defined twice")
        } else {
            work.origins.add(format!("model_config.{name}"), &entry.at);
            return Some(name.to_owned());
        };
        let path = format!("{}.name", entry.at);
        work.errors.push(super::ConfigError::new(path, problem));
        None
    }

    fn servers(
        &mut self,
        model: &str,
        refs: Option<Value>,
        at: &str,
        health_check_path: Option<Value>,
        work: &mut Work,
    ) -> Vec<Server> {
        let refs = match refs {
            Some(Value::Array(refs)) => refs,
            _ => Vec::new(),
        };
        let mut servers = Vec::new();
        for (i, backend) in refs.into_iter().enumerate() {
            let from = format!("{at}[{i}]");
            let Value::Object(mut backend) = backend else {
                work.errors.push(super::ConfigError::new(
                    from,
                    "must be a mapping of keys to values",
                ));
                continue;
            };
            let ours = format!("vllm_endpoints[{}]", self.endpoints.len());
            work.origins.add(&ours, &from);
            let suffix = match backend.remove("name").as_ref().and_then(Value::as_str) {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ if i == 0 => "primary".to_owned(),
                _ => format!("backend-{}", i.saturating_add(1)),
            };
            let name = format!("{model}_{suffix}");
            address(&mut backend, &ours, &from, work);
            if backend.get("weight") == Some(&json!(0)) {
                backend.remove("weight");
            }
            if let Some(path) = &health_check_path {
                backend.insert("health_check_path".into(), path.clone());
            }
            let kind = ["type", "provider"]
                .into_iter()
                .find_map(|key| backend.get(key)?.as_str());
            servers.push(Server {
                name: name.clone(),
                kind: kind.unwrap_or("vllm").to_owned(),
            });
            backend.insert("name".into(), Value::String(name));
            self.endpoints.push(Value::Object(backend));
        }
        servers
    }
}

/// `endpoint` or `base_url` as `address`, `port` and `protocol`.
fn address(backend: &mut Map<String, Value>, ours: &str, from: &str, work: &mut Work) {
    let base_url = backend.remove("base_url");
    let (key, written) = match backend.remove("endpoint") {
        Some(endpoint) => ("endpoint", endpoint),
        None => ("base_url", base_url.unwrap_or_default()),
    };
    for part in ["address", "port"] {
        work.origins
            .add(format!("{ours}.{part}"), format!("{from}.{key}"));
    }
    let written = written.as_str().unwrap_or_default();
    let (scheme, rest) = match written.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, written),
    };
    if let Some(scheme) = scheme {
        backend.insert("protocol".into(), Value::String(scheme.to_lowercase()));
    }
    let is_tls = backend.get("protocol").and_then(Value::as_str) == Some("https");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !["", "v1", "v1/"].contains(&path) {
        let message = format!(
            "paths are not rewritten, so it must end with the host or with `/v1`, got `/{path}`"
        );
        work.error(&format!("{ours}.address"), message);
    }
    let (host, port) = host_and_port(authority);
    let port = port.unwrap_or(if is_tls { 443 } else { 80 });
    backend.insert("address".into(), Value::String(host.to_owned()));
    backend.insert("port".into(), json!(port));
}

/// The parts of `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn host_and_port(authority: &str) -> (&str, Option<u64>) {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']').unwrap_or((v6, ""));
        return (
            host,
            rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            // Left as it is, so that the check of addresses shows it.
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}
