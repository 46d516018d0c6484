//! Entries, and stores to put them into.

use std::sync::Arc;
use std::time::Duration;

use turnpike_core::cache::{EvictionPolicy, RedisConfig};
use turnpike_sidecar::cache::{
    CacheLimits, Embedded, Fingerprint, NewEntry, Partition, RedisStore, Store, StoredAnswer,
    Timestamp,
};
use turnpike_sidecar::encoder::Embedding;
use turnpike_sidecar::metrics::CacheMetrics;

use crate::server::{Outcome, RedisServer};

/// Length of the vectors here.
pub(crate) const DIMENSIONS: usize = 3;

pub(crate) fn partition(number: u8) -> Partition {
    Partition::parse(&format!("{number:064x}")).unwrap_or_default()
}

/// One unit vector per number: neighbours are similar, 0.998 at most; distant ones are not.
pub(crate) fn embedding(number: u8) -> Embedding {
    let angle = f32::from(number) * 0.07;
    Embedding::normalized(vec![angle.cos(), angle.sin(), 0.0])
}

pub(crate) fn entry(p: u8, question: &str, vector: Option<u8>, body: &str) -> NewEntry {
    NewEntry {
        partition: partition(p),
        question: question.into(),
        embedding: vector.map(embedding),
        answer: StoredAnswer {
            model: "m".into(),
            body: body.into(),
            ..StoredAnswer::default()
        },
        stored_at: Timestamp::now(),
    }
}

/// The same, as if it were stored that long ago.
pub(crate) fn aged(entry: NewEntry, age: Duration) -> NewEntry {
    let stored_at = entry.stored_at.before(age);
    NewEntry { stored_at, ..entry }
}

pub(crate) fn limits(time_to_live: Duration) -> CacheLimits {
    CacheLimits {
        max_entries: 100_000,
        max_bytes: usize::MAX,
        time_to_live,
        eviction: EvictionPolicy::Lru,
    }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) async fn open(config: &RedisConfig) -> Outcome<RedisStore> {
    open_with(config, HOUR, &CacheMetrics::default()).await
}

pub(crate) async fn open_with(
    config: &RedisConfig,
    time_to_live: Duration,
    metrics: &CacheMetrics,
) -> Outcome<RedisStore> {
    let fingerprint = Fingerprint::new(&embedding(0));
    let store = RedisStore::open(config, limits(time_to_live), fingerprint, metrics.clone());
    Ok(store.await?)
}

/// A store of each kind, empty.
pub(crate) async fn both(server: &RedisServer) -> Outcome<[(&'static str, Arc<dyn Store>); 2]> {
    let embedded = Embedded::in_memory(limits(HOUR), DIMENSIONS, CacheMetrics::default());
    let redis = open(&server.config()).await?;
    Ok([("embedded", Arc::new(embedded)), ("redis", Arc::new(redis))])
}
