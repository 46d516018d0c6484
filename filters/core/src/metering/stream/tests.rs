use super::*;
use crate::config::Config;
use crate::host::memory::{Entry, MemoryHost};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;

fn config(maas: &str) -> Config {
    let yaml = format!(
        "{{vllm_endpoints: [{{name: l, address: a, port: 1}}], model_config: {{qwen3: {{}}}}, default_model: qwen3{maas}}}"
    );
    Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap()
}

fn maas() -> Meter {
    Meter::compile(
        &config(", maas_integration: {enabled: true}"),
        &["meter".into(), "router".into()],
        &mut MemoryHost::default(),
    )
}

fn with_router(config: &Config) -> Meter {
    Meter::compile(
        config,
        &["meter".into(), "router".into()],
        &mut MemoryHost::default(),
    )
}

fn alone(maas: &str) -> Meter {
    Meter::compile(&config(maas), &["meter".into()], &mut MemoryHost::default())
}

fn request(host: &mut MemoryHost, meter: &Meter) -> MeterStream {
    let mut stream = MeterStream::default();
    stream.on_request_headers(meter, host, false);
    stream.on_request_body(meter, host);
    stream
}

fn respond(
    stream: &mut MeterStream,
    meter: &Meter,
    host: &mut MemoryHost,
    chunks: &[&str],
) -> String {
    stream.on_response_headers(meter, host, false);
    let mut sent = String::new();
    for (i, chunk) in chunks.iter().enumerate() {
        host.chunk = chunk.as_bytes().into();
        stream.on_response_body(host, chunk.len(), i + 1 == chunks.len());
        sent.push_str(std::str::from_utf8(&host.chunk).unwrap());
    }
    sent
}

fn alice(body: &str) -> MemoryHost {
    let headers = [
        ("x-auth-request-user", "alice"),
        ("x-auth-request-tier", "gold"),
    ];
    MemoryHost::post(CHAT, &headers, body)
}

/// What a router would have published.
fn routed(host: &mut MemoryHost) {
    routed_with(host, |_| {});
}

fn routed_with(host: &mut MemoryHost, change: impl Fn(&mut Record)) {
    let mut record = Record {
        model: "qwen3".into(),
        decision: "math".into(),
        category: "math".into(),
        reasoning: true,
        cache: Cache::Miss,
        ..Record::default()
    };
    change(&mut record);
    record.publish(host, true);
}

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
    assert_eq!(
        host.counter(Metric::Requests, &["alice", "gold", "qwen3", "math"]),
        1
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
        3
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "completion"]),
        5
    );
    assert_eq!(host.counter(Metric::CacheMisses, &who), 1);
    assert_eq!(host.counter(Metric::ReasoningRequests, &who), 1);
    assert_eq!(host.counters.len(), 5, "{:?}", host.counters);
    assert_eq!(host.state["turnpike.completion_tokens"], "5");
}

#[test]
fn facts_become_response_headers() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
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
fn a_cache_hit_costs_no_tokens() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed_with(&mut host, |r| r.cache = Cache::Hit);

    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    assert_eq!(
        host.counter(Metric::CacheHits, &["alice", "gold", "qwen3"]),
        1
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
        0
    );
    assert_eq!(
        host.response_header("x-vsr-cache-hit").as_deref(),
        Some("true")
    );
}

#[test]
fn a_stream_cut_off_is_charged_what_was_seen() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed_with(&mut host, |r| r.prompt_bytes = 9);
    host.respond("200", "text/event-stream");
    stream.on_response_headers(&meter, &mut host, false);
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"twelve chars\"}}]}\n\n";
    host.chunk = chunk.into();
    stream.on_response_body(&mut host, chunk.len(), false);
    stream.on_log(&meter, &mut host);
    for (metric, kind, tokens) in [
        (Metric::Tokens, "prompt", 3),
        (Metric::Tokens, "completion", 3),
        (Metric::TokensEstimated, "completion", 3),
    ] {
        assert_eq!(
            host.counter(metric, &["alice", "gold", "qwen3", kind]),
            tokens
        );
    }
    assert_eq!(host.state["turnpike.estimated"], "true");
}

#[test]
fn a_client_that_leaves_before_the_response_is_a_request_without_tokens() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
    stream.on_log(&meter, &mut host);
    assert_eq!(
        host.counter(Metric::Requests, &["alice", "gold", "qwen3", "math"]),
        1
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
        0
    );
}

#[test]
fn errors_of_the_server_cost_nothing_but_are_counted() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed_with(&mut host, |r| r.prompt_bytes = 900);
    host.respond("503", "application/json");
    respond(
        &mut stream,
        &meter,
        &mut host,
        &["{\"error\":{\"message\":\"text\"}}"],
    );
    stream.on_log(&meter, &mut host);
    assert_eq!(
        host.counter(Metric::Requests, &["alice", "gold", "qwen3", "math"]),
        1
    );
    assert!(!host.counters.keys().any(|k| k.contains("tokens")));
}

#[test]
fn spoofed_headers_are_stripped() {
    let meter = maas();
    let mut host = alice("{}");
    for name in ["x-vsr-cache-hit", "x-vsr-anything", "x-selected-model"] {
        host.request_headers.push(Entry {
            name: name.into(),
            value: b"forged".to_vec(),
        });
    }
    request(&mut host, &meter);
    assert!(!host.request_headers.iter().any(|h| h.value == b"forged"));
    assert_eq!(
        host.request_header("x-auth-request-user").as_deref(),
        Some("alice")
    );
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
fn models_that_nobody_configured_share_a_label() {
    let meter = alone("");
    let mut host = alice(r#"{"model":"made-up-by-the-client","messages":[]}"#);
    let mut stream = request(&mut host, &meter);
    stream.on_log(&meter, &mut host);
    assert_eq!(host.counter(Metric::ModelRequests, &["unknown"]), 1);
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

#[test]
fn switched_off_exports_are_off() {
    let switched = config(
        ", maas_integration: {enabled: true, metrics: {export_token_metrics: false, export_cache_metrics: false, export_routing_metrics: false}, headers: {export_routing: false, export_cache: false}}",
    );
    let meter = with_router(&switched);
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    assert!(host.counters.is_empty());
    assert_eq!(host.response_headers.len(), 2);
}

#[test]
fn the_prefix_of_response_headers_is_the_configured_one() {
    let config = config(", maas_integration: {enabled: true, headers: {prefix: X-Bill-}}");
    let meter = with_router(&config);
    let mut host = alice("{}");
    host.request_headers.push(Entry {
        name: "x-bill-decision".into(),
        value: b"forged".to_vec(),
    });
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
fn a_body_that_cannot_be_replaced_does_not_go_upstream() {
    let meter = alone("");
    let mut host = alice(r#"{"model":"qwen3","stream":true,"messages":[]}"#);
    host.body_cannot_be_replaced = true;
    let mut stream = MeterStream::default();
    stream.on_request_headers(&meter, &mut host, false);
    assert_eq!(stream.on_request_body(&meter, &mut host), Flow::Pause);
    assert_eq!(host.reply.unwrap().status, 500);
}

fn maas_with(more: &str) -> Meter {
    with_router(&config(&format!(
        ", maas_integration: {{enabled: true, {more}}}"
    )))
}

/// A whole request of alice with this answer.
fn settle(meter: &Meter, host: &mut MemoryHost, answer: &str) {
    let mut stream = request(host, meter);
    routed(host);
    host.respond("200", "application/json");
    respond(&mut stream, meter, host, &[answer]);
    stream.on_log(meter, host);
}

const DETAILED: &str = r#"{"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":40}}}"#;

#[test]
fn cached_and_reasoning_tokens_are_told_apart_where_asked() {
    let tokens = |host: &MemoryHost, kind: &str| {
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", kind])
    };
    let mut host = alice("{}");
    settle(&maas(), &mut host, DETAILED);
    assert_eq!(
        (tokens(&host, "prompt"), tokens(&host, "completion")),
        (30, 50)
    );
    assert_eq!(
        (tokens(&host, "cached"), tokens(&host, "reasoning")),
        (0, 0)
    );
    let mut host = alice("{}");
    settle(
        &maas_with("metrics: {extra_token_types: [cached, reasoning]}"),
        &mut host,
        DETAILED,
    );
    assert_eq!(
        (
            tokens(&host, "prompt"),
            tokens(&host, "cached"),
            tokens(&host, "reasoning")
        ),
        (30, 10, 40)
    );
}

fn priced(maas: &str) -> Meter {
    let yaml = format!(
        "{{vllm_endpoints: [{{name: l, address: a, port: 1}}], model_config: {{qwen3: {{pricing: {{currency: USD, prompt_per_1m: 2, completion_per_1m: 10, cached_input_per_1m: 0.5, cache_hit_per_1m: 0.1}}}}}}, default_model: qwen3{maas}}}"
    );
    with_router(&Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap())
}

#[test]
fn cost_is_calculated_standalone_and_hybrid_but_not_in_maas_mode() {
    for (maas, cost) in [
        ("", 545),
        (
            ", maas_integration: {enabled: true, metrics: {internal_cost_calculation: true}}",
            545,
        ),
        (", maas_integration: {enabled: true}", 0),
    ] {
        let mut host = alice("{}");
        settle(&priced(maas), &mut host, DETAILED);
        // 20 × 2 + 10 × 0.5 + 50 × 10 millionths
        assert_eq!(
            host.counter(Metric::ModelCost, &["qwen3", "USD"]),
            cost,
            "{maas}"
        );
        let standard = host.counter(Metric::ModelTokens, &["qwen3"]);
        assert_eq!(
            standard > 0,
            maas.is_empty(),
            "hybrid mode keeps the standard token metrics off"
        );
    }
}

#[test]
fn a_cache_hit_counts_tokens_only_where_asked_and_has_its_own_price() {
    let hit = |meter: &Meter| {
        let mut host = alice("{}");
        let mut stream = request(&mut host, meter);
        routed_with(&mut host, |r| r.cache = Cache::Hit);
        host.respond("200", "application/json");
        respond(&mut stream, meter, &mut host, &[DETAILED]);
        stream.on_log(meter, &mut host);
        host
    };
    let tokens =
        |host: &MemoryHost| host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]);
    assert_eq!(tokens(&hit(&maas())), 0);
    assert_eq!(
        tokens(&hit(&maas_with("metrics: {cache_hit_tokens: full}"))),
        30
    );
    let host = hit(&priced(
        ", maas_integration: {enabled: true, metrics: {internal_cost_calculation: true}}",
    ));
    // 80 tokens × 0.1 millionths
    assert_eq!(
        (
            tokens(&host),
            host.counter(Metric::ModelCost, &["qwen3", "USD"])
        ),
        (0, 8)
    );
}

#[test]
fn words_of_guards_are_counted_and_told() {
    let meter = maas_with("external_guards: true, headers: {export_security: true}");
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
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
fn latency_is_measured_by_tier_and_model_never_by_user() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
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
fn sampled_counts_are_scaled() {
    let meter = maas_with("metrics: {sample_rate: 0.5}");
    let mut host = alice("{}");
    for _ in 0..2000 {
        settle(&meter, &mut host, ANSWER);
    }
    let requests = host.counter(Metric::Requests, &["alice", "gold", "qwen3", "math"]);
    // Every counted request counts for two; the standard deviation of their sum is 45.
    assert!(
        (1750..2250).contains(&requests) && requests.is_multiple_of(2),
        "{requests}"
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
        requests * 3
    );
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
fn compressed_answers_are_said_to_be_unreadable() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
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
fn an_answer_that_broke_off_is_marked_even_where_usage_was_reported_on_the_way() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
    host.respond("200", "text/event-stream");
    stream.on_response_headers(&meter, &mut host, false);
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n";
    host.chunk = chunk.into();
    stream.on_response_body(&mut host, chunk.len(), false);
    stream.on_log(&meter, &mut host);
    for (metric, kind, tokens) in [
        (Metric::Tokens, "prompt", 4),
        (Metric::Tokens, "completion", 2),
        (Metric::TokensEstimated, "completion", 2),
    ] {
        assert_eq!(
            host.counter(metric, &["alice", "gold", "qwen3", kind]),
            tokens
        );
    }
}

#[test]
fn a_half_that_no_server_reported_is_estimated() {
    let mut host = alice("{}");
    let answer = r#"{"choices":[{"message":{"content":"eight by"}}],"usage":{"prompt_tokens":9,"completion_tokens":-7}}"#;
    settle(&maas(), &mut host, answer);
    let tokens =
        |metric: Metric, kind: &str| host.counter(metric, &["alice", "gold", "qwen3", kind]);
    assert_eq!(
        (
            tokens(Metric::Tokens, "prompt"),
            tokens(Metric::Tokens, "completion")
        ),
        (9, 2)
    );
    assert_eq!(tokens(Metric::TokensEstimated, "completion"), 2);
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
        host.respond("200", "text/event-stream");
        stream.on_response_headers(&meter, &mut host, false);
        let chunk = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"forty characters of text, or nearly that.\"}}\n\n";
        host.chunk = chunk.into();
        stream.on_response_body(&mut host, chunk.len(), is_guarded);
        if is_guarded {
            host.state
                .insert(state::BLOCK.into(), "response_blocked".into());
        }
        stream.on_log(&meter, &mut host);
        assert_eq!(
            host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
            25
        );
        assert_eq!(
            host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "completion"]),
            11
        );
    }
}

#[test]
fn embeddings_have_no_completion_to_estimate() {
    let mut host = alice("{}");
    settle(
        &maas(),
        &mut host,
        r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    );
    assert_eq!(
        host.counter(Metric::Tokens, &["alice", "gold", "qwen3", "prompt"]),
        8
    );
    assert!(!host.counters.keys().any(|k| k.contains("estimated")));
}

#[test]
fn a_servers_words_under_our_names_do_not_reach_the_client() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed(&mut host);
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
fn a_cache_hit_is_no_reasoning_request() {
    let meter = maas();
    let mut host = alice("{}");
    let mut stream = request(&mut host, &meter);
    routed_with(&mut host, |r| r.cache = Cache::Hit);

    host.respond("200", "application/json");
    respond(&mut stream, &meter, &mut host, &[ANSWER]);
    stream.on_log(&meter, &mut host);
    assert_eq!(
        host.counter(Metric::ReasoningRequests, &["alice", "gold", "qwen3"]),
        0
    );
}

#[test]
fn underscores_do_not_hide_a_spoofed_header() {
    let meter = maas();
    let mut host = alice("{}");
    for name in ["x_vsr_cache_hit", "x-selected_model"] {
        host.request_headers.push(Entry {
            name: name.into(),
            value: b"forged".to_vec(),
        });
    }
    request(&mut host, &meter);
    assert!(!host.request_headers.iter().any(|h| h.value == b"forged"));
}
