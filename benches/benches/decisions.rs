//! What it costs to decide: 100 decisions over 20 signals, native and in the real Envoy by the router's own clock.
//!
//! 1. Native: `Engine::decide` alone, with all signals known: none, a third or all of them hold; and by confidence, where every decision must be
//!    evaluated.
//! 2. In Envoy: `router_us` of the access log for requests with 100 decisions and with one, in turns; signals are headers, so that
//!    nothing is read.
//!
//! Prints the limit of the project beside the measured values; it does not fail above it, since the machine may be busy.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use benches::client::{Client, request};
use benches::gateway::Gateway;
use benches::report::{percentile_us, set_up};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_core::decision::{Engine, Signal, Strategy, Verdict};
use wasm_tests::standin::{Records, StandIn};

const DECISIONS: usize = 100;
const SIGNALS: usize = 20;
const REQUESTS: usize = 3_000;
const ROUNDS: usize = 4;

fn main() -> Result<()> {
    if std::env::args()
        .skip(1)
        .any(|a| !a.starts_with("--") && !"decisions".contains(&a))
    {
        return Ok(());
    }
    println!("set-up: {}\n", set_up());
    native()?;
    tokio::runtime::Runtime::new()?.block_on(in_envoy())
}

/// Decisions of five conditions each, nested: two of which one must hold, one that must not, two that must.
fn with_decisions(config: &mut Config, count: usize) -> Result<()> {
    let rules: Vec<Value> = (0..SIGNALS)
        .map(|i| json!({"name": format!("h{i}"), "header": format!("x-signal-{i}")}))
        .collect();
    let signal = |i: usize| json!({"type": "header", "name": format!("h{}", i % SIGNALS)});
    let decisions: Vec<Value> = (0..count)
        .map(|i| {
            json!({"name": format!("d{i}"), "priority": count - i, "modelRefs": [{"model": "qwen3-8b"}], "rules": {
                "operator": "AND", "conditions": [
                    {"operator": "OR", "conditions": [signal(i), signal(i + 1)]},
                    {"operator": "NOT", "conditions": [signal(i + 2)]},
                    signal(i + 3), signal(i + 4 + i / SIGNALS),
                ]}})
        })
        .collect();
    config.header_rules = serde_json::from_value(json!(rules))?;
    config.decisions = serde_json::from_value(json!(decisions))?;
    Ok(())
}

fn native() -> Result<()> {
    let mut config = Config::default();
    with_decisions(&mut config, DECISIONS)?;
    let by_priority = Engine::compile(&config, &|_| None);
    config.strategy = Strategy::Confidence;
    let by_confidence = Engine::compile(&config, &|_| None);
    println!(
        "native, {DECISIONS} decisions of 5 conditions over {SIGNALS} signals, ns (limit 5,000 in Envoy)"
    );
    let none = vec![Signal::No; SIGNALS];
    let mixed: Vec<Signal> = (0..SIGNALS)
        .map(|i| {
            if i % 3 == 0 {
                Signal::Yes(0.9)
            } else {
                Signal::No
            }
        })
        .collect();
    let all = vec![Signal::Yes(0.9); SIGNALS];
    for (name, engine, signals) in [
        ("no signal holds", &by_priority, &none),
        ("a third of them hold", &by_priority, &mixed),
        ("all hold", &by_priority, &all),
        ("a third of them, by confidence", &by_confidence, &mixed),
    ] {
        let verdict = match engine.decide(signals) {
            Verdict::Decided(index, _) => format!("decision {index} holds"),
            Verdict::NoneHolds => "none holds".to_owned(),
            open @ Verdict::Open(_) => anyhow::bail!("{name}: {open:?}"),
        };
        let mut best = f64::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            for _ in 0..1_000 {
                black_box(engine.decide(black_box(signals)));
            }
            best = best.min(began.elapsed().as_nanos() as f64 / 1e3);
        }
        println!("  {name:<34} {best:>8.0}  {verdict}");
    }
    println!();
    Ok(())
}

async fn in_envoy() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let _standin = StandIn::start(listener, "bench", Vec::new(), Records::default())?;
    let mut config = turnpike::config::load(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.port = port;
    }
    config.semantic_cache.enabled = false;
    config.sidecar.enabled = false;
    config.categories.clear();
    let (mut one, mut many) = (config.clone(), config);
    with_decisions(&mut one, 1)?;
    with_decisions(&mut many, DECISIONS)?;
    println!(
        "in Envoy, one connection, {REQUESTS} requests a round, `router_us` of the access log, µs"
    );
    println!("  {:<34} {:>8} {:>8}", "", "p50", "mean");
    let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_one.extend(router_times(&one).await?);
        of_many.extend(router_times(&many).await?);
    }
    let mut rows = Vec::new();
    for (name, times) in [("1 decision", &mut of_one), ("100 decisions", &mut of_many)] {
        let total: Duration = times.iter().sum();
        let mean = total.as_secs_f64() * 1e6 / times.len() as f64;
        let p50 = percentile_us(times, 0.5);
        println!("  {name:<34} {p50:>8.0} {mean:>8.1}");
        rows.push((p50, mean));
    }
    if let [(one_p50, one_mean), (many_p50, many_mean)] = rows[..] {
        println!(
            "  {:<34} {:>8.0} {:>8.1}",
            "99 decisions more (limit 5)",
            many_p50 - one_p50,
            many_mean - one_mean
        );
    }
    Ok(())
}

async fn router_times(config: &Config) -> Result<Vec<Duration>> {
    let filters = Filters {
        meter: true,
        router: true,
    };
    let gateway = Gateway::start("decisions", config, filters, &[], 1).await?;
    let port = gateway.port;
    tokio::task::spawn_blocking(move || -> Result<()> {
        let mut client = Client::connect(port, "")?;
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
        for _ in 0..REQUESTS {
            client.send(&request("alice", &body.to_string()))?;
        }
        Ok(())
    })
    .await??;
    for _ in 0..100 {
        let numbers = gateway.logged("router_us")?;
        if numbers.len() >= REQUESTS {
            return Ok(numbers.into_iter().map(Duration::from_micros).collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the access log lacks requests")
}
