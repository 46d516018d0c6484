//! The cache in Redis, over HTTP.

use serde_json::json;
use turnpike_core::Config;
use turnpike_core::cache::BackendType;

use crate::harness::{ALICE, BOB, Outcome, Sidecar, config, encoder};
use crate::redis_server::RedisServer;

const ENTRIES: &str = "/v1/cache/entries";
const QUESTION: &str = "How do I reset my router to factory settings?";
const PARAPHRASE: &str = "How can I reset my router to factory settings?";
const BODY: &str =
    r#"{"choices":[{"index":0,"message":{"content":"Hold it."},"finish_reason":"stop"}]}"#;

fn on(server: &RedisServer) -> Outcome<Config> {
    let mut config = config()?;
    config.semantic_cache.backend_type = BackendType::Redis;
    config.semantic_cache.redis = Some(server.config());
    assert_eq!(config.validate(), []);
    Ok(config)
}

async fn start(server: &RedisServer) -> Outcome<Sidecar> {
    Sidecar::start_with(&on(server)?, encoder()?).await
}

async fn store(sidecar: &Sidecar, partition: &str) -> Outcome<String> {
    let body = json!({"partition": partition, "text": QUESTION, "model": "qwen3-8b", "owner": "alice", "body": BODY});
    let answer = sidecar.post(ENTRIES, &body).await?;
    assert!(answer.status < 300, "{}", answer.text());
    Ok(answer.text())
}

/// `hit` or `miss`.
async fn lookup(sidecar: &Sidecar, partition: &str, text: &str) -> Outcome<String> {
    let cache = json!({"partition": partition, "similarity_threshold": 0.85});
    let body = json!({"text": text, "heads": ["category"], "cache": cache});
    let answer = sidecar.post("/v1/analyze", &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json()?;
    let status = answer["cache"]["status"].as_str().unwrap_or("none");
    let is_whole = status == "hit" || answer["category"].is_object();
    assert!(is_whole, "a miss is analysed: {answer}");
    Ok(status.to_owned())
}

#[tokio::test]
async fn two_sidecars_serve_each_others_answers_to_the_same_user_alone() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let (one, other) = (start(&server).await?, start(&server).await?);
    assert_eq!(lookup(&one, ALICE, QUESTION).await?, "miss");
    assert_eq!(store(&one, ALICE).await?, r#"{"stored":true}"#);
    for text in [QUESTION, PARAPHRASE] {
        assert_eq!(lookup(&other, ALICE, text).await?, "hit", "{text}");
        assert_eq!(lookup(&other, BOB, text).await?, "miss", "{text}");
    }
    let opposite = "How do I not reset my router to factory settings?";
    assert_eq!(lookup(&other, ALICE, opposite).await?, "miss");
    let stats = other.get("/v1/cache/stats").await?.json()?;
    assert_eq!(
        (&stats["entries"], &stats["partitions"]),
        (&json!(1), &json!(1))
    );
    let export = other.get(ENTRIES).await?.text();
    assert_eq!(export.lines().count(), 1);
    let removed = other
        .send("DELETE", &format!("{ENTRIES}?owner=alice"), "")
        .await?;
    assert_eq!(removed.text(), r#"{"removed":1,"dry_run":false}"#);
    for text in [QUESTION, PARAPHRASE] {
        assert_eq!(lookup(&one, ALICE, text).await?, "miss", "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_go_on_without_redis_and_the_cache_comes_back_with_it() -> Outcome<()> {
    let mut server = RedisServer::start().await?;
    let url = server.config().url;
    server.kill()?;
    let sidecar = start(&server).await?;
    let up = r#"turnpike_sidecar_cache_store_up{backend="redis"}"#;
    for _ in 0..3 {
        assert_eq!(lookup(&sidecar, ALICE, QUESTION).await?, "miss");
        assert_eq!(store(&sidecar, ALICE).await?, r#"{"stored":false}"#);
    }
    assert_eq!(sidecar.get("/readyz").await?.status, 200);
    let health = sidecar.get("/health").await?;
    assert_eq!(health.status, 503);
    let health = health.json()?;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["dependencies"]["semantic_cache"]["healthy"], false);
    assert!(sidecar.metric(up).await?.abs() < f64::EPSILON);
    let errors = r#"turnpike_sidecar_cache_store_errors_total{reason="unavailable"}"#;
    assert!(sidecar.metric(errors).await? >= 9.0);
    assert_eq!(
        sidecar.get("/v1/cache/stats").await?.status,
        500,
        "an operator is told"
    );

    server.restart().await?;
    assert_eq!(server.config().url, url);
    let started_at = std::time::Instant::now();
    while sidecar.get("/health").await?.status != 200 {
        assert!(started_at.elapsed().as_secs() < 20, "not back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!((sidecar.metric(up).await? - 1.0).abs() < f64::EPSILON);
    assert_eq!(store(&sidecar, ALICE).await?, r#"{"stored":true}"#);
    assert_eq!(lookup(&sidecar, ALICE, PARAPHRASE).await?, "hit");
    Ok(())
}

#[tokio::test]
async fn a_reload_changes_the_place_of_the_cache_and_keeps_what_is_shared() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let shared = on(&server)?;
    let alone = config()?;
    let sidecar = Sidecar::start_from(&shared).await?;
    store(&sidecar, ALICE).await?;
    sidecar.reload(&alone).await?;
    assert_eq!(lookup(&sidecar, ALICE, QUESTION).await?, "miss");
    store(&sidecar, BOB).await?;
    assert_eq!(sidecar.get("/health").await?.status, 200);
    sidecar.reload(&shared).await?;
    assert_eq!(lookup(&sidecar, ALICE, PARAPHRASE).await?, "hit");
    assert_eq!(lookup(&sidecar, BOB, QUESTION).await?, "miss");
    let mut shorter = shared.clone();
    shorter.semantic_cache.ttl_seconds = 60;
    sidecar.reload(&shorter).await?;
    assert_eq!(lookup(&sidecar, ALICE, QUESTION).await?, "hit");
    let clients: String = server.run(&["CLIENT", "LIST", "TYPE", "normal"]).await?;
    assert_eq!(
        clients.lines().count(),
        3,
        "lookups, stores, the test: {clients}"
    );
    Ok(())
}

#[tokio::test]
async fn a_password_file_that_is_not_there_ends_the_start_and_keeps_what_runs() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let mut wrong = on(&server)?;
    if let Some(redis) = &mut wrong.semantic_cache.redis {
        redis.password_file = "/nowhere/password".into();
    }
    let error = Sidecar::start_with(&wrong, encoder()?)
        .await
        .err()
        .ok_or("started")?;
    assert!(
        error
            .to_string()
            .starts_with("semantic_cache.redis.password_file: /nowhere/password"),
        "{error}"
    );
    let sidecar = Sidecar::start_from(&on(&server)?).await?;
    store(&sidecar, ALICE).await?;
    assert!(sidecar.reload(&wrong).await.is_err());
    assert_eq!(lookup(&sidecar, ALICE, QUESTION).await?, "hit");
    Ok(())
}
