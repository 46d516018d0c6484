//! Rules decide alone or with the sidecar, which may fail.

use super::*;

#[test]
fn a_keyword_rule_decides_without_asking_anybody() {
    let (router, mut host) = (router(), chat("auto", "write SQL"));
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("coder")
    );
    assert_eq!(upstream_body(&host)["model"], "coder");
    assert_eq!(host.state["turnpike.decision"], "code");
    assert!(host.asked.is_empty());
}

#[test]
fn the_category_decides_otherwise() {
    let (router, mut host) = (router(), chat("MoM", "2+2?"));
    let (mut stream, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    assert_eq!(
        host.asked[0].1,
        serde_json::json!({"text": "2+2?", "heads": ["category"]})
    );
    answer(&router, &mut stream, &mut host, category("math", 0.9));
    assert!(host.resumed);
    assert_eq!(upstream_body(&host)["model"], "big");
    assert_eq!(upstream_body(&host)["reasoning_effort"], "high");
    let state = |key: &str| host.state[&format!("turnpike.{key}")].clone();
    assert_eq!(
        (state("decision"), state("category"), state("reasoning")),
        ("math".into(), "math".into(), "on".into())
    );
    assert_eq!(host.counter(Metric::SidecarCalls, &[]), 1);
}

#[test]
fn an_unsure_category_takes_the_default_model() {
    let (router, mut host) = (router(), chat("auto", "hm"));
    let (mut stream, _) = run(&router, &mut host);
    answer(&router, &mut stream, &mut host, category("math", 0.4));
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("small")
    );
    assert_eq!(host.state["turnpike.decision"], "default");
    assert_eq!(host.state["turnpike.category"], "none");
}

#[test]
fn reasoning_is_told_the_way_the_family_wants_it_unless_the_client_did() {
    let router = router();
    let health = |body: serde_json::Value| {
        let mut host = MemoryHost::post("/v1/chat/completions", &[], &body.to_string());
        let (mut stream, _) = run(&router, &mut host);
        answer(&router, &mut stream, &mut host, category("health", 0.9));
        upstream_body(&host)
    };
    let messages = serde_json::json!([{"role": "user", "content": "cough"}]);
    let sent = health(serde_json::json!({"model": "auto", "messages": messages}));
    assert_eq!(
        sent["chat_template_kwargs"],
        serde_json::json!({"enable_thinking": false})
    );
    let own = serde_json::json!({"enable_thinking": true});
    let sent = health(
        serde_json::json!({"model": "auto", "messages": messages, "chat_template_kwargs": own}),
    );
    assert_eq!(sent["chat_template_kwargs"], own);
    let off = serde_json::json!({"language": "de", "enable_thinking": false});
    for (sent, expected) in [
        (serde_json::json!({"language": "de"}), off),
        (
            serde_json::json!({"enable_thinking": null}),
            serde_json::json!({"enable_thinking": false}),
        ),
        (serde_json::json!("on"), serde_json::json!("on")),
    ] {
        let sent = health(
            serde_json::json!({"model": "auto", "messages": messages, "chat_template_kwargs": sent}),
        );
        assert_eq!(sent["chat_template_kwargs"], expected);
    }
}

#[test]
fn a_sidecar_that_fails_costs_no_request() {
    for (status, body, reason) in [
        (None, "", "sidecar_unavailable"),
        (Some(503), "{}", "sidecar_unavailable"),
        (Some(504), "", "sidecar_timeout"),
        (Some(200), "{\"category\":", "sidecar_bad_answer"),
    ] {
        let (router, mut host) = (router(), chat("auto", "2+2?"));
        let (mut stream, _) = run(&router, &mut host);
        stream.on_sidecar_answer(&router, &mut host, status, body.as_bytes());
        assert!(host.resumed);
        assert_eq!(
            host.request_header("x-selected-model").as_deref(),
            Some("small")
        );
        assert_eq!(host.state["turnpike.fallback"], reason);
        assert_eq!(host.state["turnpike.decision"], "fallback");
        assert_eq!(host.counter(Metric::Fallbacks, &[reason]), 1);
    }
}

#[test]
fn a_call_that_cannot_be_sent_falls_back_at_once() {
    let (router, mut host) = (router(), chat("auto", "2+2?"));
    host.sidecar_refuses = true;
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(host.state["turnpike.fallback"], "sidecar_unavailable");
}

#[test]
fn on_error_block_refuses_instead() {
    let (router, mut host) = (
        router_with("sidecar: {on_error: block}"),
        chat("auto", "2+2?"),
    );
    let (mut stream, _) = run(&router, &mut host);
    stream.on_sidecar_answer(&router, &mut host, None, b"");
    assert_eq!(error_code(&host), (503, "sidecar_unavailable".to_owned()));
    assert!(!host.resumed);
}

#[test]
fn without_a_sidecar_only_rules_decide() {
    let (router, mut host) = (
        router_with("sidecar: {enabled: false}"),
        chat("auto", "2+2?"),
    );
    let (_, flow) = run(&router, &mut host);
    assert_eq!(
        (flow, host.state["turnpike.decision"].as_str()),
        (Flow::Continue, "default")
    );
    assert!(host.asked.is_empty());
}

#[test]
fn a_second_end_of_the_body_does_not_let_go_what_waits_for_the_sidecar() {
    let (router, mut host) = (router(), chat("auto", "What is 2 + 2?"));
    let (mut stream, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    assert_eq!(stream.on_request_body(&router, &mut host), Flow::Pause);
    answer(&router, &mut stream, &mut host, category("math", 0.9));
    assert_eq!(upstream_body(&host)["model"], "big");
}
