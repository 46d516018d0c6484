//! Redis is gone, late, or not what it should be: calls fail at once, and all is well again when it is back.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{Filter, RedisStore, Store, StoreError};
use turnpike_sidecar::metrics::{CacheMetrics, StoreFailure};

use crate::entries::{HOUR, embedding, entry, open, open_with, partition};
use crate::server::{Outcome, RedisServer, free_port};

/// Time for a store to find out that Redis is back: it looks every second.
const BACK_WITHIN: Duration = Duration::from_secs(20);

async fn until_back(store: &RedisStore) -> Outcome<()> {
    let started_at = Instant::now();
    while store.health() != Some(Ok(())) {
        if started_at.elapsed() > BACK_WITHIN {
            return Err(format!("still gone: {:?}", store.health()).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_killed_costs_entries_and_no_request_and_comes_back() -> Outcome<()> {
    let mut server =
        RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await?;
    let metrics = CacheMetrics::default();
    let store = open_with(&server.config(), HOUR, &metrics).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    server.kill()?;
    for _ in 0..50 {
        let started_at = Instant::now();
        assert_eq!(
            store.exact(&partition(1), "q").await,
            Err(StoreError::Unavailable)
        );
        assert_eq!(
            store.nearest(&partition(1), &embedding(3), 0.9, 4).await,
            Err(StoreError::Unavailable)
        );
        assert_eq!(
            store.store(entry(1, "r", Some(3), "b")).await,
            Err(StoreError::Unavailable)
        );
        assert!(
            started_at.elapsed() < Duration::from_secs(2),
            "{:?}",
            started_at.elapsed()
        );
    }
    assert!(store.health().is_some_and(|health| health.is_err()));
    assert!(store.stats().await.is_err(), "an operator is told");
    assert!(metrics.store_failures(StoreFailure::Unavailable) >= 140);
    server.restart().await?;
    until_back(&store).await?;
    // It had written down what it had.
    assert!(store.exact(&partition(1), "q").await?.is_some());
    assert_eq!(
        store
            .nearest(&partition(1), &embedding(4), 0.9, 4)
            .await?
            .len(),
        1
    );
    store.store(entry(1, "r", Some(3), "b")).await?;
    assert!(store.exact(&partition(1), "r").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_redis_that_forgot_everything_is_an_empty_cache() -> Outcome<()> {
    let mut server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    server.kill()?;
    server.restart().await?;
    // The connections of before are found out to be dead.
    let started_at = Instant::now();
    while store.exact(&partition(1), "q").await != Ok(None) {
        assert!(started_at.elapsed() < BACK_WITHIN);
        sleep(Duration::from_millis(20)).await;
    }
    store.store(entry(1, "q", Some(3), "again")).await?;
    assert_eq!(
        store
            .nearest(&partition(1), &embedding(3), 0.9, 4)
            .await?
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_redis_that_hangs_costs_its_timeout_a_few_times_and_then_nothing() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let metrics = CacheMetrics::default();
    let config = RedisConfig {
        timeout_ms: 100,
        ..server.config()
    };
    let store = open_with(&config, HOUR, &metrics).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    server.freeze(true)?;
    for _ in 0..3 {
        let started_at = Instant::now();
        assert_eq!(
            store.exact(&partition(1), "q").await,
            Err(StoreError::Unavailable)
        );
        assert!(
            started_at.elapsed() < Duration::from_secs(2),
            "{:?}",
            started_at.elapsed()
        );
    }
    assert!(
        store.health().is_some_and(|health| health.is_err()),
        "nobody asks any more"
    );
    let late = metrics.store_failures(StoreFailure::Timeout);
    assert!((1..=4).contains(&late), "{late}");
    for _ in 0..1_000 {
        assert_eq!(
            store.exact(&partition(1), "q").await,
            Err(StoreError::Unavailable)
        );
    }
    assert_eq!(metrics.store_failures(StoreFailure::Timeout), late);
    server.freeze(false)?;
    until_back(&store).await?;
    assert!(store.exact(&partition(1), "q").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_store_opens_without_redis_and_serves_once_it_is_there() -> Outcome<()> {
    let mut server = RedisServer::start().await?;
    server.kill()?;
    let store = open(&server.config()).await?;
    assert_eq!(
        store.exact(&partition(1), "q").await,
        Err(StoreError::Unavailable)
    );
    let Some(Err(why)) = store.health() else {
        return Err("healthy without Redis".into());
    };
    assert!(why.contains("refused"), "{why}");
    server.restart().await?;
    until_back(&store).await?;
    store.store(entry(1, "q", None, "a")).await?;
    assert!(store.exact(&partition(1), "q").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_full_refuses_to_store_and_still_serves() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let metrics = CacheMetrics::default();
    let store = open_with(&server.config(), HOUR, &metrics).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    let _: String = server.run(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    let Err(StoreError::Failed(why)) = store.store(entry(1, "r", Some(3), "b")).await else {
        return Err("stored in a full Redis".into());
    };
    assert!(why.contains("maxmemory"), "{why}");
    assert!(store.exact(&partition(1), "q").await?.is_some());
    assert!(store.exact(&partition(1), "r").await?.is_none());
    assert_eq!(store.health(), Some(Ok(())));
    assert!(metrics.store_failures(StoreFailure::Refused) >= 1);
    Ok(())
}

#[tokio::test]
async fn what_redis_evicts_is_a_miss() -> Outcome<()> {
    let server =
        RedisServer::start_with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]).await?;
    let store = open(&server.config()).await?;
    let used: String = server.run(&["INFO", "memory"]).await?;
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let limit = used.ok_or("no used_memory")?.trim().parse::<u64>()? + 2_000_000;
    let _: String = server
        .run(&["CONFIG", "SET", "maxmemory", &limit.to_string()])
        .await?;
    for number in 0..200_u32 {
        let new = entry(
            (number % 5) as u8,
            &number.to_string(),
            Some((number % 40) as u8),
            &"x".repeat(50_000),
        );
        store.store(new).await?;
    }
    let stats = store.stats().await?;
    assert!((1..200).contains(&stats.entries), "{stats:?}");
    for number in 0..200_u32 {
        let (p, text) = (partition((number % 5) as u8), number.to_string());
        store.exact(&p, &text).await?;
        for found in store
            .nearest(&p, &embedding((number % 40) as u8), 0.9, 4)
            .await?
        {
            let stored: u32 = found.question.parse()?;
            assert_eq!(stored % 5, number % 5);
        }
    }
    assert!(
        store.exact(&partition(4), "199").await?.is_some(),
        "the last one is there"
    );
    Ok(())
}

/// The only vector set.
async fn vector_set(server: &RedisServer) -> Outcome<String> {
    let keys: Vec<String> = server.run(&["KEYS", "*:v:*"]).await?;
    match &keys[..] {
        [key] => Ok(key.clone()),
        keys => Err(format!("{keys:?}").into()),
    }
}

/// Questions that are similar to number 3.
async fn similar(store: &RedisStore) -> Outcome<Vec<String>> {
    let near = store.nearest(&partition(1), &embedding(3), 0.9, 4).await?;
    let mut questions: Vec<String> = near
        .iter()
        .map(|found| found.question.to_string())
        .collect();
    questions.sort();
    Ok(questions)
}

#[tokio::test]
async fn the_store_after_an_eviction_of_the_vectors_brings_its_own_back() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    let _: usize = server.run(&["UNLINK", &vector_set(&server).await?]).await?;
    assert!(similar(&store).await?.is_empty());
    store.store(entry(1, "q", Some(3), "b")).await?;
    assert_eq!(similar(&store).await?, ["q"]);
    store.store(entry(1, "q", Some(3), "c")).await?;
    let set = vector_set(&server).await?;
    let vectors: usize = server.run(&["VCARD", &set]).await?;
    assert_eq!(vectors, 1, "no entry is in it twice");
    let left_ms: i64 = server.run(&["PTTL", &set]).await?;
    assert!(left_ms > 0, "{left_ms}");
    Ok(())
}

#[tokio::test]
async fn a_vector_that_redis_refused_comes_with_the_next_store() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    store.store(entry(1, "other", Some(3), "a")).await?;
    let allow = async |rule| {
        server
            .run::<String>(&["ACL", "SETUSER", "default", rule])
            .await
    };
    allow("-vadd").await?;
    let refused = store.store(entry(1, "q", Some(3), "a")).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(store.exact(&partition(1), "q").await?.is_some());
    allow("+vadd").await?;
    assert_eq!(similar(&store).await?, ["other"]);
    store.store(entry(1, "q", Some(3), "b")).await?;
    assert_eq!(similar(&store).await?, ["other", "q"]);
    Ok(())
}

#[tokio::test]
async fn a_removal_that_breaks_off_costs_no_vector_for_good() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    let mut gone = entry(1, "gone", Some(3), "a");
    gone.answer.owner = "alice".into();
    for new in [
        entry(1, "p", Some(3), "a"),
        entry(1, "q", Some(3), "a"),
        gone.clone(),
    ] {
        store.store(new).await?;
    }
    let filter = Filter {
        owner: Some("alice".into()),
        ..Filter::default()
    };
    let allow = async |rule| {
        server
            .run::<String>(&["ACL", "SETUSER", "default", rule])
            .await
    };
    allow("-vadd").await?;
    assert!(store.invalidate(filter.clone(), false).await.is_err());
    allow("+vadd").await?;
    assert!(similar(&store).await?.is_empty(), "the set is gone");
    store.store(entry(1, "p", Some(3), "b")).await?;
    store.store(entry(1, "q", Some(3), "b")).await?;
    assert_eq!(similar(&store).await?, ["p", "q"]);
    // Marks are as they were: a later removal finds the set, and each vector is in it once.
    store.store(gone).await?;
    store.invalidate(filter, false).await?;
    store.store(entry(1, "p", Some(3), "c")).await?;
    let vectors: usize = server.run(&["VCARD", &vector_set(&server).await?]).await?;
    assert_eq!(vectors, 2);
    assert_eq!(similar(&store).await?, ["p", "q"]);
    Ok(())
}

/// A server that knows no vector sets: answers the handshake, and what Redis 7 says of the rest.
async fn redis_seven(listener: TcpListener) -> Outcome<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut read = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut read).await {
                let asked = String::from_utf8_lossy(&read[..length]).to_uppercase();
                // Commands are arrays; what is asked before a connection is used comes in one piece.
                let commands = asked.matches("*").count();
                let answer = match () {
                    () if asked.contains("VCARD") => {
                        "-ERR unknown command 'VCARD', with args beginning with: 'turnpike:1:nothing' \r\n".to_owned()
                    }
                    () if asked.contains("\r\nINFO\r\n") => {
                        let info = "# Server\r\nredis_version:7.0.15\r\n";
                        format!("${}\r\n{info}\r\n", info.len())
                    }
                    () => "+OK\r\n".repeat(commands),
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_server_without_vector_sets_is_told_by_the_version_that_is_needed() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("redis://{}", listener.local_addr()?);
    let server = tokio::spawn(redis_seven(listener));
    let store = open(&RedisConfig {
        url,
        ..RedisConfig::default()
    })
    .await?;
    let expected = "it has no vector sets: Redis 8.0 or later is needed, this is 7.0.15";
    assert_eq!(store.health(), Some(Err(expected.into())));
    assert_eq!(
        store.exact(&partition(1), "q").await,
        Err(StoreError::Unavailable)
    );
    server.abort();
    Ok(())
}

#[tokio::test]
async fn a_closed_store_asks_nobody() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    store.close().await;
    assert_eq!(
        store.exact(&partition(1), "q").await,
        Err(StoreError::Unavailable)
    );
    sleep(Duration::from_millis(1_500)).await;
    let clients: String = server.run(&["CLIENT", "LIST"]).await?;
    assert_eq!(clients.lines().count(), 1, "the test's own: {clients}");
    Ok(())
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_tried_without_end_and_without_noise() -> Outcome<()> {
    let url = format!("redis://127.0.0.1:{}", free_port()?);
    let config = RedisConfig {
        url,
        ..RedisConfig::default()
    };
    let metrics = CacheMetrics::default();
    let store = open_with(&config, HOUR, &metrics).await?;
    let before = store.health();
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(store.health(), before);
    assert_eq!(
        metrics.store_failures(StoreFailure::Unavailable),
        0,
        "nobody asked"
    );
    Ok(())
}
