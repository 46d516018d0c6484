//! The semantic cache, in memory.
//!
//! 1. Every entry belongs to one [`Partition`]; a lookup reads the entries of its own partition and no other.
//! 2. Exact tier: the digest of partition and text.
//! 3. Semantic tier: the entry of the partition with the highest cosine similarity, by a scan over its rows, if that
//!    reaches the threshold of the request.
//! 4. An entry older than the time to live is not served; storing removes such entries, and above `max_entries` the one that
//!    the eviction policy names.
//!
//! Entries without a vector (texts longer than the encoder reads) are found by the exact tier alone. Not done here: nothing
//! survives a restart, and nothing is shared between sidecars.

mod memory;
mod partition;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use turnpike_core::cache::{EvictionPolicy, SemanticCacheConfig};
use turnpike_core::sidecar::{CacheHit, StoreRequest};

pub use memory::MemoryCache;

/// Hard key of a lookup: 64 hex digits, written by the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition(Arc<str>);

impl Partition {
    /// Reads a partition; letters become lower case.
    ///
    /// # Errors
    /// What is wrong, when it is not 64 hex digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(format!("must be 64 hex digits, got {} bytes", text.len()))
        }
    }
}

/// SHA-256 of a partition and a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryKey([u8; 32]);

impl EntryKey {
    /// The key of `text` in `partition`. A partition has a fixed length, so no two pairs give one input.
    #[must_use]
    pub fn of(partition: &Partition, text: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(partition.0.as_bytes())
            .chain_update(text.as_bytes())
            .finalize();
        Self(digest.into())
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// How many entries live how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Entries kept.
    pub max_entries: usize,
    /// Age at which an entry is no longer served.
    pub time_to_live: Duration,
    /// Which entry goes when the cache is full.
    pub eviction: EvictionPolicy,
}

impl From<&SemanticCacheConfig> for CacheLimits {
    fn from(config: &SemanticCacheConfig) -> Self {
        Self {
            max_entries: usize::try_from(config.max_entries).unwrap_or(usize::MAX),
            time_to_live: Duration::from_secs(config.ttl_seconds),
            eviction: config.eviction_policy,
        }
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Model that gave the answer.
    pub model: String,
    /// Decision that chose it.
    pub decision: String,
    /// Category of the question.
    pub category: String,
    /// The response body, byte for byte.
    pub body: String,
}

impl From<StoreRequest> for StoredAnswer {
    fn from(request: StoreRequest) -> Self {
        Self {
            model: request.model,
            decision: request.decision,
            category: request.category,
            body: request.body,
        }
    }
}

/// An entry that a lookup found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The answer.
    pub answer: Arc<StoredAnswer>,
    /// Cosine similarity; 1 for the same text.
    pub similarity: f32,
    /// Time since it was stored.
    pub age: Duration,
}

impl From<Found> for CacheHit {
    fn from(found: Found) -> Self {
        let answer = Arc::unwrap_or_clone(found.answer);
        Self {
            similarity: found.similarity,
            model: answer.model,
            decision: answer.decision,
            category: answer.category,
            age_seconds: found.age.as_secs(),
            body: answer.body,
        }
    }
}

/// One stored answer and its place.
#[derive(Debug)]
struct Entry {
    partition: Partition,
    /// Row in the partition, where it has a vector.
    row: Option<usize>,
    answer: Arc<StoredAnswer>,
    stored_at: Instant,
    /// Place in the order of storing.
    stored: u64,
    /// Place in the order of use at the last look.
    listed: u64,
    /// Place in the order of use now, the later the higher; readers raise it.
    used: AtomicU64,
}

impl Entry {
    fn found(&self, similarity: f32, now: Instant) -> Found {
        Found {
            answer: Arc::clone(&self.answer),
            similarity,
            age: now.saturating_duration_since(self.stored_at),
        }
    }

    fn touch(&self, stamp: u64) {
        self.used.fetch_max(stamp, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
