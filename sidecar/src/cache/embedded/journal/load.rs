//! Reading a folder.

use std::fs;
use std::path::Path;

use super::folder::{Folder, Kind, OpenError, Start};
use super::frame::Next;
use super::record::Record;
use crate::cache::Fingerprint;

/// A folder that was read.
#[derive(Debug)]
pub(in crate::cache::embedded) struct Read {
    pub(super) folder: Folder,
    pub(super) last_number: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) journal_bytes: u64,
    /// Records that were damaged.
    pub(in crate::cache::embedded) damaged_records: usize,
    /// Bytes that nothing could be made of: the end of a file that was cut, or what is behind a damaged head.
    pub(in crate::cache::embedded) skipped_bytes: u64,
    /// The entries are of another encoder and were left out.
    pub(in crate::cache::embedded) is_of_other_encoder: bool,
}

/// From where a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Whole,
    OtherEncoder,
}

impl Read {
    /// Takes a folder and gives its records to `apply`, those of the snapshot first; `between` is called behind them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(in crate::cache::embedded) fn folder<S>(
        path: &Path,
        fingerprint: Fingerprint,
        state: &mut S,
        apply: impl Fn(&mut S, Record),
        between: impl FnOnce(&mut S),
    ) -> Result<Self, OpenError> {
        let folder = Folder::open(path, fingerprint)?;
        remove_temporary(folder.path());
        let snapshots = folder.numbers(Kind::Snapshot)?;
        let journals = folder.numbers(Kind::Journal)?;
        let snapshot = snapshots.last().copied();
        let last_number = journals.iter().copied().chain(snapshot).max();
        let mut read = Self {
            folder,
            last_number: last_number.unwrap_or_default(),
            snapshot_bytes: 0,
            journal_bytes: 0,
            damaged_records: 0,
            skipped_bytes: 0,
            is_of_other_encoder: false,
        };
        let mut ended = Ended::Whole;
        if let Some(number) = snapshot {
            let path = read.folder.file(Kind::Snapshot, number);
            read.snapshot_bytes = size_of_file(&path);
            ended = read.file(&path, state, &apply)?;
        }
        between(state);
        for number in journals {
            if ended == Ended::OtherEncoder {
                break;
            }
            if number >= snapshot.unwrap_or_default() {
                let path = read.folder.file(Kind::Journal, number);
                read.journal_bytes += size_of_file(&path);
                ended = read.file(&path, state, &apply)?;
            }
        }
        if ended == Ended::OtherEncoder {
            read.forget()?;
        }
        Ok(read)
    }

    fn file<S>(
        &mut self,
        path: &Path,
        state: &mut S,
        apply: &impl Fn(&mut S, Record),
    ) -> Result<Ended, OpenError> {
        let failed = |error| OpenError::Io {
            path: path.into(),
            error,
        };
        let mut frames = match self.folder.read(path)? {
            Start::Frames(frames) => frames,
            Start::OtherEncoder => return Ok(Ended::OtherEncoder),
            Start::Damaged => {
                self.skipped_bytes += size_of_file(path);
                return Ok(Ended::Whole);
            }
        };
        loop {
            match frames.next().map_err(failed)? {
                Next::Frame { kind, payload } => match Record::read(kind, payload) {
                    Some(record) => apply(state, record),
                    None => self.damaged_records += 1,
                },
                Next::Damaged => self.damaged_records += 1,
                Next::End { skipped } => {
                    self.skipped_bytes += skipped;
                    return Ok(Ended::Whole);
                }
            }
        }
    }

    /// Removes all files: vectors of another encoder mean nothing.
    fn forget(&mut self) -> Result<(), OpenError> {
        let path = self.folder.path().to_owned();
        self.is_of_other_encoder = true;
        self.snapshot_bytes = 0;
        self.journal_bytes = 0;
        let removed = self.folder.remove_before(u64::MAX);
        removed.map_err(|error| OpenError::Io { path, error })
    }
}

fn size_of_file(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Removes snapshots that a crash has cut off. One that cannot be removed is never read and does no harm.
fn remove_temporary(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for path in files.flatten().map(|file| file.path()) {
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path).ok();
        }
    }
}
