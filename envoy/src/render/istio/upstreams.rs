//! A service for each model: a `ServiceEntry` with its endpoints and a `DestinationRule` with how they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::decision::{Protocol, VllmEndpointConfig};

use super::{IstioError, IstioOptions, fields, resource};

/// Longest name of a service that still fits a DNS label behind `turnpike-`.
const MAX_SLUG_BYTES: usize = 50;

/// The port by which routes name a service; endpoints have their own.
pub(super) const SERVICE_PORT: u16 = 80;

/// The resources of all models.
pub(super) fn of_models(config: &Config, options: &IstioOptions) -> Result<Vec<Value>, IstioError> {
    let mut documents = Vec::new();
    for (model, slug) in slugs(config) {
        let endpoints = config.endpoints_of(model);
        check(model, &endpoints)?;
        documents.push(service_entry(&slug, &endpoints, options));
        documents.push(destination_rule(&slug, &endpoints, options));
    }
    Ok(documents)
}

/// What one `DestinationRule` says holds for all endpoints.
fn check(model: &str, endpoints: &[&VllmEndpointConfig]) -> Result<(), IstioError> {
    let model = || model.to_owned();
    let https = endpoints.iter().filter(|e| e.protocol == Protocol::Https);
    match https.count() {
        0 => Ok(()),
        count if count < endpoints.len() => Err(IstioError::MixedProtocols { model: model() }),
        _ if only_name(endpoints).is_none() => Err(IstioError::TlsName { model: model() }),
        _ => Ok(()),
    }
}

/// Each model with a name that Kubernetes and DNS take; two models never share one.
pub(super) fn slugs(config: &Config) -> BTreeMap<&str, String> {
    let mut taken = BTreeSet::new();
    let unique = |model: &String| {
        let slug = slug(model);
        let mut name = slug.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{slug}-{number}");
            number += 1;
        }
        name
    };
    let names: Vec<String> = config.model_config.keys().map(unique).collect();
    config
        .model_config
        .keys()
        .map(String::as_str)
        .zip(names)
        .collect()
}

fn slug(model: &str) -> String {
    let mut slug = String::new();
    for c in model.chars().take(MAX_SLUG_BYTES) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "model".into()
    } else {
        slug.into()
    }
}

/// Host name of a model's service. It exists inside the mesh only: `.internal` is reserved for that.
pub(super) fn host(slug: &str) -> String {
    format!("{slug}.llm.turnpike.internal")
}

fn service_entry(slug: &str, endpoints: &[&VllmEndpointConfig], options: &IstioOptions) -> Value {
    let all_addresses = endpoints
        .iter()
        .all(|e| e.address.parse::<IpAddr>().is_ok());
    let members: Vec<Value> = endpoints
        .iter()
        .map(|e| json!({"address": e.address, "ports": {"http": e.port}, "weight": e.weight}))
        .collect();
    let spec = json!({
        "hosts": [host(slug)],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": if all_addresses { "STATIC" } else { "DNS" },
        "ports": [{"number": SERVICE_PORT, "name": "http", "protocol": "HTTP"}],
        "endpoints": members,
    });
    resource(
        "networking.istio.io/v1",
        "ServiceEntry",
        slug,
        options,
        fields(spec),
    )
}

/// Least request instead of round robin: answers differ in length by orders of magnitude.
fn destination_rule(
    slug: &str,
    endpoints: &[&VllmEndpointConfig],
    options: &IstioOptions,
) -> Value {
    let mut policy = fields(json!({
        "loadBalancer": {"simple": "LEAST_REQUEST"},
        "connectionPool": {
            "tcp": {"maxConnections": 4096, "connectTimeout": "2s"},
            "http": {"http1MaxPendingRequests": 1024, "http2MaxRequests": 4096, "idleTimeout": "4s"},
        },
        "outlierDetection": {
            "consecutive5xxErrors": 5, "interval": "5s", "baseEjectionTime": "10s", "maxEjectionPercent": 50,
        },
    }));
    let secure = endpoints.iter().any(|e| e.protocol == Protocol::Https);
    let mode = if secure { "SIMPLE" } else { "DISABLE" };
    let mut tls = fields(json!({"mode": mode}));
    if let Some(name) = only_name(endpoints).filter(|_| secure) {
        tls.insert("sni".into(), name.into());
        tls.insert("subjectAltNames".into(), json!([name]));
    }
    policy.insert("tls".into(), tls.into());
    let spec = json!({"host": host(slug), "exportTo": ["."], "trafficPolicy": policy});
    resource(
        "networking.istio.io/v1",
        "DestinationRule",
        slug,
        options,
        fields(spec),
    )
}

/// The host name that all endpoints share, if there is one.
pub(super) fn only_name<'c>(endpoints: &[&'c VllmEndpointConfig]) -> Option<&'c str> {
    let addresses: BTreeSet<&str> = endpoints.iter().map(|e| e.address.as_str()).collect();
    match addresses.first() {
        Some(address) if addresses.len() == 1 && address.parse::<IpAddr>().is_err() => {
            Some(address)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_become_names_that_dns_takes_and_stay_apart() {
        let config = Config::from_value(json!({
            "vllm_endpoints": [{"name": "a", "address": "10.0.0.1", "port": 1}],
            "model_config": {"Qwen/Qwen3-8B": {}, "gpt-4.1": {}, "gpt-4_1": {}, "модель": {}, "": {}},
            "default_model": "gpt-4.1",
        }))
        .unwrap();
        let slugs = slugs(&config);
        assert_eq!(slugs["Qwen/Qwen3-8B"], "qwen-qwen3-8b");
        assert_eq!(
            (slugs["gpt-4.1"].as_str(), slugs["gpt-4_1"].as_str()),
            ("gpt-4-1", "gpt-4-1-2")
        );
        assert_ne!(slugs["модель"], slugs[""]);
    }
}
