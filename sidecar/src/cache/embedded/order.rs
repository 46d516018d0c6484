//! Which entry goes when the cache is full. Every step takes O(log n).
//!
//! - `fifo`: the one stored first.
//! - `lru`: the one served the longest time ago, or stored, if it was never served.
//! - `lfu`: the one served the fewest times, the least recently used of them. So that what was popular once does not stay
//!   for ever, an entry counts from the count at which the last one went (LFU with dynamic aging: Arlitt et al. 2000).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use turnpike_core::cache::EvictionPolicy;

use super::entry::Entry;

/// Place in the order of eviction; the lowest goes first. The second part is unique.
type Rank = (u64, u64);

/// Entries in the order of eviction.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    policy: EvictionPolicy,
    entries: BTreeMap<Rank, Arc<Entry>>,
    /// Stored and served so far.
    steps: u64,
    /// Count at which the last entry went.
    age: u64,
}

impl EvictionOrder {
    pub(super) fn new(policy: EvictionPolicy) -> Self {
        Self {
            policy,
            entries: BTreeMap::new(),
            steps: 0,
            age: 0,
        }
    }

    /// An entry was stored.
    pub(super) fn add(&mut self, entry: Arc<Entry>) {
        self.put(entry);
    }

    /// An entry was served; one that is not here any more stays away.
    pub(super) fn used(&mut self, entry: &Entry) {
        if self.policy == EvictionPolicy::Fifo {
            return;
        }
        if let Some(entry) = self.entries.remove(&rank_of(entry)) {
            entry.uses.fetch_add(1, Ordering::Relaxed);
            self.put(entry);
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.entries.remove(&rank_of(entry));
    }

    /// The entry that goes next. That it does is taken for granted.
    pub(super) fn next(&mut self) -> Option<Arc<Entry>> {
        let (rank, entry) = self.entries.first_key_value()?;
        self.age = rank.0;
        Some(Arc::clone(entry))
    }

    pub(super) fn clear(&mut self) -> BTreeMap<Rank, Arc<Entry>> {
        std::mem::take(&mut self.entries)
    }

    fn put(&mut self, entry: Arc<Entry>) {
        self.steps += 1;
        let count = match self.policy {
            EvictionPolicy::Fifo | EvictionPolicy::Lru => 0,
            EvictionPolicy::Lfu => self.age + entry.uses.load(Ordering::Relaxed),
        };
        let rank = (count, self.steps);
        entry.rank[0].store(rank.0, Ordering::Relaxed);
        entry.rank[1].store(rank.1, Ordering::Relaxed);
        self.entries.insert(rank, entry);
    }
}

fn rank_of(entry: &Entry) -> Rank {
    (
        entry.rank[0].load(Ordering::Relaxed),
        entry.rank[1].load(Ordering::Relaxed),
    )
}
