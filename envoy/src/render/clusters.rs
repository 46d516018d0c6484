//! One cluster for each model, with the endpoints that serve it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::decision::{Protocol, VllmEndpointConfig};

use super::{duration_ms, type_url};

/// A server that does not take a connection by then is treated as gone, and the next one is tried.
const CONNECT_TIMEOUT_MS: u32 = 2_000;

/// Idle connections are closed before uvicorn, which serves vLLM, closes them after 5 s: a request that meets that moment is lost.
const IDLE_TIMEOUT_MS: u32 = 4_000;

/// Requests and connections of one model at once; what waits beyond is refused with 503. Envoy's default of 1024 is too
/// few where an answer takes a minute.
const MAX_REQUESTS: u32 = 4_096;
const MAX_PENDING_REQUESTS: u32 = 1_024;

/// Debian's, Ubuntu's and Alpine's bundle, and that of Envoy's images.
const TRUSTED_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Metadata by which Envoy picks the transport of an endpoint.
const TRANSPORT_MATCH: &str = "envoy.transport_socket_match";

/// The cluster that serves `model`.
pub(super) fn cluster_name(model: &str) -> String {
    format!("llm/{model}")
}

/// A cluster for each model.
pub(super) fn models(config: &Config) -> Vec<Value> {
    let mut stat_names = BTreeSet::new();
    config
        .model_config
        .keys()
        .map(|model| {
            let stat_name = stat_name(model, &mut stat_names);
            cluster(model, &stat_name, &config.endpoints_of(model))
        })
        .collect()
}

/// A name without `.` and `:`, at which Envoy cuts stat names; two models never share one.
fn stat_name(model: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = cluster_name(model).replace(['.', ':'], "_");
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Least request instead of round robin: answers differ in length by orders of magnitude.
fn cluster(model: &str, stat_name: &str, endpoints: &[&VllmEndpointConfig]) -> Value {
    let name = cluster_name(model);
    let members: Vec<Value> = endpoints.iter().map(|e| member(e)).collect();
    let mut cluster = json!({
        "name": name,
        "alt_stat_name": stat_name,
        "type": discovery(endpoints),
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": duration_ms(CONNECT_TIMEOUT_MS),
        "upstream_connection_options": {"tcp_keepalive": {
            "keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 10,
        }},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type_url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": duration_ms(IDLE_TIMEOUT_MS)},
            },
        },
        "circuit_breakers": {"thresholds": [{
            "max_connections": MAX_REQUESTS,
            "max_pending_requests": MAX_PENDING_REQUESTS,
            "max_requests": MAX_REQUESTS,
            "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 3},
        }]},
        "outlier_detection": {
            "consecutive_5xx": 5,
            "interval": "5s",
            "base_ejection_time": "10s",
            "max_ejection_percent": 50,
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": members}]},
    });
    if let Value::Object(fields) = &mut cluster {
        if let Some(check) = health_check(endpoints) {
            fields.insert("health_checks".into(), json!([check]));
        }
        let transports = transports(endpoints);
        if !transports.is_empty() {
            fields.insert("transport_socket_matches".into(), transports.into());
        }
        if discovery(endpoints) == "STRICT_DNS" {
            fields.insert("dns_lookup_family".into(), "V4_PREFERRED".into());
        }
    }
    cluster
}

/// Names are resolved again and again, and every address is an endpoint; addresses need none of that.
fn discovery(endpoints: &[&VllmEndpointConfig]) -> &'static str {
    let all_addresses = endpoints
        .iter()
        .all(|e| e.address.parse::<IpAddr>().is_ok());
    if all_addresses {
        "STATIC"
    } else {
        "STRICT_DNS"
    }
}

fn member(endpoint: &VllmEndpointConfig) -> Value {
    let host = match endpoint.address.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => endpoint.address.clone(),
    };
    let address = json!({"address": endpoint.address, "port_value": endpoint.port});
    let mut health = json!({"hostname": host});
    if endpoint.health_check_path.is_empty() {
        health = json!({"disable_active_health_check": true});
    }
    let mut member = json!({
        "endpoint": {
            "address": {"socket_address": address},
            "hostname": host,
            "health_check_config": health,
        },
        "load_balancing_weight": endpoint.weight,
    });
    if let (Protocol::Https, Value::Object(fields)) = (endpoint.protocol, &mut member) {
        let metadata = json!({"filter_metadata": {TRANSPORT_MATCH: {"tls": endpoint.address}}});
        fields.insert("metadata".into(), metadata);
    }
    member
}

/// One check for all endpoints of a cluster: core refuses different paths within a model.
///
/// Any answer below 500 counts: servers that want a key answer 401 to a check, and they live.
fn health_check(endpoints: &[&VllmEndpointConfig]) -> Option<Value> {
    let path = endpoints
        .iter()
        .map(|e| e.health_check_path.as_str())
        .find(|path| !path.is_empty())?;
    Some(json!({
        "timeout": "2s",
        "interval": "5s",
        "no_traffic_interval": "15s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": path, "expected_statuses": [{"start": 200, "end": 500}]},
    }))
}

/// A transport for each address behind TLS, picked by [`TRANSPORT_MATCH`].
fn transports(endpoints: &[&VllmEndpointConfig]) -> Vec<Value> {
    let addresses: BTreeSet<&str> = endpoints
        .iter()
        .filter(|e| e.protocol == Protocol::Https)
        .map(|e| e.address.as_str())
        .collect();
    addresses.into_iter().map(tls).collect()
}

/// TLS whose certificate must name `address` and come from an authority of the system.
fn tls(address: &str) -> Value {
    let is_name = address.parse::<IpAddr>().is_err();
    let kind = if is_name { "DNS" } else { "IP_ADDRESS" };
    let mut context = json!({
        "@type": type_url("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
        "common_tls_context": {"validation_context": {
            "trusted_ca": {"filename": TRUSTED_AUTHORITIES},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": address}}],
        }},
    });
    if let (true, Value::Object(fields)) = (is_name, &mut context) {
        fields.insert("sni".into(), address.into());
    }
    json!({
        "name": format!("tls/{address}"),
        "match": {"tls": address},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    })
}
