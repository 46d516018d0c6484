//! What a client gets when something is wrong: always an OpenAI error object, never a broken stream.

use serde_json::{Value, json};
use wasm_tests::harness::{Client, Reply, raw};

use crate::gateways::{MAX_BODY_BYTES, maas};

async fn chat(client: &Client, body: impl Into<bytes::Bytes>) -> Reply {
    let call = client.post("/v1/chat/completions", body);
    call.send().await.unwrap()
}

fn assert_is_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.error_code(), code, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json");
    let error = &reply.json()["error"];
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert!(!error["type"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_json_gets_400() {
    let gateway = maas("errors-json").await;
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"hello",
        b"{\"model\": \"auto\",",
        b"{\"model\": auto}",
        b"{\"model\": \"auto\", \"messages\": []} trailing",
        b"[]",
        b"null",
        b"{\"model\": \"auto\", \"messages\": [{\"role\": \"user\", \"content\": \"\xff\xfe\"}]}",
    ];
    for body in bodies {
        let reply = chat(&gateway, body).await;
        assert_is_error(&reply, 400, "invalid_request");
        assert!(!gateway.reached_upstream(&reply));
    }
    gateway.requests(bodies.len() as u64).await;
    let errors = gateway.stack.metric("turnpike_errors_total");
    let errors = errors.label("code", "invalid_request");
    errors.at_least(bodies.len() as u64).await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_model_gets_400() {
    let gateway = maas("errors-model").await;
    for body in [
        json!({"messages": []}),
        json!({"model": null, "messages": []}),
        json!({"model": 7, "messages": []}),
        json!({"model": ["auto"], "messages": []}),
    ] {
        assert_is_error(
            &chat(&gateway, body.to_string()).await,
            400,
            "invalid_request",
        );
    }
}

#[tokio::test]
async fn deep_nesting_does_not_break_the_proxy() {
    let gateway = maas("errors-deep").await;
    let deep = format!(
        r#"{{"model":"auto","messages":[],"x":{}{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let reply = chat(&gateway, deep).await;
    assert!(reply.status == 400 || reply.status == 200);
    let after = gateway.ask("qwen3-8b", "Still there?").send().await;
    assert_eq!(after.unwrap().status, 200);
}

#[tokio::test]
async fn an_unknown_model_gets_404() {
    let gateway = maas("errors-unknown").await;
    let reply = gateway.ask("gpt-17", "Hello").send().await.unwrap();
    assert_is_error(&reply, 404, "model_not_found");
    assert_eq!(reply.json()["error"]["param"], "model");
    assert!(!gateway.reached_upstream(&reply));
    let metric = gateway.stack.metric("semantic_router_requests_total");
    let metric = metric
        .label("user", "errors-unknown")
        .label("model", "unknown");
    metric.value(1).await.unwrap();
}

#[tokio::test]
async fn an_unknown_path_gets_404() {
    let gateway = maas("errors-path").await;
    for path in ["/", "/v2/chat/completions", "/v1/chat/completionsx"] {
        let reply = gateway.post(path, "{}").send().await.unwrap();
        assert_is_error(&reply, 404, "unknown_url");
    }
    let reply = gateway.get("/v1/chat/completions").send().await.unwrap();
    assert_is_error(&reply, 404, "unknown_url");
}

#[tokio::test]
async fn errors_carry_the_headers_of_every_response() {
    let gateway = maas("errors-headers").await;
    let reply = gateway.ask("gpt-17", "Hello").send().await.unwrap();
    for (name, value) in [
        ("x-vsr-model-selected", "unknown"),
        ("x-vsr-decision", "none"),
        ("x-vsr-category", "none"),
        ("x-vsr-reasoning-enabled", "off"),
        ("x-vsr-cache-hit", "false"),
        ("x-vsr-system-prompt-injected", "false"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
}

/// A request for a named model whose body has exactly `size` bytes.
fn sized(size: usize) -> String {
    let frame =
        json!({"model": "qwen3-8b", "messages": [{"role": "user", "content": ""}]}).to_string();
    frame.replace("\"\"", &format!("\"{}\"", "x".repeat(size - frame.len())))
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes() {
    let gateway = maas("errors-limit").await;
    let body = sized(MAX_BODY_BYTES);
    assert_eq!(body.len(), MAX_BODY_BYTES);
    let reply = chat(&gateway, body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gateway.upstream(&reply).await.body, body);
}

#[tokio::test]
async fn a_larger_body_gets_413() {
    let gateway = maas("errors-large").await;
    for size in [MAX_BODY_BYTES + 1, 2 * MAX_BODY_BYTES] {
        let reply = chat(&gateway, sized(size)).await;
        assert_is_error(&reply, 413, "request_too_large");
        assert!(!gateway.reached_upstream(&reply));
    }
    gateway.requests(2).await;
}

/// Sends a body in chunks, without saying its length before.
async fn upload(gateway: &Client, port: u16, user: &str, body: &[u8], size: usize) -> String {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-auth-request-user: {user}\r\nx-auth-request-tier: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        gateway.tier
    );
    let mut parts = vec![head.into_bytes()];
    parts.extend(body.chunks(size).map(raw::chunk));
    parts.push(b"0\r\n\r\n".to_vec());
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    raw::exchange(port, &parts).await.unwrap()
}

#[tokio::test]
async fn an_upload_in_chunks_is_routed() {
    let gateway = maas("errors-chunked").await;
    let port = gateway.stack.plan().ports.listener;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "regex ü"}]});
    for size in [1, 7, 1000] {
        let answer = upload(
            &gateway,
            port,
            "errors-chunked",
            body.to_string().as_bytes(),
            size,
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("x-vsr-decision: code"), "{answer}");
    }
    gateway.requests(3).await;
}

#[tokio::test]
async fn an_upload_in_chunks_that_grows_too_large_gets_413() {
    let gateway = maas("errors-chunked-large").await;
    let port = gateway.stack.plan().ports.listener;
    let body = sized(3 * MAX_BODY_BYTES);
    let answer = upload(
        &gateway,
        port,
        "errors-chunked-large",
        body.as_bytes(),
        4096,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("request_too_large"), "{answer}");
}

#[tokio::test]
async fn the_servers_own_errors_pass_unchanged() {
    let gateway = maas("errors-upstream").await;
    for status in ["400", "401", "422", "429", "500", "501"] {
        let reply = gateway
            .ask("qwen3-8b", "Hello")
            .order("status", status)
            .order("error", "so it is")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status.as_str(), status);
        assert_eq!(reply.json()["error"]["message"], "so it is");
    }
    gateway.requests(6).await;
}

#[tokio::test]
async fn an_answer_that_is_no_json_passes_unchanged() {
    let gateway = maas("errors-odd").await;
    for body in ["", "{", "[1, 2", "{\"usage\": 7}", "null"] {
        let reply = gateway
            .ask("qwen3-8b", "Hello")
            .order("body", &Value::from(body).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, body));
    }
    gateway.requests(5).await;
}
