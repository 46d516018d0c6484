//! What saves work: the memory of texts, and waiting for the answer to the same request.

use super::heads::{asking, with_tone};
use super::*;

const COALESCING: &str = "semantic_cache: {enabled: true, scope: global, coalesce_wait_ms: 3000}";

fn in_flight() -> serde_json::Value {
    serde_json::json!({"cache": {"status": "in_flight"}})
}

fn miss() -> serde_json::Value {
    serde_json::json!({"category": {"label": "math", "confidence": 0.9}, "cache": {"status": "miss"}, "leads": true})
}

/// The ticket of the first lookup.
fn ticket(host: &MemoryHost) -> u64 {
    let ticket = &host.asked[0].1["cache"]["coalescing"]["ticket"];
    ticket.as_u64().unwrap()
}

/// A request that missed and went upstream.
fn upstream(router: &Router<Words>) -> (RouterStream, MemoryHost) {
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(router, &mut host);
    answer(router, &mut stream, &mut host, miss());
    assert!(host.resumed);
    (stream, host)
}

#[test]
fn a_request_whose_answer_is_on_its_way_asks_again_and_waits() {
    let (router, mut host) = (router_with(COALESCING), chat("auto", "2+2?"));
    let (mut stream, _) = run(&router, &mut host);
    let coalescing = &host.asked[0].1["cache"]["coalescing"];
    assert_eq!(coalescing["wait_ms"], 3000);
    assert_eq!(coalescing["wait"], false);
    assert_ne!(ticket(&host), 0);
    assert_eq!(host.waits_ms, 0);
    answer(&router, &mut stream, &mut host, in_flight());
    assert!(!host.resumed && host.reply.is_none());
    assert_eq!(host.asked.len(), 2);
    assert_eq!(host.waits_ms, 3000);
    let mut again = host.asked[0].1.clone();
    again["cache"]["coalescing"]["wait"] = true.into();
    again["cache"]["coalescing"]["ticket"] = 0.into();
    assert_eq!(host.asked[1].1, again);
    answer(&router, &mut stream, &mut host, hit(1.0, "big", "math"));
    assert_eq!(host.reply.as_ref().unwrap().status, 200);
    assert_eq!(host.state["turnpike.cache"], "hit");
}

#[test]
fn one_that_waited_in_vain_goes_upstream_and_never_asks_a_third_time() {
    let waited = |end: &dyn Fn(&Router<Words>, &mut RouterStream, &mut MemoryHost)| {
        let (router, mut host) = (router_with(COALESCING), chat("auto", "2+2?"));
        let (mut stream, _) = run(&router, &mut host);
        answer(&router, &mut stream, &mut host, in_flight());
        end(&router, &mut stream, &mut host);
        assert!(host.resumed);
        assert_eq!(host.asked.len(), 2);
        drop(stream);
        assert_eq!(router.take_releases(), [0; 0], "it never led");
        host
    };
    let host = waited(&|router, stream, host| {
        let mut miss = miss();
        miss["leads"] = false.into();
        answer(router, stream, host, miss);
    });
    assert_eq!(host.state["turnpike.cache"], "miss");
    let host = waited(&|router, stream, host| answer(router, stream, host, in_flight()));
    assert_eq!(host.counter(Metric::Fallbacks, &["sidecar_bad_answer"]), 1);
    let host = waited(&|router, stream, host| stream.on_sidecar_answer(router, host, None, b""));
    assert_eq!(host.counter(Metric::Fallbacks, &["sidecar_unavailable"]), 1);
}

#[test]
fn those_who_wait_are_told_when_an_answer_will_not_be_stored() {
    let router = router_with(COALESCING);
    // The client leaves before and behind the lookup's answer, the server fails, the answer is broken off.
    let mut host = chat("auto", "2+2?");
    let (stream, _) = run(&router, &mut host);
    drop(stream);
    assert_eq!(router.take_releases(), [ticket(&host)]);
    let (stream, host) = upstream(&router);
    drop(stream);
    assert_eq!(router.take_releases(), [ticket(&host)]);
    assert_eq!(router.take_releases(), [0; 0]);
    for (status, complete) in [("500", true), ("200", false)] {
        let (mut stream, mut host) = upstream(&router);
        respond(
            &router,
            &mut stream,
            &mut host,
            (status, JSON),
            COMPLETE,
            complete,
        );
        drop(stream);
        assert_eq!(router.take_releases(), [ticket(&host)]);
    }
    // The sidecar itself tells of what it stored.
    let (mut stream, mut host) = upstream(&router);
    respond(&router, &mut stream, &mut host, OK, COMPLETE, true);
    assert_eq!(host.stored[0].ticket, Some(ticket(&host)));
    drop(stream);
    assert_eq!(router.take_releases(), [0; 0]);
    // Another one leads.
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(&router, &mut host);
    let mut alone = miss();
    alone["leads"] = false.into();
    answer(&router, &mut stream, &mut host, alone);
    respond(&router, &mut stream, &mut host, OK, COMPLETE, true);
    assert_eq!(host.stored[0].ticket, None);
    drop(stream);
    assert_eq!(router.take_releases(), [0; 0]);
}

#[test]
fn a_lead_ends_where_its_decision_keeps_the_cache_out_or_blocks_it() {
    let yaml = format!("{CONFIG}\n{COALESCING}").replace(
        "configuration: {similarity_threshold: 0.95}",
        "configuration: {enabled: false}",
    );
    let router = compiled(&yaml, &ALONE);
    let (stream, host) = upstream(&router);
    assert_eq!(host.state["turnpike.decision"], "math");
    assert_eq!(router.take_releases(), [ticket(&host)]);
    drop(stream);
    assert_eq!(router.take_releases(), [0; 0]);
}

#[test]
fn who_wants_no_stored_answer_does_not_wait_for_one() {
    let router = router_with(
        "semantic_cache: {enabled: true, scope: global, coalesce_wait_ms: 3000, request_control: true}",
    );
    for (control, coalesces) in [("max-age=1", true), ("max-age=0", false)] {
        let mut host = chat("auto", "2+2?");
        host.request_headers.push(Entry {
            name: "cache-control".into(),
            value: control.into(),
        });
        run(&router, &mut host);
        let cache = &host.asked[0].1["cache"];
        assert_eq!(cache.get("coalescing").is_some(), coalesces, "{control}");
    }
}

#[test]
fn what_is_known_of_a_text_decides_though_the_lookup_fails() {
    let router = cached();
    upstream(&router);
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(&router, &mut host);
    stream.on_sidecar_answer(&router, &mut host, None, b"");
    assert_eq!(host.state["turnpike.decision"], "math");
    assert!(
        !host.state.contains_key("turnpike.cache"),
        "nothing is kept"
    );
    assert_eq!(host.counter(Metric::Fallbacks, &["sidecar_unavailable"]), 1);
}

#[test]
fn nobody_waits_unless_it_is_configured() {
    let router = cached();
    let (stream, host) = upstream(&router);
    assert!(host.asked[0].1["cache"].get("coalescing").is_none());
    drop(stream);
    assert_eq!(router.take_releases(), [0; 0]);
}

#[test]
fn a_hit_tells_how_similar_the_questions_are_where_that_is_wanted() {
    let yaml = format!(
        "{CONFIG}\nsemantic_cache: {{enabled: true, scope: global, export_similarity: true}}"
    );
    for filters in [&ALONE[..], &BOTH] {
        let router = compiled(&yaml, filters);
        let mut host = chat("auto", "2+2?");
        let (mut stream, _) = run(&router, &mut host);
        answer(&router, &mut stream, &mut host, hit(0.97, "big", "math"));
        let headers = &host.reply.as_ref().unwrap().headers;
        let told = headers.contains(&("x-vsr-cache-similarity", "0.9700".to_owned()));
        // A meter reads it in the record and writes the header by the name that is configured.
        assert_eq!(told, !router.has_meter);
        if router.has_meter {
            assert_eq!(Record::published(&mut host).similarity, "0.9700");
        }
    }
}

#[test]
fn a_category_is_asked_for_once_in_300_seconds() {
    let router = router();
    let ask = |seconds: u64, text: &str| {
        let mut host = chat("auto", text);
        host.advance_us(seconds * 1_000_000);
        let (mut stream, flow) = run(&router, &mut host);
        if flow == Flow::Pause {
            answer(&router, &mut stream, &mut host, category("math", 0.9));
        }
        assert_eq!(host.state["turnpike.decision"], "math");
        assert_eq!(upstream_body(&host)["model"], "big");
        (
            host.asked.len(),
            host.counter(Metric::RoutingCacheHits, &[]),
        )
    };
    assert_eq!(ask(1, "2+2?"), (1, 0));
    assert_eq!(ask(299, "2+2?"), (0, 1));
    assert_eq!(ask(299, "2+3?"), (1, 0));
    assert_eq!(ask(302, "2+2?"), (1, 0));
}

#[test]
fn with_a_cache_only_the_lookup_is_left_to_ask() {
    let router = cached();
    upstream(&router);
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(&router, &mut host);
    assert_eq!(host.asked[0].1["heads"], serde_json::json!([]));
    answer(
        &router,
        &mut stream,
        &mut host,
        serde_json::json!({"cache": {"status": "miss"}}),
    );
    assert_eq!(host.state["turnpike.category"], "math");
    assert_eq!(host.state["turnpike.decision"], "math");
}

#[test]
fn a_label_for_want_of_another_is_not_remembered() {
    let router = asking();
    for (defaulted, calls) in [(true, 1), (true, 1), (false, 1), (false, 0)] {
        let mut host = chat("auto", "give me my money back");
        let (mut stream, flow) = run(&router, &mut host);
        let needs = host
            .asked
            .iter()
            .any(|(_, body)| body["heads"] != serde_json::json!([]));
        assert_eq!(usize::from(needs), calls);
        assert_eq!(flow, Flow::Pause, "the cache is asked in any case");
        let body = serde_json::json!({"heads": {"intent": {"refund": 0.9}}, "defaulted": defaulted, "cache": {"status": "miss"}});
        answer(&router, &mut stream, &mut host, body);
        assert_eq!(host.state["turnpike.decision"], "refund");
    }
}

#[test]
fn what_the_proxy_read_itself_is_read_once() {
    let router = with_tone();
    let ask = |text: &str| {
        let mut host = chat("auto", text);
        run(&router, &mut host);
        (
            host.state.get("turnpike.decision").cloned(),
            host.counter(Metric::RoutingCacheHits, &[]),
        )
    };
    assert_eq!(ask("no!").1, 0);
    assert_eq!(ask("no!"), ask("no!"));
    assert_eq!(ask("no!").1, 1);
    assert_eq!(ask("yes").1, 0);
    assert_ne!(ask("no!").0, ask("yes").0);
    let off = router_with("routing_cache: {max_bytes: 0}");
    for _ in 0..2 {
        let mut host = chat("auto", "2+2?");
        let (mut stream, _) = run(&off, &mut host);
        assert_eq!(host.asked.len(), 1);
        answer(&off, &mut stream, &mut host, category("math", 0.9));
    }
}
