//! Stored answers: when one is given, what is stored, who shares it.

use super::*;

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

#[test]
fn a_complete_answer_is_stored_under_its_question() {
    let router = cached();
    let (mut stream, mut host) = missed(&router);
    respond(&router, &mut stream, &mut host, OK, COMPLETE, true);
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
        ("200", "text/event-stream"),
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
        respond(&router, &mut stream, &mut host, OK, COMPLETE, complete);
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
        ("200", JSON, COMPLETE, false),
        ("500", JSON, COMPLETE, true),
        ("200", "text/plain", COMPLETE, true),
        ("200", JSON, long.as_str(), true),
    ] {
        let (mut stream, mut host) = missed(&router);
        respond(
            &router,
            &mut stream,
            &mut host,
            (status, content_type),
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
    let router = compiled(&yaml, &ALONE);
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
