//! Requests as they arrive: what is refused, what is answered here, what no router touches.

use serde_json::json;

use super::*;
use crate::record::{Cache, debug_headers};
use crate::state;

#[test]
fn a_model_that_the_client_named_passes_byte_for_byte() {
    let router = router();
    let body = "{ \"messages\":[ ],\n \"model\" : \"coder\" , \"x\":1e3}";
    let mut host = MemoryHost::post("/v1/chat/completions", &[], body);
    let (_, flow) = run(&router, &mut host);
    assert_eq!(
        (flow, host.request_body.as_slice()),
        (Flow::Continue, body.as_bytes())
    );
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("coder")
    );
    assert_eq!(host.state["turnpike.decision"], "none");
}

#[test]
fn bad_bodies_and_unknown_models_are_refused() {
    let router = router();
    for (body, status, code) in [
        ("{\"model\":", 400, "invalid_request"),
        (
            "{\"model\":\"gpt-9\",\"messages\":[]}",
            404,
            "model_not_found",
        ),
        ("", 400, "invalid_request"),
    ] {
        let mut host = MemoryHost::post("/v1/chat/completions", &[], body);
        let (_, flow) = run(&router, &mut host);
        assert_eq!(flow, Flow::Pause);
        assert_eq!(error_code(&host), (status, code.to_owned()), "{body}");
        assert_eq!(host.counter(Metric::Errors, &[code]), 1);
        assert_eq!(host.request_header("x-selected-model"), None);
    }
}

#[test]
fn a_prompt_that_no_guard_can_read_is_refused_where_one_applies() {
    let guarded = "prompt_guard: {enabled: true}";
    for model in ["auto", "small"] {
        for (body, param, said) in [
            (r#""prompt":[[1,2]]"#, "prompt", "token ids"),
            (
                r#""prompt":"","prompt_embeds":"AAAA""#,
                "prompt_embeds",
                "embeddings",
            ),
        ] {
            let body = format!(r#"{{"model":"{model}",{body}}}"#);
            let mut host = MemoryHost::post("/v1/completions", &[], &body);
            let (_, flow) = run(&router_with(guarded), &mut host);
            assert_eq!(flow, Flow::Pause);
            assert_eq!(
                error_code(&host),
                (400, "unreadable_input".to_owned()),
                "{body}"
            );
            assert_eq!(host.counter(Metric::Errors, &["unreadable_input"]), 1);
            let reply: serde_json::Value =
                serde_json::from_slice(&host.reply.as_ref().unwrap().body).unwrap();
            assert_eq!(reply["error"]["param"], param);
            let message = format!("The guards cannot read {said}, as in '{param}'; send text.");
            assert_eq!(reply["error"]["message"], message);
            // Without a guard, nobody wants to read it.
            let mut host = MemoryHost::post("/v1/completions", &[], &body);
            run(&router(), &mut host);
            assert!(host.reply.is_none(), "{body}");
        }
    }
}

#[test]
fn large_bodies_are_refused_by_their_announced_or_their_real_size() {
    let router = router_with("limits: {max_body_bytes: 2000}");
    let mut host = MemoryHost::post("/v1/chat/completions", &[("content-length", "2001")], "");
    run(&router, &mut host);
    assert_eq!(error_code(&host), (413, "request_too_large".to_owned()));
    let mut host = MemoryHost::post("/v1/chat/completions", &[], "");
    let mut stream = RouterStream::default();
    stream.on_request_headers(&router, &mut host, false);
    assert_eq!(
        stream.on_request_chunk(&router, &mut host, 2000),
        Flow::Pause
    );
    assert!(host.reply.is_none());
    stream.on_request_chunk(&router, &mut host, 2001);
    assert_eq!(error_code(&host), (413, "request_too_large".to_owned()));
}

#[test]
fn streams_are_asked_for_usage_only_when_a_meter_takes_it_out_again() {
    for (filters, asked) in [(&BOTH[..], true), (&ALONE, false)] {
        let router = compiled(CONFIG, filters);
        let body = r#"{"model":"small","stream":true,"messages":[]}"#;
        let mut host = MemoryHost::post("/v1/chat/completions", &[], body);
        run(&router, &mut host);
        assert_eq!(
            upstream_body(&host)["stream_options"]["include_usage"] == true,
            asked
        );
        assert_eq!(Record::published(&mut host).usage_requested, asked);
    }
}

#[test]
fn the_models_list_names_what_clients_may_use() {
    let router = router();
    let mut host = MemoryHost::post("/v1/models", &[], "");
    host.request_headers[0].value = b"GET".to_vec();
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    let list: serde_json::Value = serde_json::from_slice(&host.reply.unwrap().body).unwrap();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["auto", "MoM", "big", "coder", "small"]);
}

#[test]
fn the_models_list_has_one_path_whatever_its_query() {
    for (path, is_answered) in [
        ("/v1/models?limit=20", true),
        ("/v1/models?", true),
        ("/v1/models/small", false),
        ("/v1/models2", false),
    ] {
        let mut host = MemoryHost::post(path, &[], "");
        host.request_headers[0].value = b"GET".to_vec();
        run(&router(), &mut host);
        assert_eq!(host.reply.is_some(), is_answered, "{path}");
    }
}

#[test]
fn forged_routing_headers_do_not_survive() {
    let (router, mut host) = (router(), chat("auto", "SQL"));
    host.request_headers.push(Entry {
        name: "x-selected-model".into(),
        value: b"big".to_vec(),
    });
    host.request_headers.push(Entry {
        name: "x-vsr-debug".into(),
        value: b"true".to_vec(),
    });
    run(&router, &mut host);
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("coder")
    );
    assert_eq!(host.request_header("x-vsr-debug"), None);
}

#[test]
fn what_is_not_an_llm_request_is_left_alone() {
    let router = router();
    let mut host = MemoryHost::post("/metrics", &[("x-selected-model", "big")], "x");
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(host.request_header("x-selected-model"), None);
    assert!(host.state.is_empty());
}

/// A caller whom [`TRUSTING`] trusts asks what matched.
fn trusted(model: &str, text: &str) -> MemoryHost {
    let mut host = chat(model, text);
    host.request_headers.push(Entry {
        name: "x-vsr-debug".into(),
        value: b"true".to_vec(),
    });
    host.set_filter_state(state::IDENTIFIED, b"user");
    host.set_filter_state(state::USER, b"alice");
    host
}

const TRUSTING: &str = "
explain: {trusted: [{kind: User, name: alice}]}
maas_integration: {enabled: true}
prompt_guard: {enabled: true}
semantic_cache: {enabled: true, scope: global}
";

#[test]
fn hits_blocks_and_answers_of_decisions_say_what_matched_too() {
    let words = "{name: words, priority: 98, rules: {type: keyword, name: code}, modelRefs: [{model: small}], plugins: [{type: fast_response, configuration: {message: No SQL.}}]}";
    let answering = compiled(&format!("{CONFIG}  - {words}\n{TRUSTING}"), &BOTH);
    let mut host = trusted("auto", "SQL");
    run(&answering, &mut host);
    let record = Record::published(&mut host);
    let told: Vec<_> = debug_headers(&record.debug).collect();
    assert!(told.contains(&("x-vsr-fast-response", "true")), "{told:?}");
    assert!(
        told.contains(&("x-vsr-matched-keywords", "code")),
        "{told:?}"
    );

    let router = router_with(TRUSTING);
    let mut host = trusted("auto", "SQL ATTACK");
    run(&router, &mut host);
    let record = Record::published(&mut host);
    assert!(record.blocked);
    assert_eq!((&*record.decision, &*record.model), ("code", "unknown"));
    assert_eq!(host.state["turnpike.decision"], "code");
    assert!(!host.state.contains_key("turnpike.model"));
    let told: Vec<_> = debug_headers(&record.debug).collect();
    assert!(
        told.contains(&("x-vsr-matched-keywords", "code")),
        "{told:?}"
    );

    let mut host = trusted("auto", "2+2?");
    let (mut stream, _) = run(&router, &mut host);
    answer(&router, &mut stream, &mut host, hit(0.97, "big", "math"));
    let record = Record::published(&mut host);
    assert_eq!(record.cache, Cache::Hit);
    let told: Vec<_> = debug_headers(&record.debug).collect();
    assert!(
        told.contains(&("x-vsr-matched-domains", "math")),
        "{told:?}"
    );
}

#[test]
fn an_explanation_names_the_reading_for_guards_and_the_decision_of_a_block() {
    let router = router_with("prompt_guard: {enabled: true}");
    for (text, blocked) in [
        ("SQL", json!(null)),
        ("SQL ATTACK", json!("jailbreak_detected")),
    ] {
        let mut host = chat("auto", text);
        let mut stream = RouterStream::explaining();
        stream.on_request_headers(&router, &mut host, false);
        stream.on_request_body(&router, &mut host);
        let told: serde_json::Value = serde_json::from_slice(&host.reply.unwrap().body).unwrap();
        assert_eq!(told["steps"], json!(["text", "reading"]), "{told}");
        assert_eq!(told["decision"], "code");
        assert_eq!(told["blocked"], blocked);
    }
}
