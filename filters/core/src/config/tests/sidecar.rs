//! What the sidecar loads, and conditions on it.

use super::*;

#[test]
fn what_the_sidecar_loads_is_checked_key_by_key() {
    let errors = read(&with(
        "
sidecar:
  device: gpu
  batching: {max_batch_size: 1025, max_wait_ms: 101, max_tokens: 1048577, queue: 0}
  heads:
    - {name: intent, path: '', threshold: 2}
    - {name: category, path: a.json}
    - {name: 'a:b', path: a.json}
    - {name: toxicity, path: a.json}
  classifiers:
    - {name: intent, path: x}
    - {name: topic, max_tokens: 4}
    - {name: llm, repository: owner/name}
  llm_classifier:
    url: 127.0.0.1:8000
    labels: [{name: ' A'}, {name: A}, {name: A}]
    default_label: B
    max_tokens: 1
    timeout_ms: 0
    max_concurrent: 0
    max_retries: 99
",
    ))
    .unwrap_err();
    insta::assert_snapshot!(errors);
    for (yaml, expected) in [
        (
            "{llm_classifier: {engine: onnx}}",
            "sidecar.llm_classifier.path: name a folder here",
        ),
        (
            "{classifiers: [{name: x, path: y, prefix: z}]}",
            "sidecar.classifiers[0].prefix: unknown key",
        ),
        (
            "{llm_classifier: {guided: maybe}}",
            "sidecar.llm_classifier.guided: unknown variant",
        ),
        (
            "{encoder: {precision: fp8}}",
            "sidecar.encoder.precision: unknown variant",
        ),
    ] {
        let value = serde_saphyr::from_str(&with(&format!("sidecar: {yaml}"))).unwrap();
        let errors = match Config::from_value(value) {
            Ok(config) => ConfigErrors(config.validate()),
            Err(errors) => errors,
        };
        assert!(errors.to_string().contains(expected), "{errors}");
    }
}

#[test]
fn conditions_on_heads_of_the_sidecar_are_checked_by_what_it_loads() {
    let rule = |kind: &str, name: &str| {
        format!(
            "decisions: [{{name: d, rules: {{type: {kind}, name: '{name}'}}, modelRefs: [{{model: qwen3}}]}}]"
        )
    };
    let asks = "sidecar: {heads: [{name: intent, path: i.json}], llm_classifier: {url: 'http://a/v1', model: m}}";
    for (kind, name) in [
        ("head", "intent:refund"),
        ("llm", "COMPLEX"),
        ("head", "toxicity:toxic"),
    ] {
        let yaml = with(&format!("{asks}\n{}", rule(kind, name)));
        assert!(read(&yaml).is_ok(), "{kind} {name}: {:?}", read(&yaml));
    }
    for (kind, name) in [("head", "mood:bad"), ("llm", "SIMPLE")] {
        let yaml = with(&format!("{asks}\n{}", rule(kind, name)));
        assert!(read(&yaml).unwrap_err().contains(name), "{kind} {name}");
    }
    let off = with(&format!(
        "sidecar: {{enabled: false, heads: [{{name: intent, path: i.json}}]}}\n{}",
        rule("head", "intent:refund")
    ));
    assert!(
        read(&off).unwrap_err().contains("unknown head and label"),
        "nobody can be asked"
    );
}

#[test]
fn a_language_model_that_is_slower_than_the_proxy_waits_is_noted() {
    let yaml = with(
        "sidecar: {timeout_ms: 300, llm_classifier: {url: 'http://a/v1', model: m, timeout_ms: 301}}",
    );
    let notes = read(&yaml).unwrap().notes();
    assert_eq!(notes[0].path, "sidecar.llm_classifier.timeout_ms");
}
