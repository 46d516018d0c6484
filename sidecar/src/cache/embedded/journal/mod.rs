//! What outlives the process.
//!
//! 1. A change is appended to a buffer. Ten times a second a thread writes it to the journal, once a second the journal to the
//!    disk: a process that is killed loses a tenth of a second, a machine without power a second.
//! 2. When the journal has grown, the whole is written down as a snapshot beside the running store, and the next journal
//!    begins. The steps are such that a crash between any two of them leaves files that give the store again ([`folder`]).
//! 3. When the disk does not take something, the store goes on in memory and the journal ends. The way back is a snapshot, which
//!    is tried every few seconds.
//! 4. Whoever removes entries on purpose waits for the disk ([`Journal::sync`]). Where that fails, the files are removed
//!    instead: better an empty cache after the next start than what somebody wanted gone.

mod folder;
mod frame;
mod load;
mod record;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::metrics::{CacheMetrics, Persistence};
use folder::{Folder, Kind};

pub use folder::OpenError;
pub(super) use load::Read;
pub(super) use record::{Change, Record, StoredRecord};

/// Time between writes to the journal.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// Time between writes to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Time between attempts to get back to the disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);

/// Changes that wait for a slow disk, in bytes; with more the journal ends, as when the disk is full.
const MAX_PENDING_BYTES: usize = 64 << 20;

/// Size of the journals from which a snapshot is written: opening reads them change by change.
const MAX_JOURNAL_BYTES: u64 = 64 << 20;

/// The same, as a share of the last snapshot: so that a large cache is not written down again and again.
const JOURNAL_SHARE: u64 = 4;

/// The journal of a store, and its thread.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// `None` once it was closed.
    folder: Mutex<Option<Folder>>,
    pending: Mutex<Vec<u8>>,
    file: Mutex<Current>,
    /// The disk does not have all changes.
    is_lost: AtomicBool,
    /// Bytes of the journals since the last snapshot.
    journal_bytes: AtomicU64,
    snapshot_bytes: AtomicU64,
    stop: Mutex<bool>,
    stopped: Condvar,
    metrics: CacheMetrics,
}

/// The journal that is written to.
#[derive(Debug)]
struct Current {
    /// `None` when the disk does not take one.
    file: Option<File>,
    number: u64,
    is_dirty: bool,
    synced_at: Instant,
    tried_at: Instant,
}

impl Journal {
    /// Begins the next journal of a folder that was read, and the thread that writes it.
    pub(super) fn start(read: Read, metrics: CacheMetrics) -> Result<Self, OpenError> {
        let now = Instant::now();
        let path = read.folder.path().to_owned();
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            file: Mutex::new(Current {
                file: None,
                number: read.last_number + 1,
                is_dirty: false,
                synced_at: now,
                tried_at: now,
            }),
            is_lost: AtomicBool::new(false),
            journal_bytes: AtomicU64::new(read.journal_bytes),
            snapshot_bytes: AtomicU64::new(read.snapshot_bytes),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            metrics,
            folder: Mutex::new(Some(read.folder)),
        });
        if let Err(error) = shared.begin_journal(&mut lock(&shared.file)) {
            shared.lose(Persistence::Journal, &error);
        }
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("cache-journal".into())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::Io { path, error })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Appends a change. Changes must be appended in the order in which they happen.
    pub(super) fn append(&self, change: &Change<'_>) {
        if self.shared.is_lost.load(Ordering::Relaxed) {
            return;
        }
        let mut pending = lock(&self.shared.pending);
        change.push(&mut pending);
        if pending.len() > MAX_PENDING_BYTES {
            *pending = Vec::new();
            let error = io::Error::other("the disk does not keep up");
            self.shared.lose(Persistence::Journal, &error);
        }
    }

    /// Brings all changes to the disk; where it does not take them, removes the files. `false` when that fails, too.
    pub(super) fn sync(&self) -> bool {
        let shared = &self.shared;
        shared.write(&mut lock(&shared.file), true);
        if !shared.is_lost.load(Ordering::Relaxed) {
            return true;
        }
        let folder = lock(&shared.folder);
        let Some(folder) = &*folder else {
            return false;
        };
        let removed = folder.remove_before(u64::MAX);
        if let Err(error) = &removed {
            shared.failed(Persistence::Removal, error);
        }
        removed.is_ok()
    }

    /// Whether the whole should be written down now.
    pub(super) fn wants_snapshot(&self) -> bool {
        let shared = &self.shared;
        if shared.is_lost.load(Ordering::Relaxed) {
            return lock(&shared.file).tried_at.elapsed() >= RETRY_INTERVAL;
        }
        let share = shared.snapshot_bytes.load(Ordering::Relaxed) / JOURNAL_SHARE;
        shared.journal_bytes.load(Ordering::Relaxed) > share.max(MAX_JOURNAL_BYTES)
    }

    /// Begins the next journal, for a snapshot that is about to be written. No change may be appended meanwhile. `None` when
    /// the disk does not take it.
    pub(super) fn rotate(&self) -> Option<Rotation> {
        let shared = &self.shared;
        let mut current = lock(&shared.file);
        shared.write(&mut current, true);
        let was_lost = shared.is_lost.load(Ordering::Relaxed);
        current.number += 1;
        current.tried_at = Instant::now();
        match shared.begin_journal(&mut current) {
            Ok(()) => {
                lock(&shared.pending).clear();
                shared.is_lost.store(false, Ordering::Relaxed);
                Some(Rotation {
                    number: current.number,
                    journal_bytes: shared.journal_bytes.load(Ordering::Relaxed),
                    was_lost,
                })
            }
            Err(error) => {
                shared.lose(Persistence::Journal, &error);
                None
            }
        }
    }

    /// Writes a snapshot that begins with this rotation.
    pub(super) fn snapshot(&self, rotation: &Rotation, changes: impl FnMut(&mut Snapshot)) {
        let shared = &self.shared;
        match shared.write_snapshot(rotation.number, changes) {
            Ok(bytes) => {
                shared.snapshot_bytes.store(bytes, Ordering::Relaxed);
                let before = rotation.journal_bytes;
                shared.journal_bytes.fetch_sub(before, Ordering::Relaxed);
                if rotation.was_lost {
                    tracing::info!("the cache is on disk again");
                }
            }
            Err(error) if rotation.was_lost => {
                // Without the snapshot, the journal stands on changes that the disk does not have.
                let mut current = lock(&shared.file);
                shared.lose(Persistence::Snapshot, &error);
                current.file = None;
                current.tried_at = Instant::now();
                if let Some(folder) = &*lock(&shared.folder) {
                    let journal = folder.file(Kind::Journal, rotation.number);
                    if let Err(error) = fs::remove_file(journal) {
                        shared.failed(Persistence::Removal, &error);
                    }
                }
            }
            Err(error) => {
                // The older files still give the store. Not again before the journal is twice as long.
                shared.failed(Persistence::Snapshot, &error);
                let bytes = shared.journal_bytes.load(Ordering::Relaxed);
                let longer = bytes.saturating_mul(2 * JOURNAL_SHARE);
                shared.snapshot_bytes.fetch_max(longer, Ordering::Relaxed);
            }
        }
    }

    /// Writes what is left and gives the folder free.
    pub(super) fn close(&self) {
        self.stop();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the cache's journal panicked");
        }
        self.shared.is_lost.store(true, Ordering::Relaxed);
        lock(&self.shared.folder).take();
    }

    fn stop(&self) {
        *lock(&self.shared.stop) = true;
        self.shared.stopped.notify_all();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A journal that has begun for a snapshot.
#[derive(Debug)]
pub(super) struct Rotation {
    number: u64,
    /// Bytes of the journals before it.
    journal_bytes: u64,
    was_lost: bool,
}

/// A snapshot that is being written.
#[derive(Debug)]
pub(super) struct Snapshot {
    file: BufWriter<File>,
    frame: Vec<u8>,
    bytes: u64,
    /// The first error; what comes after it is not written.
    failed: Option<io::Error>,
}

impl Snapshot {
    /// Adds an entry; `false` once the disk has refused one.
    pub(super) fn add(&mut self, change: &Change<'_>) -> bool {
        self.frame.clear();
        change.push(&mut self.frame);
        self.bytes += self.frame.len() as u64;
        if self.failed.is_none() {
            self.failed = self.file.write_all(&self.frame).err();
        }
        self.failed.is_none()
    }
}

impl Shared {
    /// The thread.
    fn run(&self) {
        loop {
            let stop = lock(&self.stop);
            let waited = self
                .stopped
                .wait_timeout_while(stop, WRITE_INTERVAL, |stop| !*stop);
            let stop = *waited.unwrap_or_else(PoisonError::into_inner).0;
            self.write(&mut lock(&self.file), stop);
            if stop {
                return;
            }
        }
    }

    /// Writes what is pending to the journal, and the journal to the disk, if it is time or `now`.
    fn write(&self, current: &mut Current, now: bool) {
        let bytes = std::mem::take(&mut *lock(&self.pending));
        let Some(file) = &mut current.file else {
            return;
        };
        if self.is_lost.load(Ordering::Relaxed) {
            current.file = None;
            return;
        }
        let mut result = Ok(());
        if !bytes.is_empty() {
            result = file.write_all(&bytes);
            current.is_dirty = true;
            self.journal_bytes
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        let is_time = now || current.synced_at.elapsed() >= SYNC_INTERVAL;
        if result.is_ok() && current.is_dirty && is_time {
            result = file.sync_data();
            current.is_dirty = false;
            current.synced_at = Instant::now();
        }
        if let Err(error) = result {
            current.file = None;
            current.tried_at = Instant::now();
            self.lose(Persistence::Journal, &error);
        }
    }

    fn begin_journal(&self, current: &mut Current) -> io::Result<()> {
        let folder = lock(&self.folder);
        let folder = folder.as_ref().ok_or_else(|| io::Error::other("closed"))?;
        let path = folder.file(Kind::Journal, current.number);
        let begun = folder.create(&path).and_then(|file| {
            folder.sync()?;
            Ok(file)
        });
        if begun.is_err() {
            // It may have been made, but not written.
            fs::remove_file(&path).ok();
        }
        current.file = Some(begun?);
        current.is_dirty = true;
        Ok(())
    }

    fn write_snapshot(
        &self,
        number: u64,
        mut changes: impl FnMut(&mut Snapshot),
    ) -> io::Result<u64> {
        let (file, path, temporary) = {
            let folder = lock(&self.folder);
            let folder = folder.as_ref().ok_or_else(|| io::Error::other("closed"))?;
            let path = folder.file(Kind::Snapshot, number);
            let temporary = path.with_extension("tmp");
            (folder.create(&temporary)?, path, temporary)
        };
        let mut snapshot = Snapshot {
            file: BufWriter::with_capacity(1 << 20, file),
            frame: Vec::new(),
            bytes: 0,
            failed: None,
        };
        changes(&mut snapshot);
        let bytes = snapshot.bytes;
        let finished = self.finish_snapshot(snapshot, &temporary, &path, number);
        if finished.is_err() {
            fs::remove_file(&temporary).ok();
        }
        finished.map(|()| bytes)
    }

    fn finish_snapshot(
        &self,
        snapshot: Snapshot,
        temporary: &Path,
        path: &Path,
        number: u64,
    ) -> io::Result<()> {
        if let Some(error) = snapshot.failed {
            return Err(error);
        }
        let file = snapshot
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let folder = lock(&self.folder);
        let folder = folder.as_ref().ok_or_else(|| io::Error::other("closed"))?;
        fs::rename(temporary, path)?;
        folder.sync()?;
        folder.remove_before(number)
    }

    /// The disk does not have all changes from now on.
    fn lose(&self, what: Persistence, error: &io::Error) {
        self.is_lost.store(true, Ordering::Relaxed);
        self.failed(what, error);
    }

    fn failed(&self, what: Persistence, error: &io::Error) {
        self.metrics.persistence_failed(what);
        tracing::error!(
            what = what.name(),
            %error,
            "the cache is not written to the disk, it goes on in memory"
        );
    }
}

/// A panic of another thread leaves a buffer that still ends with a whole frame, or files that are read as far as they go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
