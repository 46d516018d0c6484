//! What guards of other filters found, and the meter counts.

use wasm_tests::harness::Call;

use crate::gateways::{Case, maas};
use crate::metering_gateways::guarded;

/// A request in which a guard found both.
fn attack(gateway: &Case) -> Call {
    gateway
        .ask("qwen3-8b", "Hello")
        .header("x-test-pii", "EMAIL_ADDRESS,US_SSN")
        .header("x-test-jailbreak", "true")
}

#[tokio::test]
async fn findings_of_another_filter_are_counted_told_and_logged() {
    let gateway = guarded("guards-found").await;
    let reply = attack(&gateway).send().await.unwrap();
    assert_eq!(reply.header("x-vsr-pii-types"), "EMAIL_ADDRESS,US_SSN");
    assert_eq!(reply.header("x-vsr-jailbreak-blocked"), "true");
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    assert_eq!(entry.text("pii_types"), "EMAIL_ADDRESS,US_SSN");
    assert_eq!(entry.text("jailbreak"), "true");
    gateway.requests(1).await;
    for kind in ["EMAIL_ADDRESS", "US_SSN"] {
        let metric = gateway.stack.metric("semantic_router_pii_detections_total");
        let metric = metric.label("user", "guards-found").label("tier", "gold");
        metric.label("pii_type", kind).value(1).await.unwrap();
    }
    let attacks = gateway
        .stack
        .metric("semantic_router_jailbreak_detections_total");
    let attacks = attacks.label("user", "guards-found");
    attacks.label("tier", "gold").value(1).await.unwrap();
}

#[tokio::test]
async fn where_nothing_was_found_nothing_is_counted_or_told() {
    let gateway = guarded("guards-none").await;
    let reply = gateway.ask("qwen3-8b", "Hello").send().await.unwrap();
    assert_eq!(reply.header("x-vsr-pii-types"), "");
    assert_eq!(reply.header("x-vsr-jailbreak-blocked"), "");
    gateway.requests(1).await;
    for name in [
        "semantic_router_pii_detections_total",
        "semantic_router_jailbreak_detections_total",
    ] {
        let metric = gateway.stack.metric(name).label("user", "guards-none");
        assert_eq!(metric.now().await.unwrap(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_client_cannot_play_the_guard() {
    let gateway = maas("guards-client").await;
    let call = attack(&gateway).header("x-vsr-jailbreak-blocked", "true");
    let reply = call.send().await.unwrap();
    assert_eq!(reply.header("x-vsr-jailbreak-blocked"), "");
    gateway.requests(1).await;
    let attacks = gateway
        .stack
        .metric("semantic_router_jailbreak_detections_total");
    let attacks = attacks.label("user", "guards-client");
    assert_eq!(attacks.now().await.unwrap(), 0);
}
