//! The cache while things break under it: every request is answered, each with the answer to its own question.
//!
//! The model's answers name the user and the question, so that an answer in the wrong place shows. The questions differ in a number
//! alone: nothing but the rules of agreement keeps them apart.

mod asking;
mod disk;
mod load;
mod redis;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wasm_tests::harness::metrics::Query;

use crate::cache_gateways::chaotic;
use crate::gateways::Case;
use asking::{User, hits};
use load::{Load, Seen, USERS};

/// What a crash may cost: what was stored within it.
const LAST_SECOND: Duration = Duration::from_secs(1);

fn fallbacks(gateway: &Case, reason: &str) -> Query {
    let fallbacks = gateway.stack.metric("turnpike_fallbacks_total");
    fallbacks.label("reason", reason)
}

/// The questions of each user whose answers were seen in these times.
fn settled(seen: Vec<Seen>, times: &[Range<Instant>]) -> Vec<(User, BTreeSet<usize>)> {
    let mut settled = BTreeMap::new();
    for Seen { user, number, at } in seen {
        if times.iter().any(|time| time.contains(&at)) {
            let name = user.client.user.clone();
            let (_, numbers) = settled
                .entry(name)
                .or_insert_with(|| (user, BTreeSet::new()));
            numbers.insert(number);
        }
    }
    settled.into_values().collect()
}

#[tokio::test]
async fn a_sidecar_killed_while_it_stores_loses_no_request_and_its_last_second_at_most() {
    let (gateway, _turn) = chaotic("chaos-kill").await;
    gateway.stack.start_sidecar().await.unwrap();
    let gone = fallbacks(&gateway, "sidecar_unavailable");
    let load = Load::start(&gateway, "chaos-kill");
    let answered = Arc::clone(&load.answered);
    let mut times = Vec::new();
    for _ in 0..3 {
        let before = gone.now().await.unwrap();
        let started_at = Instant::now();
        load.more_hits(20).await;
        // From here on, some of what it holds is older than that.
        tokio::time::sleep(LAST_SECOND).await;
        times.push(started_at..Instant::now() - LAST_SECOND);
        gateway.stack.kill_sidecar();
        gone.at_least(before + 10).await.unwrap();
        gateway.stack.start_sidecar().await.unwrap();
    }
    load.more_hits(20).await;
    let settled = settled(load.end().await, &times);
    let mut asked = answered.load(Ordering::Relaxed);
    assert_eq!(settled.len(), USERS);
    for (user, numbers) in settled {
        let there = hits(&user, numbers.iter().copied()).await.unwrap();
        let lost = numbers.len() - there.len();
        assert_eq!(lost, 0, "{}: {there:?} of {numbers:?}", user.client.user);
        asked += numbers.len();
    }
    let counted = gateway.stack.metric("semantic_router_requests_total");
    let counted = counted.label("tier", "chaos-kill");
    counted.at_least(asked as u64).await.unwrap();
}

#[tokio::test]
async fn a_sidecar_that_hangs_is_not_waited_for_and_is_used_when_it_goes_on() {
    let (gateway, _turn) = chaotic("chaos-hang").await;
    gateway.stack.start_sidecar().await.unwrap();
    let late = fallbacks(&gateway, "sidecar_timeout");
    let before = late.now().await.unwrap();
    let load = Load::start(&gateway, "chaos-hang");
    load.more_hits(20).await;
    gateway.stack.freeze_sidecar();
    // It does not go on before these are answered, so nobody waits for that.
    load.more_answers(3 * USERS).await;
    late.at_least(before + USERS as u64).await.unwrap();
    gateway.stack.thaw_sidecar();
    load.more_hits(20).await;
    load.end().await;
}
