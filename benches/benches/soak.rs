//! Memory over a long run: one million metered requests, whole and streamed, of more users than have labels of their own.
//!
//! Prints Envoy's resident memory ten times. It must be flat: after the first fifth of the run, which fills what may be
//! filled (connections, stats, lists of users), no reading may be above the one at that point by more than 2 % and 2 MiB.
//! `TURNPIKE_SOAK_REQUESTS` makes it shorter or longer; `cargo bench --workspace --bench soak`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benches::client::{Client, request};
use benches::gateway::Gateway;
use benches::report::set_up;
use tokio::net::TcpListener;
use turnpike::render::Filters;
use turnpike_core::Config;
use wasm_tests::standin::{Records, StandIn};

const REQUESTS: u64 = 1_000_000;
const CONNECTIONS: u64 = 32;
const WORKERS: u32 = 2;

/// Readings of the memory in a run.
const READINGS: u64 = 10;

/// Readings until the memory counts as warmed up.
const WARM_UP: usize = 2;

/// Users that call; `max_users` is 1,000 by default.
const USERS: u64 = 1_200;

/// What an allocator may keep for itself.
const SLACK_KIB: u64 = 2 << 10;

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    if std::env::args()
        .skip(1)
        .any(|argument| !argument.starts_with("--") && argument != "soak")
    {
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Result<()> {
    let number = std::env::var("TURNPIKE_SOAK_REQUESTS").ok();
    let number = number.and_then(|n| n.parse().ok()).unwrap_or(REQUESTS);
    println!("set-up: {}, {WORKERS} workers", set_up());
    println!("{number} requests, {CONNECTIONS} connections, {USERS} users, one in four streamed\n");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let _standin = StandIn::start(listener, "soak", Vec::new(), Records::default())?;
    let gateway = Gateway::start("soak", &config(port)?, Filters::default(), &[], WORKERS).await?;
    tokio::task::block_in_place(|| soak(&gateway, number))
}

/// The example configuration, with this stand-in and without the cache (it would ask the sidecar).
fn config(port: u16) -> Result<Config> {
    let text = fs::read_to_string(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    let mut config = Config::from_value(serde_saphyr::from_str(&text)?)?;
    config.semantic_cache.enabled = false;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.address = "127.0.0.1".into();
        endpoint.port = port;
    }
    Ok(config)
}

fn body(number: u64) -> String {
    let model = ["qwen3-8b", "qwen3-coder"][usize::from(number.is_multiple_of(2))];
    serde_json::json!({
        "model": model,
        "stream": number.is_multiple_of(4),
        "max_tokens": 16,
        "messages": [{"role": "user", "content": format!("question {number}")}],
    })
    .to_string()
}

fn soak(gateway: &Gateway, number: u64) -> Result<()> {
    println!("  {:>10} {:>9} {:>9}", "requests", "req/s", "RSS KiB");
    let done = AtomicU64::new(0);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| client(gateway.port, number, &next, &done)))
            .collect();
        let readings = watch(gateway, number, &done, || {
            clients.iter().any(|client| !client.is_finished())
        })?;
        for client in clients {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        judge(&readings)
    })
}

fn client(port: u16, number: u64, next: &AtomicU64, done: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(port, "")?;
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= number {
            return Ok(());
        }
        client.send(&request(&format!("user-{}", at % USERS), &body(at)))?;
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads the memory after each tenth, until all is done.
fn watch(
    gateway: &Gateway,
    number: u64,
    done: &AtomicU64,
    runs: impl Fn() -> bool,
) -> Result<Vec<u64>> {
    let mut readings = Vec::new();
    let mut last = (Instant::now(), 0);
    for reading in 1..=READINGS {
        let goal = number * reading / READINGS;
        while done.load(Ordering::Relaxed) < goal && runs() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (now, sent, rss) = (
            Instant::now(),
            done.load(Ordering::Relaxed),
            gateway.rss_kib()?,
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "request counts are far below 2^52"
        )]
        let rate = (sent - last.1) as f64 / (now - last.0).as_secs_f64();
        println!("  {sent:>10} {rate:>9.0} {rss:>9}");
        last = (now, sent);
        readings.push(rss);
        gateway.clear_access_log()?;
    }
    Ok(readings)
}

/// Fails when the memory grew after the warm-up.
fn judge(readings: &[u64]) -> Result<()> {
    let (warm, rest) = readings.split_at(WARM_UP.min(readings.len()));
    let base = warm.last().copied().unwrap_or_default();
    let limit = base + base / 50 + SLACK_KIB;
    let most = rest.iter().copied().max().unwrap_or_default();
    println!("\n  after the warm-up {base} KiB, at most {most} KiB (limit {limit})");
    ensure!(most <= limit, "Envoy's memory is not flat");
    Ok(())
}
