//! A folder for each gateway of a test: short, because a unix socket's path has at most 107 bytes.
//!
//! Gateways in statics are never dropped, so each process removes the folders of processes that have ended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new folder of this process.
///
/// # Errors
/// When it cannot be made.
pub(super) fn create() -> Result<PathBuf> {
    let base = std::env::temp_dir().join("turnpike-tests");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        sweep(&base);
    }
    let folder = base.join(format!("{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
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
