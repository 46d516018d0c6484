//! What `/proc` says that a process uses.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Resident memory in KiB.
///
/// # Errors
/// When `/proc` does not tell.
pub fn rss_kib(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// CPU time used so far, all threads together, in steps of 10 ms.
///
/// # Errors
/// When `/proc` does not tell.
pub fn cpu_time(id: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Fields 14 and 15 (utime, stime); the name in field 2 may hold spaces, so count from its `)`.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| -> Result<u64> {
        Ok(fields.get(index).context("short stat line")?.parse()?)
    };
    let total = ticks(11)? + ticks(12)?;
    // USER_HZ is 100 on every Linux.
    Ok(Duration::from_millis(total * 10))
}
