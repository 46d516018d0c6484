//! What the filters cost, against the same Envoy without them in the same run.
//!
//! 1. Latency at one connection and 1 KB: rounds go round-robin over all kinds of gateway, so that a noisy moment hits all.
//! 2. Throughput and CPU per request at 32 connections.
//! 3. The three modes of metering at 100 connections, 1,000 requests a turn.
//! 4. Module size, start-up time, resident memory with 1 and 2 workers.
//!
//! Prints the limits of the project beside the measured values; it does not fail above them, since the machine may be busy.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use benches::client::Client;
use benches::gateway::{Gateway, empty_filter};
use benches::report::{percentile_us, set_up};
use tokio::net::TcpListener;
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_core::decision::PricingConfig;
use wasm_tests::harness::Paths;
use wasm_tests::standin::{Records, StandIn};

const ROUNDS: usize = 60;
const REQUESTS_A_ROUND: usize = 50;
const CONNECTIONS: usize = 32;
/// Of the table of modes.
const MODE_CONNECTIONS: usize = 100;
const MODE_REQUESTS: usize = 1_000;

const LOAD_TIME: Duration = Duration::from_secs(4);

/// The kind that metering is held against: what Envoy's Wasm runtime costs by itself.
const EMPTY: &str = "empty wasm filter";

/// A kind of gateway and what is asked of it.
struct Kind {
    name: &'static str,
    filters: Filters,
    /// Whether the filter that does nothing stands before them.
    empty: bool,
    /// Model that the client names.
    model: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "no filters",
        filters: Filters {
            meter: false,
            router: false,
        },
        empty: false,
        model: "qwen3-coder",
    },
    Kind {
        name: EMPTY,
        filters: Filters::NONE,
        empty: true,
        model: "qwen3-coder",
    },
    Kind {
        name: "meter",
        filters: Filters {
            meter: true,
            router: false,
        },
        empty: false,
        model: "qwen3-coder",
    },
    Kind {
        name: "meter+router, named model",
        filters: Filters {
            meter: true,
            router: true,
        },
        empty: false,
        model: "qwen3-coder",
    },
    Kind {
        name: "meter+router, keyword rule",
        filters: Filters {
            meter: true,
            router: true,
        },
        empty: false,
        model: "auto",
    },
];

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    if std::env::args()
        .skip(1)
        .any(|a| !a.starts_with("--") && !"gateway".contains(&a))
    {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    println!("set-up: {}", set_up());
    println!(
        "request: {} bytes, answer about 1 KB, plain HTTP/1.1 on loopback\n",
        body("auto").len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let standin_port = listener.local_addr()?.port();
    let _standin = StandIn::start(listener, "bench", Vec::new(), Records::default())?;
    let config = config(standin_port)?;
    modules()?;
    let mut gateways = Vec::new();
    let empty = [empty_filter()?];
    for kind in &KINDS {
        let first: &[_] = if kind.empty { &empty } else { &[] };
        gateways.push(Gateway::start(kind.name, &config, kind.filters, first, 1).await?);
    }
    tokio::task::block_in_place(|| -> Result<()> {
        latency(&gateways)?;
        throughput(&gateways)
    })?;
    drop(gateways);
    modes(&config).await?;
    memory(&config).await
}

/// The example configuration, with this stand-in and without the cache (it would ask the sidecar).
fn config(port: u16) -> Result<Config> {
    let text = fs::read_to_string(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    let mut config = Config::from_value(serde_saphyr::from_str(&text)?)?;
    config.semantic_cache.enabled = false;
    // The same texts come again and again, and shall be read each time.
    config.routing_cache.max_bytes = 0;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.address = "127.0.0.1".into();
        endpoint.port = port;
    }
    Ok(config)
}

/// A request of about 1 KB that the keyword rule `code_words` takes.
fn body(model: &str) -> String {
    let text = "Please look at this SQL query and tell me what is wrong with it. ".repeat(13);
    serde_json::json!({
        "model": model,
        "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}],
        "temperature": 0.2,
    })
    .to_string()
}

fn modules() -> Result<()> {
    let folder = Paths::find()?.wasm;
    println!("module size (limit)");
    for (name, limit) in [
        ("turnpike_meter.wasm", 1_000_000),
        ("turnpike_router.wasm", 8_000_000),
    ] {
        let size = fs::metadata(folder.join(name))?.len();
        println!("  {name:<22} {size:>9} bytes ({limit})");
    }
    println!();
    Ok(())
}

fn latency(gateways: &[Gateway]) -> Result<()> {
    let mut clients = Vec::new();
    for (kind, gateway) in KINDS.iter().zip(gateways) {
        let mut client = Client::connect(gateway.port, &body(kind.model))?;
        for _ in 0..500 {
            client.ask().with_context(|| kind.name)?;
        }
        clients.push(client);
    }
    let mut times = vec![Vec::new(); clients.len()];
    for round in 0..ROUNDS {
        for offset in 0..clients.len() {
            let at = (round + offset) % clients.len();
            for _ in 0..REQUESTS_A_ROUND {
                times[at].push(clients[at].ask()?);
            }
        }
    }
    println!(
        "latency, 1 connection, {} requests each, round-robin",
        ROUNDS * REQUESTS_A_ROUND
    );
    println!(
        "  {:<28} {:>9} {:>9} {:>9} {:>12}",
        "", "p50 µs", "p90 µs", "p99 µs", "added p50 µs"
    );
    let base = percentile_us(&mut times[0], 0.5);
    for (kind, times) in KINDS.iter().zip(&mut times) {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile_us(times, share));
        println!(
            "  {:<28} {p50:>9.0} {p90:>9.0} {p99:>9.0} {:>12.0}",
            kind.name,
            p50 - base
        );
    }
    println!("  limits: metering alone adds at most 100 µs p50, routing by rule at most 200 µs\n");
    Ok(())
}

fn throughput(gateways: &[Gateway]) -> Result<()> {
    println!(
        "throughput, {CONNECTIONS} connections, 1 worker, {} s each, two turns",
        LOAD_TIME.as_secs()
    );
    println!(
        "  {:<28} {:>9} {:>12} {:>10} {:>16}",
        "", "req/s", "of no filter", "of empty", "CPU µs/request"
    );
    let mut sums = vec![(0_u64, Duration::ZERO, Duration::ZERO); gateways.len()];
    for _ in 0..2 {
        for (at, (kind, gateway)) in KINDS.iter().zip(gateways).enumerate() {
            let before = gateway.cpu_time()?;
            let (requests, took) = load(gateway.port, &body(kind.model))?;
            sums[at].0 += requests;
            sums[at].1 += took;
            sums[at].2 += gateway.cpu_time()?.saturating_sub(before);
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "request counts are far below 2^52"
    )]
    let rate = |sum: &(u64, Duration, Duration)| sum.0 as f64 / sum.1.as_secs_f64();
    let base = rate(&sums[0]);
    let empty = KINDS
        .iter()
        .position(|kind| kind.empty)
        .map(|at| rate(&sums[at]));
    let empty = empty.context("no empty filter among the kinds")?;
    for (kind, sum) in KINDS.iter().zip(&sums) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "request counts are far below 2^52"
        )]
        let cpu = sum.2.as_secs_f64() * 1e6 / sum.0 as f64;
        println!(
            "  {:<28} {:>9.0} {:>12.2} {:>10.2} {cpu:>16.0}",
            kind.name,
            rate(sum),
            rate(sum) / base,
            rate(sum) / empty
        );
    }
    println!("  limit: metering alone gives at least 0.85 of the empty filter\n");
    Ok(())
}

/// The table of the seed about performance (seed 000): 1,000 requests at 100 connections, in each mode.
async fn modes(config: &Config) -> Result<()> {
    const TURNS: usize = 5;
    println!(
        "modes of metering with the router, {MODE_CONNECTIONS} connections, {MODE_REQUESTS} requests a turn, {TURNS} turns"
    );
    println!(
        "  {:<28} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "req/s", "p50 µs", "p95 µs", "p99 µs", "RSS KiB"
    );
    let mut gateways = Vec::new();
    for (name, enabled, costs) in [
        ("standalone", false, false),
        ("MaaS", true, false),
        ("hybrid", true, true),
    ] {
        let mut config = config.clone();
        let maas = config.maas_integration.get_or_insert_default();
        maas.enabled = enabled;
        maas.metrics.internal_cost_calculation = costs;
        for model in config.model_config.values_mut() {
            model.pricing = Some(PricingConfig {
                currency: "USD".into(),
                prompt_per_1m: 0.5,
                completion_per_1m: 1.5,
                cached_input_per_1m: None,
                cache_hit_per_1m: None,
            });
        }
        let filters = Filters {
            meter: true,
            router: true,
        };
        gateways.push(Gateway::start(name, &config, filters, &[], 1).await?);
    }
    tokio::task::block_in_place(|| -> Result<()> {
        let mut times = vec![(Vec::new(), Duration::ZERO); gateways.len()];
        // The first turn warms up.
        for turn in 0..=TURNS {
            for (gateway, (times, took)) in gateways.iter().zip(&mut times) {
                let started = Instant::now();
                let turn_times = one_turn(gateway.port)?;
                if turn > 0 {
                    *took += started.elapsed();
                    times.extend(turn_times);
                }
            }
        }
        for (gateway, (times, took)) in gateways.iter().zip(&mut times) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "request counts are far below 2^52"
            )]
            let rate = times.len() as f64 / took.as_secs_f64();
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| percentile_us(times, share));
            println!(
                "  {:<28} {rate:>9.0} {p50:>9.0} {p95:>9.0} {p99:>9.0} {:>9}",
                gateway.name,
                gateway.rss_kib()?
            );
        }
        println!();
        Ok(())
    })
}

fn one_turn(port: u16) -> Result<Vec<Duration>> {
    let body = body("auto");
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..MODE_CONNECTIONS {
            threads.push(scope.spawn(|| {
                let mut client = Client::connect(port, &body)?;
                (0..MODE_REQUESTS / MODE_CONNECTIONS)
                    .map(|_| client.ask())
                    .collect::<Result<Vec<_>>>()
            }));
        }
        let mut times = Vec::new();
        for thread in threads {
            let thread = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?;
            times.extend(thread?);
        }
        Ok(times)
    })
}

fn load(port: u16, body: &str) -> Result<(u64, Duration)> {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let mut threads = Vec::new();
        for _ in 0..CONNECTIONS {
            threads.push(scope.spawn(|| -> Result<()> {
                let mut client = Client::connect(port, body)?;
                while !stop.load(Ordering::Relaxed) {
                    client.ask()?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        std::thread::sleep(LOAD_TIME);
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })?;
    Ok((done.into_inner(), started.elapsed()))
}

async fn memory(config: &Config) -> Result<()> {
    println!("start-up and memory, idle");
    println!(
        "  {:<28} {:>8} {:>9} {:>9}",
        "", "workers", "start ms", "RSS KiB"
    );
    for (name, filters) in [
        (
            "no filters",
            Filters {
                meter: false,
                router: false,
            },
        ),
        (
            "meter",
            Filters {
                meter: true,
                router: false,
            },
        ),
        (
            "meter+router",
            Filters {
                meter: true,
                router: true,
            },
        ),
    ] {
        for workers in [1, 2] {
            let gateway = Gateway::start(name, config, filters, &[], workers).await?;
            let start = gateway.start_time.as_millis();
            println!(
                "  {name:<28} {workers:>8} {start:>9} {:>9}",
                gateway.rss_kib()?
            );
        }
    }
    println!(
        "  limits: start 5000 ms; with one worker 150 MB more than no filters, each further worker 20 MB"
    );
    Ok(())
}
