//! Without `maas_integration`: standard metrics, standard headers, no identity.

use crate::gateways::standalone;

#[tokio::test]
async fn the_standard_headers_are_set() {
    let gateway = standalone().await;
    let call = gateway.ask("auto", "What is the derivative of x squared?");
    let reply = call.send().await.unwrap();
    for (name, value) in [
        ("x-vsr-selected-model", "gpt-oss-120b"),
        ("x-vsr-selected-decision", "hard_reasoning"),
        ("x-vsr-selected-category", "math"),
        ("x-vsr-selected-reasoning", "on"),
        ("x-vsr-injected-system-prompt", "false"),
        ("x-vsr-cache-hit", "false"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert_eq!(reply.header("x-vsr-model-selected"), "");
}

#[tokio::test]
async fn the_standard_metrics_are_counted() {
    let gateway = standalone().await;
    // The only test here that asks for this model.
    let call = gateway.ask("qwen3-coder", "Hello").order("usage", "10,3");
    call.send().await.unwrap();
    for (name, value) in [
        ("llm_model_requests_total", 1),
        ("llm_model_tokens_total", 13),
        ("llm_model_prompt_tokens_total", 10),
        ("llm_model_completion_tokens_total", 3),
    ] {
        let metric = gateway.stack.metric(name).label("model", "qwen3-coder");
        metric.value(value).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_identified() {
    let gateway = standalone().await;
    let call = gateway
        .ask("qwen3-8b", "Hello")
        .also("x-auth-request-user", "somebody else");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 200, "identity headers mean nothing here");
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("user"), "-");
    let metric = gateway.stack.metric("semantic_router_requests_total");
    assert_eq!(metric.now().await.unwrap(), 0);
    let metric = gateway.stack.metric("semantic_router_tokens_total");
    assert_eq!(metric.now().await.unwrap(), 0);
}
