//! Attacks: where they hide, what only sounds like one, and what is answered in place of a model.

use serde_json::{Value, json};
use wasm_tests::harness::Call;

use super::{ATTACK, CARD, LONG_ATTACK, assert_blocked, guard, guard_with_errors, ordinary};

#[tokio::test]
async fn an_attack_is_stopped_and_counted() {
    let gateway = guard("classifier-attack").await;
    let reply = gateway.ask("auto", ATTACK).send().await.unwrap();
    assert_blocked(&gateway, &reply);
    assert_eq!(reply.json()["usage"]["total_tokens"], 0);
    assert_eq!(reply.header("x-vsr-jailbreak-blocked"), "true");
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("block"), "jailbreak_detected");
    let attacks = gateway
        .stack
        .metric("semantic_router_jailbreak_detections_total");
    attacks
        .label("user", "classifier-attack")
        .label("tier", "gold")
        .value(1)
        .await
        .unwrap();
    gateway.requests(1).await;
    let tokens = gateway
        .stack
        .metric("semantic_router_tokens_total")
        .label("user", "classifier-attack");
    assert_eq!(tokens.now().await.unwrap(), 0);
}

#[tokio::test]
async fn a_streamed_attack_gets_one_chunk_and_the_end() {
    let gateway = guard("classifier-stream").await;
    let reply = gateway.ask_streamed("auto", ATTACK).send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.chunks().len(), 1);
    assert_eq!(
        reply.chunks()[0]["choices"][0]["finish_reason"],
        "content_filter"
    );
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    assert!(!gateway.reached_upstream(&reply));
    gateway.requests(1).await;
    let tokens = gateway
        .stack
        .metric("semantic_router_tokens_total")
        .label("user", "classifier-stream");
    assert_eq!(tokens.now().await.unwrap(), 0);
}

#[tokio::test]
async fn no_place_in_a_request_hides_an_attack() {
    let gateway = guard("classifier-places").await;
    let question = json!({"role": "user", "content": "Thanks, what is next?"});
    let messages = |other: Value| json!([other, question]);
    let hidden = format!("{}{LONG_ATTACK} {}", ordinary(50_000), ordinary(50_000));
    for (what, model, messages) in [
        (
            "a named model",
            "qwen3-8b",
            json!([{"role": "user", "content": ATTACK}]),
        ),
        (
            "an earlier turn",
            "auto",
            messages(json!({"role": "user", "content": ATTACK})),
        ),
        (
            "a result of a tool",
            "auto",
            messages(json!({"role": "tool", "tool_call_id": "1", "content": ATTACK})),
        ),
        (
            "a system message",
            "auto",
            messages(json!({"role": "system", "content": ATTACK})),
        ),
        (
            "a text part",
            "auto",
            json!([{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": ATTACK}]}]),
        ),
        (
            "the middle of 100 KB",
            "auto",
            json!([{"role": "user", "content": hidden}]),
        ),
    ] {
        let call = gateway.chat(&json!({"model": model, "messages": messages}));
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status, 200, "{what}");
        assert_eq!(
            reply.json()["choices"][0]["finish_reason"],
            "content_filter",
            "{what}"
        );
        assert!(!gateway.reached_upstream(&reply), "{what}");
    }
}

#[tokio::test]
async fn what_only_sounds_like_an_attack_passes() {
    let gateway = guard("classifier-benign").await;
    for text in [
        "How do I ignore the first row when I import a CSV file into pandas?",
        "Please ignore my previous email, the meeting is at 3 pm.",
        "Explain how prompt injection works, for security engineers.",
        "You are a helpful assistant. Answer briefly and politely.",
        "Act as a travel guide. Help me plan three days in Rome.",
        "How do I override a method in Java?",
    ] {
        let reply = gateway.ask("auto", text).send().await.unwrap();
        assert!(gateway.reached_upstream(&reply), "{text}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_block_may_be_an_error() {
    let gateway = guard_with_errors("classifier-error").await;
    for call in [
        gateway.ask("auto", ATTACK),
        gateway.ask_streamed("auto", ATTACK),
    ] {
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status, 403);
        assert_eq!(reply.error_code(), "jailbreak_detected");
    }
    let reply = gateway.ask("qwen3-8b", CARD).send().await.unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(reply.error_code(), "pii_detected");
}

#[tokio::test]
async fn each_api_gets_a_block_of_its_form() {
    let gateway = guard("classifier-apis").await;
    let post = |path: &str, body: Value| -> Call { gateway.post(path, body.to_string()) };
    let reply = post(
        "/v1/completions",
        json!({"model": "qwen3-8b", "prompt": ATTACK}),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(
        reply.json()["choices"][0]["finish_reason"],
        "content_filter"
    );
    let reply = post(
        "/v1/responses",
        json!({"model": "qwen3-8b", "input": ATTACK}),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(
        reply.json()["incomplete_details"]["reason"],
        "content_filter"
    );
    let messages = json!([{"role": "user", "content": ATTACK}]);
    let reply = post(
        "/v1/messages",
        json!({"model": "qwen3-8b", "max_tokens": 5, "messages": messages}),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(reply.json()["stop_reason"], "refusal");
    let reply = post(
        "/v1/embeddings",
        json!({"model": "qwen3-8b", "input": ATTACK}),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(reply.error_code(), "jailbreak_detected");
}
