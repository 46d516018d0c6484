//! What clients may ask of the cache, and what servers say about their answers. All of it only makes the cache answer less.

use std::time::Duration;

use anyhow::ensure;
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{Call, Reply};

use crate::cache::{PARAPHRASE, QUESTION, ask, is_hit, question, stored};
use crate::cache_gateways::{controlled, tiered};
use crate::gateways::{Case, maas};

const SIMILARITY: &str = "x-turnpike-cache-similarity";

/// A question that is cached everywhere: once it hits, everything before it would have been stored.
const LATER: &str = "Why does my knee hurt after running?";

fn asked(gateway: &Case, header: &str, value: &str) -> Call {
    gateway.chat(&question(QUESTION)).header(header, value)
}

async fn sent(call: Call) -> Reply {
    call.send().await.unwrap()
}

#[tokio::test]
async fn no_store_neither_reads_nor_stores() {
    let gateway = controlled("control-no-store").await;
    for _ in 0..2 {
        let reply = sent(asked(&gateway, "cache-control", "no-store")).await;
        assert!(!is_hit(&reply));
    }
    stored(&gateway, &question(LATER)).await;
    assert!(!is_hit(&ask(&gateway, &question(QUESTION)).await));
    stored(&gateway, &question(QUESTION)).await;
    let reply = sent(asked(&gateway, "cache-control", "no-store")).await;
    assert!(!is_hit(&reply) && gateway.reached_upstream(&reply));
    let skipped = gateway.stack.metric("turnpike_cache_skipped_total");
    skipped
        .label("reason", "no_store")
        .at_least(3)
        .await
        .unwrap();
}

#[tokio::test]
async fn no_cache_asks_the_model_and_replaces_the_answer() {
    let gateway = controlled("control-no-cache").await;
    let first = gateway
        .chat(&question(QUESTION))
        .answered_with("the old answer");
    sent(first).await;
    stored(&gateway, &question(QUESTION)).await;
    let again = asked(&gateway, "cache-control", "max-age=600, No-Cache");
    let reply = sent(again.answered_with("the new answer")).await;
    assert!(!is_hit(&reply) && gateway.reached_upstream(&reply));
    assert_eq!(reply.content(), "the new answer");
    let replaced = until(Duration::from_secs(20), async || {
        let reply = gateway.chat(&question(QUESTION)).send().await?;
        ensure!(is_hit(&reply), "the entry is gone");
        ensure!(reply.content() == "the new answer", "not replaced");
        Ok(())
    });
    replaced.await.unwrap();
}

#[tokio::test]
async fn max_age_lets_younger_answers_count() {
    let gateway = controlled("control-max-age").await;
    stored(&gateway, &question(QUESTION)).await;
    let aged = until(Duration::from_secs(20), async || {
        let reply = gateway.chat(&question(QUESTION)).send().await?;
        ensure!(reply.header("age").parse::<u64>()? >= 1, "too young");
        Ok(())
    });
    aged.await.unwrap();
    assert!(is_hit(
        &sent(asked(&gateway, "cache-control", "max-age=3600")).await
    ));
    for strict in ["max-age=0", "max-age=3600, max-age=0", "max-age=soon"] {
        let reply = sent(asked(&gateway, "cache-control", strict).order("status", "500")).await;
        assert!(!is_hit(&reply), "{strict}");
    }
}

#[tokio::test]
async fn a_similarity_of_the_client_only_raises_the_threshold() {
    let gateway = controlled("control-similarity").await;
    stored(&gateway, &question(QUESTION)).await;
    let with = |text: &str, similarity: &str| {
        let call = gateway.chat(&question(text)).header(SIMILARITY, similarity);
        // What is answered by the model is not stored, so that every case meets the same entry.
        call.order("status", "500")
    };
    assert!(is_hit(&sent(with(PARAPHRASE, "0.5")).await));
    for strict in ["1", "0.9999", "high", "NaN", "7"] {
        assert!(!is_hit(&sent(with(PARAPHRASE, strict)).await), "{strict}");
    }
    assert!(is_hit(&sent(with(QUESTION, "1")).await), "the same text");
    // Below the configured threshold, and the client would take it.
    let far = "What is the best way to treat a sprained ankle?";
    assert!(!is_hit(&sent(with(far, "0")).await));
}

#[tokio::test]
async fn what_a_client_asks_of_the_cache_goes_no_further() {
    for gateway in [
        controlled("control-upstream").await,
        maas("control-upstream").await,
    ] {
        let call = asked(&gateway, SIMILARITY, "0.99").header("cache-control", "no-store");
        let received = gateway.upstream(&sent(call).await).await;
        assert!(received.header(SIMILARITY).is_empty());
        assert_eq!(received.header("cache-control"), ["no-store"], "HTTP's own");
    }
}

#[tokio::test]
async fn without_the_key_clients_ask_in_vain() {
    let gateway = maas("control-off").await;
    sent(asked(&gateway, "cache-control", "no-store")).await;
    stored(&gateway, &question(QUESTION)).await;
    for value in ["no-store", "no-cache", "max-age=0"] {
        let reply = sent(asked(&gateway, "cache-control", value)).await;
        assert!(is_hit(&reply), "{value}");
    }
    let paraphrase = gateway.chat(&question(PARAPHRASE)).header(SIMILARITY, "1");
    assert!(is_hit(&sent(paraphrase).await));
}

/// Whether an answer with this header is stored.
async fn is_kept(gateway: &Case, server_says: &str) -> bool {
    let call = gateway.chat(&question(QUESTION));
    sent(call.order("cache-control", server_says)).await;
    stored(gateway, &question(LATER)).await;
    is_hit(&ask(gateway, &question(QUESTION)).await)
}

#[tokio::test]
async fn a_server_may_keep_its_answer_out() {
    assert!(!is_kept(&maas("control-server").await, "max-age=60, no-store").await);
    assert!(is_kept(&maas("control-server-public").await, "public, max-age=60").await);
}

#[tokio::test]
async fn a_private_answer_is_stored_for_its_user_alone() {
    assert!(is_kept(&maas("control-private").await, "private").await);
    assert!(!is_kept(&tiered("control-private").await, "private").await);
}
