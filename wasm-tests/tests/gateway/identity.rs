//! Who is charged.

use serde_json::json;
use turnpike_core::metrics::escape_label;
use wasm_tests::harness::raw;

use crate::gateways::{Case, maas};

/// One request of this user, and a wait until Envoy shows it under that label.
async fn is_counted_as(gateway: &Case, user: &[u8], label: &str) {
    let call = gateway
        .ask("qwen3-8b", "Hello")
        .header("x-auth-request-user", user)
        .order("usage", "7,1");
    assert_eq!(call.send().await.unwrap().status, 200);
    let metric = gateway.stack.metric("semantic_router_tokens_total");
    let metric = metric.label("user", label).label("type", "prompt");
    metric.value(7).await.unwrap();
}

#[tokio::test]
async fn users_stay_apart_whatever_is_in_their_names() {
    let gateway = maas("identity").await;
    for user in [
        "identity@example.com",
        "identity_example.com",
        "identity.example.com",
        "identity example com",
        "identity;.;tier=.=gold",
        "identity\"quoted\"\\",
        "identity=.=x",
        "identity%2E",
        "identity/../etc",
        "идентичность",
        "身份",
        "identity🙂",
    ] {
        is_counted_as(&gateway, user.as_bytes(), &escape_label(user)).await;
    }
}

#[tokio::test]
async fn a_user_in_another_encoding_is_counted_not_refused() {
    let gateway = maas("identity-latin").await;
    is_counted_as(&gateway, b"identit\xe9", "identit\u{FFFD}e9").await;
    is_counted_as(&gateway, b"identit\xe8", "identit\u{FFFD}e8").await;
}

#[tokio::test]
async fn long_names_stay_apart() {
    let gateway = maas("identity-long").await;
    let long = "identity-".repeat(40);
    for end in ["a", "b"] {
        let user = format!("{long}{end}");
        is_counted_as(&gateway, user.as_bytes(), &escape_label(&user)).await;
    }
}

#[tokio::test]
async fn a_caller_without_headers_is_the_fallback() {
    let gateway = maas("identity-fallback").await;
    let reply = gateway
        .ask("qwen3-8b", "Hello")
        .without("x-auth-request-user")
        .without("x-auth-request-tier")
        .send()
        .await
        .unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("user"), "unknown");
    assert_eq!(entry.text("tier"), "free");
}

#[tokio::test]
async fn an_empty_header_is_as_good_as_none() {
    let gateway = maas("identity-empty").await;
    let reply = gateway
        .ask("qwen3-8b", "Hello")
        .header("x-auth-request-user", "  ")
        .header("x-auth-request-tier", "")
        .send()
        .await
        .unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("user"), "unknown");
    assert_eq!(entry.text("tier"), "free");
}

#[tokio::test]
async fn a_repeated_identity_header_is_refused() {
    let gateway = maas("identity-repeated").await;
    for (header, value) in [
        ("x-auth-request-user", "mallory"),
        ("x-auth-request-user", "identity-repeated"),
        ("x-auth-request-tier", "enterprise"),
    ] {
        let call = gateway.ask("qwen3-8b", "Hello").also(header, value);
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status, 400);
        assert_eq!(reply.error_code(), "repeated_header");
        assert!(reply.text().contains(header));
        assert!(!gateway.reached_upstream(&reply));
        // The stream is over and counted once its line is written.
        gateway.stack.access(&reply.request_id()).await.unwrap();
    }
    gateway.requests(0).await;
}

#[tokio::test]
async fn a_repeated_header_in_other_letters_is_refused_too() {
    let gateway = maas("identity-letters").await;
    let body = json!({"model": "qwen3-8b", "messages": []}).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nX-Auth-Request-User: a\r\n\
         x-auth-REQUEST-user: b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let port = gateway.stack.plan().ports.listener;
    let answer = raw::exchange(port, &[request.as_bytes()]).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("repeated_header"), "{answer}");
}
