//! Answers that break off, fail or cannot be read.

use super::*;

/// Prompt tokens, completion tokens, and how many of the latter were estimated.
fn charged(host: &MemoryHost) -> (u64, u64, u64) {
    let who = ["alice", "gold", "qwen3", "completion"];
    let estimated = host.counter(Metric::TokensEstimated, &who);
    (
        tokens(host, "prompt"),
        tokens(host, "completion"),
        estimated,
    )
}

#[test]
fn a_stream_cut_off_is_charged_what_was_seen() {
    let meter = maas();
    let (mut host, mut stream) = sent_with(&meter, |r| r.prompt_bytes = 9);
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"twelve chars\"}}]}\n\n";
    begin(&mut stream, &meter, &mut host, chunk, false);
    stream.on_log(&meter, &mut host);
    assert_eq!(charged(&host), (3, 3, 3));
    assert_eq!(host.state["turnpike.estimated"], "true");
}

#[test]
fn a_client_that_leaves_before_the_response_is_a_request_without_tokens() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    stream.on_log(&meter, &mut host);
    assert_eq!(requests(&host), 1);
    assert_eq!(tokens(&host, "prompt"), 0);
}

#[test]
fn errors_of_the_server_cost_nothing_but_are_counted() {
    let meter = maas();
    let (mut host, mut stream) = sent_with(&meter, |r| r.prompt_bytes = 900);
    host.respond("503", "application/json");
    respond(
        &mut stream,
        &meter,
        &mut host,
        &["{\"error\":{\"message\":\"text\"}}"],
    );
    stream.on_log(&meter, &mut host);
    assert_eq!(requests(&host), 1);
    assert!(!host.counters.keys().any(|k| k.contains("tokens")));
}

#[test]
fn an_answer_that_the_router_withheld_is_charged_what_it_saw() {
    let error = r#"{"error":{"message":"text","code":"response_not_judged"}}"#;
    for (withheld, cost, estimated) in [
        ("40 - - - - - -", (3, 10, 10), Some("true")),
        ("40 21 - - - - -", (21, 10, 10), Some("true")),
        ("40 21 8 - - - -", (21, 8, 0), None),
    ] {
        let meter = maas();
        let (mut host, mut stream) = sent_with(&meter, |r| r.prompt_bytes = 9);
        host.respond("502", "application/json");
        host.state.insert(state::WITHHELD.into(), withheld.into());
        respond(&mut stream, &meter, &mut host, &[error]);
        stream.on_log(&meter, &mut host);
        assert_eq!(charged(&host), cost, "{withheld}");
        let told = host.state.get("turnpike.estimated").map(String::as_str);
        assert_eq!(told, estimated, "{withheld}");
    }
}

#[test]
fn compressed_answers_are_said_to_be_unreadable() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    host.respond("200", "application/json");
    host.response_headers.push(Entry {
        name: "content-encoding".into(),
        value: b"gzip".to_vec(),
    });
    respond(&mut stream, &meter, &mut host, &["\u{1f}gzip"]);
    stream.on_log(&meter, &mut host);
    assert_eq!(
        host.counter(Metric::ResponsesUnreadable, &["content_encoding"]),
        1
    );
}

#[test]
fn an_answer_that_broke_off_is_marked_even_where_usage_was_reported_on_the_way() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n";
    begin(&mut stream, &meter, &mut host, chunk, false);
    stream.on_log(&meter, &mut host);
    assert_eq!(charged(&host), (4, 2, 2));
}

#[test]
fn a_half_that_no_server_reported_is_estimated() {
    let mut host = alice("{}");
    let answer = r#"{"choices":[{"message":{"content":"eight by"}}],"usage":{"prompt_tokens":9,"completion_tokens":-7}}"#;
    settle(&maas(), &mut host, answer);
    assert_eq!(charged(&host), (9, 2, 2));
}

#[test]
fn an_anthropic_stream_cut_after_its_start_is_charged_its_text() {
    // By the server or the client, or by a guard, which lets it end well.
    for is_guarded in [false, true] {
        let meter = maas();
        let mut host = MemoryHost::post(
            "/v1/messages",
            &[
                ("x-auth-request-user", "alice"),
                ("x-auth-request-tier", "gold"),
            ],
            "{}",
        );
        let mut stream = request(&mut host, &meter);
        routed(&mut host);
        let chunk = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"forty characters of text, or nearly that.\"}}\n\n";
        begin(&mut stream, &meter, &mut host, chunk, is_guarded);
        if is_guarded {
            host.state
                .insert(state::BLOCK.into(), "response_blocked".into());
        }
        stream.on_log(&meter, &mut host);
        assert_eq!(tokens(&host, "prompt"), 25);
        assert_eq!(tokens(&host, "completion"), 11);
    }
}
