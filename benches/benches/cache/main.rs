//! The cache's stores, in one partition of 384 dimensions.
//!
//! 1. `small`: where a graph becomes faster than a scan.
//! 2. `lookup`: time of a lookup (the nearest four), recall@1 against exact search, insertions, memory, at 1,000 to 100,000
//!    entries, with `full` a million. The largest is kept in a folder: time to open it, and a lookup behind that.
//! 3. `open`: time to open a folder of a million entries in a thousand partitions (with `quick`, of 100,000).
//! 4. `mixed`: lookups beside stores at capacity, each of which evicts an entry; recall behind it.
//! 5. `shared`: the same lookups on Redis, beside the embedded store.
//!
//! `quick` stops at 10,000 entries. `vectors FOLDER ENTRIES` writes vectors and queries for `benches/peers/cache.py`, and
//! `turn ENTRIES` prints one turn of the store as JSON.
//!
//! Times are by the clock, and by the CPU time of the looking thread: on a busy machine the second is the one that says
//! something. Prints the limits of the project beside the measured values; it does not fail above them.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod data;
mod measure;
mod mixed;
mod open;
mod shared;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use benches::report::set_up;
use benches::usage::rss_kib;
use turnpike_core::cache::EvictionPolicy;
use turnpike_sidecar::cache::{CacheLimits, Embedded, Fingerprint};
use turnpike_sidecar::metrics::CacheMetrics;

use data::{DIMENSIONS, Data, Truth};
use measure::{Lookups, fill, look_up};

/// Queries of a measurement.
pub(crate) const QUERIES: u64 = 500;

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["vectors", folder, entries] => write_vectors(Path::new(folder), entries.parse()?),
        ["turn", entries] => turn(entries.parse()?),
        parts => run(parts),
    }
}

fn run(parts: &[&str]) -> Result<()> {
    const PARTS: [&str; 5] = ["small", "lookup", "open", "mixed", "shared"];
    const MODES: [&str; 2] = ["quick", "full"];
    let known =
        |part: &&str| PARTS.contains(part) || MODES.contains(part) || "cache".contains(*part);
    if !parts.iter().all(known) {
        return Ok(());
    }
    let is_whole = !parts.iter().any(|part| PARTS.contains(part));
    let wanted = |part| is_whole || parts.contains(&part);
    let largest = match () {
        () if parts.contains(&"quick") => 10_000,
        () if parts.contains(&"full") => 1_000_000,
        () => 100_000,
    };
    println!("set-up: {}", set_up());
    println!("one partition, {DIMENSIONS} dimensions, {QUERIES} queries, the nearest four\n");
    if wanted("small") {
        small();
    }
    if wanted("lookup") {
        lookup(largest)?;
    }
    if wanted("open") {
        open::run(if largest > 10_000 { 1_000_000 } else { 100_000 })?;
    }
    if wanted("mixed") {
        mixed::run(largest.min(100_000));
    }
    if wanted("shared") {
        shared::run(largest)?;
    }
    Ok(())
}

pub(crate) fn limits(entries: u64) -> CacheLimits {
    CacheLimits {
        max_entries: usize::try_from(entries).unwrap_or(usize::MAX),
        max_bytes: usize::MAX,
        time_to_live: Duration::from_secs(86_400),
        eviction: EvictionPolicy::Lru,
    }
}

fn in_memory(entries: u64) -> Embedded {
    Embedded::in_memory(limits(entries), DIMENSIONS, CacheMetrics::default())
}

fn small() {
    println!("small partitions: a scan up to 1,500 entries, a graph above");
    println!("  {:>8} {}", "entries", Lookups::HEAD);
    for entries in [250, 500, 1_000, 1_500, 2_000, 4_000, 8_000] {
        let data = Data { entries };
        let store = in_memory(entries);
        let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, 0)).collect());
        fill(&store, data, &mut truth);
        store.settle();
        println!("  {entries:>8} {}", look_up(&store, &truth));
    }
    println!();
}

fn lookup(largest: u64) -> Result<()> {
    println!(
        "lookups; limits: p99 at 100,000 entries 300 µs, recall 0.98, memory 1.3 of raw f32 vectors ({} bytes)",
        DIMENSIONS * 4
    );
    println!(
        "  {:>8} {} {:>10} {:>10} {:>9} {:>9} {:>7}",
        "entries",
        Lookups::HEAD,
        "stores/s",
        "by CPU",
        "counted",
        "resident",
        "of raw"
    );
    let folder = tempfile::tempdir()?;
    let sizes = [1_000, 10_000, 100_000, 1_000_000];
    for entries in sizes.into_iter().filter(|size| *size <= largest) {
        let data = Data { entries };
        let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, 0)).collect());
        let before = rss_kib(std::process::id())?;
        let store = if entries == largest {
            open(folder.path(), entries)?
        } else {
            in_memory(entries)
        };
        let filled = fill(&store, data, &mut truth);
        store.settle();
        let resident = (rss_kib(std::process::id())?.saturating_sub(before) * 1024) / entries;
        println!(
            "  {entries:>8} {} {:>10.0} {:>10.0} {:>9} {resident:>9} {:>7.2}",
            look_up(&store, &truth),
            entries as f64 / filled.clock.as_secs_f64(),
            entries as f64 / filled.cpu.as_secs_f64(),
            store.stats_now().bytes as u64 / entries,
            resident as f64 / (DIMENSIONS * 4) as f64,
        );
        if entries == largest {
            reopen(store, folder.path(), data, &truth)?;
        }
    }
    println!(
        "\n  counted, resident: bytes an entry, with {} of question and answer; resident with all maps and orders\n",
        measure::TEXT_BYTES
    );
    Ok(())
}

fn open(folder: &Path, entries: u64) -> Result<Embedded> {
    let fingerprint = Fingerprint::new(&Data { entries: 1 }.entry(0));
    let metrics = CacheMetrics::default();
    Ok(Embedded::open(
        folder,
        limits(entries),
        DIMENSIONS,
        fingerprint,
        metrics,
    )?)
}

fn reopen(store: Embedded, folder: &Path, data: Data, truth: &Truth) -> Result<()> {
    store.close();
    drop(store);
    let bytes = open::size_of(folder)?;
    let started_at = Instant::now();
    let store = open(folder, data.entries)?;
    let opened = started_at.elapsed();
    let first = look_up(&store, truth);
    store.settle();
    println!(
        "\n  opened again: {} entries, {} MB on disk, in {:.2} s (files in the page cache)",
        store.stats_now().entries,
        bytes / 1_000_000,
        opened.as_secs_f64()
    );
    println!("  {:>8} {}", "at once", first);
    println!("  {:>8} {}", "settled", look_up(&store, truth));
    Ok(())
}

/// Vectors and queries as f32, little-endian, row by row.
fn write_vectors(folder: &Path, entries: u64) -> Result<()> {
    let data = Data { entries };
    let write = |name: &str,
                 rows: &mut dyn Iterator<Item = turnpike_sidecar::encoder::Embedding>|
     -> Result<()> {
        let path = folder.join(name);
        let mut file =
            BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
        for row in rows {
            for value in row.values() {
                file.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(file.flush()?)
    };
    write(
        "entries.f32",
        &mut (0..entries).map(|number| data.entry(number)),
    )?;
    write(
        "queries.f32",
        &mut (0..QUERIES).map(|number| data.query(number, 0)),
    )
}

fn turn(entries: u64) -> Result<()> {
    let data = Data { entries };
    let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, 0)).collect());
    let before = rss_kib(std::process::id())?;
    let store = in_memory(entries);
    let filled = fill(&store, data, &mut truth);
    store.settle();
    let resident = (rss_kib(std::process::id())?.saturating_sub(before) * 1024) / entries;
    let found = look_up(&store, &truth);
    println!(
        "{}",
        serde_json::json!({
            "p50_us": found.p50_us, "p99_us": found.p99_us, "cpu_p50_us": found.cpu_p50_us, "cpu_p99_us": found.cpu_p99_us,
            "recall": found.recall, "inserts_per_cpu_second": entries as f64 / filled.cpu.as_secs_f64(), "bytes": resident,
        })
    );
    Ok(())
}
