//! Headers in both directions: ours are ours alone, everybody else's pass.

use serde_json::json;

use crate::gateways::maas;

#[tokio::test]
async fn a_response_says_what_was_decided() {
    let gateway = maas("headers-all").await;
    let call = gateway.ask("auto", "What is the derivative of x to the fourth?");
    let reply = call.send().await.unwrap();
    for (name, value) in [
        ("x-vsr-model-selected", "gpt-oss-120b"),
        ("x-vsr-decision", "hard_reasoning"),
        ("x-vsr-category", "math"),
        ("x-vsr-reasoning-enabled", "on"),
        ("x-vsr-cache-hit", "false"),
        ("x-vsr-system-prompt-injected", "false"),
        ("x-vsr-fallback", ""),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(!reply.request_id().is_empty());
}

#[tokio::test]
async fn spoofed_headers_do_not_reach_the_server() {
    let gateway = maas("headers-spoofed").await;
    let reply = gateway
        .ask("qwen3-8b", "Hello")
        .header("x-vsr-model-selected", "gpt-oss-120b")
        .header("x-vsr-cache-hit", "true")
        .header("X-VSR-Anything", "1")
        .header("x-selected-model", "gpt-oss-120b")
        .also("x-selected-model", "qwen3-coder")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-8b");
    assert_eq!(reply.header("x-vsr-cache-hit"), "false");
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("x-selected-model"), ["qwen3-8b"]);
    assert_eq!(received.server, "small");
    let names = received.headers.keys().map(ToString::to_string);
    let ours: Vec<String> = names.filter(|n| n.starts_with("x-vsr-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[tokio::test]
async fn a_spoofed_route_does_not_reach_a_model_on_other_paths() {
    let gateway = maas("headers-other-path").await;
    let call = gateway
        .get("/v1/files")
        .header("x-selected-model", "gpt-oss-120b");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 404);
    assert!(!gateway.reached_upstream(&reply));
}

#[tokio::test]
async fn header_values_in_any_encoding_reach_the_server_as_they_are() {
    let gateway = maas("headers-bytes").await;
    let value = b"caf\xe9 \xff\xfe";
    let reply = gateway
        .ask("auto", "regex")
        .header("x-note", value)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.headers["x-note"].as_bytes(), value);
}

#[tokio::test]
async fn a_spoofed_header_in_any_encoding_is_stripped() {
    let gateway = maas("headers-spoofed-bytes").await;
    let reply = gateway
        .ask("auto", "regex")
        .header("x-vsr-decision", b"\xff\xfe")
        .header("x-selected-model", b"\xff")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("x-selected-model"), ["qwen3-coder"]);
    assert!(received.header("x-vsr-decision").is_empty());
}

#[tokio::test]
async fn a_repeated_header_of_others_stays_repeated() {
    let gateway = maas("headers-repeated").await;
    let reply = gateway
        .ask("auto", "regex")
        .also("x-trace", "one")
        .also("x-trace", "two")
        .send()
        .await
        .unwrap();
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("x-trace"), ["one", "two"]);
}

#[tokio::test]
async fn credentials_for_the_server_pass() {
    let gateway = maas("headers-key").await;
    let reply = gateway
        .ask("auto", "regex")
        .header("authorization", "Bearer sk-1")
        .send()
        .await
        .unwrap();
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("authorization"), ["Bearer sk-1"]);
    assert_eq!(received.header("content-type"), ["application/json"]);
}

#[tokio::test]
async fn the_length_of_a_changed_body_is_right() {
    let gateway = maas("headers-length").await;
    let body = json!({
        "model": "auto", "stream": true, "messages": [{"role": "user", "content": "What is the derivative of x?"}],
    });
    let reply = gateway.chat(&body).send().await.unwrap();
    let received = gateway.upstream(&reply).await;
    assert_ne!(received.body.len(), body.to_string().len());
    let length = received.body.len().to_string();
    assert_eq!(received.header("content-length"), [length]);
}

#[tokio::test]
async fn a_request_id_of_the_client_is_kept() {
    let gateway = maas("headers-id").await;
    let id = "8d2c9c6e-7a44-4b8e-9a55-1f4a8d1f0001";
    let call = gateway.ask("qwen3-8b", "Hello").header("x-request-id", id);
    let reply = call.send().await.unwrap();
    assert_eq!(reply.request_id(), id);
    assert_eq!(gateway.upstream(&reply).await.header("x-request-id"), [id]);
}
