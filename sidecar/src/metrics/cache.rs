//! Metrics of the cache's store: [`CacheMetrics`].

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Why an entry left the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// It was older than the time to live.
    Expired,
    /// There were too many entries.
    MaxEntries,
    /// The entries were too large together.
    MaxBytes,
    /// Somebody wanted it gone.
    Invalidated,
}

impl Eviction {
    fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxEntries => "max_entries",
            Self::MaxBytes => "max_bytes",
            Self::Invalidated => "invalidated",
        }
    }
}

/// What the cache could not do with its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// Write down a change.
    Journal,
    /// Write down the whole.
    Snapshot,
    /// Remove a file.
    Removal,
}

impl Persistence {
    /// As in the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
            Self::Removal => "removal",
        }
    }
}

/// Why a store outside the process did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreFailure {
    /// It did not answer in time.
    Timeout,
    /// The connection broke, or the server cannot serve.
    ConnectionLost,
    /// It was not asked, because it is known to be gone.
    Unavailable,
    /// It answered with an error.
    Refused,
}

impl StoreFailure {
    /// As in the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BackendLabels {
    backend: &'static str,
}

/// The one store that is outside the process.
const REDIS: BackendLabels = BackendLabels { backend: "redis" };

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PersistenceLabels {
    operation: &'static str,
}

/// Metrics of the cache's store.
#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    pub(super) entries: Gauge,
    pub(super) bytes: Gauge,
    pub(super) evictions: Family<ReasonLabels, Counter>,
    pub(super) refused: Counter,
    pub(super) persistence_errors: Family<PersistenceLabels, Counter>,
    pub(super) damaged_records: Counter,
    pub(super) skipped_bytes: Counter,
    pub(super) store_errors: Family<ReasonLabels, Counter>,
    pub(super) store_up: Family<BackendLabels, Gauge>,
}

impl CacheMetrics {
    /// A store outside the process did not do what it was asked for.
    pub fn store_failed(&self, reason: StoreFailure) {
        let reason = reason.name();
        let labels = ReasonLabels { reason };
        self.store_errors.get_or_create(&labels).inc();
    }

    /// How often a store outside the process did not do what it was asked for.
    #[must_use]
    pub fn store_failures(&self, reason: StoreFailure) -> u64 {
        let reason = reason.name();
        let labels = ReasonLabels { reason };
        self.store_errors.get_or_create(&labels).get()
    }

    /// Whether the store outside the process can be used.
    pub fn store_is_up(&self, is_up: bool) {
        self.store_up.get_or_create(&REDIS).set(is_up.into());
    }

    /// There is no store outside the process any more.
    pub fn store_is_gone(&self) {
        self.store_up.remove(&REDIS);
    }

    /// What the store holds now.
    pub fn holds(&self, entries: usize, bytes: usize) {
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// An entry left.
    pub fn evicted(&self, reason: Eviction) {
        self.evicted_many(reason, 1);
    }

    /// Entries left.
    pub fn evicted_many(&self, reason: Eviction, entries: usize) {
        if entries == 0 {
            return;
        }
        let labels = ReasonLabels {
            reason: reason.name(),
        };
        let evictions = self.evictions.get_or_create(&labels);
        evictions.inc_by(entries as u64);
    }

    /// An entry was too large.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// The folder does not do what it should.
    pub fn persistence_failed(&self, operation: Persistence) {
        let labels = PersistenceLabels {
            operation: operation.name(),
        };
        self.persistence_errors.get_or_create(&labels).inc();
    }

    /// How often the folder did not do what it should.
    #[must_use]
    pub fn persistence_failures(&self, operation: Persistence) -> u64 {
        let labels = PersistenceLabels {
            operation: operation.name(),
        };
        self.persistence_errors.get_or_create(&labels).get()
    }

    /// Damaged records and skipped bytes so far.
    #[must_use]
    pub fn skipped_so_far(&self) -> (u64, u64) {
        (self.damaged_records.get(), self.skipped_bytes.get())
    }

    /// What could not be read when the folder was opened.
    pub fn skipped(&self, records: usize, bytes: u64) {
        self.damaged_records.inc_by(records as u64);
        self.skipped_bytes.inc_by(bytes);
    }
}
