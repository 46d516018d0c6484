//! A meter without `maas_integration`, and one without a router, which asks for usage itself.

use super::*;

#[test]
fn standalone_mode_reads_no_identity_and_counts_by_model() {
    for maas in ["", ", maas_integration: {enabled: false}"] {
        let meter = alone(maas);
        let mut host = alice(r#"{"model":"qwen3","messages":[]}"#);
        let mut stream = request(&mut host, &meter);
        host.respond("200", "application/json");
        respond(&mut stream, &meter, &mut host, &[ANSWER]);
        stream.on_log(&meter, &mut host);
        assert_eq!(host.counter(Metric::ModelRequests, &["qwen3"]), 1);
        assert_eq!(host.counter(Metric::ModelTokens, &["qwen3"]), 8);
        assert_eq!(host.counter(Metric::ModelPromptTokens, &["qwen3"]), 3);
        assert_eq!(host.counter(Metric::ModelCompletionTokens, &["qwen3"]), 5);
        assert_eq!(host.counters.len(), 4);
        assert_eq!(
            host.response_header("x-vsr-selected-model").as_deref(),
            Some("qwen3")
        );
        assert!(!host.state.contains_key("turnpike.user"));
    }
}

#[test]
fn standalone_mode_does_no_identity_work() {
    let calls = |maas: &str| {
        let meter = with_router(&config(maas));
        let mut host = alice("{}");
        MeterStream::default().on_request_headers(&meter, &mut host, false);
        host.host_calls
    };
    // All headers at once, and nothing else.
    assert_eq!(calls(""), 1);
    assert_eq!(calls(", maas_integration: {enabled: false}"), 1);
    assert!(calls(", maas_integration: {enabled: true}") > 1);
}

#[test]
fn models_that_nobody_configured_share_a_label() {
    let meter = alone("");
    let mut host = alice(r#"{"model":"made-up-by-the-client","messages":[]}"#);
    let mut stream = request(&mut host, &meter);
    stream.on_log(&meter, &mut host);
    assert_eq!(host.counter(Metric::ModelRequests, &["unknown"]), 1);
}

#[test]
fn alone_the_meter_asks_for_usage_and_takes_its_chunk_out() {
    let meter = alone("");
    let mut host =
        alice(r#"{"model":"qwen3","stream":true,"messages":[{"role":"user","content":"hello"}]}"#);
    let mut stream = request(&mut host, &meter);
    let body: serde_json::Value = serde_json::from_slice(&host.request_body).unwrap();
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(
        host.request_header("content-length"),
        Some(host.request_body.len().to_string())
    );
    host.respond("200", "text/event-stream");
    let sent = respond(
        &mut stream,
        &meter,
        &mut host,
        &[
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n",
            "data: [DONE]\n\n",
        ],
    );
    assert_eq!(
        sent,
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"
    );
    stream.on_log(&meter, &mut host);
    assert_eq!(host.counter(Metric::ModelPromptTokens, &["qwen3"]), 3);
}

#[test]
fn a_stream_that_announced_its_length_takes_it_back_when_a_chunk_is_taken_out() {
    for (form, more, expected) in [
        ("text/event-stream", "", None),
        ("application/json", "", Some("144".to_owned())),
        (
            "text/event-stream",
            r#","stream_options":{"include_usage":true}"#,
            Some("144".to_owned()),
        ),
    ] {
        let meter = alone("");
        let mut host = alice(&format!(
            r#"{{"model":"qwen3","stream":true,"messages":[]{more}}}"#
        ));
        let mut stream = request(&mut host, &meter);
        host.respond("200", form);
        host.set_response_header("content-length", b"144");
        stream.on_response_headers(&meter, &mut host, false);
        assert_eq!(host.response_header("content-length"), expected, "{form}");
    }
}

#[test]
fn a_client_that_asked_for_usage_gets_it() {
    let meter = alone("");
    let mut host = alice(
        r#"{"model":"qwen3","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
    );
    let before = host.request_body.clone();
    let mut stream = request(&mut host, &meter);
    assert_eq!(host.request_body, before);
    host.respond("200", "text/event-stream");
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
    assert_eq!(respond(&mut stream, &meter, &mut host, &[usage]), usage);
}

#[test]
fn a_body_that_cannot_be_replaced_does_not_go_upstream() {
    let meter = alone("");
    let mut host = alice(r#"{"model":"qwen3","stream":true,"messages":[]}"#);
    host.body_cannot_be_replaced = true;
    let mut stream = MeterStream::default();
    stream.on_request_headers(&meter, &mut host, false);
    assert_eq!(stream.on_request_body(&meter, &mut host), Flow::Pause);
    assert_eq!(host.reply.unwrap().status, 500);
}
