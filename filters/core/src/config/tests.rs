//! Configurations as users write them: accepted, refused with the paths of all mistakes, or noted.

mod access;
mod addresses;
mod cache;
mod decisions;
mod keys;
mod maas;
mod sidecar;

use super::*;

fn read(yaml: &str) -> Result<Config, String> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let config = Config::from_value(value).map_err(|e| e.to_string())?;
    let errors = config.validate();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors).to_string())
    }
}

const MINIMAL: &str = "
vllm_endpoints: [{name: local, address: 127.0.0.1, port: 8000}]
model_config: {qwen3: {preferred_endpoints: [local]}}
default_model: qwen3
";

fn with(more: &str) -> String {
    format!("{MINIMAL}\n{more}")
}

#[test]
fn a_minimal_config_is_accepted() {
    let config = read(MINIMAL).unwrap();
    assert!(config.is_auto("auto") && config.is_auto("MoM") && !config.is_auto("qwen3"));
    assert_eq!(config.notes(), []);
}

#[test]
fn references_and_ranges_are_checked() {
    let errors = read(
        "
vllm_endpoints:
  - {name: local, address: 'http://x/', port: 0, weight: 0}
  - {name: local, address: x, port: 1}
model_config: {qwen3: {preferred_endpoints: [remote], reasoning_family: q}, auto: {}}
default_model: gpt
categories: [{name: math}]
keyword_rules: [{name: k, keywords: ['', a]}, {name: l, keywords: []}, {name: m, patterns: ['']}]
classifier: {heads: [{path: '', threshold: 3, content: {name: own, labels: [x, y]}}]}
decisions:
  - name: a
    rules: {operator: NOT, conditions: [{type: keyword, name: zzz}, {type: domain, name: law}]}
    modelRefs: [{model: nope, reasoning_effort: extreme}]
    plugins:
      - {type: semantic-cache, configuration: {similarity_treshold: 0.9}}
      - {type: semantic-cache, configuration: {similarity_threshold: 9}}
      - {type: jailbreak, configuration: {enabled: true}}
  - {name: b, rules: {}, modelRefs: []}
  - {name: c, rules: {operator: OR, conditions: [{type: head, name: 'toxicity:rude'}, {type: head, name: 'complexity:complex'}]}, modelRefs: []}
semantic_cache: {similarity_threshold: 1.5, max_entries: 0}
prompt_guard: {enabled: true}
maas_integration: {enabled: true, authentication: {user_header: 'a b', fallback_tier: ''}}
sidecar: {timeout_ms: 0}
limits: {max_body_bytes: 1}
",
    )
    .unwrap_err();
    insta::assert_snapshot!(errors);
}
