//! The folder of a store.
//!
//! - `lock`: held by the one process that uses the folder.
//! - `snapshot-N`: every entry, as it was some time after journal N was begun.
//! - `journal-N`: the changes since.
//!
//! The newest snapshot and the journals from its number on, in their order, give the store again. A file begins with
//! [`MAGIC`], its version, and a frame with what tells the encoder. Questions and answers are in the files as they are: only
//! their owner may read what this makes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::frame::{self, Frames, Next};
use super::record::{Fields, push_vector};
use crate::cache::Fingerprint;

const MAGIC: [u8; 8] = *b"turnpike";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Kind of the frame behind the version.
const ENCODER: u32 = 0;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system says no.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The file is of another version.
    #[error(
        "{} has version {found} of the cache's files, this sidecar reads version {VERSION}; {}",
        path.display(),
        if *found > VERSION { "use the newer sidecar that wrote it, or empty the folder" } else { "empty the folder" }
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// The two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Snapshot,
    Journal,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Journal => "journal",
        }
    }
}

/// A folder that is ours.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    fingerprint: Fingerprint,
    lock: File,
}

impl Drop for Folder {
    /// Closing alone would leave it locked as long as a child that was forked meanwhile has the file, too.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(folder = %self.path.display(), %error, "the cache's folder stays locked");
        }
    }
}

/// The beginning of a file.
pub(super) enum Start {
    /// It can be read on.
    Frames(Frames<io::BufReader<File>>),
    /// It was written for another encoder.
    OtherEncoder,
    /// It is none of ours, or damaged.
    Damaged,
}

impl Folder {
    /// Takes a folder; one that does not exist is made.
    pub(super) fn open(path: &Path, fingerprint: Fingerprint) -> Result<Self, OpenError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(OpenError::io(path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(OpenError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.into() }),
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&lock_path)(error)),
        }
        Ok(Self {
            path: path.into(),
            fingerprint,
            lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, kind: Kind, number: u64) -> PathBuf {
        self.path.join(format!("{}-{number:010}", kind.name()))
    }

    /// The numbers of the files of a kind, ascending.
    pub(super) fn numbers(&self, kind: Kind) -> Result<Vec<u64>, OpenError> {
        let failed = || OpenError::io(&self.path);
        let mut numbers = Vec::new();
        for file in fs::read_dir(&self.path).map_err(failed())? {
            let name = file.map_err(failed())?.file_name();
            let number = name.to_str().and_then(|name| {
                let number = name.strip_prefix(kind.name())?.strip_prefix('-')?;
                number.parse::<u64>().ok()
            });
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Begins to read a file.
    pub(super) fn read(&self, path: &Path) -> Result<Start, OpenError> {
        let failed = || OpenError::io(path);
        let mut file = File::open(path).map_err(failed())?;
        let mut start = [0; MAGIC.len() + 4];
        if file.read_exact(&mut start).is_err() || !start.starts_with(&MAGIC) {
            return Ok(Start::Damaged);
        }
        let mut version = Fields(&start[MAGIC.len()..]);
        match version.u32() {
            Some(VERSION) => {}
            found => {
                return Err(OpenError::Version {
                    path: path.into(),
                    found: found.unwrap_or_default(),
                });
            }
        }
        let mut frames = Frames::new(io::BufReader::with_capacity(1 << 20, file));
        let written_for = match frames.next().map_err(failed())? {
            Next::Frame {
                kind: ENCODER,
                payload,
            } => Fields(payload).vector().map(Fingerprint),
            _ => None,
        };
        Ok(match written_for {
            None => Start::Damaged,
            Some(other) if !other.is_same_encoder(&self.fingerprint) => Start::OtherEncoder,
            Some(_) => Start::Frames(frames),
        })
    }

    /// Begins a file, which must not exist.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        let mut start = MAGIC.to_vec();
        start.extend_from_slice(&VERSION.to_le_bytes());
        frame::push(&mut start, ENCODER, |payload| {
            push_vector(payload, &self.fingerprint.0)
        });
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&start)?;
        Ok(file)
    }

    /// Makes sure that the names of files outlive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Removes the files of a number below `number`.
    pub(super) fn remove_before(&self, number: u64) -> io::Result<()> {
        for kind in [Kind::Snapshot, Kind::Journal] {
            let numbers = self
                .numbers(kind)
                .map_err(|e| io::Error::other(e.to_string()))?;
            for old in numbers.into_iter().filter(|old| *old < number) {
                fs::remove_file(self.file(kind, old))?;
            }
        }
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_though_a_child_still_has_the_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let fingerprint = Fingerprint(Box::new([1]));
        let first = Folder::open(folder.path(), fingerprint.clone()).unwrap();
        let _as_a_fork_does = first.lock.try_clone().unwrap();
        drop(first);
        Folder::open(folder.path(), fingerprint).unwrap();
    }
}
