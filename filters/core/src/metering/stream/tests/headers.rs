//! Headers: what is told, what is stripped, who is refused.

use super::*;

/// A request of alice with headers that are not hers to write.
fn forged(names: &[&str]) -> MemoryHost {
    let mut host = alice("{}");
    for name in names {
        host.request_headers.push(Entry {
            name: (*name).to_owned(),
            value: b"forged".to_vec(),
        });
    }
    host
}

#[test]
fn facts_become_response_headers() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    for (name, value) in [
        ("x-vsr-model-selected", "qwen3"),
        ("x-vsr-decision", "math"),
        ("x-vsr-category", "math"),
        ("x-vsr-reasoning-enabled", "on"),
        ("x-vsr-cache-hit", "false"),
        ("x-vsr-system-prompt-injected", "false"),
    ] {
        assert_eq!(host.response_header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(host.response_header("x-vsr-fallback"), None);
}

#[test]
fn the_prefix_of_response_headers_is_the_configured_one() {
    let config = config(", maas_integration: {enabled: true, headers: {prefix: X-Bill-}}");
    let meter = with_router(&config);
    let mut host = forged(&["x-bill-decision"]);
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    assert_eq!(
        host.response_header("x-bill-decision").as_deref(),
        Some("math")
    );
    assert_eq!(host.request_header("x-bill-decision"), None);
}

#[test]
fn a_servers_words_under_our_names_do_not_reach_the_client() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    host.respond("200", "application/json");
    host.set_response_header("x-vsr-fallback", b"forged");
    host.set_response_header("x-vsr-decision", b"forged");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    assert_eq!(host.response_header("x-vsr-fallback"), None);
    assert_eq!(
        host.response_header("x-vsr-decision").as_deref(),
        Some("math")
    );
}

#[test]
fn spoofed_headers_are_stripped() {
    let meter = maas();
    let mut host = forged(&["x-vsr-cache-hit", "x-vsr-anything", "x-selected-model"]);
    request(&mut host, &meter);
    assert!(!host.request_headers.iter().any(|h| h.value == b"forged"));
    assert_eq!(
        host.request_header("x-auth-request-user").as_deref(),
        Some("alice")
    );
}

#[test]
fn underscores_do_not_hide_a_spoofed_header() {
    let meter = maas();
    let mut host = forged(&["x_vsr_cache_hit", "x-selected_model"]);
    request(&mut host, &meter);
    assert!(!host.request_headers.iter().any(|h| h.value == b"forged"));
}

#[test]
fn a_repeated_identity_header_is_refused() {
    let meter = maas();
    let mut host = alice("{}");
    host.request_headers.push(Entry {
        name: "x-auth-request-user".into(),
        value: b"bob".to_vec(),
    });
    let mut stream = MeterStream::default();
    assert_eq!(
        stream.on_request_headers(&meter, &mut host, false),
        Flow::Pause
    );
    let reply = host.reply.take().unwrap();
    assert_eq!(reply.status, 400);
    assert!(
        String::from_utf8(reply.body)
            .unwrap()
            .contains("\"repeated_header\"")
    );
    assert_eq!(host.counter(Metric::Errors, &["repeated_header"]), 1);
    assert!(!host.state.contains_key("turnpike.user"));
}

#[test]
fn a_missing_user_is_refused_where_one_is_demanded() {
    let meter = maas_with("authentication: {on_missing: reject}");
    let mut host = MemoryHost::post(CHAT, &[], "{}");
    let mut stream = MeterStream::default();
    assert_eq!(
        stream.on_request_headers(&meter, &mut host, false),
        Flow::Pause
    );
    assert_eq!(host.reply.unwrap().status, 401);
    let mut other = MemoryHost::post("/healthz", &[], "");
    assert_eq!(
        MeterStream::default().on_request_headers(&meter, &mut other, true),
        Flow::Continue
    );
}

#[test]
fn what_is_not_an_llm_request_is_left_alone() {
    let meter = maas();
    let mut host = MemoryHost::post("/health", &[], "");
    let mut stream = MeterStream::default();
    assert_eq!(
        stream.on_request_headers(&meter, &mut host, false),
        Flow::Continue
    );
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    assert!(host.counters.is_empty());
    assert_eq!(host.response_header("x-vsr-cache-hit"), None);
}
