//! The semantic cache.
//!
//! 1. Every entry belongs to one [`Partition`]; a lookup reads the entries of its own partition and no other.
//! 2. Exact tier: the digest of partition and question.
//! 3. Semantic tier: the entries of the partition with the highest cosine similarity that reach the threshold of the request.
//! 4. An entry older than the time to live is not served.
//!
//! Entries without a vector (texts longer than the encoder reads) are found by the exact tier alone.
//!
//! [`Store`] is the seam: [`Embedded`] keeps entries in the process, and in a folder if one is configured; [`RedisStore`] keeps
//! them where several sidecars find them. Whether a candidate's question may have the answer of another tells [`agreement`], and a
//! [`SecondOpinion`] where one is configured; the caller asks them, and says by [`Store::served`] what it used.

pub mod agreement;
mod embedded;
mod fingerprint;
mod fixed_point;
mod in_flight;
mod redis;
mod second_opinion;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use turnpike_core::cache::{EvictionPolicy, SemanticCacheConfig};
use turnpike_core::sidecar::{CacheHit, StoreRequest};

use crate::encoder::Embedding;

pub use embedded::{Embedded, OpenError};
pub use fingerprint::Fingerprint;
pub use in_flight::{InFlight, Lead, Role};
pub use redis::{RedisOpenError, RedisStore};
pub use second_opinion::{Opinion, SecondOpinion};
pub use store::{Filter, Removed, Stats, Store, StoreError};

/// Hard key of a lookup: 64 hex digits, written by the proxy.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Partition([u8; 32]);

impl Partition {
    /// Reads a partition; letters count as lower case.
    ///
    /// # Errors
    /// What is wrong, when it is not 64 hex digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        from_hex(text)
            .map(Self)
            .ok_or_else(|| format!("must be 64 hex digits, got {} bytes", text.len()))
    }
}

/// 64 hex digits as bytes.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// SHA-256 of a partition and a question.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryKey([u8; 32]);

impl EntryKey {
    /// The key of `question` in `partition`. A partition has a fixed length, so no two pairs give one input.
    #[must_use]
    pub fn of(partition: &Partition, question: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(partition.0)
            .chain_update(question.as_bytes())
            .finalize();
        Self(digest.into())
    }

    /// Reads 64 hex digits.
    fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Wall-clock time, so that ages survive a restart: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of 1970.
    pub const EPOCH: Self = Self(0);

    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_millis() as u64))
    }

    /// Time since `earlier`; none when the clock was set back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis() as u64))
    }

    /// The moment `duration` earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_millis() as u64))
    }
}

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Entries kept.
    pub max_entries: usize,
    /// Bytes of questions, answers and vectors kept.
    pub max_bytes: usize,
    /// Age at which an entry is no longer served.
    pub time_to_live: Duration,
    /// Which entry goes when the cache is full.
    pub eviction: EvictionPolicy,
}

impl From<&SemanticCacheConfig> for CacheLimits {
    fn from(config: &SemanticCacheConfig) -> Self {
        Self {
            max_entries: usize::try_from(config.max_entries).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(config.max_bytes).unwrap_or(usize::MAX),
            time_to_live: Duration::from_secs(config.ttl_seconds),
            eviction: config.eviction_policy,
        }
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StoredAnswer {
    /// Model that gave the answer.
    pub model: String,
    /// Decision that chose it.
    pub decision: String,
    /// Category of the question.
    pub category: String,
    /// Whose answer it is: the value that the scope of the cache asks for (a user, a tier); opaque here.
    pub owner: String,
    /// The response body, byte for byte.
    pub body: String,
}

impl StoredAnswer {
    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        let Self {
            model,
            decision,
            category,
            owner,
            body,
        } = self;
        [model, decision, category, owner, body]
            .into_iter()
            .map(String::len)
            .sum()
    }
}

/// An answer to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// Where lookups find it.
    pub partition: Partition,
    /// The question's text.
    pub question: String,
    /// Its vector; without one, only the exact tier finds the entry.
    pub embedding: Option<Embedding>,
    /// The answer.
    pub answer: StoredAnswer,
    /// From when on it ages.
    pub stored_at: Timestamp,
}

impl NewEntry {
    /// The entry that a request asks to keep, as of now.
    #[must_use]
    pub fn new(partition: Partition, embedding: Option<Embedding>, request: StoreRequest) -> Self {
        Self {
            partition,
            question: request.text,
            embedding,
            answer: StoredAnswer {
                model: request.model,
                decision: request.decision,
                category: request.category,
                owner: request.owner,
                body: request.body,
            },
            stored_at: Timestamp::now(),
        }
    }
}

/// A line of an export.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    partition: String,
    question: &'a str,
    stored_at_ms: u64,
    #[serde(flatten)]
    answer: &'a StoredAnswer,
}

impl<'a> Exported<'a> {
    fn new(
        partition: &Partition,
        question: &'a str,
        stored_at: Timestamp,
        answer: &'a StoredAnswer,
    ) -> Self {
        Self {
            partition: partition.to_string(),
            question,
            stored_at_ms: stored_at.0,
            answer,
        }
    }

    fn line(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|e| StoreError::Failed(e.to_string()))
    }
}

/// An entry that a lookup found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which one.
    pub key: EntryKey,
    /// The stored question's text.
    pub question: Arc<str>,
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

#[cfg(test)]
mod tests;
