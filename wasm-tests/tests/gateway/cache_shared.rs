//! Answers that several users share: within a tenant, and at the same time.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{Call, Client, Reply};

use crate::gateways::{Case, tenants};

/// Tests count what the gateway asks its sidecar: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

fn question(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

fn ask(client: &Client, tenant: &str, text: &str) -> Call {
    client.chat(&question(text)).header("x-tenant", tenant)
}

fn is_hit(reply: &Reply) -> bool {
    reply.header("x-vsr-cache-hit") == "true"
}

async fn stored(client: &Client, tenant: &str, text: &str) -> Reply {
    let hit = until(Duration::from_secs(20), async || {
        let reply = ask(client, tenant, text).send().await?;
        if is_hit(&reply) {
            return Ok(reply);
        }
        bail!("not stored");
    });
    hit.await.expect("the answer is stored")
}

#[tokio::test]
async fn users_of_a_tenant_share_answers_and_tenants_share_none() {
    let _turn = TURN.lock().await;
    let gateway = tenants("tenant-alice").await;
    let bob = gateway.stack.client("tenant-bob", "free");
    let text = "How deep is the lake of Geneva?";
    let known = stored(&gateway, "one", text).await;
    assert_eq!(known.header("x-vsr-cache-similarity"), "1.0000");
    let shared = ask(&bob, "one", text).send().await.unwrap();
    assert!(is_hit(&shared));
    assert_eq!(shared.content(), known.content());
    let alike = "How deep is lake Geneva?";
    let alike = ask(&bob, "one", alike).send().await.unwrap();
    if is_hit(&alike) {
        let similarity: f32 = alike.header("x-vsr-cache-similarity").parse().unwrap();
        assert!((0.85..0.9999).contains(&similarity), "{similarity}");
    }
    let other = ask(&gateway, "two", text).send().await.unwrap();
    assert!(!is_hit(&other), "the same user, another tenant");
    assert!(other.headers.get("x-vsr-cache-similarity").is_none());
    let nobody = gateway.chat(&question(text)).send().await.unwrap();
    assert!(!is_hit(&nobody), "no tenant");
    let skipped = gateway.stack.metric("turnpike_cache_skipped_total");
    skipped
        .label("reason", "no_identity")
        .at_least(1)
        .await
        .unwrap();
}

/// Requests of the sidecar so far.
async fn calls(gateway: &Case) -> u64 {
    let calls = gateway.stack.metric("turnpike_sidecar_calls_total");
    calls.now().await.unwrap()
}

#[tokio::test]
async fn the_same_requests_at_the_same_time_cost_one_answer() {
    let _turn = TURN.lock().await;
    let gateway = tenants("crowd").await;
    let tenant = "crowd";
    for streamed in [false, true] {
        let text = format!("How old is the oldest tree of the park? ({streamed})");
        let mut body = question(&text);
        body["stream"] = streamed.into();
        let call = || gateway.chat(&body).header("x-tenant", tenant);
        let before = calls(&gateway).await;
        let leader = call()
            .order("hold-headers", "1")
            .answered_with("As old as the park.");
        let tag = leader.tag().to_owned();
        let leader = tokio::spawn(leader.send());
        gateway.stack.arrived(&tag).await.unwrap();
        let others: Vec<_> = (0..5).map(|_| tokio::spawn(call().send())).collect();
        // One question by the leader, two by each who waits; others may ask meanwhile.
        let asked = gateway.stack.metric("turnpike_sidecar_calls_total");
        asked.at_least(before + 11).await.unwrap();
        gateway.stack.records().release(&tag);
        let first = leader.await.unwrap().unwrap();
        assert!(!is_hit(&first));
        for other in others {
            let other = other.await.unwrap().unwrap();
            assert!(is_hit(&other), "{:?}", other.headers);
            assert!(!gateway.reached_upstream(&other));
            let content = match streamed {
                true => other.streamed_content(),
                false => other.content(),
            };
            assert_eq!(content, "As old as the park.");
        }
    }
}

#[tokio::test]
async fn when_the_first_fails_or_leaves_the_others_go_upstream() {
    let _turn = TURN.lock().await;
    let gateway = tenants("crowd-failing").await;
    let tenant = "failing";
    for leaves in [false, true] {
        let text = format!("Who planted the oldest tree of the park? ({leaves})");
        let before = calls(&gateway).await;
        let leader = ask(&gateway, tenant, &text).order("hold-headers", "1");
        let leader = if leaves {
            leader
        } else {
            leader.order("status", "500")
        };
        let tag = leader.tag().to_owned();
        let leader = tokio::spawn(leader.send());
        gateway.stack.arrived(&tag).await.unwrap();
        let other = tokio::spawn(
            ask(&gateway, tenant, &text)
                .answered_with("A gardener.")
                .send(),
        );
        let asked = gateway.stack.metric("turnpike_sidecar_calls_total");
        asked.at_least(before + 3).await.unwrap();
        if leaves {
            leader.abort();
        } else {
            gateway.stack.records().release(&tag);
        }
        // Thirty seconds is what it would wait without being told.
        let other = tokio::time::timeout(Duration::from_secs(20), other).await;
        let other = other.unwrap().unwrap().unwrap();
        assert!(!is_hit(&other));
        assert_eq!(other.content(), "A gardener.");
        gateway.stack.records().release(&tag);
    }
}
