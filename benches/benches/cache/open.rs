//! Opening a store again: many partitions, as users with a cache of their own have them.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use benches::usage::rss_kib;
use turnpike_sidecar::cache::{Partition, Timestamp};

use crate::data::Data;
use crate::measure::new_entry;

const PARTITIONS: u64 = 1_000;

pub(crate) fn run(entries: u64) -> Result<()> {
    let data = Data { entries };
    let folder = tempfile::tempdir()?;
    let store = crate::open(folder.path(), entries)?;
    let started_at = Instant::now();
    for number in 0..entries {
        let mut entry = new_entry(data, number);
        entry.partition = partition(number % PARTITIONS)?;
        store.store_at(entry, Timestamp::now());
    }
    let stored = started_at.elapsed().as_secs_f64();
    let started_at = Instant::now();
    store.close();
    let closed = started_at.elapsed().as_secs_f64();
    drop(store);
    let before = rss_kib(std::process::id())?;
    let started_at = Instant::now();
    let store = crate::open(folder.path(), entries)?;
    println!(
        "open: {} entries in {PARTITIONS} partitions, {} MB on disk (in the page cache), in {:.2} s; resident then {} bytes an entry more than before",
        store.stats_now().entries,
        size_of(folder.path())? / 1_000_000,
        started_at.elapsed().as_secs_f64(),
        rss_kib(std::process::id())?.saturating_sub(before) * 1024 / entries,
    );
    println!(
        "  stored in {stored:.1} s, the making of the vectors included; closed in {closed:.2} s\n"
    );
    Ok(())
}

fn partition(number: u64) -> Result<Partition> {
    Partition::parse(&format!("{number:064x}")).map_err(anyhow::Error::msg)
}

/// Bytes of the files of a folder.
pub(crate) fn size_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
