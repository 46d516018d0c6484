//! Each filter stands alone: the meter without the router, the router without the meter.

use crate::gateways::{meter_only, router_only};

#[tokio::test]
async fn the_meter_alone_counts_what_clients_ask_for() {
    let gateway = meter_only("alone-meter").await;
    let call = gateway.ask("qwen3-8b", "Hello").order("usage", "8,9");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-8b");
    gateway.counted("prompt", 8).await;
    gateway.counted("completion", 9).await;
    gateway.requests(1).await;
}

#[tokio::test]
async fn the_meter_alone_counts_streams() {
    let gateway = meter_only("alone-meter-stream").await;
    let call = gateway.ask_streamed("qwen3-8b", "Hello");
    let reply = call.order("usage", "8,9").send().await.unwrap();
    assert!(!reply.text().contains("\"usage\""));
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    gateway.counted("completion", 9).await;
}

#[tokio::test]
async fn the_meter_alone_leaves_a_body_that_it_cannot_read_to_the_server() {
    let gateway = meter_only("alone-meter-odd").await;
    let reply = gateway
        .post("/v1/chat/completions", "{\"model\":")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 400);
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.body, "{\"model\":");
    gateway.requests(1).await;
}

#[tokio::test]
async fn the_router_alone_routes_and_asks_for_no_usage() {
    let gateway = router_only("alone-router").await;
    let reply = gateway
        .ask_streamed("auto", "Which regex?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    let received = gateway.upstream(&reply).await.json();
    assert_eq!(received["model"], "qwen3-coder");
    assert!(received.get("stream_options").is_none());
    let metric = gateway.stack.metric("semantic_router_requests_total");
    assert_eq!(metric.now().await.unwrap(), 0);
}

#[tokio::test]
async fn the_router_alone_says_that_a_decision_answered() {
    let gateway = router_only("alone-answered").await;
    let call = gateway.ask("auto", "What are your opening hours?");
    let reply = call.send().await.unwrap();
    assert!(reply.text().contains("From nine to five."));
    assert_eq!(reply.header("x-vsr-fast-response"), "true");
    assert!(!gateway.reached_upstream(&reply));
}

#[tokio::test]
async fn without_a_sidecar_rules_and_the_model_decide() {
    let gateway = router_only("alone-no-sidecar").await;
    let call = gateway.ask("auto", "What is the derivative of x squared?");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(
        gateway.upstream(&reply).await.json()["model"],
        "gpt-oss-120b"
    );
    let reply = gateway.ask("auto", "Tell me a joke.").send().await.unwrap();
    assert_eq!(gateway.upstream(&reply).await.json()["model"], "qwen3-8b");
}
