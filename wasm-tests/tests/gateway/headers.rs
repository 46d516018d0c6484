//! Headers in both directions: ours are ours alone, everybody else's pass.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use wasm_tests::harness::raw;

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

#[tokio::test]
async fn requests_of_one_connection_do_not_mix() {
    let gateway = maas("headers-connection").await;
    let port = gateway.stack.plan().ports.listener;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (user, model, prompt, decision) in [
        ("headers-connection-1", "auto", "Which regex?", "code"),
        ("headers-connection-1", "nope", "Which regex?", "none"),
        (
            "headers-connection-2",
            "auto",
            "What is the derivative of x?",
            "hard_reasoning",
        ),
        ("headers-connection-2", "qwen3-8b", "Hello", "none"),
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
        let request = Request::post("/v1/chat/completions")
            .header("host", "gateway")
            .header("content-type", "application/json")
            .header("x-auth-request-user", user)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        sender.ready().await.expect("the connection stays open");
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["x-vsr-decision"], decision);
        response.into_body().collect().await.unwrap();
    }
    for user in ["headers-connection-1", "headers-connection-2"] {
        let metric = gateway.stack.metric("semantic_router_requests_total");
        metric.label("user", user).value(2).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let gateway = maas("headers-continue").await;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Which regex?"}]});
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let port = gateway.stack.plan().ports.listener;
    let parts = [head.as_bytes(), body.as_bytes()];
    let answer = raw::exchange(port, &parts).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    assert!(answer.contains("x-vsr-decision: code"), "{answer}");
}
