//! Addresses and ports: of LLM servers, and what listens here.

use super::*;

#[test]
fn addresses_that_nothing_can_listen_on_or_reach_are_refused() {
    let errors = read(
        "
vllm_endpoints:
  - {name: port-in-it, address: '10.0.0.5:8000', port: 8000}
  - {name: space-in-it, address: 'gpu 1', port: 8000}
  - {name: name, address: gpu-1.internal, port: 8000}
  - {name: ipv6, address: 'fd00::1', port: 8000}
model_config: {qwen3: {}}
default_model: qwen3
maas_integration: {authentication: {user_header: X-Who, tier_header: x-who}}
sidecar: {tcp: {address: localhost, port: 9191}}
envoy:
  listener: {address: gateway, port: 8801}
  admin: {address: 127.0.0.1, port: 0}
  metrics: {address: 0.0.0.0, port: 8801}
",
    )
    .unwrap_err();
    let expected = "\
vllm_endpoints[0].address: must be an IP address or a DNS name without scheme, port or path, got `10.0.0.5:8000`
vllm_endpoints[1].address: must be an IP address or a DNS name without scheme, port or path, got `gpu 1`
maas_integration.authentication.tier_header: must be another header than `user_header`, got `x-who` for both
envoy.listener.address: must be an IP address, got `gateway`
sidecar.tcp.address: must be an IP address, got `localhost`
envoy.admin.port: must be between 1 and 65535, got 0
envoy.metrics.port: 8801 is taken by `envoy.listener`";
    assert_eq!(errors, expected);
}

#[test]
fn one_port_on_two_addresses_is_two_listeners() {
    let addresses = "
envoy:
  listener: {address: 10.0.0.5, port: 8080}
  admin: {address: 127.0.0.1, port: 8080}
";
    assert!(read(&with(addresses)).is_ok());
}

#[test]
fn what_others_can_reach_unasked_is_noted() {
    let open = "
vllm_endpoints: [{name: a, address: 127.0.0.1, port: 1}]
model_config: {qwen3: {}}
default_model: qwen3
envoy: {admin: {address: 0.0.0.0, port: 9901}}
sidecar: {tcp: {address: 10.0.0.9, port: 9191}}
";
    let document: serde_json::Value = serde_saphyr::from_str(open).unwrap();
    let notes = Config::from_value(document).unwrap().notes();
    let paths: Vec<&str> = notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(paths, ["envoy.admin.address", "sidecar.tcp.address"]);
    let document: serde_json::Value =
        serde_saphyr::from_str(include_str!("../../../../../envoy/config.yaml")).unwrap();
    assert_eq!(Config::from_value(document).unwrap().notes(), []);
}

#[test]
fn endpoints_of_a_model_share_one_health_check_path() {
    let endpoints = |path: &str| {
        read(&format!(
            "
vllm_endpoints:
  - {{name: a, address: 127.0.0.1, port: 1}}
  - {{name: b, address: 127.0.0.1, port: 2, health_check_path: '{path}'}}
model_config: {{qwen3: {{preferred_endpoints: [a, b]}}}}
default_model: qwen3
"
        ))
    };
    assert!(endpoints("").is_ok());
    assert!(endpoints("/v1/models").is_ok());
    assert_eq!(
        endpoints("/health").unwrap_err(),
        "model_config.qwen3.preferred_endpoints: endpoints of one model must share one `health_check_path` (or have an empty one), got `/v1/models` of `a` and `/health` of `b`"
    );
}
