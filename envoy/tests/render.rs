//! The rendered bootstrap: as a snapshot, and as Envoy reads it.

mod support;

use std::fs::read_to_string;

use serde_json::{Value, json};
use support::{Result, root, turnpike, validate};
use turnpike::config::{load, parse};
use turnpike::render::{Filters, RenderOptions, SidecarAddress, envoy, to_yaml};
use turnpike_core::Config;
use turnpike_core::config::FilterConfig;

/// Renders the shipped configuration with the real command and validates the result.
fn render_and_validate(more: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("envoy.yaml").display().to_string();
    let mut arguments = vec!["render", "envoy", "envoy/config.yaml", "--output", &file];
    arguments.extend(more);
    let output = turnpike(&root(), &arguments)?;
    assert!(output.status.success(), "{output:?}");
    validate(file.as_ref())
}

fn shipped() -> Config {
    load(root().join("envoy/config.yaml")).unwrap_or_default()
}

/// A configuration whose one model is served by `endpoints`.
fn served_by(endpoints: &Value) -> Config {
    Config::from_value(json!({
        "vllm_endpoints": endpoints,
        "model_config": {"m": {}},
        "default_model": "m",
    }))
    .unwrap_or_default()
}

fn first_cluster(config: &Config) -> Value {
    envoy(config, &RenderOptions::default())["static_resources"]["clusters"][0].take()
}

#[test]
fn the_shipped_config_renders_as_reviewed() {
    let bootstrap = envoy(&shipped(), &RenderOptions::default());
    let yaml = to_yaml(&bootstrap).unwrap();
    let (header, body) = yaml.split_once('\n').unwrap();
    assert!(header.starts_with("# Rendered by turnpike 0."), "{header}");
    insta::assert_snapshot!(body);
}

#[test]
fn yaml_and_json_say_the_same() {
    let bootstrap = envoy(&shipped(), &RenderOptions::default());
    assert_eq!(parse(&to_yaml(&bootstrap).unwrap()).unwrap(), bootstrap);
    let output = turnpike(&root(), &["render", "envoy", "envoy/config.yaml", "--json"]).unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json, bootstrap);
}

#[test]
fn envoy_accepts_the_bootstrap_without_filters() {
    render_and_validate(&["--filters", "none"]).unwrap();
    render_and_validate(&["--filters", "none", "--json"]).unwrap();
}

#[test]
fn envoy_accepts_the_bootstrap_with_filters() {
    let folder = root().join("dist");
    for module in ["turnpike_meter.wasm", "turnpike_router.wasm"] {
        assert!(
            folder.join(module).is_file(),
            "no dist/{module}; run: make wasm"
        );
    }
    let folder = folder.display().to_string();
    for filters in ["meter,router", "meter", "router"] {
        render_and_validate(&["--filters", filters, "--wasm-folder", &folder]).unwrap();
    }
}

#[test]
fn envoy_accepts_names_addresses_and_tls_side_by_side() {
    let config = served_by(&json!([
        {"name": "a", "address": "127.0.0.1", "port": 1, "weight": 3},
        {"name": "b", "address": "localhost", "port": 443, "protocol": "https"},
        {"name": "c", "address": "::1", "port": 2, "health_check_path": ""},
    ]));
    let options = RenderOptions {
        filters: Filters::NONE,
        sidecar: Some(SidecarAddress::Unix("/tmp/turnpike test.sock".into())),
        ..RenderOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    std::fs::write(&file, to_yaml(&envoy(&config, &options)).unwrap()).unwrap();
    validate(&file).unwrap();
}

#[test]
fn the_filters_get_the_configuration_that_was_written() {
    let config = shipped();
    let bootstrap = envoy(&config, &RenderOptions::default());
    let pointer = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config/config/configuration/value";
    let text = bootstrap.pointer(pointer).and_then(Value::as_str).unwrap();
    let (filters, read) = FilterConfig::read(text.as_bytes()).unwrap();
    assert_eq!(filters, ["meter", "router"]);
    assert_eq!(read, config);
    assert!(text.contains("\"similarity_threshold\":0.85,"), "{text}");
}

#[test]
fn only_https_endpoints_speak_tls() {
    let cluster = first_cluster(&served_by(&json!([
        {"name": "plain", "address": "127.0.0.1", "port": 1},
        {"name": "secret", "address": "api.example", "port": 443, "protocol": "https"},
    ])));
    assert_eq!(cluster["type"], "STRICT_DNS");
    let members = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"];
    assert_eq!(members[0].get("metadata"), None);
    let tls = &members[1]["metadata"]["filter_metadata"]["envoy.transport_socket_match"]["tls"];
    assert_eq!(tls, "api.example");
    assert_eq!(
        cluster["transport_socket_matches"][0]["match"],
        json!({"tls": "api.example"})
    );
    let plain = first_cluster(&served_by(
        &json!([{"name": "a", "address": "127.0.0.1", "port": 1}]),
    ));
    assert_eq!(plain.get("transport_socket_matches"), None);
}

#[test]
fn an_empty_health_check_path_switches_the_check_off() {
    let off = json!({"name": "a", "address": "127.0.0.1", "port": 1, "health_check_path": ""});
    let on =
        json!({"name": "b", "address": "127.0.0.1", "port": 2, "health_check_path": "/health"});
    let cluster = first_cluster(&served_by(&json!([off])));
    assert_eq!(cluster.get("health_checks"), None);
    let cluster = first_cluster(&served_by(&json!([off, on])));
    assert_eq!(
        cluster["health_checks"][0]["http_health_check"]["path"],
        "/health"
    );
    let members = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"];
    let check = |i: usize| &members[i]["endpoint"]["health_check_config"];
    assert_eq!(check(0), &json!({"disable_active_health_check": true}));
    assert_eq!(check(1), &json!({"hostname": "127.0.0.1"}));
}

#[test]
fn models_whose_names_differ_in_punctuation_keep_their_own_stats() {
    let config = Config::from_value(json!({
        "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 1}],
        "model_config": {"gpt-4.1": {}, "gpt-4_1": {}, "gpt-4:1": {}},
        "default_model": "gpt-4.1",
    }))
    .unwrap();
    let bootstrap = envoy(&config, &RenderOptions::default());
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = clusters
        .iter()
        .filter_map(|c| c["alt_stat_name"].as_str())
        .collect();
    assert_eq!(names, ["llm/gpt-4_1", "llm/gpt-4_1_", "llm/gpt-4_1__"]);
}

#[test]
fn a_config_without_sidecar_has_no_cluster_for_it() {
    let mut config = shipped();
    config.sidecar.enabled = false;
    let bootstrap = envoy(&config, &RenderOptions::default());
    assert!(
        !bootstrap["static_resources"]["clusters"]
            .to_string()
            .contains("turnpike_sidecar")
    );
}

#[test]
fn the_metrics_page_is_up_to_date() {
    let written = read_to_string(root().join("docs/metrics.md")).unwrap_or_default();
    assert!(
        written == turnpike::docs::metrics(),
        "docs/metrics.md differs from the code; run: turnpike docs metrics > docs/metrics.md"
    );
}
