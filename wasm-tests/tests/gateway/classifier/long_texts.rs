//! Texts that take long to read: others get their turn, and the time that there is for one has an end.

use std::time::Duration;

use tokio::sync::OnceCell;
use turnpike_core::Config;
use turnpike_core::config::OnBudget;

use super::{LONG_ATTACK, assert_blocked, guard, ordinary, started};
use crate::gateways::{Case, Shared};

async fn guard_without_time(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    started(&STACK, user, |config| {
        (config.guards.slice_ms, config.guards.budget_ms) = (1, 1)
    })
    .await
}

async fn guard_that_lets_pass(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        (config.guards.slice_ms, config.guards.budget_ms) = (1, 1);
        config.guards.on_budget = OnBudget::Allow;
    };
    started(&STACK, user, change).await
}

#[tokio::test]
async fn a_long_text_makes_room_for_others_and_arrives_whole() {
    let gateway = guard("classifier-long").await;
    let text = ordinary(400_000);
    let reply = gateway.ask("gpt-oss-120b", &text).send().await.unwrap();
    assert_eq!(reply.status, 200);
    let received = gateway.upstream(&reply).await.json();
    assert_eq!(received["messages"][0]["content"], text.as_str());
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    // Longer than one slice, so it was read in several.
    assert!(
        entry.number("router_us").unwrap_or_default() > 2_000,
        "{entry:?}"
    );
    gateway.requests(1).await;
}

#[tokio::test]
async fn long_and_short_requests_at_once_are_all_answered() {
    let gateway = guard("classifier-mixed").await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..24 {
        let client = gateway.stack.client("classifier-mixed", "gold");
        all.spawn(async move {
            let (text, blocked) = match number % 3 {
                0 => (ordinary(150_000), false),
                1 => (format!("{}{LONG_ATTACK}", ordinary(60_000)), true),
                _ => ("What is the boiling point of water?".to_owned(), false),
            };
            let reply = client.ask("auto", &text).send().await.unwrap();
            assert_eq!(reply.status, 200);
            let reason = reply.json()["choices"][0]["finish_reason"].clone();
            assert_eq!(reason == "content_filter", blocked, "{number}");
        });
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
    gateway.requests(24).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_text_is_read_is_counted_once() {
    let gateway = guard("classifier-left").await;
    for _ in 0..5 {
        let call = gateway.ask("auto", &ordinary(900_000));
        let _ = tokio::time::timeout(Duration::from_millis(15), call.send()).await;
    }
    let reply = gateway
        .ask("qwen3-8b", "Still there?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_text_that_takes_too_long_is_refused() {
    let gateway = guard_without_time("classifier-budget").await;
    let reply = gateway
        .ask("auto", &ordinary(900_000))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.error_code(), "guard_budget_exceeded");
    assert_eq!(reply.header("x-vsr-fallback"), "guard_budget");
    assert!(!gateway.reached_upstream(&reply));
    let fallbacks = gateway.stack.metric("turnpike_fallbacks_total");
    fallbacks
        .label("reason", "guard_budget")
        .at_least(1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_text_that_takes_too_long_may_pass_where_the_configuration_says_so() {
    let gateway = guard_that_lets_pass("classifier-allow").await;
    let reply = gateway
        .ask("gpt-oss-120b", &ordinary(900_000))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-fallback"), "guard_budget");
    // What was found before the time was up still counts.
    let reply = gateway
        .ask(
            "gpt-oss-120b",
            &format!("{LONG_ATTACK} {}", ordinary(900_000)),
        )
        .send()
        .await
        .unwrap();
    assert_blocked(&gateway, &reply);
}
