//! Several sidecars and one Redis; what is in it.

use std::time::Duration;

use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{Filter, Fingerprint, RedisStore, Store};
use turnpike_sidecar::encoder::Embedding;
use turnpike_sidecar::metrics::CacheMetrics;

use crate::entries::{HOUR, embedding, entry, limits, open, open_with, partition};
use crate::server::{Outcome, RedisServer};

async fn nearest(store: &RedisStore, vector: u8) -> Outcome<usize> {
    let found = store
        .nearest(&partition(1), &embedding(vector), 0.9, 4)
        .await?;
    Ok(found.len())
}

#[tokio::test]
async fn what_one_sidecar_stores_another_serves_and_removes() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let (one, other) = (open(&server.config()).await?, open(&server.config()).await?);
    one.store(entry(1, "q", Some(3), "from one")).await?;
    let found = other.exact(&partition(1), "q").await?.ok_or("no hit")?;
    assert_eq!(found.answer.body, "from one");
    assert_eq!(nearest(&other, 4).await?, 1);
    other
        .store(entry(1, "q", Some(3), "from the other"))
        .await?;
    let found = one.exact(&partition(1), "q").await?.ok_or("no hit")?;
    assert_eq!(found.answer.body, "from the other");
    assert_eq!(other.invalidate(Filter::default(), false).await?.entries, 1);
    assert_eq!(one.exact(&partition(1), "q").await?, None);
    assert_eq!(nearest(&one, 4).await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_same_encoder_on_another_machine_shares_and_another_encoder_does_not() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let one = open(&server.config()).await?;
    one.store(entry(1, "q", Some(3), "a")).await?;
    let with_fingerprint = async |values: Vec<f32>| {
        let fingerprint = Fingerprint::new(&Embedding::normalized(values));
        let metrics = CacheMetrics::default();
        RedisStore::open(&server.config(), limits(HOUR), fingerprint, metrics).await
    };
    // The last bits differ with the processor.
    let elsewhere = with_fingerprint(vec![1.0, 0.001, -0.001]).await?;
    assert_eq!(nearest(&elsewhere, 3).await?, 1);
    let another = with_fingerprint(vec![0.0, 1.0, 0.0]).await?;
    assert_eq!(nearest(&another, 3).await?, 0);
    assert_eq!(another.exact(&partition(1), "q").await?, None);
    // Its removals concern the entries of all.
    assert_eq!(another.clear().await?.entries, 1);
    assert_eq!(one.exact(&partition(1), "q").await?, None);
    Ok(())
}

#[tokio::test]
async fn another_prefix_and_keys_of_others_are_left_alone() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let key_prefix = "other".into();
    let other = open(&RedisConfig {
        key_prefix,
        ..server.config()
    })
    .await?;
    let store = open(&server.config()).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    other.store(entry(1, "q", Some(3), "b")).await?;
    let () = server.run(&["SET", "turnpike:session", "kept"]).await?;
    let () = server.run(&["SET", "turnpike:1:session", "kept"]).await?;
    assert_eq!(store.clear().await?.entries, 1);
    assert_eq!(other.stats().await?.entries, 1);
    for key in ["turnpike:session", "turnpike:1:session"] {
        assert_eq!(server.run::<String>(&["GET", key]).await?, "kept");
    }
    Ok(())
}

#[tokio::test]
async fn redis_itself_lets_everything_go_in_time() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let time_to_live = Duration::from_secs(2);
    let store = open_with(&server.config(), time_to_live, &CacheMetrics::default()).await?;
    store.store(entry(1, "q", Some(3), "a")).await?;
    assert_eq!(nearest(&store, 3).await?, 1);
    let keys: Vec<String> = server.run(&["KEYS", "*{*"]).await?;
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in &keys {
        let left: i64 = server.run(&["PTTL", key]).await?;
        let (least, most) = if key.contains(":v:") {
            (1_900, 4_000)
        } else {
            (0, 2_000)
        };
        assert!((least..=most).contains(&left), "{key}: {left} ms");
    }
    let started_at = tokio::time::Instant::now();
    while started_at.elapsed() < time_to_live * 3 {
        let keys: Vec<String> = server.run(&["KEYS", "*{*"]).await?;
        if keys.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("keys are left".into())
}

#[tokio::test]
async fn vectors_of_entries_that_are_gone_hide_none_that_is_there() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    // Evicted by Redis, and nearer than what is there.
    for number in 0..4 {
        store
            .store(entry(1, &format!("gone {number}"), Some(3), "a"))
            .await?;
    }
    let keys: Vec<String> = server.run(&["KEYS", "*{*"]).await?;
    let entries = keys.iter().filter(|key| !key.contains(":v:"));
    let gone: Vec<&str> = ["UNLINK"]
        .into_iter()
        .chain(entries.map(String::as_str))
        .collect();
    assert_eq!(server.run::<usize>(&gone).await?, 4);
    store.store(entry(1, "there", Some(4), "b")).await?;
    let found = store.nearest(&partition(1), &embedding(3), 0.9, 4).await?;
    let questions: Vec<&str> = found.iter().map(|found| &*found.question).collect();
    assert_eq!(questions, ["there"]);
    Ok(())
}

#[tokio::test]
async fn an_entry_of_another_partition_under_a_key_of_ours_is_not_served() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    store.store(entry(1, "q", Some(3), "secret")).await?;
    let keys: Vec<String> = server.run(&["KEYS", "*{*"]).await?;
    let is_set = |key: &&String| key.contains(":v:");
    let set = keys.iter().find(is_set).ok_or("no set")?;
    let entry_key = keys.iter().find(|key| !is_set(key)).ok_or("no entry")?;
    let (from, to) = (partition(1).to_string(), partition(2).to_string());
    let copied: bool = server
        .run(&["COPY", entry_key, &entry_key.replace(&from, &to)])
        .await?;
    let elements: Vec<String> = server.run(&["VRANDMEMBER", set, "1"]).await?;
    let (values, set) = (embedding(3), set.replace(&from, &to));
    let values: Vec<String> = values.values().iter().map(ToString::to_string).collect();
    let vadd = [
        "VADD",
        &set,
        "VALUES",
        "3",
        &values[0],
        &values[1],
        &values[2],
        &elements[0],
    ];
    let added: bool = server.run(&vadd).await?;
    assert!(copied && added);
    assert_eq!(store.exact(&partition(2), "q").await?, None);
    assert_eq!(
        store.nearest(&partition(2), &embedding(3), -1.0, 4).await?,
        []
    );

    // What is no entry at all is none, too.
    for damage in [
        &["HDEL", entry_key, "body"][..],
        &["HSET", entry_key, "stored_at_ms", "soon"],
        &["HSET", entry_key, "body", "\u{FFFD}", "vector", "abc"],
    ] {
        assert!(server.run::<i64>(damage).await.is_ok());
        assert_eq!(store.exact(&partition(1), "q").await?, None);
        assert_eq!(nearest(&store, 3).await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_ever_taken_out_of_a_vector_set() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let store = open(&server.config()).await?;
    for round in 0..5 {
        for number in 0..20 {
            store
                .store(entry(1, &number.to_string(), Some(number), "a"))
                .await?;
        }
        let filter = Filter {
            older_than: Some(HOUR),
            ..Filter::default()
        };
        store.invalidate(filter, false).await?;
        if round == 3 {
            store.clear().await?;
        }
    }
    let one = Filter {
        partition: Some(partition(1)),
        ..Filter::default()
    };
    store.invalidate(one, false).await?;
    let stats: String = server.run(&["INFO", "commandstats"]).await?;
    let stats = stats.to_lowercase();
    let calls = |command: &str| {
        stats
            .lines()
            .find(|line| line.starts_with(&format!("cmdstat_{command}:")))
    };
    assert_eq!(calls("vrem"), None, "VREM can crash Redis");
    let added = calls("vadd").ok_or("no VADD")?;
    assert!(
        added.contains("calls=40,"),
        "one for each new entry, none for one that is there: {added}"
    );
    Ok(())
}
