mod memory;
mod output;

use super::*;
use crate::config::Config;
use crate::decision::{LabelRef, Signal};
use crate::guard::Findings;
use crate::host::memory::{Entry, MemoryHost};
use crate::host::{Flow, Host as _};
use crate::metrics::Metric;
use crate::request::Endpoint;

/// Matches the rule named by a word of the text.
#[derive(Debug)]
struct Words;

type RouterStream = super::RouterStream<Words>;

impl Signals for Words {
    type Reading = Found;

    fn topics(&self) -> &[String] {
        &[]
    }

    /// One head, `tone`: texts with `!` are angry.
    fn label(&self, name: &str) -> Option<LabelRef> {
        let label = ["tone:calm", "tone:angry"]
            .iter()
            .position(|l| *l == name)?;
        Some(LabelRef {
            head: 0,
            label,
            every_part: false,
        })
    }

    fn jailbreak_threshold(&self) -> f32 {
        0.7
    }

    fn toxicity_threshold(&self) -> f32 {
        0.7
    }

    fn begin(&self, wanted: Wanted, parts: Vec<Part>) -> Found {
        let angry = parts.iter().any(|part| part.text.contains('!'));
        let labels = vec![Some((usize::from(angry), 1.0))];
        Found {
            labels: if wanted.labels { labels } else { Vec::new() },
            guards: Findings {
                jailbreak: wanted.jailbreak.then(|| {
                    f32::from(u8::from(
                        parts.iter().any(|part| part.text.contains("ATTACK")),
                    ))
                }),
                ..Findings::default()
            },
            ..Found::default()
        }
    }

    fn read(&self, _reading: &mut Found, _go_on: &mut dyn FnMut() -> bool) -> Progress {
        Progress::Done
    }

    fn found(&self, reading: &Found) -> Found {
        reading.clone()
    }

    fn rules(&self, text: &str) -> TextRules {
        TextRules {
            keywords: vec![Signal::of(text.contains("SQL"))],
            structures: Vec::new(),
        }
    }

    fn language(&self, text: &str) -> Option<(&'static str, f32)> {
        text.contains('ß').then_some(("de", 0.9))
    }
}

const CONFIG: &str = "
vllm_endpoints: [{name: l, address: a, port: 1}]
model_config: {small: {reasoning_family: qwen}, big: {reasoning_family: gpt}, coder: {}}
reasoning_families: {qwen: {type: chat_template_kwargs, parameter: enable_thinking}, gpt: {type: reasoning_effort, parameter: reasoning_effort}}
default_model: small
categories: [{name: math}, {name: health}]
keyword_rules: [{name: code, keywords: [SQL]}]
decisions:
  - {name: code, priority: 9, rules: {type: keyword, name: code}, modelRefs: [{model: coder}], plugins: [{type: semantic-cache, configuration: {enabled: false}}]}
  - {name: math, priority: 5, rules: {type: domain, name: math}, modelRefs: [{model: big, use_reasoning: true, reasoning_effort: high}], plugins: [{type: semantic-cache, configuration: {similarity_threshold: 0.95}}]}
  - {name: health, priority: 4, rules: {type: domain, name: health}, modelRefs: [{model: small}]}
";

fn router_with(more: &str) -> Router<Words> {
    let yaml = format!("{CONFIG}\n{more}");
    let config = Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    Router::compile(&config, &["meter".into(), "router".into()], Words)
}

fn router() -> Router<Words> {
    router_with("")
}

fn cached() -> Router<Words> {
    router_with("semantic_cache: {enabled: true, scope: global}")
}

fn chat(model: &str, text: &str) -> MemoryHost {
    let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": text}]});
    MemoryHost::post("/v1/chat/completions", &[], &body.to_string())
}

fn run(router: &Router<Words>, host: &mut MemoryHost) -> (RouterStream, Flow) {
    let mut stream = RouterStream::default();
    let flow = stream.on_request_headers(router, host, false);
    if flow == Flow::Continue || host.reply.is_some() {
        return (stream, flow);
    }
    let flow = stream.on_request_body(router, host);
    (stream, flow)
}

fn answer(
    router: &Router<Words>,
    stream: &mut RouterStream,
    host: &mut MemoryHost,
    body: serde_json::Value,
) {
    stream.on_sidecar_answer(router, host, Some(200), body.to_string().as_bytes());
}

fn upstream_body(host: &MemoryHost) -> serde_json::Value {
    serde_json::from_slice(&host.request_body).unwrap()
}

fn error_code(host: &MemoryHost) -> (u16, String) {
    let reply = host.reply.as_ref().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    (
        reply.status,
        body["error"]["code"].as_str().unwrap().to_owned(),
    )
}

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
    answer(
        &router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.9}}),
    );
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
    answer(
        &router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.4}}),
    );
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("small")
    );
    assert_eq!(host.state["turnpike.decision"], "default");
    assert_eq!(host.state["turnpike.category"], "none");
}

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

fn hit(similarity: f32, model: &str, decision: &str) -> serde_json::Value {
    serde_json::json!({
        "category": {"label": "math", "confidence": 0.9},
        "cache": {"status": "hit", "similarity": similarity, "model": model, "decision": decision, "category": "math", "age_seconds": 7, "body": "{\"cached\": true}"}
    })
}

#[test]
fn a_stored_answer_is_given_byte_for_byte() {
    let (router, mut host) = (cached(), chat("auto", "2+2?"));
    let (mut stream, _) = run(&router, &mut host);
    assert_eq!(
        host.asked[0].1["cache"]["partition"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    answer(&router, &mut stream, &mut host, hit(0.97, "big", "math"));
    let reply = host.reply.as_ref().unwrap();
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (200, b"{\"cached\": true}".as_slice())
    );
    assert_eq!(reply.headers, [("age", "7".to_owned())]);
    assert_eq!(
        (
            host.state["turnpike.cache"].as_str(),
            host.state["turnpike.model"].as_str()
        ),
        ("hit", "big")
    );
    assert!(!host.resumed);
}

#[test]
fn an_exact_hit_carries_its_category() {
    let (router, mut host) = (cached(), chat("auto", "2+2?"));
    let (mut stream, _) = run(&router, &mut host);
    let mut exact = hit(1.0, "big", "math");
    exact.as_object_mut().unwrap().remove("category");
    answer(&router, &mut stream, &mut host, exact);
    assert!(host.reply.is_some());
    assert_eq!(host.state["turnpike.category"], "math");
}

#[test]
fn a_stored_answer_that_the_route_would_not_give_is_a_miss() {
    for stored in [
        hit(0.9, "big", "math"),
        hit(0.99, "small", "math"),
        hit(0.99, "big", "health"),
    ] {
        let (router, mut host) = (cached(), chat("auto", "2+2?"));
        let (mut stream, _) = run(&router, &mut host);
        answer(&router, &mut stream, &mut host, stored.clone());
        assert!(host.reply.is_none(), "{stored}");
        assert_eq!(host.state["turnpike.cache"], "miss");
        assert_eq!(upstream_body(&host)["model"], "big");
    }
}

#[test]
fn a_decision_without_cache_asks_nobody() {
    let (router, mut host) = (cached(), chat("auto", "SQL"));
    run(&router, &mut host);
    assert!(host.asked.is_empty());
    assert!(!host.state.contains_key("turnpike.cache"));
}

fn respond(
    router: &Router<Words>,
    stream: &mut RouterStream,
    host: &mut MemoryHost,
    status: &str,
    content_type: &str,
    body: &str,
    complete: bool,
) {
    host.respond(status, content_type);
    stream.on_response_headers(router, host, false);
    let (a, b) = body.split_at(body.len() / 2);
    for (part, end) in [(a, false), (b, complete)] {
        host.chunk = part.into();
        stream.on_response_body(router, host, part.len(), end);
    }
}

fn missed(router: &Router<Words>) -> (RouterStream, MemoryHost) {
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(router, &mut host);
    answer(
        router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.9}, "cache": {"status": "miss"}}),
    );
    (stream, host)
}

const COMPLETE: &str = r#"{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}"#;

#[test]
fn a_complete_answer_is_stored_under_its_question() {
    let router = cached();
    let (mut stream, mut host) = missed(&router);
    respond(
        &router,
        &mut stream,
        &mut host,
        "200",
        "application/json",
        COMPLETE,
        true,
    );
    let entry = &host.stored[0];
    assert_eq!(
        (entry.text.as_str(), entry.body.as_str()),
        ("2+2?", COMPLETE)
    );
    assert_eq!(
        (
            entry.model.as_str(),
            entry.decision.as_str(),
            entry.category.as_str()
        ),
        ("big", "math", "math")
    );
    assert_eq!(host.asked[0].1["cache"]["partition"], entry.partition);
}

#[test]
fn a_stream_is_handed_to_the_cache_as_it_passed() {
    let router = cached();
    let (mut stream, mut host) = missed(&router);
    let body = "data: {}\n\ndata: [DONE]\n\n";
    respond(
        &router,
        &mut stream,
        &mut host,
        "200",
        "text/event-stream",
        body,
        true,
    );
    assert!(host.stored[0].streamed);
    assert_eq!(host.stored[0].body, body);
}

#[test]
fn what_a_worker_holds_for_the_cache_is_given_back() {
    let router = cached();
    for complete in [true, false] {
        let (mut stream, mut host) = missed(&router);
        respond(
            &router,
            &mut stream,
            &mut host,
            "200",
            "application/json",
            COMPLETE,
            complete,
        );
        assert_eq!(
            router.captured.bytes() > 0,
            !complete,
            "a stream in progress holds its part"
        );
        drop(stream);
        assert_eq!(router.captured.bytes(), 0);
    }
}

#[test]
fn a_client_may_ask_the_cache_for_less_where_that_is_allowed() {
    let allowed = "semantic_cache: {enabled: true, scope: global, request_control: true}";
    let asked = |yaml: &str, headers: &[(&str, &str)]| {
        let router = router_with(yaml);
        let mut host = chat("auto", "2+2?");
        for (name, value) in headers {
            host.set_request_header(name, value.as_bytes()).unwrap();
        }
        let (stream, _) = run(&router, &mut host);
        let cache = host.asked.first().map(|(_, body)| body["cache"].clone());
        (cache.unwrap_or_default(), stream, host)
    };
    let (cache, ..) = asked(allowed, &[]);
    assert!(cache.is_object() && cache.get("max_age_seconds").is_none());
    let (cache, _, host) = asked(
        allowed,
        &[
            ("cache-control", "max-age=60"),
            ("x-turnpike-cache-similarity", "0.99"),
        ],
    );
    assert_eq!(cache["max_age_seconds"], 60);
    assert!((cache["similarity_threshold"].as_f64().unwrap() - 0.99).abs() < 1e-6);
    assert_eq!(
        host.request_header("x-turnpike-cache-similarity"),
        None,
        "not for the server"
    );
    let (cache, _, host) = asked(allowed, &[("cache-control", "no-store")]);
    assert!(cache.is_null());
    assert_eq!(host.counter(Metric::CacheSkipped, &["no_store"]), 1);
    let (cache, ..) = asked(allowed, &[("cache-control", "no-cache")]);
    assert!(cache.is_null(), "not looked up");
    for header in ["no-store", "no-cache", "max-age=0"] {
        let not_allowed = "semantic_cache: {enabled: true, scope: global}";
        let (cache, ..) = asked(not_allowed, &[("cache-control", header)]);
        assert!(
            cache.is_object() && cache.get("max_age_seconds").is_none(),
            "{header}"
        );
    }
}

#[test]
fn anything_else_is_not_stored() {
    let router = router_with(
        "semantic_cache: {enabled: true, scope: global}\nlimits: {max_cached_body_bytes: 200}",
    );
    let long = COMPLETE.replace("\"4\"", &format!("\"{}\"", "4".repeat(300)));
    for (status, content_type, body, complete) in [
        ("200", "application/json", COMPLETE, false),
        ("500", "application/json", COMPLETE, true),
        ("200", "text/plain", COMPLETE, true),
        ("200", "application/json", long.as_str(), true),
    ] {
        let (mut stream, mut host) = missed(&router);
        respond(
            &router,
            &mut stream,
            &mut host,
            status,
            content_type,
            body,
            complete,
        );
        assert!(
            host.stored.is_empty(),
            "{status} {content_type} {body} {complete}"
        );
    }
}

#[test]
fn users_do_not_share_answers() {
    let router = router_with("semantic_cache: {enabled: true}\nmaas_integration: {enabled: true}");
    let ask = |user: Option<&str>| {
        let mut host = chat("auto", "2+2?");
        if let Some(user) = user {
            host.state.insert("turnpike.user".into(), user.into());
            host.state
                .insert("turnpike.identified".into(), "user,tier".into());
        } else {
            host.state.insert("turnpike.user".into(), "unknown".into());
            host.state
                .insert("turnpike.identified".into(), "tier".into());
        }
        run(&router, &mut host);
        (host.asked[0].1["cache"]["partition"].clone(), host)
    };
    assert_ne!(ask(Some("alice")).0, ask(Some("bob")).0);
    assert_eq!(ask(Some("alice")).0, ask(Some("alice")).0);
    let (partition, host) = ask(None);
    assert!(partition.is_null());
    assert_eq!(host.counter(Metric::CacheSkipped, &["no_identity"]), 1);
}

#[test]
fn a_cache_that_fails_does_not_change_the_route() {
    let yaml = format!("{CONFIG}\nsemantic_cache: {{enabled: true, scope: global}}").replace(
        "configuration: {enabled: false}",
        "configuration: {enabled: true}",
    );
    let config = Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap();
    let router = Router::compile(&config, &["router".into()], Words);
    let mut host = chat("auto", "write SQL");
    let (mut stream, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    assert_eq!(host.asked[0].1["heads"], serde_json::json!([]));
    stream.on_sidecar_answer(&router, &mut host, None, b"");
    assert_eq!(
        host.request_header("x-selected-model").as_deref(),
        Some("coder")
    );
    assert_eq!(host.state["turnpike.decision"], "code");
    assert_eq!(host.counter(Metric::Fallbacks, &["sidecar_unavailable"]), 1);
}

#[test]
fn a_model_that_the_client_named_is_never_answered_from_the_cache() {
    let (router, mut host) = (cached(), chat("small", "2+2?"));
    let (_, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Continue);
    assert!(host.asked.is_empty());
    assert!(!host.state.contains_key("turnpike.cache"));
}

#[test]
fn reasoning_is_told_the_way_the_family_wants_it_unless_the_client_did() {
    let router = router();
    let health = |body: serde_json::Value| {
        let mut host = MemoryHost::post("/v1/chat/completions", &[], &body.to_string());
        let (mut stream, _) = run(&router, &mut host);
        answer(
            &router,
            &mut stream,
            &mut host,
            serde_json::json!({"category": {"label": "health", "confidence": 0.9}}),
        );
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
}

#[test]
fn streams_are_asked_for_usage_only_when_a_meter_takes_it_out_again() {
    let config = Config::from_value(serde_saphyr::from_str(CONFIG).unwrap()).unwrap();
    for (filters, asked) in [
        (vec!["meter".to_owned(), "router".to_owned()], true),
        (vec!["router".to_owned()], false),
    ] {
        let router = Router::compile(&config, &filters, Words);
        let body = r#"{"model":"small","stream":true,"messages":[]}"#;
        let mut host = MemoryHost::post("/v1/chat/completions", &[], body);
        run(&router, &mut host);
        assert_eq!(
            upstream_body(&host)["stream_options"]["include_usage"] == true,
            asked
        );
        assert_eq!(
            crate::record::Record::published(&mut host).usage_requested,
            asked
        );
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

#[test]
fn a_second_end_of_the_body_does_not_let_go_what_waits_for_the_sidecar() {
    let (router, mut host) = (router(), chat("auto", "What is 2 + 2?"));
    let (mut stream, flow) = run(&router, &mut host);
    assert_eq!(flow, Flow::Pause);
    assert_eq!(stream.on_request_body(&router, &mut host), Flow::Pause);
    answer(
        &router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.9}}),
    );
    assert_eq!(upstream_body(&host)["model"], "big");
}

const ANGRY: &str = "
classifier: {heads: [{path: tone.json, content: {name: tone, labels: [calm, angry]}}]}
decisions: [{name: soothe, priority: 7, rules: {type: head, name: 'tone:angry'}, modelRefs: [{model: big}]}, {name: math, rules: {type: domain, name: math}, modelRefs: [{model: coder}]}]
";

fn with_tone() -> Router<Words> {
    let (before, _) = CONFIG.split_once("decisions:").unwrap();
    let config = serde_saphyr::from_str(&format!("{before}{ANGRY}")).unwrap();
    let config = Config::from_value(config).unwrap();
    assert_eq!(config.validate(), []);
    Router::compile(&config, &["router".into()], Words)
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
    answer(
        &router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.9}}),
    );
    assert_eq!(host.state["turnpike.decision"], "math");
}

const ASKED: &str = "
semantic_cache: {enabled: true, scope: global}
sidecar: {heads: [{name: intent, path: intent.json}], llm_classifier: {url: 'http://127.0.0.1:1/v1', model: m}}
";

/// Decisions by heads of the sidecar, before all others.
fn asking() -> Router<Words> {
    let decisions = "decisions:
  - {name: refund, priority: 8, rules: {type: head, name: 'intent:refund'}, modelRefs: [{model: coder}]}
  - {name: hard, priority: 7, rules: {operator: AND, conditions: [{type: llm, name: COMPLEX}, {type: domain, name: math}]}, modelRefs: [{model: big}]}";
    let yaml = format!("{}{ASKED}", CONFIG.replace("decisions:", decisions));
    let config = Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    Router::compile(&config, &["router".into()], Words)
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
    let config = Config::from_value(serde_saphyr::from_str(yaml).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    Router::compile(&config, &["meter".into(), "router".into()], Words)
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
