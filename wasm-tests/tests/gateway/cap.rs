//! The cap on users in labels, shared by two workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;
use wasm_tests::harness::Stack;
use wasm_tests::harness::metrics::{Sample, scrape};
use wasm_tests::harness::ready::{Page, until};

use crate::metering_gateways::{MAX_USERS, PINNED, capped};

const USERS: u64 = 100;
const REQUESTS_OF_EACH: u64 = 5;

/// Sums of a metric by user.
fn by_user(samples: &[Sample], name: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.name == name) {
        *sums.entry(sample.labels["user"].clone()).or_default() += sample.value;
    }
    sums
}

async fn page(stack: &Stack) -> anyhow::Result<Vec<Sample>> {
    scrape(Page::Tcp(stack.plan().ports.metrics, "/metrics")).await
}

/// One test: the order in which users come is what it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_above_the_cap_share_a_label_and_no_token_is_lost() {
    let gateway = capped("cap").await;
    let mut users = JoinSet::new();
    for number in 0..USERS {
        let client = gateway.stack.client(&format!("cap-{number}"), "gold");
        users.spawn(async move {
            for _ in 0..REQUESTS_OF_EACH {
                let call = client.ask("qwen3-8b", "Hello").order("usage", "3,2");
                assert_eq!(call.send().await.unwrap().status, 200);
            }
        });
    }
    while let Some(done) = users.join_next().await {
        done.unwrap();
    }
    // Configured users and the fallback have their places, however late they come.
    for user in [PINNED, "unknown"] {
        let client = gateway.stack.client(user, "gold");
        let call = client.ask("qwen3-8b", "Hello").order("usage", "3,2");
        call.send().await.unwrap();
    }
    let requests = USERS * REQUESTS_OF_EACH + 2;
    until(Duration::from_secs(10), async || {
        let samples = page(gateway.stack).await?;
        let tokens: f64 = by_user(&samples, "semantic_router_tokens_total")
            .values()
            .sum();
        ensure!(
            (tokens - (requests * 5) as f64).abs() < 0.5,
            "{tokens} tokens"
        );
        Ok(())
    })
    .await
    .unwrap();
    let samples = page(gateway.stack).await.unwrap();
    let counted = by_user(&samples, "semantic_router_requests_total");
    let labels: BTreeSet<&str> = counted.keys().map(String::as_str).collect();
    assert!(labels.is_superset(&BTreeSet::from(["other", "unknown", PINNED])));
    // Beside `other` and the fallback.
    assert_eq!(labels.len() - 2, MAX_USERS as usize, "{labels:?}");
    let overflow = samples
        .iter()
        .filter(|s| s.name == "turnpike_label_overflow_total");
    let overflow: f64 = overflow.map(|s| s.value).sum();
    assert!((overflow - counted["other"]).abs() < 0.5, "{overflow}");
    let sum: f64 = counted.values().sum();
    assert!((sum - requests as f64).abs() < 0.5, "{sum}");
    // Whoever has a label has all of its requests there.
    let own = counted
        .iter()
        .filter(|(user, _)| !["other", "unknown", PINNED].contains(&user.as_str()));
    for (user, number) in own {
        assert!(
            (number - REQUESTS_OF_EACH as f64).abs() < 0.5,
            "{user}: {number}"
        );
    }
}
