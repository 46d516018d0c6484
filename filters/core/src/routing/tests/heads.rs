//! Labels of heads, in the proxy and in the sidecar.

use super::*;

const ANGRY: &str = "
classifier: {heads: [{path: tone.json, content: {name: tone, labels: [calm, angry]}}]}
decisions: [{name: soothe, priority: 7, rules: {type: head, name: 'tone:angry'}, modelRefs: [{model: big}]}, {name: math, rules: {type: domain, name: math}, modelRefs: [{model: coder}]}]
";

pub(super) fn with_tone() -> Router<Words> {
    let (before, _) = CONFIG.split_once("decisions:").unwrap();
    compiled(&format!("{before}{ANGRY}"), &ALONE)
}

#[test]
fn a_label_of_a_head_decides_without_asking_anybody() {
    let (router, mut host) = (with_tone(), chat("auto", "What a mess!"));
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(host.state["turnpike.decision"], "soothe");
    assert!(host.asked.is_empty());
}

#[test]
fn labels_are_still_known_when_the_category_is() {
    let (router, mut host) = (with_tone(), chat("auto", "What is 2 + 2?"));
    let (mut stream, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    answer(&router, &mut stream, &mut host, category("math", 0.9));
    assert_eq!(host.state["turnpike.decision"], "math");
}

const ASKED: &str = "
semantic_cache: {enabled: true, scope: global}
sidecar: {heads: [{name: intent, path: intent.json}], llm_classifier: {url: 'http://127.0.0.1:1/v1', model: m}}
";

/// Decisions by heads of the sidecar, before all others.
pub(super) fn asking() -> Router<Words> {
    let decisions = "decisions:
  - {name: refund, priority: 8, rules: {type: head, name: 'intent:refund'}, modelRefs: [{model: coder}]}
  - {name: hard, priority: 7, rules: {operator: AND, conditions: [{type: llm, name: COMPLEX}, {type: domain, name: math}]}, modelRefs: [{model: big}]}";
    let yaml = format!("{}{ASKED}", CONFIG.replace("decisions:", decisions));
    compiled(&yaml, &ALONE)
}

#[test]
fn heads_of_the_sidecar_decide_with_the_one_call() {
    for (body, decision) in [
        (
            serde_json::json!({"heads": {"intent": {"refund": 0.9}}}),
            "refund",
        ),
        (
            serde_json::json!({"category": {"label": "math", "confidence": 0.9}, "heads": {"llm": {"COMPLEX": 0.7, "META": 0.3}}}),
            "hard",
        ),
        (
            serde_json::json!({"heads": {"llm": {"COMPLEX": 0.7}}}),
            "default",
        ),
    ] {
        let (router, mut host) = (asking(), chat("auto", "give me my money back"));
        let (mut stream, flow) = run(&router, &mut host);
        assert_eq!(flow, Flow::Pause);
        assert_eq!(
            host.asked[0].1["heads"],
            serde_json::json!(["category", "intent", "llm"])
        );
        answer(&router, &mut stream, &mut host, body);
        assert_eq!(host.state["turnpike.decision"], decision);
        assert_eq!(host.asked.len(), 1);
    }
}

#[test]
fn an_exact_hit_without_heads_is_served_by_the_decision_that_stored_it() {
    let router = asking();
    let mut host = chat("auto", "give me my money back");
    let (mut stream, _) = run(&router, &mut host);
    let hit = serde_json::json!({"cache": {
        "status": "hit", "similarity": 1.0, "model": "coder", "decision": "refund", "category": "none",
        "age_seconds": 3, "body": "{}",
    }});
    answer(&router, &mut stream, &mut host, hit);
    assert_eq!(host.reply.as_ref().unwrap().status, 200);
    assert_eq!(host.state["turnpike.decision"], "refund");
}

/// Whoever sends `x-beta: on` goes to another decision, which the same head decides.
fn by_head_and_header() -> Router<Words> {
    let yaml = "
vllm_endpoints: [{name: l, address: a, port: 1}]
model_config: {small: {}, big: {}}
default_model: small
sidecar: {heads: [{name: intent, path: x}]}
header_rules: [{name: beta, header: x-beta, predicate: {equals: 'on'}}]
decisions:
  - {name: beta, priority: 2, rules: {operator: AND, conditions: [{type: header, name: beta}, {type: head, name: 'intent:refund'}]}, modelRefs: [{model: big}]}
  - {name: all, priority: 1, rules: {type: head, name: 'intent:refund'}, modelRefs: [{model: small}]}
semantic_cache: {enabled: true, scope: global}
";
    compiled(yaml, &BOTH)
}

#[test]
fn answers_of_decisions_that_a_header_keeps_apart_are_kept_apart_before_any_head_was_read() {
    let router = by_head_and_header();
    let partition = |headers: &[(&str, &str)]| {
        let body = r#"{"model": "auto", "messages": [{"role": "user", "content": "Money back"}]}"#;
        let mut host = MemoryHost::post("/v1/chat/completions", headers, body);
        let (_, flow) = run(&router, &mut host);
        assert_eq!(flow, Flow::Pause);
        host.asked[0].1["cache"]["partition"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(partition(&[]), partition(&[("x-beta", "off")]));
    assert_ne!(partition(&[]), partition(&[("x-beta", "on")]));
}
