//! What a whole request counts, and under which labels.

use super::*;

#[test]
fn a_request_is_counted_once_with_all_its_labels() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    assert_eq!(host.state["turnpike.user"], "alice");
    assert_eq!(host.state["turnpike.identified"], "user,tier");
    routed(&mut host);
    host.respond("200", "application/json");
    assert_eq!(respond(&mut stream, &meter, &mut host, &[ANSWER]), ANSWER);
    stream.on_log(&meter, &mut host);
    stream.on_log(&meter, &mut host);
    let who = ["alice", "gold", "qwen3"];
    assert_eq!(requests(&host), 1);
    assert_eq!(tokens(&host, "prompt"), 3);
    assert_eq!(tokens(&host, "completion"), 5);
    assert_eq!(host.counter(Metric::CacheMisses, &who), 1);
    assert_eq!(host.counter(Metric::ReasoningRequests, &who), 1);
    assert_eq!(host.counters.len(), 5, "{:?}", host.counters);
    assert_eq!(host.state["turnpike.completion_tokens"], "5");
}

#[test]
fn switched_off_exports_are_off() {
    let switched = config(
        ", maas_integration: {enabled: true, metrics: {export_token_metrics: false, export_cache_metrics: false, export_routing_metrics: false}, headers: {export_routing: false, export_cache: false}}",
    );
    let meter = with_router(&switched);
    let (mut host, mut stream) = sent(&meter);
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    assert!(host.counters.is_empty());
    assert_eq!(host.response_headers.len(), 2);
}

#[test]
fn users_above_the_cap_are_other() {
    let meter = maas_with("metrics: {max_users: 2, pinned_users: [vip]}");
    let mut host = MemoryHost::default();
    let mut labels = Vec::new();
    for user in ["a", "b", "vip", "a"] {
        host.request_headers =
            MemoryHost::post(CHAT, &[("x-auth-request-user", user)], "{}").request_headers;
        settle(&meter, &mut host, ANSWER);
        labels.push(user);
    }
    let requests = |user: &str| host.counter(Metric::Requests, &[user, "free", "qwen3", "math"]);
    assert_eq!(
        (
            requests("a"),
            requests("b"),
            requests("vip"),
            requests("other")
        ),
        (2, 0, 1, 1)
    );
    assert_eq!(host.counter(Metric::LabelOverflow, &["user"]), 1);
}

#[test]
fn fallback_identities_are_counted() {
    let mut host = MemoryHost::post(CHAT, &[("x-auth-request-tier", "gold")], "{}");
    settle(&maas(), &mut host, ANSWER);
    assert_eq!(host.counter(Metric::IdentityMissing, &["user"]), 1);
    assert_eq!(host.counter(Metric::IdentityMissing, &["tier"]), 0);
    assert_eq!(
        host.counter(Metric::Requests, &["unknown", "gold", "qwen3", "math"]),
        1
    );
}

#[test]
fn sampled_counts_are_scaled() {
    let meter = maas_with("metrics: {sample_rate: 0.5}");
    let mut host = alice("{}");
    for _ in 0..2000 {
        settle(&meter, &mut host, ANSWER);
    }
    let requests = requests(&host);
    // Every counted request counts for two; the standard deviation of their sum is 45.
    assert!(
        (1750..2250).contains(&requests) && requests.is_multiple_of(2),
        "{requests}"
    );
    assert_eq!(tokens(&host, "prompt"), requests * 3);
}

#[test]
fn latency_is_measured_by_tier_and_model_never_by_user() {
    let meter = maas();
    let (mut host, mut stream) = sent(&meter);
    host.respond("200", "text/event-stream");
    respond(
        &mut stream,
        &meter,
        &mut host,
        &[
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n",
        ],
    );
    stream.on_log(&meter, &mut host);
    for metric in [
        Metric::RequestDuration,
        Metric::TimeToFirstToken,
        Metric::TimePerOutputToken,
    ] {
        assert_eq!(
            host.histograms[&metric.stat_name(&["gold", "qwen3"])].len(),
            1,
            "{metric:?}"
        );
    }
    assert!(!host.histograms.keys().any(|k| k.contains("alice")));
    let mut host = alice("{}");
    settle(
        &maas_with("metrics: {export_latency_metrics: false}"),
        &mut host,
        ANSWER,
    );
    assert!(host.histograms.is_empty());
}

#[test]
fn words_of_guards_are_counted_and_told() {
    let meter = maas_with("external_guards: true, headers: {export_security: true}");
    let (mut host, mut stream) = sent(&meter);
    host.properties.insert(
        "filter_state/wasm.turnpike.pii_types".into(),
        "EMAIL_ADDRESS, PHONE_NUMBER".into(),
    );
    host.properties
        .insert("filter_state/wasm.turnpike.jailbreak".into(), "true".into());
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    for kind in ["EMAIL_ADDRESS", "PHONE_NUMBER"] {
        assert_eq!(
            host.counter(Metric::PiiDetections, &["alice", "gold", kind]),
            1
        );
    }
    assert_eq!(
        host.counter(Metric::JailbreakDetections, &["alice", "gold"]),
        1
    );
    assert_eq!(
        host.response_header("x-vsr-pii-types").as_deref(),
        Some("EMAIL_ADDRESS, PHONE_NUMBER")
    );
    assert_eq!(
        host.response_header("x-vsr-jailbreak-blocked").as_deref(),
        Some("true")
    );
    for off in [
        "external_guards: true, metrics: {export_security_metrics: false}",
        "external_guards: false",
    ] {
        let mut host = alice("{}");
        host.properties
            .insert("filter_state/wasm.turnpike.jailbreak".into(), "true".into());
        settle(&maas_with(off), &mut host, ANSWER);
        assert!(
            !host.counters.keys().any(|k| k.contains("detections")),
            "{off}"
        );
    }
}

#[test]
fn the_time_and_slow_requests_are_told_where_asked() {
    let yaml = "{vllm_endpoints: [{name: l, address: a, port: 1}], model_config: {qwen3: {}}, default_model: qwen3, telemetry: {response_time_header: true, session_header: X-Session-Id, slow_request_ms: 1000}}";
    let meter = with_router(&Config::from_value(serde_saphyr::from_str(yaml).unwrap()).unwrap());
    let mut host = MemoryHost::post(CHAT, &[("x-session-id", "s-1")], "{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
    host.respond("200", "application/json");
    host.advance_us(8_449);
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    let time = host.response_header("x-response-time").unwrap();
    assert!(
        time.starts_with("8.4") && time.ends_with("ms") && time.len() == 6,
        "{time}"
    );
    host.advance_us(2_000_000);
    stream.on_log(&meter, &mut host);
    assert_eq!(host.state["turnpike.session"], "s-1");
    assert_eq!(host.state["turnpike.slow"], "true");
    assert_eq!(host.counter(Metric::SlowRequests, &["math"]), 1);
    assert_eq!(host.warnings.len(), 1);
}
