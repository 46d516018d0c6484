//! The shared store on a Redis of its own, on this machine, beside the embedded one: one caller, one partition.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use benches::report::percentile_us;
use tokio::runtime::Runtime;
use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{Embedded, Fingerprint, RedisStore, Store};
use turnpike_sidecar::metrics::CacheMetrics;

use crate::data::{DIMENSIONS, Data, Truth};
use crate::measure::{new_entry, partition};
use crate::{QUERIES, limits};

/// Time for Redis to come up.
const START_TIME: Duration = Duration::from_secs(20);

/// A Redis that ends with this.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(largest: u64) -> Result<()> {
    println!("shared: times of whole calls, Redis by the loopback");
    println!(
        "  {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>10} {:>9}",
        "entries",
        "store",
        "near p50",
        "near p99",
        "same p50",
        "same p99",
        "recall",
        "stores/s",
        "bytes"
    );
    let runtime = Runtime::new()?;
    for entries in [10_000, 100_000] {
        if entries > largest {
            break;
        }
        let embedded = Embedded::in_memory(limits(entries), DIMENSIONS, CacheMetrics::default());
        runtime.block_on(measure("embedded", &embedded, entries, || {
            embedded.settle()
        }))?;
        let (_redis, config) = start()?;
        let shared = runtime.block_on(open(&config, entries))?;
        runtime.block_on(measure("redis", &shared, entries, || {}))?;
    }
    println!("\n  µs; store, bytes: of a whole entry, as the store counts them\n");
    Ok(())
}

fn start() -> Result<(Redis, RedisConfig)> {
    let program = std::env::var_os("TURNPIKE_REDIS_SERVER").map(PathBuf::from);
    let program = program.context("TURNPIKE_REDIS_SERVER is not set; run: make bench")?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let redis = Command::new(&program)
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
        ])
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let config = RedisConfig {
        url: format!("redis://127.0.0.1:{port}"),
        timeout_ms: 10_000,
        ..RedisConfig::default()
    };
    Ok((Redis(redis), config))
}

async fn open(config: &RedisConfig, entries: u64) -> Result<RedisStore> {
    let fingerprint = Fingerprint::new(&Data { entries: 1 }.entry(0));
    let metrics = CacheMetrics::default();
    let store = RedisStore::open(config, limits(entries), fingerprint, metrics).await?;
    let started_at = Instant::now();
    while let Some(Err(why)) = store.health() {
        ensure!(started_at.elapsed() < START_TIME, "{why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(store)
}

async fn measure(name: &str, store: &dyn Store, entries: u64, settle: impl FnOnce()) -> Result<()> {
    let data = Data { entries };
    let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, 0)).collect());
    let mut stored = Duration::ZERO;
    for number in 0..entries {
        let entry = new_entry(data, number);
        if let Some(embedding) = &entry.embedding {
            truth.see(number, embedding);
        }
        let started_at = Instant::now();
        store.store(entry).await?;
        stored += started_at.elapsed();
    }
    settle();
    let (mut near, mut same, mut right) = (Vec::new(), Vec::new(), 0_u32);
    for round in 0..4 {
        for (query, nearest) in truth.pairs() {
            let started_at = Instant::now();
            let found = store.nearest(&partition(), query, 0.0, 4).await?;
            let took = started_at.elapsed();
            let text = nearest.to_string();
            let started_at = Instant::now();
            let exact = store.exact(&partition(), &text).await?;
            ensure!(exact.is_some(), "{text} is not there");
            if round == 0 {
                right += u32::from(found.first().is_some_and(|f| *f.question == text));
                continue;
            }
            near.push(took);
            same.push(started_at.elapsed());
        }
    }
    let bytes = store.stats().await?.bytes as u64 / entries;
    println!(
        "  {entries:>8} {name:>9} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>8.3} {:>10.0} {bytes:>9}",
        percentile_us(&mut near, 0.5),
        percentile_us(&mut near, 0.99),
        percentile_us(&mut same, 0.5),
        percentile_us(&mut same, 0.99),
        f64::from(right) / QUERIES as f64,
        entries as f64 / stored.as_secs_f64(),
    );
    Ok(())
}
