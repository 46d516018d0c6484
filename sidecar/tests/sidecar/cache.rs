//! The cache over HTTP.

use serde_json::json;
use turnpike_core::sidecar::{AnalyzeResponse, CacheAnswer, CacheHit};

use crate::harness::{ALICE, Answer, BOB, Outcome, Sidecar, config, encoder};

const ENTRIES: &str = "/v1/cache/entries";

/// Escapes, line breaks, other scripts: must come back byte for byte.
const BODY: &str = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"Hold \\u201creset\\u201d\\n 10 s — 🔁\"},\"finish_reason\":\"stop\"}]}";

const QUESTION: &str = "How do I reset my router to factory settings?";
const PARAPHRASE: &str = "How can I reset my router to factory settings?";

async fn store(sidecar: &Sidecar, partition: &str, text: &str) -> Outcome<Answer> {
    let owner = if partition == ALICE { "alice" } else { "bob" };
    let body = json!({"partition": partition, "text": text, "model": "qwen3-8b",
        "decision": "support", "category": "other", "owner": owner, "body": BODY});
    sidecar.post(ENTRIES, &body).await
}

async fn lookup(
    sidecar: &Sidecar,
    partition: &str,
    text: &str,
    threshold: f32,
) -> Outcome<AnalyzeResponse> {
    let cache = json!({"partition": partition, "similarity_threshold": threshold});
    let body = json!({"text": text, "heads": ["category"], "cache": cache});
    let answer = sidecar.post("/v1/analyze", &body).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

fn hit(answer: AnalyzeResponse) -> Outcome<CacheHit> {
    match answer.cache {
        Some(CacheAnswer::Hit(hit)) => Ok(hit),
        other => Err(format!("no hit: {other:?}").into()),
    }
}

#[tokio::test]
async fn the_same_text_is_a_hit_before_any_model_runs() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    assert_eq!(
        lookup(&sidecar, ALICE, QUESTION, 0.85).await?.cache,
        Some(CacheAnswer::Miss)
    );
    let stored = store(&sidecar, ALICE, QUESTION).await?;
    assert_eq!(
        (stored.status, stored.text()),
        (201, r#"{"stored":true}"#.into())
    );
    let tokens = sidecar
        .metric("turnpike_sidecar_tokens_total{model=\"encoder\"}")
        .await?;

    let answer = lookup(&sidecar, ALICE, QUESTION, 1.0).await?;
    assert_eq!(
        (answer.timing.inference_us, answer.timing.tokenization_us),
        (0, 0)
    );
    let expected = CacheHit {
        similarity: 1.0,
        model: "qwen3-8b".into(),
        decision: "support".into(),
        category: "other".into(),
        age_seconds: 0,
        body: BODY.into(),
    };
    let found = hit(answer)?;
    assert_eq!(
        CacheHit {
            age_seconds: 0,
            ..found
        },
        expected
    );
    let after = sidecar
        .metric("turnpike_sidecar_tokens_total{model=\"encoder\"}")
        .await?;
    assert!(
        (after - tokens).abs() < f64::EPSILON,
        "a hit cost {} tokens",
        after - tokens
    );
    Ok(())
}

#[tokio::test]
async fn a_store_after_its_lookup_costs_no_second_forward() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    lookup(&sidecar, ALICE, QUESTION, 0.85).await?;
    let before = sidecar
        .metric("turnpike_sidecar_tokens_total{model=\"encoder\"}")
        .await?;
    store(&sidecar, ALICE, QUESTION).await?;
    let after = sidecar
        .metric("turnpike_sidecar_tokens_total{model=\"encoder\"}")
        .await?;
    assert!((after - before).abs() < f64::EPSILON, "{before} {after}");
    assert!(hit(lookup(&sidecar, ALICE, PARAPHRASE, 0.85).await?)?.similarity > 0.95);
    Ok(())
}

#[tokio::test]
async fn a_paraphrase_is_a_hit_from_its_threshold_on() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    // Stored without a lookup before: embedded by the store.
    store(&sidecar, ALICE, QUESTION).await?;
    let answer = lookup(&sidecar, ALICE, PARAPHRASE, 0.85).await?;
    assert!(
        answer.category.is_some(),
        "one vector serves lookup and category"
    );
    let found = hit(answer)?;
    assert!(
        (0.95..0.999).contains(&found.similarity),
        "{}",
        found.similarity
    );
    assert_eq!(found.body, BODY);
    let strict = lookup(&sidecar, ALICE, PARAPHRASE, 0.999).await?;
    assert_eq!(strict.cache, Some(CacheAnswer::Miss));
    let other = lookup(&sidecar, ALICE, "What is the capital of France?", 0.85).await?;
    assert_eq!(other.cache, Some(CacheAnswer::Miss));
    Ok(())
}

#[tokio::test]
async fn what_is_no_complete_answer_is_not_kept() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    for (body, streamed) in [
        (BODY.replace("stop", "length"), false),
        (BODY.replace("stop", "tool_calls"), false),
        ("no JSON".into(), false),
        (format!("data: {BODY}\n\n"), true),
    ] {
        let body = json!({"partition": ALICE, "text": QUESTION, "model": "m", "body": body, "streamed": streamed});
        let answer = sidecar.post(ENTRIES, &body).await?;
        assert_eq!(
            (answer.status, answer.text()),
            (200, r#"{"stored":false}"#.into())
        );
    }
    let answer = lookup(&sidecar, ALICE, QUESTION, 0.0).await?;
    assert_eq!(answer.cache, Some(CacheAnswer::Miss));
    Ok(())
}

#[tokio::test]
async fn an_answer_older_than_the_client_accepts_is_a_miss() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    store(&sidecar, ALICE, QUESTION).await?;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    for (text, max_age, status) in [
        (QUESTION, 0, "miss"),
        (PARAPHRASE, 0, "miss"),
        (QUESTION, 60, "hit"),
        (PARAPHRASE, 60, "hit"),
    ] {
        let cache =
            json!({"partition": ALICE, "similarity_threshold": 0.85, "max_age_seconds": max_age});
        let answer = sidecar
            .post("/v1/analyze", &json!({"text": text, "cache": cache}))
            .await?;
        assert_eq!(
            answer.json()?["cache"]["status"],
            status,
            "{text} {max_age}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn no_partition_is_served_from_another() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    store(&sidecar, ALICE, QUESTION).await?;
    for text in [QUESTION, PARAPHRASE] {
        assert_eq!(
            lookup(&sidecar, BOB, text, 0.0).await?.cache,
            Some(CacheAnswer::Miss)
        );
    }
    Ok(())
}

#[tokio::test]
async fn long_texts_that_differ_at_their_end_are_not_the_same() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let start = "the quick brown fox ".repeat(100);
    let (a, b) = (format!("{start} say yes"), format!("{start} say no"));
    lookup(&sidecar, ALICE, &a, 0.5).await?;
    store(&sidecar, ALICE, &a).await?;
    assert_eq!(
        lookup(&sidecar, ALICE, &b, 0.5).await?.cache,
        Some(CacheAnswer::Miss)
    );
    assert_eq!(hit(lookup(&sidecar, ALICE, &a, 0.5).await?)?.body, BODY);
    // Neither is a short one that only has the readable start in common.
    store(&sidecar, ALICE, &start[..1000]).await?;
    assert_eq!(
        lookup(&sidecar, ALICE, &b, 0.5).await?.cache,
        Some(CacheAnswer::Miss)
    );
    Ok(())
}

#[tokio::test]
async fn clearing_removes_every_entry() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    store(&sidecar, ALICE, QUESTION).await?;
    store(&sidecar, BOB, QUESTION).await?;
    let cleared = sidecar.send("DELETE", ENTRIES, "").await?;
    assert_eq!(
        (cleared.status, cleared.text()),
        (200, r#"{"removed":2,"dry_run":false}"#.into())
    );
    assert_eq!(
        lookup(&sidecar, ALICE, QUESTION, 0.0).await?.cache,
        Some(CacheAnswer::Miss)
    );
    Ok(())
}

#[tokio::test]
async fn answers_are_removed_by_owner_model_decision_and_age_after_a_dry_run() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    store(&sidecar, ALICE, QUESTION).await?;
    store(&sidecar, BOB, QUESTION).await?;
    let stats = sidecar.get("/v1/cache/stats").await?.json()?;
    assert_eq!(
        (&stats["entries"], &stats["partitions"]),
        (&json!(2), &json!(2))
    );
    assert!(stats["bytes"].as_u64() > Some(2 * 384));
    for (query, removed) in [
        ("owner=alice&dry_run=true", 1),
        ("owner=carol", 0),
        ("owner=alice&model=other", 0),
        ("decision=other", 0),
        ("older_than_seconds=60", 0),
        ("model=qwen3-8b&dry_run=true", 2),
        ("owner=alice&decision=support&model=qwen3-8b", 1),
        ("owner=alice", 0),
    ] {
        let answer = sidecar
            .send("DELETE", &format!("{ENTRIES}?{query}"), "")
            .await?;
        assert_eq!(answer.json()?["removed"], removed, "{query}");
    }
    let miss = lookup(&sidecar, ALICE, QUESTION, 0.0).await?.cache;
    assert_eq!(miss, Some(CacheAnswer::Miss));
    hit(lookup(&sidecar, BOB, QUESTION, 0.85).await?)?;
    let export = sidecar.get(ENTRIES).await?;
    let lines: Vec<serde_json::Value> = export
        .text()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["owner"], &lines[0]["question"]),
        (&json!("bob"), &json!(QUESTION))
    );
    for wrong in [
        "user=alice",
        "partition=abc",
        "older_than_seconds=-1",
        "dry_run=maybe",
    ] {
        let answer = sidecar
            .send("DELETE", &format!("{ENTRIES}?{wrong}"), "")
            .await?;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    hit(lookup(&sidecar, BOB, QUESTION, 0.85).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_similar_question_that_means_something_else_is_a_miss_and_says_why() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let on = "How do I turn on dark mode in the settings?";
    store(&sidecar, ALICE, on).await?;
    for (text, reason) in [
        ("How do I turn off dark mode in the settings?", "polarity"),
        (
            "How do I not turn on dark mode in the settings?",
            "polarity",
        ),
    ] {
        let metric =
            format!(r#"turnpike_sidecar_cache_candidates_turned_down_total{{reason="{reason}"}}"#);
        let before = sidecar.metric(&metric).await.unwrap_or_default();
        let answer = lookup(&sidecar, ALICE, text, 0.5).await?;
        assert_eq!(answer.cache, Some(CacheAnswer::Miss), "{text}");
        assert_eq!(sidecar.metric(&metric).await? - before, 1.0, "{text}");
    }
    let same = "How can I turn on the dark mode in settings?";
    hit(lookup(&sidecar, ALICE, same, 0.85).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_cache_that_is_off_stores_nothing() -> Outcome<()> {
    let mut config = config()?;
    config.semantic_cache.enabled = false;
    let sidecar = Sidecar::start_with(&config, encoder()?).await?;
    assert_eq!(
        store(&sidecar, ALICE, QUESTION).await?.text(),
        r#"{"stored":false}"#
    );
    assert_eq!(
        lookup(&sidecar, ALICE, QUESTION, 0.0).await?.cache,
        Some(CacheAnswer::Miss)
    );
    Ok(())
}

/// A lookup that may share the answer to another one.
async fn join(
    sidecar: &Sidecar,
    text: &str,
    wait_ms: u32,
    ticket: Option<u64>,
) -> Outcome<AnalyzeResponse> {
    let coalescing = match ticket {
        Some(ticket) => json!({"wait_ms": wait_ms, "ticket": ticket}),
        None => json!({"wait_ms": wait_ms, "wait": true}),
    };
    let cache = json!({"partition": ALICE, "similarity_threshold": 0.85, "coalescing": coalescing});
    let body = json!({"text": text, "heads": ["category"], "cache": cache});
    let answer = sidecar.post("/v1/analyze", &body).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

const COALESCED: &str = "turnpike_sidecar_cache_coalesced_total";

#[tokio::test]
async fn the_second_to_ask_waits_for_the_answer_of_the_first() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let first = join(&sidecar, QUESTION, 30_000, Some(1)).await?;
    assert_eq!(first.cache, Some(CacheAnswer::Miss));
    assert!(first.leads);
    let second = join(&sidecar, QUESTION, 30_000, Some(2)).await?;
    assert_eq!(second.cache, Some(CacheAnswer::InFlight));
    assert_eq!(second.category, None, "nothing else was looked at");
    assert!(!second.leads);
    let another = join(&sidecar, "Why is the sky blue?", 30_000, Some(3)).await?;
    assert_eq!(another.cache, Some(CacheAnswer::Miss));
    let waiting = join(&sidecar, QUESTION, 30_000, None);
    let storing = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        store(&sidecar, ALICE, QUESTION).await
    };
    let (waited, _) = tokio::try_join!(waiting, storing)?;
    assert!((hit(waited)?.similarity - 1.0).abs() < f32::EPSILON);
    let hits = format!("{COALESCED}{{result=\"hit\"}}");
    assert!((sidecar.metric(&hits).await? - 1.0).abs() < f64::EPSILON);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_will_not_come_lets_go_who_waits() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let incomplete =
        json!({"partition": ALICE, "text": QUESTION, "model": "m", "body": "{}", "ticket": 1});
    let mut misses = 0.0;
    for (path, body) in [
        ("/v1/cache/release", &json!({"tickets": [77, 1]})),
        // An answer that is not kept.
        (ENTRIES, &incomplete),
    ] {
        let first = join(&sidecar, QUESTION, 30_000, Some(1)).await?;
        assert!(first.leads);
        // What others say ends nothing.
        sidecar
            .post("/v1/cache/release", &json!({"tickets": [2]}))
            .await?;
        let second = join(&sidecar, QUESTION, 30_000, Some(2)).await?;
        assert_eq!(second.cache, Some(CacheAnswer::InFlight));
        let waiting = async {
            let began = std::time::Instant::now();
            let waited = join(&sidecar, QUESTION, 30_000, None).await?;
            Ok((waited, began.elapsed()))
        };
        let ending = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            sidecar.post(path, body).await
        };
        let ((waited, took), ended) = tokio::try_join!(waiting, ending)?;
        assert_eq!(ended.status, 200);
        assert_eq!(waited.cache, Some(CacheAnswer::Miss));
        assert!(waited.category.is_some(), "it was analysed after all");
        assert!(!waited.leads);
        assert!(took.as_secs() < 20, "{took:?}");
        misses += 1.0;
    }
    // Without a word from the proxy, time ends it.
    join(&sidecar, QUESTION, 200, Some(5)).await?;
    let waited = join(&sidecar, QUESTION, 200, None).await?;
    assert_eq!(waited.cache, Some(CacheAnswer::Miss));
    // The last one's leader may have been at its end before it could wait.
    let counted = format!("{COALESCED}{{result=\"miss\"}}");
    let counted = sidecar.metric(&counted).await?;
    assert!((counted - misses).abs() <= 1.0, "{counted}");
    let bad = json!({"tickets": "all"});
    assert_eq!(sidecar.post("/v1/cache/release", &bad).await?.status, 400);
    Ok(())
}
