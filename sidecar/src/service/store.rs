//! `/v1/cache/entries`: storing and clearing, and the memory of recent vectors that spares a store its forward.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio::time::Instant;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::{ReleaseRequest, StoreRequest};

use super::{STORE_TIMEOUT, Service};
use crate::answer;
use crate::batching::Priority;
use crate::cache::{
    EntryKey, Filter, InFlight, NewEntry, Partition, Stats, Store, StoreError, Timestamp,
};
use crate::encoder::Embedding;

/// Vectors remembered between a lookup that missed and the store that follows; one too old is computed again. 1024 of 384
/// components are 1.5 MiB.
const MAX_RECENT_VECTORS: NonZeroUsize = match NonZeroUsize::new(1024) {
    Some(vectors) => vectors,
    None => NonZeroUsize::MIN,
};

/// Vectors of recent lookups. `None` stands for a text that is too long to have one.
#[derive(Debug)]
pub(super) struct RecentVectors(Mutex<LruCache<EntryKey, Option<Embedding>>>);

impl Default for RecentVectors {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_RECENT_VECTORS)))
    }
}

impl RecentVectors {
    pub(super) fn remember(&self, partition: &Partition, text: &str, vector: Option<Embedding>) {
        let key = EntryKey::of(partition, text);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.put(key, vector);
    }

    fn take(&self, partition: &Partition, text: &str) -> Option<Option<Embedding>> {
        let key = EntryKey::of(partition, text);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.pop(&key)
    }
}

/// Ends a lead when it is dropped.
struct Ends<'s>(&'s InFlight, u64);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

impl Service {
    /// Stores an answer and says whether it did: not when the cache is off or its store does not answer, for a text of nothing but
    /// spaces, nor what is no complete answer.
    ///
    /// # Errors
    /// [`Fault::BadRequest`] for a bad partition, [`Fault::TooLarge`] above `limits.max_cached_body_bytes`,
    /// [`Fault::Overloaded`] when there is no model, place or time, [`Fault::Internal`] when the model fails.
    pub async fn store(&self, request: StoreRequest) -> Result<bool, Fault> {
        let partition = Partition::parse(&request.partition)
            .map_err(|e| Fault::BadRequest(format!("partition: {e}")))?;
        let key = EntryKey::of(&partition, &request.text);
        // Also when the proxy waits no longer and this is dropped.
        let _lead = request.ticket.map(|ticket| Ends(&self.in_flight, ticket));
        let stored = self.keep(partition, request).await?;
        if stored {
            self.in_flight.answered(&key);
        }
        Ok(stored)
    }

    /// Lets those go on who wait for answers that will not be stored.
    pub fn release(&self, request: &ReleaseRequest) {
        for ticket in &request.tickets {
            self.in_flight.release(*ticket);
        }
    }

    async fn keep(&self, partition: Partition, request: StoreRequest) -> Result<bool, Fault> {
        let ready = &*self.ready()?;
        if ready.cache_limits.is_none() || request.text.trim().is_empty() {
            return Ok(false);
        }
        let kept = answer::complete(&request.body, request.streamed, &ready.finish_reasons);
        let body = match kept {
            Ok(body) if body.len() > ready.max_cached_body_bytes => {
                return Err(Fault::TooLarge(ready.max_cached_body_bytes));
            }
            Ok(body) => body,
            Err(why) => {
                tracing::debug!(%why, "an answer is not kept");
                return Ok(false);
            }
        };
        let request = StoreRequest { body, ..request };
        let vector = match ready.recent.take(&partition, &request.text) {
            Some(vector) => vector,
            None => {
                let deadline = Instant::now() + STORE_TIMEOUT;
                let analyzed = ready
                    .engine
                    .analyze(&request.text, Priority::Bulk, deadline)
                    .await;
                let analyzed = analyzed.map_err(|e| self.inference_fault(&e))?;
                Some(analyzed.embedding).filter(|_| !analyzed.truncated)
            }
        };
        let entry = NewEntry::new(partition, vector, request);
        match ready.cache.store(entry).await {
            Ok(()) => {
                self.metrics.cache_stored.inc();
                Ok(true)
            }
            Err(StoreError::Unavailable) => Ok(false),
            Err(error) => Err(store_fault(&error)),
        }
    }

    /// Removes the stored answers that `filter` names and says how many; a dry run only says it.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] until the model is loaded, [`Fault::Internal`] when the store fails.
    pub async fn invalidate(&self, filter: Filter, dry_run: bool) -> Result<usize, Fault> {
        let ready = self.ready()?;
        let removed = if filter == Filter::default() && !dry_run {
            ready.cache.clear().await
        } else {
            ready.cache.invalidate(filter, dry_run).await
        };
        let removed = removed.map_err(|e| store_fault(&e))?;
        if !dry_run && !removed.is_durable {
            return Err(Fault::Internal(
                "removed, but the files of the cache remain",
            ));
        }
        Ok(removed.entries)
    }

    /// How much is stored.
    ///
    /// # Errors
    /// As [`Self::invalidate`].
    pub async fn cache_stats(&self) -> Result<Stats, Fault> {
        let stats = self.cache_store()?.stats().await;
        stats.map_err(|e| store_fault(&e))
    }

    /// The cache's store.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] until the model is loaded.
    pub fn cache_store(&self) -> Result<Arc<dyn Store>, Fault> {
        Ok(Arc::clone(&self.ready()?.cache))
    }
}

/// Why a store did not do what an operator asked for.
pub(super) fn store_fault(error: &StoreError) -> Fault {
    log_failure(error);
    Fault::Internal(match error {
        StoreError::Failed(_) => "the cache failed",
        StoreError::Unavailable => "the cache's store does not answer",
    })
}

/// Whether the last failure was logged a while ago: a store that refuses everything would fill the log.
fn is_time_to_log() -> bool {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = Timestamp::now().since(Timestamp::EPOCH).as_secs();
    LAST.swap(now, Ordering::Relaxed) != now
}

/// Logs a failure, at most once a second, unless the store does so itself. Its caller goes on without cache.
pub(super) fn log_failure(error: &StoreError) {
    match error {
        StoreError::Failed(_) if is_time_to_log() => tracing::error!(%error, "cache"),
        StoreError::Failed(_) => tracing::debug!(%error, "cache"),
        StoreError::Unavailable => tracing::debug!(%error, "cache"),
    }
}
