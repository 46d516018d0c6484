//! A map in parts with a lock each: one that grows moves only its part, and readers of the others do not wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::RwLock;

/// Parts; of a million entries each has 16 thousand, which move in a millisecond.
const SHARDS: usize = 64;

/// A map whose values are cheap to clone.
#[derive(Debug)]
pub(super) struct Sharded<K, V> {
    hasher: RandomState,
    shards: Box<[RwLock<HashMap<K, V>>]>,
}

impl<K: Eq + Hash, V: Clone> Sharded<K, V> {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.shard(key).read().get(key).cloned()
    }

    pub(super) fn get_or_insert_with(&self, key: K, value: impl FnOnce() -> V) -> V {
        if let Some(value) = self.get(&key) {
            return value;
        }
        let mut shard = self.shard(&key).write();
        shard.entry(key).or_insert_with(value).clone()
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.shard(&key).write().insert(key, value);
    }

    pub(super) fn remove(&self, key: &K) -> Option<V> {
        self.shard(key).write().remove(key)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// The values of one part after the other that are `wanted`; each part is locked while it is looked through.
    pub(super) fn values<'a>(
        &'a self,
        wanted: impl Fn(&V) -> bool + 'a,
    ) -> impl Iterator<Item = Vec<V>> + 'a {
        self.shards.iter().map(move |shard| {
            shard
                .read()
                .values()
                .filter(|v| wanted(v))
                .cloned()
                .collect()
        })
    }

    /// Empties the map and returns what was in it.
    pub(super) fn take(&self) -> Vec<HashMap<K, V>> {
        self.shards
            .iter()
            .map(|shard| std::mem::take(&mut *shard.write()))
            .collect()
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}
