//! The sidecar dies, comes back, or never was: no request is lost.

use std::time::Duration;

use serde_json::json;
use wasm_tests::harness::ready::until;

use crate::gateways::{Case, blocking, fragile, frozen};

const MATH: &str = "What is the derivative of x squared?";

async fn fallbacks(gateway: &Case) -> u64 {
    let metric = gateway.stack.metric("turnpike_fallbacks_total");
    let metric = metric.label("reason", "sidecar_unavailable");
    metric.now().await.unwrap()
}

#[tokio::test]
async fn a_request_falls_back_and_says_so() {
    let (gateway, _turn) = fragile("sidecar-fallback").await;
    let before = fallbacks(&gateway).await;
    gateway.stack.kill_sidecar();
    let reply = gateway.ask("auto", MATH).send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-fallback"), "sidecar_unavailable");
    assert_eq!(reply.header("x-vsr-decision"), "fallback");
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-8b");
    assert_eq!(gateway.upstream(&reply).await.json()["model"], "qwen3-8b");
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("fallback"), "sidecar_unavailable");
    let metric = gateway.stack.metric("turnpike_fallbacks_total");
    let metric = metric.label("reason", "sidecar_unavailable");
    metric.value(before + 1).await.unwrap();
}

#[tokio::test]
async fn what_needs_no_sidecar_goes_on_without_it() {
    let (gateway, _turn) = fragile("sidecar-unneeded").await;
    gateway.stack.kill_sidecar();
    let rule = gateway.ask("auto", "Which regex?").send().await.unwrap();
    assert_eq!(rule.status, 200);
    assert_eq!(rule.header("x-vsr-decision"), "code");
    assert_eq!(rule.header("x-vsr-fallback"), "");
    let named = gateway.ask("qwen3-coder", "Hello").send().await.unwrap();
    assert_eq!(named.status, 200);
    assert_eq!(named.header("x-vsr-model-selected"), "qwen3-coder");
    gateway.requests(2).await;
}

#[tokio::test]
async fn streams_fall_back_too() {
    let (gateway, _turn) = fragile("sidecar-stream").await;
    gateway.stack.kill_sidecar();
    let call = gateway.ask_streamed("auto", MATH).order("usage", "5,6");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.header("x-vsr-fallback"), "sidecar_unavailable");
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    gateway.counted("completion", 6).await;
}

#[tokio::test]
async fn it_recovers_without_a_restart_of_envoy() {
    let (gateway, _turn) = fragile("sidecar-recovery").await;
    let envoy = gateway.stack.envoy().id();
    gateway.stack.kill_sidecar();
    let reply = gateway.ask("auto", MATH).send().await.unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "fallback");
    gateway.stack.start_sidecar().await.unwrap();
    let reply = gateway.ask("auto", MATH).send().await.unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "hard_reasoning");
    assert_eq!(reply.header("x-vsr-fallback"), "");
    assert_eq!(gateway.stack.envoy().id(), envoy);
}

#[tokio::test]
async fn killing_it_mid_load_loses_no_request() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 40;
    let (gateway, _turn) = fragile("sidecar-load").await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let user = gateway.stack.client("sidecar-load", "gold");
        clients.spawn(async move {
            let mut failed = Vec::new();
            for number in 0..REQUESTS {
                let prompt = format!("{MATH} ({client}/{number})");
                match user.ask("auto", &prompt).send().await {
                    Ok(reply) if reply.status == 200 && !reply.content().is_empty() => {}
                    Ok(reply) => failed.push(format!("{}: {}", reply.status, reply.text())),
                    Err(error) => failed.push(format!("{error:#}")),
                }
            }
            failed
        });
    }
    // Mid-load is when some answers have come and most have not.
    let counted = gateway.stack.metric("semantic_router_requests_total");
    let counted = counted.label("user", "sidecar-load");
    counted.at_least(20).await.unwrap();
    gateway.stack.kill_sidecar();
    let fallen = gateway.stack.metric("semantic_router_requests_total");
    let fallen = fallen
        .label("user", "sidecar-load")
        .label("decision", "fallback");
    fallen.at_least(10).await.unwrap();
    gateway.stack.start_sidecar().await.unwrap();
    while let Some(failed) = clients.join_next().await {
        assert!(failed.as_ref().unwrap().is_empty(), "{failed:?}");
    }
    gateway.requests((CLIENTS * REQUESTS) as u64).await;
}

#[tokio::test]
async fn answers_are_cached_again_after_it_came_back() {
    let (gateway, _turn) = fragile("sidecar-cache").await;
    gateway.stack.kill_sidecar();
    gateway.ask("auto", MATH).send().await.unwrap();
    gateway.stack.start_sidecar().await.unwrap();
    let hit = until(Duration::from_secs(20), async || {
        let reply = gateway.ask("auto", MATH).send().await?;
        anyhow::ensure!(reply.header("x-vsr-cache-hit") == "true", "no hit");
        Ok(())
    });
    hit.await.unwrap();
}

#[tokio::test]
async fn on_error_block_refuses_with_503() {
    let gateway = blocking("sidecar-block").await;
    let reply = gateway.ask("auto", MATH).send().await.unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(reply.error_code(), "sidecar_unavailable");
    assert!(!gateway.reached_upstream(&reply));
    gateway.requests(1).await;
}

#[tokio::test]
async fn on_error_block_lets_pass_what_needs_no_sidecar() {
    let gateway = blocking("sidecar-block-rule").await;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "kubectl"}]});
    let reply = gateway.chat(&body).send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn a_sidecar_that_does_not_answer_in_time_is_not_waited_for() {
    let gateway = frozen("sidecar-frozen").await;
    let reply = gateway.ask("auto", MATH).send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-decision"), "fallback");
    assert_eq!(reply.header("x-vsr-fallback"), "sidecar_timeout");
    let metric = gateway.stack.metric("turnpike_fallbacks_total");
    let metric = metric.label("reason", "sidecar_timeout");
    metric.at_least(1).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_while_the_sidecar_is_asked_is_counted_once() {
    let gateway = frozen("sidecar-left").await;
    let calls = gateway.stack.metric("turnpike_sidecar_calls_total");
    let before = calls.now().await.unwrap();
    let waiting = tokio::spawn(gateway.ask("auto", MATH).open());
    calls.at_least(before + 1).await.unwrap();
    waiting.abort();
    gateway.requests(1).await;
    let after = gateway.ask("auto", "Which regex?").send().await.unwrap();
    assert_eq!(after.header("x-vsr-decision"), "code");
}
