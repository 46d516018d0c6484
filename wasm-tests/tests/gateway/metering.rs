//! Every token counted, every request once.

use serde_json::json;
use wasm_tests::harness::metrics::scrape;
use wasm_tests::harness::ready::{Page, get};

use crate::gateways::maas;

const TOKENS: &str = "semantic_router_tokens_total";
const REQUESTS: &str = "semantic_router_requests_total";

#[tokio::test]
async fn tokens_are_counted_by_user_tier_model_and_type() {
    let gateway = maas("metering-labels").await;
    let call = gateway.ask("qwen3-8b", "Hello").order("usage", "123,45");
    assert_eq!(call.send().await.unwrap().status, 200);
    for (kind, tokens) in [("prompt", 123), ("completion", 45)] {
        let metric = gateway.stack.metric(TOKENS);
        let metric = metric
            .label("user", "metering-labels")
            .label("tier", "gold")
            .label("model", "qwen3-8b")
            .label("type", kind);
        metric.value(tokens).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_is_counted_once_under_its_decision() {
    let gateway = maas("metering-once").await;
    gateway.ask("auto", "regex").send().await.unwrap();
    let metric = gateway.stack.metric(REQUESTS);
    let metric = metric
        .label("user", "metering-once")
        .label("decision", "code")
        .label("model", "qwen3-coder");
    metric.value(1).await.unwrap();
    gateway.requests(1).await;
}

#[tokio::test]
async fn the_numbers_of_the_server_are_the_numbers_counted() {
    let gateway = maas("metering-real").await;
    let mut prompt = 0;
    let mut completion = 0;
    for length in [1, 17, 90] {
        let body = json!({
            "model": "qwen3-8b", "seed": length, "messages": [{"role": "user", "content": "Hello"}],
        });
        let reply = gateway
            .chat(&body)
            .order("tokens", &length.to_string())
            .send()
            .await
            .unwrap();
        prompt += reply.json()["usage"]["prompt_tokens"].as_u64().unwrap();
        completion += reply.json()["usage"]["completion_tokens"].as_u64().unwrap();
    }
    assert_eq!(completion, 108);
    gateway.counted("prompt", prompt).await;
    gateway.counted("completion", completion).await;
}

#[tokio::test]
async fn two_users_in_two_tiers_are_counted_apart() {
    let gateway = maas("metering-two").await;
    let alice = gateway.stack.client("metering-alice", "gold");
    let bob = gateway.stack.client("metering-bob", "free");
    let (one, two) = tokio::join!(
        alice.ask("qwen3-8b", "a").order("usage", "10,1").send(),
        bob.ask("qwen3-8b", "b").order("usage", "20,2").send(),
    );
    assert!(one.is_ok() && two.is_ok());
    for (user, tier, tokens) in [("metering-alice", "gold", 11), ("metering-bob", "free", 22)] {
        let metric = gateway.stack.metric(TOKENS);
        let metric = metric.label("user", user).label("tier", tier);
        metric.value(tokens).await.unwrap();
    }
}

#[tokio::test]
async fn what_envoy_counts_is_what_the_servers_served() {
    let gateway = maas("metering-reconcile").await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let model = ["qwen3-8b", "qwen3-coder"][number % 2];
        let body = json!({
            "model": model, "stream": number % 3 == 0, "seed": number,
            "messages": [{"role": "user", "content": format!("question number {number}")}],
        });
        calls.spawn(gateway.chat(&body).send());
    }
    while let Some(reply) = calls.join_next().await {
        assert_eq!(reply.unwrap().unwrap().status, 200);
    }
    let served = gateway.stack.records().served();
    let mine = served
        .iter()
        .filter(|((_, user), _)| user == "metering-reconcile");
    let (prompt, completion) = mine.fold((0, 0), |(p, c), (_, usage)| {
        (p + usage.prompt_tokens, c + usage.completion_tokens)
    });
    assert!(prompt > 0 && completion > 0);
    gateway.counted("prompt", prompt).await;
    gateway.counted("completion", completion).await;
    gateway.requests(40).await;
}

#[tokio::test]
async fn usage_is_found_whatever_the_chunks() {
    let gateway = maas("metering-split").await;
    for split in ["1", "2", "3", "7", "64"] {
        // Another `user` member for each, or the cache would answer.
        let body = json!({
            "model": "qwen3-8b", "user": split, "messages": [{"role": "user", "content": "Hello"}],
        });
        let call = gateway
            .chat(&body)
            .order("split", split)
            .order("chunked", "1")
            .order("usage", "100,10");
        assert_eq!(call.send().await.unwrap().status, 200);
    }
    gateway.counted("prompt", 500).await;
    gateway.counted("completion", 50).await;
}

#[tokio::test]
async fn a_text_that_looks_like_usage_is_not_usage() {
    let gateway = maas("metering-fake").await;
    let fake = r#"{"usage":{"prompt_tokens":999999,"completion_tokens":999999}}"#;
    let reply = gateway
        .ask("qwen3-8b", "Hello")
        .answered_with(fake)
        .order("usage", "3,4")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.content(), fake);
    gateway.counted("prompt", 3).await;
    gateway.counted("completion", 4).await;
}

#[tokio::test]
async fn a_server_that_reports_no_usage_is_estimated() {
    let gateway = maas("metering-estimated").await;
    let reply = gateway
        .ask("qwen3-8b", "Hello")
        .order("no-usage", "1")
        .send()
        .await
        .unwrap();
    assert!(reply.json().get("usage").is_none());
    let metric = gateway
        .stack
        .metric("semantic_router_tokens_estimated_total");
    let metric = metric.label("user", "metering-estimated");
    metric.at_least(2).await.unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("estimated"), "true");
}

#[tokio::test]
async fn the_servers_error_costs_nothing_and_counts_once() {
    let gateway = maas("metering-error").await;
    let call = gateway.ask("qwen3-8b", "Hello").order("status", "400");
    assert_eq!(call.send().await.unwrap().status, 400);
    gateway.requests(1).await;
    gateway.counted("prompt", 0).await;
}

#[tokio::test]
async fn reasoning_requests_are_counted() {
    let gateway = maas("metering-reasoning").await;
    gateway
        .ask("auto", "What is the derivative of e to the x?")
        .send()
        .await
        .unwrap();
    let metric = gateway
        .stack
        .metric("semantic_router_reasoning_requests_total");
    let metric = metric
        .label("user", "metering-reasoning")
        .label("model", "gpt-oss-120b");
    metric.value(1).await.unwrap();
}

#[tokio::test]
async fn completions_are_counted_too() {
    let gateway = maas("metering-completion").await;
    let body = json!({"model": "qwen3-8b", "prompt": "once upon a time"});
    gateway
        .post("/v1/completions", body.to_string())
        .order("usage", "4,5")
        .send()
        .await
        .unwrap();
    gateway.counted("prompt", 4).await;
    gateway.counted("completion", 5).await;
}

#[tokio::test]
async fn the_access_log_has_the_same_tokens() {
    let gateway = maas("metering-log").await;
    let call = gateway.ask("qwen3-8b", "Hello").order("usage", "31,41");
    let reply = call.send().await.unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.number("prompt_tokens"), Some(31));
    assert_eq!(entry.number("completion_tokens"), Some(41));
    assert_ne!(entry.text("estimated"), "true");
}

#[tokio::test]
async fn the_list_of_models_costs_nothing() {
    let gateway = maas("metering-models").await;
    let reply = gateway.get("/v1/models").send().await.unwrap();
    gateway.stack.access(&reply.request_id()).await.unwrap();
    gateway.requests(0).await;
}

#[tokio::test]
async fn the_metrics_page_shows_metrics_and_nothing_else_of_the_admin_interface() {
    let gateway = maas("metering-page").await;
    let call = gateway.ask("qwen3-8b", "Hello").order("usage", "6,7");
    call.send().await.unwrap();
    gateway.counted("prompt", 6).await;
    let port = gateway.stack.plan().ports.metrics;
    let samples = scrape(Page::Tcp(port, "/metrics")).await.unwrap();
    assert!(samples.iter().any(|s| {
        s.name == TOKENS
            && s.labels
                .get("user")
                .is_some_and(|user| user == "metering-page")
    }));
    for path in ["/", "/config_dump", "/quitquitquit", "/stats/prometheus"] {
        assert!(get(Page::Tcp(port, path)).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn an_upstream_that_cuts_a_json_answer_is_counted_once() {
    let gateway = maas("metering-cut").await;
    let call = gateway
        .ask("qwen3-8b", "Hello")
        .order("split", "20")
        .order("abort-after", "3");
    // The client sees a cut answer or an error; either way it is one request.
    let _ = call.send().await;
    gateway.requests(1).await;
}
