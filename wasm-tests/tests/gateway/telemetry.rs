//! What is told beside metrics: response time, session, slow requests, the fields of the access log.

use crate::gateways::maas;
use crate::metering_gateways::hybrid;

/// Milliseconds with two decimals, as `8.45ms`.
fn milliseconds(text: &str) -> Option<f64> {
    let number = text.strip_suffix("ms")?;
    let (_, decimals) = number.split_once('.')?;
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (plain && decimals.len() == 2).then(|| number.parse().ok())?
}

#[tokio::test]
async fn the_response_time_is_told_where_it_is_switched_on() {
    let gateway = hybrid("telemetry-time").await;
    let call = gateway.ask("qwen3-coder", "Hello");
    let reply = call.order("delay-headers-ms", "30").send().await.unwrap();
    let told = reply.header("x-response-time");
    let took = milliseconds(&told);
    assert!(took.is_some_and(|ms| ms >= 30.0), "{told}");
    let silent = maas("telemetry-silent").await;
    let reply = silent.ask("qwen3-8b", "Hello").send().await.unwrap();
    assert_eq!(reply.header("x-response-time"), "");
}

#[tokio::test]
async fn replies_of_the_gateway_itself_tell_their_time_too() {
    let gateway = hybrid("telemetry-error").await;
    let reply = gateway.ask("no-such-model", "Hello").send().await.unwrap();
    assert_eq!(reply.status, 404);
    let told = reply.header("x-response-time");
    assert!(milliseconds(&told).is_some(), "{told}");
}

#[tokio::test]
async fn the_access_log_has_every_field_of_a_request_line() {
    let gateway = hybrid("telemetry-log").await;
    let reply = gateway
        .ask("auto", "Which regex?")
        .header("x-session-id", "session 1")
        .order("usage", "12,3")
        .order("delay-headers-ms", "20")
        .send()
        .await
        .unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    for (field, value) in [
        ("session", "session 1"),
        ("route", "code"),
        ("user", "telemetry-log"),
        ("tier", "gold"),
        ("model", "qwen3-coder"),
        ("stream", "false"),
        ("prompt_tokens", "12"),
        ("completion_tokens", "3"),
    ] {
        assert_eq!(entry.text(field), value, "{field}");
    }
    let classification: f64 = entry.text("classification_ms").parse().unwrap();
    assert!(classification >= 0.0);
    let inference = entry.number("inference_ms").unwrap();
    assert!(inference >= 20, "{inference}");
    assert!(entry.number("total_ms").unwrap() >= inference);
}

#[tokio::test]
async fn a_slow_request_is_marked_counted_and_warned_of() {
    let gateway = hybrid("telemetry-slow").await;
    let slow = || {
        let metric = gateway.stack.metric("turnpike_slow_requests_total");
        metric.label("decision", "code")
    };
    let before = slow().now().await.unwrap();
    let call = gateway.ask("auto", "Which regex?");
    let reply = call.order("delay-headers-ms", "150").send().await.unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("slow"), "true");
    slow().at_least(before + 1).await.unwrap();
    let log = gateway.stack.envoy().log();
    assert!(log.contains("SLOW_REQUEST route=code model=qwen3-coder"));
}

#[tokio::test]
async fn other_decisions_have_no_threshold() {
    let gateway = hybrid("telemetry-patient").await;
    let call = gateway.ask("qwen3-coder", "Hello");
    let reply = call.order("delay-headers-ms", "150").send().await.unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("slow"), "-");
}
