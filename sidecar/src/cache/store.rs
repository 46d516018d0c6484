//! [`Store`]: what a place for entries must be able to do.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Found, NewEntry, Partition};
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
}

/// Why a store could not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or failed.
    #[error("the cache's store failed: {0}")]
    Failed(String),
}

/// What is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Entries, expired ones that nothing has removed yet included.
    pub entries: usize,
    /// Bytes of their questions, answers and vectors.
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
