//! `turnpike schema`: what passes the check passes the schema, and what editors underline is wrong.

mod support;

use jsonschema::Validator;
use serde_json::Value;
use support::{Result, root, turnpike};
use turnpike::config::parse;

fn validator() -> Result<Validator> {
    let output = turnpike(&root(), &["schema"])?;
    let schema: Value = serde_json::from_slice(&output.stdout)?;
    Ok(jsonschema::draft202012::new(&schema)?)
}

/// Paths of what is wrong in a document.
fn wrong(validator: &Validator, yaml: &str) -> Vec<String> {
    let document = parse(yaml).unwrap_or_default();
    let errors = validator.iter_errors(&document);
    errors
        .map(|error| error.instance_path().to_string())
        .collect()
}

#[test]
fn the_shipped_configurations_are_valid() {
    let validator = validator().unwrap();
    let mut checked = 0;
    for folder in ["envoy", "envoy/kuadrant", "benches", "wasm-tests"] {
        for file in std::fs::read_dir(root().join(folder)).unwrap().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            if text.contains("\nvllm_endpoints:") {
                assert_eq!(wrong(&validator, &text), [""; 0], "{:?}", file.path());
                checked += 1;
            }
        }
    }
    assert!(checked >= 2, "{checked} files");
}

const CONFIG: &str = "
vllm_endpoints: [{name: a, address: 10.0.0.1, port: 8000}]
model_config: {m: {preferred_endpoints: [a], pricing: {prompt_per_1m: 1, currency: EUR}}}
default_model: m
keyword_rules: [{name: k, keywords: [a], method: regex}]
context_rules: [{name: long, min_tokens: 32K, max_tokens: 100000}]
role_bindings: [{name: b, role: r, subjects: [{kind: Group, name: g}, {kind: User, name: u}]}]
decisions:
  - name: d
    rules: {operator: AND, conditions: [{type: keyword, name: k}, {operator: NOT, conditions: [{type: category, name: c}]}]}
    modelRefs: [{model: m, use_reasoning: true}]
    algorithm: {type: cost_aware, min_quality: 0.5}
    plugins:
      - {type: response_cache, configuration: {enabled: true, similarity_threshold: 0.9}}
      - {type: system_prompt, configuration: {mode: insert, system_prompt: x}}
      - {type: pii}
semantic_cache: {enabled: true, backend_type: redis, redis: {url: 'redis://cache'}}
sidecar: {llm_classifier: {url: 'http://a/v1', extra_body: {anything: [1]}}}
";

#[test]
fn every_kind_of_key_is_known_by_its_names() {
    let validator = validator().unwrap();
    assert_eq!(wrong(&validator, CONFIG), [""; 0]);
    let document = parse(CONFIG).unwrap();
    assert!(
        turnpike_core::Config::from_value(document).is_ok(),
        "serde knows the same names"
    );
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let validator = validator().unwrap();
    for (right, mistake, path) in [
        ("default_model: m", "defaultModel: m", ""),
        ("port: 8000", "port: eighty", "/vllm_endpoints/0/port"),
        (
            "min_tokens: 32K",
            "min_tokens: 32 KB",
            "/context_rules/0/min_tokens",
        ),
        ("method: regex", "method: bm25", "/keyword_rules/0/method"),
        (
            "operator: NOT",
            "operator: NOR",
            "/decisions/0/rules/conditions/1/operator",
        ),
        ("mode: insert", "mode: append", "/decisions/0/plugins/1"),
        ("type: pii", "type: rag", "/decisions/0/plugins/2"),
        (
            "kind: User",
            "kind: Team",
            "/role_bindings/0/subjects/1/kind",
        ),
    ] {
        let yaml = CONFIG.replace(right, mistake);
        assert_ne!(yaml, CONFIG, "{right}");
        let found = wrong(&validator, &yaml);
        assert_eq!(found, [path], "{mistake}");
    }
}

#[test]
fn the_schema_says_what_a_key_is_for() {
    let output = turnpike(&root(), &["schema"]).unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let port = schema.pointer("/$defs/VllmEndpointConfig/properties/health_check_path/description");
    assert!(
        port.and_then(Value::as_str)
            .is_some_and(|text| text.starts_with("Path that answers"))
    );
}
