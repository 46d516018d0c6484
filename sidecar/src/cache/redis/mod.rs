//! [`RedisStore`]: entries in Redis 8 or later, where several sidecars find them.
//!
//! 1. An entry is a hash that Redis removes when its time to live is over ([`entry`]). Exact tier: one `HMGET` of its key.
//! 2. The vectors of a partition are in vector sets of its own, one for each [`slice`](slices) of time. Semantic tier: `VSIM` on the
//!    two sets that may hold what is alive, then the hashes of the nearest. All keys of a partition have one hash tag
//!    ([`keys`]), so that each of these is one round trip to one node of a cluster.
//! 3. What `VSIM` says is a first choice alone, for its vectors have 8 bits: the similarity is computed from the vector in the
//!    hash. Partition and question of a hash are checked, whatever key led to it.
//! 4. One task keeps the connections, tries every second when Redis is gone, and meanwhile every call fails at once ([`link`]).
//!
//! **Nothing is taken out of a vector set.** `VREM`, and `VADD` for an element that is there, can crash Redis
//! (redis/redis#15424, seen in 8.4 and open: sets that are small and change often). So elements have
//! names that do not come again, sets expire as a whole, and an invalidation builds anew the sets that it touches ([`whole`]).
//!
//! Not done here: eviction, which is Redis' own (`maxmemory-policy`); reading from replicas.

mod connector;
mod entry;
mod keys;
mod link;
mod lookup;
mod slices;
mod trouble;
mod whole;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use redis::pipe;
use turnpike_core::cache::RedisConfig;

use super::{
    CacheLimits, EntryKey, Filter, Fingerprint, Found, NewEntry, Partition, Removed, Stats, Store,
    StoreError, Timestamp,
};
use crate::encoder::{Embedding, dot};
use crate::metrics::CacheMetrics;

pub use connector::RedisOpenError;

use connector::Connector;
use keys::{Element, Keys};
use link::Link;
use slices::Slices;

/// The shared store.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    dimensions: usize,
    limits: RwLock<CacheLimits>,
    metrics: CacheMetrics,
}

impl RedisStore {
    /// A store in the Redis that `config` names. Returns when the first attempt to connect has ended, well or not: without
    /// Redis, calls fail until it is there.
    ///
    /// # Errors
    /// [`RedisOpenError`], when a file that `config` names cannot be read, or is not what it should be.
    pub async fn open(
        config: &RedisConfig,
        limits: CacheLimits,
        fingerprint: Fingerprint,
        metrics: CacheMetrics,
    ) -> Result<Self, RedisOpenError> {
        let connector = Connector::new(config)?;
        connector.read_files().await?;
        let keys = Keys::new(&config.key_prefix);
        let dimensions = fingerprint.dimensions();
        let timeout = Duration::from_millis(config.timeout_ms.into());
        let link = Link::open(
            connector,
            keys.clone(),
            fingerprint,
            timeout,
            metrics.clone(),
        )
        .await;
        Ok(Self {
            link,
            keys,
            dimensions,
            limits: RwLock::new(limits),
            metrics,
        })
    }

    fn time_to_live(&self) -> Duration {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.time_to_live
    }

    /// Keeps an entry: its hash, then its vector, unless the set of this time has it already.
    async fn keep(&self, new: NewEntry) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let time_to_live = self.time_to_live();
        let left = time_to_live.saturating_sub(now.since(new.stored_at));
        if left.is_zero() {
            return Ok(());
        }
        let live = self.link.live()?;
        let key = EntryKey::of(&new.partition, &new.question);
        let entry_key = self.keys.entry(&live.encoder, &new.partition, &key);
        let embedding = new.embedding.as_ref().filter(|it| self.fits(it));

        let mut pipeline = pipe();
        pipeline.atomic();
        entry::write(&mut pipeline, &entry_key, &new, embedding);
        pipeline
            .cmd("PEXPIRE")
            .arg(&entry_key)
            .arg(millis(left))
            .ignore();
        let Some(embedding) = embedding else {
            return self.link.write(&live, &entry_key, &pipeline).await;
        };
        let slice = Slices::new(time_to_live).of(new.stored_at);
        let vectors = self.keys.vectors(&live.encoder, &new.partition, slice);
        entry::mark(&mut pipeline, &entry_key, slice);
        pipeline.cmd("VCARD").arg(&vectors);
        let (is_first, others): (bool, usize) =
            self.link.write(&live, &entry_key, &pipeline).await?;
        // Redis may have evicted the set.
        if !is_first && others > 0 {
            return Ok(());
        }
        let element = Element::new(key, new.stored_at);
        let mut pipeline = pipe();
        pipeline.atomic();
        entry::add_vector(&mut pipeline, &vectors, &element, embedding.values());
        entry::expire(&mut pipeline, &vectors, slice, now);
        let added = self.link.write(&live, &entry_key, &pipeline).await;
        if added.is_err() {
            // For the next one to try; one that is lost, too, costs semantic hits on this entry alone.
            let mut pipeline = pipe();
            entry::unmark(&mut pipeline, &entry_key, slice);
            let _: Result<(), StoreError> = self.link.write(&live, &entry_key, &pipeline).await;
        }
        added
    }

    /// Whether a vector can be searched: of this store's length, and of length 1.
    fn fits(&self, embedding: &Embedding) -> bool {
        let values = embedding.values();
        values.len() == self.dimensions && (dot(values, values) - 1.0).abs() < 0.01
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Store for RedisStore {
    fn exact<'a>(
        &'a self,
        partition: &'a Partition,
        question: &'a str,
    ) -> BoxFuture<'a, Result<Option<Found>, StoreError>> {
        Box::pin(self.find_exact(partition, question))
    }

    fn nearest<'a>(
        &'a self,
        partition: &'a Partition,
        embedding: &'a Embedding,
        threshold: f32,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Found>, StoreError>> {
        Box::pin(self.find_nearest(partition, embedding, threshold, most))
    }

    /// Redis sees for itself what is read.
    fn served(&self, _found: &Found) {}

    fn store(&self, entry: NewEntry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.keep(entry))
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, StoreError>> {
        Box::pin(self.count())
    }

    fn invalidate(
        &self,
        filter: Filter,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<Removed, StoreError>> {
        Box::pin(self.remove(filter, dry_run))
    }

    fn clear(&self) -> BoxFuture<'_, Result<Removed, StoreError>> {
        Box::pin(self.remove_all())
    }

    fn export(&self) -> BoxStream<'_, Result<String, StoreError>> {
        self.lines()
    }

    fn set_limits(&self, limits: CacheLimits) -> bool {
        let mut current = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        *current = limits;
        !self.link.is_closed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.link.close();
        Box::pin(std::future::ready(()))
    }

    fn health(&self) -> Option<Result<(), String>> {
        Some(self.link.health())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.link.close();
    }
}
