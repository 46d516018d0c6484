//! Opening a store in a folder, and writing the whole of it down.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{Entry, Place};
use super::journal::{Change, Journal, OpenError, Read, Record, StoredRecord};
use super::{Embedded, Inner, Upkeep, Writer};
use crate::cache::{CacheLimits, Fingerprint};
use crate::metrics::CacheMetrics;

impl Embedded {
    /// Opens the store in a folder, or makes one; its changes are written there. The entries of another encoder are left out
    /// for good.
    ///
    /// # Errors
    /// [`OpenError`], when the folder cannot be used, another process has it, or it is of another version.
    pub fn open(
        path: &Path,
        limits: CacheLimits,
        dimensions: usize,
        fingerprint: Fingerprint,
        metrics: CacheMetrics,
    ) -> Result<Self, OpenError> {
        let started_at = Instant::now();
        let mut inner = Inner::new(limits, dimensions, metrics.clone(), None);
        let loaded = Read::folder(
            path,
            fingerprint,
            &mut inner,
            |inner, record| inner.apply(record),
            |inner| inner.mend(),
        )?;
        inner.restore_order();
        tracing::info!(
            folder = %path.display(),
            entries = inner.entries.len(),
            damaged_records = loaded.damaged_records,
            skipped_bytes = loaded.skipped_bytes,
            is_of_other_encoder = loaded.is_of_other_encoder,
            seconds = started_at.elapsed().as_secs_f64(),
            "cache opened"
        );
        metrics.skipped(loaded.damaged_records, loaded.skipped_bytes);
        inner.journal = Some(Journal::start(loaded, metrics)?);
        inner.count();
        let inner = Arc::new(inner);
        let upkeep = Upkeep::start(&inner).map_err(|error| OpenError::Io {
            path: path.into(),
            error,
        })?;
        Ok(Self {
            inner,
            upkeep: Some(Arc::new(upkeep)),
        })
    }
}

#[cfg(test)]
impl Embedded {
    /// Writes the whole down, whether it is time or not.
    pub(in crate::cache) fn write_snapshot_now(&self) {
        if let Some(journal) = &self.inner.journal {
            self.inner.write_snapshot(journal);
        }
    }
}

impl Inner {
    /// Does again what was done. The order of eviction comes later.
    fn apply(&self, record: Record) {
        let mut writer = self.writer();
        match record {
            Record::Stored(stored) => self.restore(&mut writer, *stored),
            Record::Removed(key) => {
                if let Some(entry) = self.entries.get(&key) {
                    self.remove(&mut writer, &entry);
                }
            }
            Record::Cleared => {
                drop(writer);
                self.clear();
            }
        }
    }

    fn restore(&self, writer: &mut Writer, stored: StoredRecord) {
        let StoredRecord {
            id,
            mut new,
            vector,
            placed,
        } = stored;
        let vector = vector.filter(|vector| vector.len() == self.dimensions);
        // After the clock was set back: from now on it ages.
        new.stored_at = new.stored_at.min(crate::cache::Timestamp::now());
        writer.next_id = writer.next_id.max(id + 1);
        let vector_bytes = vector.as_deref().map_or(0, size_of_val);
        let entry = Arc::new(Entry::new(id, new, vector_bytes));
        if let Some(there) = self.entries.get(&entry.key) {
            if there.id == id {
                return;
            }
            self.remove(writer, &there);
        }
        self.add(writer, &entry);
        if let Some(vector) = vector {
            let index = self.index(entry.partition);
            let mut index = index.write();
            index.restore(placed.as_ref(), &vector, &entry);
            if index.is_crowded() {
                writer.crowded.insert(entry.partition);
            }
        }
    }

    /// Makes restored graphs fit.
    fn mend(&self) {
        for indexes in self.partitions.values(|_| true) {
            for index in indexes {
                index.write().mend();
            }
        }
    }

    /// Entries come from the files in no order; what was used last is not known any more.
    fn restore_order(&self) {
        let writer = self.writer();
        let mut order = self.order();
        order.clear();
        for entry in writer.by_age.values() {
            order.add(Arc::clone(entry));
        }
    }

    /// Writes the whole down.
    pub(super) fn write_snapshot(&self, journal: &Journal) {
        let rotation = {
            let _nothing_changes = self.writer();
            journal.rotate()
        };
        let Some(rotation) = rotation else {
            return;
        };
        journal.snapshot(&rotation, |snapshot| {
            for entries in self.entries.values(|_| true) {
                for entry in entries {
                    let go_on = self.with_vector(&entry, |change| snapshot.add(&change));
                    if !go_on {
                        return;
                    }
                }
            }
        });
    }

    /// Gives an entry with its vector to `write`. One that is removed meanwhile may be without: the journal says that it is gone.
    fn with_vector<T>(&self, entry: &Entry, write: impl FnOnce(Change<'_>) -> T) -> T {
        let index = match entry.place() {
            Place::Nowhere => None,
            Place::Row(_) | Place::Slot(_) => self.partitions.get(&entry.partition),
        };
        // A copy: lookups must not wait for the disk, as they would behind a store that waits for this lock.
        let found = index.and_then(|index| {
            let index = index.read();
            let (vector, placed) = index.vector_of(entry)?;
            Some((vector.into_owned(), placed))
        });
        let (vector, placed) = match &found {
            Some((vector, placed)) => (Some(vector.as_slice()), placed.as_ref()),
            None => (None, None),
        };
        write(Change::Stored {
            entry,
            vector,
            placed,
        })
    }
}
