//! Many ask the same at the same time, and nobody gets what is another's. Every answer names who caused it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{Client, Reply};

use crate::cache::is_hit;
use crate::cache_gateways::tiered;
use crate::gateways::{Case, maas};

const QUESTIONS: [&str; 5] = [
    "How long does a sprained ankle take to heal?",
    "How long does it take for a sprained ankle to heal?",
    "Why does my knee hurt after running?",
    "What helps against hay fever?",
    "Which vitamins are in oranges?",
];

const ROUNDS: usize = 4;

/// What a user was answered.
struct Told {
    user: String,
    tier: String,
    /// Who caused that answer, and their tier.
    by: (String, String),
    is_hit: bool,
}

/// Asks everything several times, as a body and as a stream; the model answers with the name of who asks.
async fn ask_all(client: Client) -> Result<Vec<Told>> {
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        for question in QUESTIONS {
            let streams = round % 2 == 1;
            let call = if streams {
                client.ask_streamed("auto", question)
            } else {
                client.ask("auto", question)
            };
            let own = format!("{}\n{}", client.user, client.tier);
            let reply = call.answered_with(&own).send().await?;
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
            let content = content(&reply, streams);
            let by = content.split_once('\n').context("no name in the answer")?;
            told.push(Told {
                user: client.user.clone(),
                tier: client.tier.clone(),
                by: (by.0.to_owned(), by.1.to_owned()),
                is_hit: is_hit(&reply),
            });
        }
    }
    Ok(told)
}

fn content(reply: &Reply, streams: bool) -> String {
    if streams {
        reply.streamed_content()
    } else {
        reply.content()
    }
}

/// All of them at once.
async fn crowd(gateway: &Case, users: impl Iterator<Item = (String, &'static str)>) -> Vec<Told> {
    let mut asking = JoinSet::new();
    for (user, tier) in users {
        asking.spawn(ask_all(gateway.stack.client(&user, tier)));
    }
    let told = asking.join_all().await;
    told.into_iter().flat_map(|told| told.unwrap()).collect()
}

#[tokio::test]
async fn users_who_ask_the_same_at_once_get_their_own_answers() {
    let gateway = maas("tenants").await;
    let users = (0..12).map(|number| (format!("tenants-{number}"), "gold"));
    let told = crowd(&gateway, users).await;
    for told in &told {
        let Told { user, by, .. } = told;
        assert_eq!(*user, by.0, "one user's answer was given to another");
    }
    assert!(told.iter().filter(|told| told.is_hit).count() > 12);
}

#[tokio::test]
async fn users_share_answers_within_their_tier_and_no_further() {
    let gateway = tiered("tenants").await;
    let tiers = ["tenants-gold", "tenants-free"];
    let users = (0..12).map(|number| (format!("tenants-{number}"), tiers[number % 2]));
    let told = crowd(&gateway, users).await;
    for Told { tier, by, .. } in &told {
        assert_eq!(*tier, by.1, "an answer left its tier");
    }
    let shared = |told: &&Told| told.is_hit && told.user != told.by.0;
    assert!(told.iter().filter(shared).count() > 12);
}

#[tokio::test]
async fn nobody_in_particular_shares_nothing_in_a_tier() {
    let gateway = tiered("tenants-nobody").await;
    let known = gateway.stack.client("tenants-known", "tenants-none");
    let hit = until(Duration::from_secs(20), async || {
        let reply = known.ask("auto", QUESTIONS[0]).send().await?;
        ensure!(is_hit(&reply), "not stored");
        Ok(())
    });
    hit.await.unwrap();
    let call = known.ask("auto", QUESTIONS[0]);
    let reply = call.without("x-auth-request-tier").send().await.unwrap();
    assert!(!is_hit(&reply) && gateway.reached_upstream(&reply));
}
