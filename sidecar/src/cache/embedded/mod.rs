//! [`Embedded`]: entries in the process, and in a folder if one is given.
//!
//! 1. A lookup takes shared locks alone: of a part of the map for the exact tier, of its partition's [`index`] for the semantic
//!    one. A hit that is served takes the lock of the eviction order for one step of O(log n).
//! 2. Changes come one after the other. What takes time (finding a node's neighbours in a graph) happens under shared locks;
//!    carrying it out takes microseconds. The locks are `parking_lot`'s: a change that waits for one comes before later lookups, where
//!    `std`'s let these in until the change's thread was awake.
//! 3. A thread removes what has expired and moves the rows of partitions that have grown into their graphs ([`upkeep`]).
//! 4. With a folder, every change is appended to a journal, and the whole is written down now and then ([`journal`]).

mod bytes;
mod entry;
mod graph;
mod halves;
mod index;
mod journal;
mod open;
mod order;
mod rows;
mod sharded;
mod upkeep;
mod vectors;
mod whole;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::RwLock;
use turnpike_core::cache::EvictionPolicy;

use entry::Entry;
use index::{Index, move_row};
use journal::{Change, Journal};
use order::EvictionOrder;
use sharded::Sharded;
use upkeep::Upkeep;

use super::fixed_point::quantized;
use super::{CacheLimits, EntryKey, Filter, Found, NewEntry, Partition, Removed, Stats, Timestamp};
use crate::encoder::Embedding;
use crate::metrics::{CacheMetrics, Eviction};

pub use journal::OpenError;

/// Expired entries that a store removes, so that none waits for the removal of many.
const EXPIRED_PER_STORE: usize = 16;

/// Rows that a store moves into the graph of its partition: more than it adds, so that the matrix empties.
const MOVED_PER_STORE: usize = 2;

/// The embedded store.
#[derive(Debug)]
pub struct Embedded {
    inner: Arc<Inner>,
    /// Ends with the store.
    upkeep: Option<Arc<Upkeep>>,
}

/// What the store shares with its threads.
#[derive(Debug)]
struct Inner {
    dimensions: usize,
    limits: RwLock<CacheLimits>,
    entries: Sharded<EntryKey, Arc<Entry>>,
    partitions: Sharded<Partition, Arc<RwLock<Index>>>,
    order: Mutex<EvictionOrder>,
    /// Held by whoever changes entries or indexes.
    writer: Mutex<Writer>,
    bytes: AtomicUsize,
    journal: Option<Journal>,
    closed: AtomicBool,
    metrics: CacheMetrics,
}

#[derive(Debug, Default)]
struct Writer {
    by_age: BTreeMap<(Timestamp, u64), Arc<Entry>>,
    next_id: u64,
    /// Partitions with more rows than stores have moved.
    crowded: HashSet<Partition>,
}

impl Embedded {
    /// A store in memory alone, for vectors of `dimensions` components. Nothing runs beside it: what has expired is removed by
    /// stores.
    #[must_use]
    pub fn in_memory(limits: CacheLimits, dimensions: usize, metrics: CacheMetrics) -> Self {
        Self {
            inner: Arc::new(Inner::new(limits, dimensions, metrics, None)),
            upkeep: None,
        }
    }

    /// Starts the thread that removes what has expired.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn with_upkeep(mut self) -> std::io::Result<Self> {
        self.upkeep = Some(Arc::new(Upkeep::start(&self.inner)?));
        Ok(self)
    }

    /// The entry stored for exactly this question in this partition.
    #[must_use]
    pub fn exact_at(&self, partition: &Partition, question: &str, now: Timestamp) -> Option<Found> {
        let entry = self.inner.entries.get(&EntryKey::of(partition, question))?;
        let time_to_live = self.limits().time_to_live;
        entry
            .is_alive(now, time_to_live)
            .then(|| entry.found(1.0, now))
    }

    /// The entries of a partition that are nearest to `embedding`, best first: at most `most`, from `threshold` on. Empty for a
    /// vector of another length than the store's.
    #[must_use]
    pub fn nearest_at(
        &self,
        partition: &Partition,
        embedding: &Embedding,
        threshold: f32,
        most: usize,
        now: Timestamp,
    ) -> Vec<Found> {
        self.inner
            .nearest(partition, embedding, threshold, most, now)
    }

    /// Says that an entry was served.
    pub fn served(&self, found: &Found) {
        if self.limits().eviction == EvictionPolicy::Fifo {
            return;
        }
        if let Some(entry) = self.inner.entries.get(&found.key) {
            self.inner.order().used(&entry);
        }
    }

    /// Stores an entry; one of the same partition and question is replaced. An entry larger than `max_bytes` is not stored.
    /// A vector of another length than the store's is left out.
    pub fn store_at(&self, new: NewEntry, now: Timestamp) {
        self.inner.store(new, now);
        self.inner.count();
    }

    /// Removes the entries that `filter` names, or says only how many these are.
    pub fn invalidate_at(&self, filter: &Filter, dry_run: bool, now: Timestamp) -> Removed {
        let removed = self.inner.invalidate(filter, dry_run, now);
        self.inner.count();
        removed
    }

    /// Removes every entry.
    pub fn clear_all(&self) -> Removed {
        let removed = self.inner.clear();
        self.inner.count();
        removed
    }

    /// How much is in it.
    #[must_use]
    pub fn stats_now(&self) -> Stats {
        self.inner.stats()
    }

    /// Moves all rows that should be in graphs there, which stores and the upkeep otherwise do in time. For measurements.
    pub fn settle(&self) {
        while self.inner.move_rows() {}
    }

    /// Whether the limits can become `limits` without a new store: all but the policy can, unless it was closed.
    pub fn set_limits(&self, limits: CacheLimits) -> bool {
        let mut current = self.inner.limits.write();
        let is_open = !self.inner.closed.load(Ordering::Relaxed);
        let is_possible = is_open && current.eviction == limits.eviction;
        if is_possible {
            *current = limits;
        }
        is_possible
    }

    /// Writes down what is left to write and gives the folder free; from then on the store is one in memory. Returns when
    /// that is done.
    pub fn close(&self) {
        self.closing()();
    }

    /// What closes it, for a thread that may wait.
    fn closing(&self) -> impl FnOnce() + Send + 'static {
        let (inner, upkeep) = (Arc::clone(&self.inner), self.upkeep.clone());
        move || {
            inner.closed.store(true, Ordering::Relaxed);
            if let Some(upkeep) = upkeep {
                upkeep.stop();
            }
            if let Some(journal) = &inner.journal {
                journal.close();
            }
        }
    }

    fn limits(&self) -> CacheLimits {
        *self.inner.limits.read()
    }
}

impl Inner {
    fn new(
        limits: CacheLimits,
        dimensions: usize,
        metrics: CacheMetrics,
        journal: Option<Journal>,
    ) -> Self {
        Self {
            dimensions,
            limits: RwLock::new(limits),
            entries: Sharded::new(),
            partitions: Sharded::new(),
            order: Mutex::new(EvictionOrder::new(limits.eviction)),
            writer: Mutex::default(),
            bytes: AtomicUsize::new(0),
            journal,
            closed: AtomicBool::new(false),
            metrics,
        }
    }

    fn nearest(
        &self,
        partition: &Partition,
        embedding: &Embedding,
        threshold: f32,
        most: usize,
        now: Timestamp,
    ) -> Vec<Found> {
        if embedding.values().len() != self.dimensions {
            return Vec::new();
        }
        let Some(index) = self.partitions.get(partition) else {
            return Vec::new();
        };
        let time_to_live = self.limits.read().time_to_live;
        let query = quantized(embedding.values());
        let is_alive = |entry: &Entry| entry.is_alive(now, time_to_live);
        let best = index.read().nearest(&query, threshold, most, is_alive);
        best.into_iter()
            .map(|(similarity, entry)| entry.found(similarity, now))
            .collect()
    }

    fn store(&self, new: NewEntry, now: Timestamp) {
        let mut new = new;
        let embedding = new.embedding.take();
        let vector = embedding
            .filter(|embedding| embedding.values().len() == self.dimensions)
            .map(|embedding| quantized(embedding.values()));
        let limits = *self.limits.read();
        let mut writer = self.writer();
        let entry = writer.entry(new, vector.as_deref());
        if entry.bytes > limits.max_bytes || limits.max_entries == 0 {
            self.metrics.refused();
            return;
        }
        if let Some(replaced) = self.entries.get(&entry.key) {
            self.remove(&mut writer, &replaced);
        }
        self.remove_expired(&mut writer, now, EXPIRED_PER_STORE);
        self.make_room(&mut writer, &limits, Some(&entry), usize::MAX);
        if let Some(journal) = &self.journal {
            journal.append(&Change::Stored {
                entry: &entry,
                vector: vector.as_deref(),
                placed: None,
            });
        }
        self.add(&mut writer, &entry);
        if let Some(vector) = vector {
            let partition = entry.partition;
            let index = self.index(partition);
            index.write().push(&vector, entry);
            for _ in 0..MOVED_PER_STORE {
                if !move_row(&index) {
                    break;
                }
            }
            if index.read().is_crowded() {
                writer.crowded.insert(partition);
            }
        }
    }

    /// Puts an entry into every map but the index.
    fn add(&self, writer: &mut Writer, entry: &Arc<Entry>) {
        writer
            .by_age
            .insert((entry.stored_at, entry.id), Arc::clone(entry));
        self.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
        self.order().add(Arc::clone(entry));
        self.entries.insert(entry.key, Arc::clone(entry));
    }

    /// Takes an entry out of every map; `false` when it is not there any more.
    fn remove(&self, writer: &mut Writer, entry: &Arc<Entry>) -> bool {
        let is_there = self
            .entries
            .get(&entry.key)
            .is_some_and(|there| there.id == entry.id);
        if !is_there {
            return false;
        }
        self.entries.remove(&entry.key);
        writer.by_age.remove(&(entry.stored_at, entry.id));
        self.order().remove(entry);
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
        if let Some(index) = self.partitions.get(&entry.partition) {
            index::remove(&index, entry);
            if index.read().is_empty() {
                self.partitions.remove(&entry.partition);
            }
        }
        true
    }

    /// Removes at most `most` entries that have expired, and says how many these were.
    fn remove_expired(&self, writer: &mut Writer, now: Timestamp, most: usize) -> usize {
        let time_to_live = self.limits.read().time_to_live;
        let mut removed = 0;
        while removed < most
            && let Some((_, entry)) = writer.by_age.first_key_value()
            && !entry.is_alive(now, time_to_live)
        {
            let entry = Arc::clone(entry);
            self.remove(writer, &entry);
            removed += 1;
        }
        self.metrics.evicted_many(Eviction::Expired, removed);
        removed
    }

    /// Removes at most `most` entries that the policy names, until there is room for `new`; says how many these were.
    fn make_room(
        &self,
        writer: &mut Writer,
        limits: &CacheLimits,
        new: Option<&Entry>,
        most: usize,
    ) -> usize {
        let (entries, bytes) = new.map_or((0, 0), |new| (1, new.bytes));
        let mut removed = 0;
        while removed < most {
            let too_many = writer.by_age.len() + entries > limits.max_entries;
            let too_large = self.bytes.load(Ordering::Relaxed) + bytes > limits.max_bytes;
            if !too_many && !too_large {
                break;
            }
            let Some(victim) = self.order().next() else {
                break;
            };
            if let Some(journal) = &self.journal {
                journal.append(&Change::Removed(victim.key));
            }
            self.remove(writer, &victim);
            let reason = if too_many {
                Eviction::MaxEntries
            } else {
                Eviction::MaxBytes
            };
            self.metrics.evicted(reason);
            removed += 1;
        }
        removed
    }

    fn index(&self, partition: Partition) -> Arc<RwLock<Index>> {
        let new = || Arc::new(RwLock::new(Index::new(self.dimensions)));
        self.partitions.get_or_insert_with(partition, new)
    }

    fn stats(&self) -> Stats {
        Stats {
            entries: self.entries.len(),
            bytes: self.bytes.load(Ordering::Relaxed),
            partitions: self.partitions.len(),
        }
    }

    fn count(&self) {
        let stats = self.stats();
        self.metrics.holds(stats.entries, stats.bytes);
    }

    /// A panic of another thread leaves maps that are still maps; at worst an entry is missing from one of them.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, EvictionOrder> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn entry(&mut self, new: NewEntry, vector: Option<&[i16]>) -> Arc<Entry> {
        let vector_bytes = vector.map_or(0, size_of_val);
        let id = self.next_id;
        self.next_id += 1;
        Arc::new(Entry::new(id, new, vector_bytes))
    }
}
