//! A folder for each gateway of a test: short, because a unix socket's path has at most 107 bytes.
//!
//! Gateways in statics are never dropped, so each process removes the folders of processes that have ended.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new folder of this process.
///
/// # Errors
/// When it cannot be made.
pub(super) fn create() -> Result<PathBuf> {
    // Of this user alone: nobody else may have made it, or read what the logs in it say.
    let user = rustix::process::getuid().as_raw();
    let base = std::env::temp_dir().join(format!("turnpike-tests-{user}"));
    make_private(&base)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        sweep(&base);
    }
    let folder = base.join(format!("{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Makes a folder that only its owner enters; one that is there must be such a one.
fn make_private(base: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(base);
    if let Err(error) = made
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).with_context(|| format!("cannot make {}", base.display()));
    }
    let there = std::fs::symlink_metadata(base)?;
    if !there.is_dir() || there.uid() != rustix::process::getuid().as_raw() {
        bail!("{} belongs to somebody else; remove it", base.display());
    }
    Ok(())
}

fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_entered_by_its_owner_alone() {
        let around = tempfile::tempdir().unwrap();
        let base = around.path().join("base");
        make_private(&base).unwrap();
        make_private(&base).unwrap();
        assert_eq!(std::fs::metadata(&base).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let around = tempfile::tempdir().unwrap();
        let base = around.path().join("base");
        std::os::unix::fs::symlink(around.path(), &base).unwrap();
        assert!(make_private(&base).is_err());
    }
}
