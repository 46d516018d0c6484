//! What concerns many entries at once: invalidation, clearing, export.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::entry::Entry;
use super::journal::Change;
use super::{Embedded, Inner};
use crate::cache::{
    CacheLimits, Exported, Filter, Found, NewEntry, Partition, Removed, Stats, Store, StoreError,
    Timestamp,
};
use crate::encoder::Embedding;
use crate::metrics::Eviction;

/// Rows that a lookup may scan on a thread that serves sockets; 8,000 take some 0.3 ms. More there are only for a short time
/// after a start.
const SCANNED_IN_PLACE: usize = 8_000;

/// Entries removed before others may change something.
const REMOVED_AT_ONCE: usize = 16;

impl Inner {
    pub(super) fn invalidate(&self, filter: &Filter, dry_run: bool, now: Timestamp) -> Removed {
        let mut entries = 0;
        for named in self
            .entries
            .values(|entry| filter.names(&entry.partition, &entry.answer, entry.stored_at, now))
        {
            if dry_run {
                entries += named.len();
                continue;
            }
            for some in named.chunks(REMOVED_AT_ONCE) {
                let mut writer = self.writer();
                for entry in some {
                    if self.remove(&mut writer, entry) {
                        self.record_removal(entry);
                        entries += 1;
                    }
                }
            }
        }
        if dry_run {
            return Removed {
                entries,
                is_durable: true,
            };
        }
        self.metrics.evicted_many(Eviction::Invalidated, entries);
        Removed {
            entries,
            is_durable: self.journal.as_ref().is_none_or(|journal| journal.sync()),
        }
    }

    fn record_removal(&self, entry: &Entry) {
        if let Some(journal) = &self.journal {
            journal.append(&Change::Removed(entry.key));
        }
    }

    pub(super) fn clear(&self) -> Removed {
        let gone = {
            let mut writer = self.writer();
            if let Some(journal) = &self.journal {
                journal.append(&Change::Cleared);
            }
            self.bytes.store(0, std::sync::atomic::Ordering::Relaxed);
            (
                self.entries.take(),
                self.partitions.take(),
                self.order().clear(),
                std::mem::take(&mut writer.by_age),
            )
        };
        let entries = gone.3.len();
        self.metrics.evicted_many(Eviction::Invalidated, entries);
        Removed {
            entries,
            is_durable: self.journal.as_ref().is_none_or(|journal| journal.sync()),
        }
    }

    /// The entries that are alive, in parts.
    fn alive(&self) -> impl Iterator<Item = Vec<Arc<Entry>>> + '_ {
        let time_to_live = self.limits.read().time_to_live;
        let now = Timestamp::now();
        self.entries
            .values(move |entry| entry.is_alive(now, time_to_live))
    }
}

fn exported(entry: &Entry) -> Result<String, StoreError> {
    let (question, answer) = (&entry.question, &entry.answer);
    Exported::new(&entry.partition, question, entry.stored_at, answer).line()
}

impl Embedded {
    /// Runs what may take longer than a thread that serves sockets should wait.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || {
                let done = work(&inner);
                inner.count();
                done
            });
            done.await.map_err(|e| StoreError::Failed(e.to_string()))
        })
    }

    /// Rows that a lookup in this partition scans.
    fn scanned(&self, partition: &Partition) -> usize {
        let index = self.inner.partitions.get(partition);
        index.map_or(0, |index| index.read().scanned())
    }
}

impl Store for Embedded {
    fn exact<'a>(
        &'a self,
        partition: &'a Partition,
        question: &'a str,
    ) -> BoxFuture<'a, Result<Option<Found>, StoreError>> {
        Box::pin(async move { Ok(self.exact_at(partition, question, Timestamp::now())) })
    }

    fn nearest<'a>(
        &'a self,
        partition: &'a Partition,
        embedding: &'a Embedding,
        threshold: f32,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Found>, StoreError>> {
        let now = Timestamp::now();
        if self.scanned(partition) > SCANNED_IN_PLACE {
            let (partition, embedding) = (*partition, embedding.clone());
            return self
                .aside(move |inner| inner.nearest(&partition, &embedding, threshold, most, now));
        }
        Box::pin(async move { Ok(self.nearest_at(partition, embedding, threshold, most, now)) })
    }

    fn served(&self, found: &Found) {
        Self::served(self, found);
    }

    fn store(&self, entry: NewEntry) -> BoxFuture<'_, Result<(), StoreError>> {
        self.aside(move |inner| inner.store(entry, Timestamp::now()))
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, StoreError>> {
        Box::pin(async move { Ok(self.stats_now()) })
    }

    fn invalidate(
        &self,
        filter: Filter,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<Removed, StoreError>> {
        self.aside(move |inner| inner.invalidate(&filter, dry_run, Timestamp::now()))
    }

    fn clear(&self) -> BoxFuture<'_, Result<Removed, StoreError>> {
        self.aside(Inner::clear)
    }

    fn export(&self) -> BoxStream<'_, Result<String, StoreError>> {
        let lines = self
            .inner
            .alive()
            .flat_map(|part| part.into_iter().map(|entry| exported(&entry)));
        stream::iter(lines).boxed()
    }

    fn set_limits(&self, limits: CacheLimits) -> bool {
        Self::set_limits(self, limits)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let closing = self.closing();
        Box::pin(async move {
            if tokio::task::spawn_blocking(closing).await.is_err() {
                tracing::error!("closing the cache panicked");
            }
        })
    }

    fn health(&self) -> Option<Result<(), String>> {
        None
    }
}
