//! [`Store`]: what a place for entries must be able to do.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{CacheLimits, Found, NewEntry, Partition, StoredAnswer, Timestamp};
use crate::encoder::Embedding;

/// A place for entries. A lookup that fails is a miss for its caller, who goes on without cache.
pub trait Store: fmt::Debug + Send + Sync {
    /// The entry stored for exactly this question in this partition.
    fn exact<'a>(
        &'a self,
        partition: &'a Partition,
        question: &'a str,
    ) -> BoxFuture<'a, Result<Option<Found>, StoreError>>;

    /// The entries of a partition whose questions are nearest, best first: at most `most`, from `threshold` on.
    fn nearest<'a>(
        &'a self,
        partition: &'a Partition,
        embedding: &'a Embedding,
        threshold: f32,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Found>, StoreError>>;

    /// Says that an entry was served, for `lru` and `lfu`. A candidate that was turned down is not used.
    fn served(&self, found: &Found);

    /// Keeps an entry; one of the same partition and question is replaced.
    fn store(&self, entry: NewEntry) -> BoxFuture<'_, Result<(), StoreError>>;

    /// How much is in it.
    fn stats(&self) -> BoxFuture<'_, Result<Stats, StoreError>>;

    /// Removes the entries that `filter` names, or says only how many these are.
    fn invalidate(
        &self,
        filter: Filter,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<Removed, StoreError>>;

    /// Removes every entry.
    fn clear(&self) -> BoxFuture<'_, Result<Removed, StoreError>>;

    /// Every entry that is alive as one line of JSON, without vector and line break: `partition`, `question`,
    /// `stored_at_ms`, `model`, `decision`, `category`, `owner`, `body`. What changes meanwhile may be in it or not.
    fn export(&self) -> BoxStream<'_, Result<String, StoreError>>;

    /// Takes other limits; `false` when that needs a new store, and always once it was closed.
    fn set_limits(&self, limits: CacheLimits) -> bool;

    /// Brings what is stored to safety and lets go of what only one may hold. Requests that still have the store go on.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Whether what it depends on outside the process works, and why not; `None` when there is no such thing.
    fn health(&self) -> Option<Result<(), String>>;
}

/// Why a store could not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It failed.
    #[error("the cache's store failed: {0}")]
    Failed(String),
    /// It does not answer, or not in time. It says so in the log and in metrics itself, once and not for every request.
    #[error("the cache's store does not answer")]
    Unavailable,
}

/// What is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Entries, expired ones that nothing has removed yet included.
    pub entries: usize,
    /// Bytes of their questions, answers and vectors; what a store outside the process takes for them.
    pub bytes: usize,
    /// Partitions that have entries with a vector.
    pub partitions: usize,
}

/// Entries that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// How many.
    pub entries: usize,
    /// Whether they stay away after a crash. `false` when the disk did not take it: then the folder must be emptied by hand
    /// before the next start.
    pub is_durable: bool,
}

/// Which entries are meant: those that meet every condition that is given. None given means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this partition.
    pub partition: Option<Partition>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Whose model this decision chose.
    pub decision: Option<String>,
    /// Answered by this model.
    pub model: Option<String>,
    /// Older than this.
    pub older_than: Option<Duration>,
}

impl Filter {
    /// Whether an entry is meant.
    pub(super) fn names(
        &self,
        partition: &Partition,
        answer: &StoredAnswer,
        stored_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        self.partition.is_none_or(|wanted| wanted == *partition)
            && is(&self.owner, &answer.owner)
            && is(&self.decision, &answer.decision)
            && is(&self.model, &answer.model)
            && self.older_than.is_none_or(|age| now.since(stored_at) > age)
    }
}
