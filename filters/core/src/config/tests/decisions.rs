//! Decisions: their names, their plugins, and what they say in vain.

use super::*;

#[test]
fn what_a_decision_says_in_vain_is_noted() {
    let config = |family: &str, kind: &str| {
        read(&format!(
            "
vllm_endpoints: [{{name: local, address: 127.0.0.1, port: 8000}}]
model_config: {{qwen3: {{preferred_endpoints: [local], quality_score: 1.0{family}}}}}
reasoning_families: {{qwen: {{type: chat_template_kwargs, parameter: enable_thinking}}}}
default_model: qwen3
keyword_rules: [{{name: k, operator: OR, keywords: [x]}}]
decisions:
  - name: d
    rules: {{operator: AND, conditions: [{{type: keyword, name: k}}]}}
    modelRefs: [{{model: qwen3}}, {{model: qwen3, use_reasoning: true}}]
    algorithm: {{type: {kind}, sticky: true}}
"
        ))
        .unwrap()
    };
    let notes = config("", "score").notes();
    let paths: Vec<&str> = notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "decisions[0].modelRefs[1].use_reasoning",
            "decisions[0].algorithm.sticky"
        ]
    );
    let notes = config(", reasoning_family: qwen", "latency_aware").notes();
    assert_eq!(notes, []);
}

#[test]
fn names_that_become_headers_hold_no_control_characters() {
    let errors = read(&with("
categories: [{name: \"math\\n\"}]
decisions: [{name: \"a\\r\\nx-forged: 1\", rules: {type: domain, name: \"math\\n\"}, modelRefs: [{model: qwen3}]}]
"))
    .unwrap_err();
    let expected = "\
categories[0].name: must not hold control characters
decisions[0].name: must not hold control characters";
    assert_eq!(errors, expected);
}

#[test]
fn a_plugin_of_which_one_could_count_stands_once() {
    let decision = |plugins: &str| {
        let yaml = format!(
            "decisions: [{{name: a, rules: {{operator: AND, conditions: []}}, modelRefs: [{{model: qwen3}}], plugins: [{plugins}]}}]\n"
        );
        let models = "model_config: {qwen3: {preferred_endpoints: [local]}, one: {preferred_endpoints: [local]}, two: {preferred_endpoints: [local]}}";
        let minimal = MINIMAL.replace(
            "model_config: {qwen3: {preferred_endpoints: [local]}}",
            models,
        );
        read(&format!("{minimal}{yaml}")).map(|_| ())
    };
    let fast = "{type: fast_response, configuration: {message: x}}";
    assert_eq!(
        decision(&format!("{fast}, {fast}")).unwrap_err(),
        "decisions[0].plugins[1].type: `fast_response` stands twice in this decision"
    );
    let pii = |more: &str| format!("{{type: pii, configuration: {{enabled: true{more}}}}}");
    let to = |model: &str| pii(&format!(", action: route_to, model: {model}"));
    assert_eq!(decision(&format!("{}, {}", to("one"), pii(""))), Ok(()));
    assert_eq!(
        decision(&format!("{}, {}", to("one"), to("two"))).unwrap_err(),
        "decisions[0].plugins[1].configuration.model: personal data already goes to `one`"
    );
}
