//! The folder of the cache: full, or damaged while the sidecar was down.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use wasm_tests::harness::metrics::Query;
use wasm_tests::harness::ready::until;

use super::asking::{DEADLINE, User, ask_until_hit, hits};
use crate::cache_gateways::{cache_files, chaotic};
use crate::gateways::Case;

/// Blocks of 512 bytes that a file may have on a small disk: a dozen entries, and what the sidecar logs.
const SMALL_DISK: u32 = 256;

/// A sidecar whose disk is full, and how many questions this user has stored there.
async fn fill_the_disk(gateway: &Case) -> Result<usize> {
    gateway
        .stack
        .start_sidecar_on_small_disk(SMALL_DISK)
        .await?;
    let (user, failed) = (User::of(gateway), persistence_errors(gateway));
    for number in 0..200 {
        ask_until_hit(&user, number).await?;
        if failed.now().await? > 0 {
            return Ok(number + 1);
        }
    }
    anyhow::bail!("the disk is not full")
}

fn persistence_errors(gateway: &Case) -> Query {
    let failed = gateway
        .stack
        .sidecar_metric("turnpike_sidecar_cache_persistence_errors_total");
    failed.label("operation", "journal")
}

/// Waits until everything has been written down as one file.
async fn snapshot(gateway: &Case) -> Result<()> {
    until(DEADLINE, async || {
        let files = cache_files(gateway.stack, "snapshot");
        ensure!(!files.is_empty(), "no snapshot");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_full_disk_costs_neither_requests_nor_answers_nor_what_comes_after_it() {
    let (gateway, _turn) = chaotic("chaos-disk").await;
    let user = User::of(&gateway);
    let stored = fill_the_disk(&gateway).await.unwrap();
    assert!(stored > 3, "{stored}");
    // From memory, old and new.
    ask_until_hit(&user, stored).await.unwrap();
    let all = hits(&user, 0..=stored).await.unwrap();
    assert_eq!(all.len(), stored + 1);
    // There is room again.
    gateway.stack.enlarge_disk().unwrap();
    snapshot(&gateway).await.unwrap();
    ask_until_hit(&user, stored + 1).await.unwrap();
    gateway.stack.stop_sidecar();
    gateway.stack.start_sidecar().await.unwrap();
    let all = hits(&user, 0..stored + 2).await.unwrap();
    assert_eq!(all.len(), stored + 2);
}

#[tokio::test]
async fn what_is_lost_on_a_full_disk_is_asked_again() {
    let (gateway, _turn) = chaotic("chaos-disk-crash").await;
    let user = User::of(&gateway);
    let stored = fill_the_disk(&gateway).await.unwrap();
    gateway.stack.kill_sidecar();
    gateway.stack.start_sidecar().await.unwrap();
    let left = hits(&user, 0..stored).await.unwrap();
    assert!(left.len() < stored, "all {stored} were on the full disk");
    assert!(left.starts_with(&[0, 1, 2]), "{left:?} of {stored}");
    for number in 0..stored {
        ask_until_hit(&user, number).await.unwrap();
    }
}

/// Turns a byte around every `step` bytes behind the head of a file, which says what it is.
fn flip(path: &Path, step: usize) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let head = bytes.len().min(1_000);
    for byte in bytes.iter_mut().skip(head).step_by(step) {
        *byte ^= 0xff;
    }
    Ok(fs::write(path, bytes)?)
}

fn cut(path: &Path, at: u64) -> Result<()> {
    let file = fs::File::options().write(true).open(path)?;
    let length = file.metadata()?.len();
    Ok(file.set_len(at.min(length))?)
}

fn overwrite(path: &Path) -> Result<()> {
    let length = fs::metadata(path)?.len();
    Ok(fs::write(path, vec![0; usize::try_from(length)?])?)
}

/// What the sidecar made of a damaged file.
#[derive(Debug)]
struct Reopened {
    /// Entries that it still had.
    left: usize,
    /// Damaged records that it counted.
    records: u64,
    /// Bytes that it counted because it could not read them.
    bytes: u64,
}

/// Damages files while the sidecar is down, and asks everything when it is up again.
async fn reopened(
    gateway: &Case,
    files: &[PathBuf],
    entries: usize,
    damage: impl Fn(&Path) -> Result<()>,
) -> Result<Reopened> {
    let (user, stack) = (User::of(gateway), gateway.stack);
    stack.stop_sidecar();
    files.iter().try_for_each(|file| damage(file))?;
    stack.start_sidecar().await?;
    let left = hits(&user, 0..entries).await?.len();
    let records = stack.sidecar_metric("turnpike_sidecar_cache_records_damaged_total");
    let bytes = stack.sidecar_metric("turnpike_sidecar_cache_skipped_bytes_total");
    // Everything can be stored again.
    for number in 0..entries {
        ask_until_hit(&user, number).await?;
    }
    Ok(Reopened {
        left,
        records: records.now().await?,
        bytes: bytes.now().await?,
    })
}

#[tokio::test]
async fn damaged_journals_cost_entries_and_change_none() {
    const ENTRIES: usize = 12;
    let (gateway, _turn) = chaotic("chaos-journal").await;
    let (user, stack) = (User::of(&gateway), gateway.stack);
    stack.start_sidecar().await.unwrap();
    for number in 0..ENTRIES {
        ask_until_hit(&user, number).await.unwrap();
    }
    let files = cache_files(stack, "journal");
    let changed = reopened(&gateway, &files, ENTRIES, |path| flip(path, 30_000)).await;
    let changed = changed.unwrap();
    assert!((1..ENTRIES).contains(&changed.left), "{changed:?}");
    assert!(changed.records > 0, "{changed:?}");
    let files = cache_files(stack, "journal");
    let shorter = reopened(&gateway, &files, ENTRIES, |path| cut(path, 15_001)).await;
    let shorter = shorter.unwrap();
    assert!((1..ENTRIES).contains(&shorter.left), "{shorter:?}");
    assert!(shorter.bytes > 0, "{shorter:?}");
    let files = cache_files(stack, "journal");
    let zeroed = reopened(&gateway, &files, ENTRIES, overwrite)
        .await
        .unwrap();
    assert_eq!(zeroed.left, 0, "{zeroed:?}");
    assert!(zeroed.bytes > 30_000, "{zeroed:?}");
}

#[tokio::test]
async fn a_damaged_snapshot_costs_entries_and_changes_none() {
    let (gateway, _turn) = chaotic("chaos-snapshot").await;
    let entries = fill_the_disk(&gateway).await.unwrap();
    gateway.stack.enlarge_disk().unwrap();
    snapshot(&gateway).await.unwrap();
    let files = cache_files(gateway.stack, "snapshot");
    let found = reopened(&gateway, &files, entries, |path| flip(path, 30_000)).await;
    let found = found.unwrap();
    assert!((1..entries).contains(&found.left), "{found:?}");
    assert!(found.records > 0, "{found:?}");
}
