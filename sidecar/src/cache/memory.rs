//! [`MemoryCache`]: maps and matrices behind one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use turnpike_core::cache::EvictionPolicy;

use super::partition::Rows;
use super::{CacheLimits, Entry, EntryKey, Found, Partition, StoredAnswer};
use crate::encoder::Embedding;

/// The cache. Lookups share the lock; storing and clearing hold it alone.
#[derive(Debug)]
pub struct MemoryCache {
    limits: CacheLimits,
    dimensions: usize,
    state: RwLock<State>,
    /// Next place in the orders of storing and use.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<EntryKey, Entry>,
    partitions: HashMap<Partition, Rows>,
    by_age: BTreeMap<u64, EntryKey>,
    /// Order of use as of the last look; readers do not keep it, eviction brings it up to date. Kept for `lru` only.
    by_use: BTreeMap<u64, EntryKey>,
}

impl MemoryCache {
    /// An empty cache for vectors of `dimensions` components.
    #[must_use]
    pub fn new(limits: CacheLimits, dimensions: usize) -> Self {
        Self {
            limits,
            dimensions,
            state: RwLock::default(),
            clock: AtomicU64::default(),
        }
    }

    /// The answer stored for exactly this text in this partition.
    #[must_use]
    pub fn exact(&self, partition: &Partition, text: &str, now: Instant) -> Option<Found> {
        let key = EntryKey::of(partition, text);
        let state = self.read();
        let entry = state.entries.get(&key)?;
        self.serve(entry, 1.0, now)
    }

    /// The answer of this partition whose question is nearest to `embedding`, from `threshold` on.
    #[must_use]
    pub fn nearest(
        &self,
        partition: &Partition,
        embedding: &Embedding,
        threshold: f32,
        now: Instant,
    ) -> Option<Found> {
        let state = self.read();
        let rows = state.partitions.get(partition)?;
        let is_alive = |key: &EntryKey| {
            let entry = state.entries.get(key);
            entry.is_some_and(|entry| self.is_alive(entry, now))
        };
        let (key, similarity) = rows.nearest(embedding, threshold, is_alive)?;
        // Rounding may lift the product of two unit vectors a little above one.
        self.serve(state.entries.get(&key)?, similarity.min(1.0), now)
    }

    /// Stores an answer; one of the same partition and text is replaced. Without a vector, only the exact tier finds it.
    ///
    /// A vector of another length than the cache's is left out.
    pub fn store(
        &self,
        partition: Partition,
        text: &str,
        embedding: Option<&Embedding>,
        answer: StoredAnswer,
        now: Instant,
    ) {
        if self.limits.max_entries == 0 {
            return;
        }
        let key = EntryKey::of(&partition, text);
        let mut state = self.write();
        state.remove(&key);
        self.remove_expired(&mut state, now);
        while state.entries.len() >= self.limits.max_entries {
            if !self.evict(&mut state) {
                break;
            }
        }
        let stamp = self.tick();
        let row = embedding
            .filter(|embedding| embedding.values().len() == self.dimensions)
            .map(|embedding| {
                state
                    .partitions
                    .entry(partition.clone())
                    .or_insert_with(|| Rows::new(self.dimensions))
                    .push(key, embedding)
            });
        state.by_age.insert(stamp, key);
        if self.limits.eviction == EvictionPolicy::Lru {
            state.by_use.insert(stamp, key);
        }
        let entry = Entry {
            partition,
            row,
            answer: Arc::new(answer),
            stored_at: now,
            stored: stamp,
            listed: stamp,
            used: AtomicU64::new(stamp),
        };
        state.entries.insert(key, entry);
    }

    /// Removes everything and says how many entries there were.
    pub fn clear(&self) -> usize {
        let gone = std::mem::take(&mut *self.write());
        gone.entries.len()
    }

    /// Number of entries, expired ones that nothing has removed yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn serve(&self, entry: &Entry, similarity: f32, now: Instant) -> Option<Found> {
        if !self.is_alive(entry, now) {
            return None;
        }
        if self.limits.eviction == EvictionPolicy::Lru {
            entry.touch(self.tick());
        }
        Some(entry.found(similarity, now))
    }

    fn is_alive(&self, entry: &Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.stored_at) < self.limits.time_to_live
    }

    fn remove_expired(&self, state: &mut State, now: Instant) {
        while let Some((_, key)) = state.by_age.first_key_value() {
            let key = *key;
            let expired = state
                .entries
                .get(&key)
                .is_none_or(|entry| !self.is_alive(entry, now));
            if !expired {
                return;
            }
            state.by_age.pop_first();
            state.remove(&key);
        }
    }

    /// Removes the entry that the policy names; `false` when there is none.
    fn evict(&self, state: &mut State) -> bool {
        let victim = match self.limits.eviction {
            EvictionPolicy::Fifo => state.by_age.first_key_value().map(|(_, key)| *key),
            EvictionPolicy::Lru => state.least_recently_used(),
        };
        victim.is_some_and(|key| state.remove(&key))
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// A panic of another thread leaves maps that are still maps; at worst an entry is missing from one of them.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The entry used longest ago: entries used since the last look go back to the place of that use.
    fn least_recently_used(&mut self) -> Option<EntryKey> {
        while let Some((stamp, key)) = self.by_use.pop_first() {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let used = *entry.used.get_mut();
            entry.listed = used;
            self.by_use.insert(used, key);
            if used == stamp {
                return Some(key);
            }
        }
        None
    }

    /// Takes an entry out of every map; `false` when there is none.
    fn remove(&mut self, key: &EntryKey) -> bool {
        let Some(entry) = self.entries.remove(key) else {
            return false;
        };
        self.by_age.remove(&entry.stored);
        self.by_use.remove(&entry.listed);
        let (Some(row), Some(rows)) = (entry.row, self.partitions.get_mut(&entry.partition)) else {
            return true;
        };
        if let Some(moved) = rows.remove(row)
            && let Some(moved) = self.entries.get_mut(&moved)
        {
            moved.row = Some(row);
        }
        if rows.is_empty() {
            self.partitions.remove(&entry.partition);
        }
        true
    }
}
