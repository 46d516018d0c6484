//! Other servers and libraries beside the sidecar.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use benches::load::{Address, Target, closed};
use benches::report::set_up;
use benches::sidecar::{Plain, config, embeddings, vector};
use benches::texts::Text;
use benches::usage::rss_kib;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::throughput::Cell;
use super::{Bench, TEXTS, median, verdict};

const CONNECTIONS: &[usize] = &[1, 8, 32];
/// Those for texts of 512 tokens, which take their time.
const LONG_CONNECTIONS: &[usize] = &[1, 8];
const ROUNDS: usize = 3;
const TURN: Duration = Duration::from_millis(1000);
/// Batches of the loop and connections of [`turn`].
const BATCHES: [usize; 3] = [4, 8, 32];
const TURN_CONNECTIONS: usize = 32;

/// Where a peer embeds.
struct Peer<'a> {
    address: Address,
    path: String,
    model: &'a str,
    process: Option<u32>,
}

impl<'a> Peer<'a> {
    fn new(url: &str, model: &'a str, process: Option<u32>) -> Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .context("URL: must begin with http://")?;
        let (host, path) = rest.split_once('/').context("URL: has no path")?;
        Ok(Self {
            address: Address::Tcp(host.to_owned()),
            path: format!("/{path}"),
            model,
            process,
        })
    }
}

/// Sidecar and peer in turns, both over TCP, a text a request.
pub(super) fn run(runtime: &Runtime, url: &str, model: &str, process: Option<u32>) -> Result<()> {
    let bench = Bench::start(runtime, false)?;
    let peer = Peer::new(url, model, process)?;
    println!("set-up: {}", set_up());
    println!("peer: {model} at {url}, in turns with the sidecar, median of {ROUNDS} rounds\n");
    println!(
        "  {:<8} {:>4} {:<8} {:>9} {:>9} {:>9} {:>7} {:>12}",
        "tokens", "C", "", "texts/s", "p50 ms", "p99 ms", "cores", "client cores"
    );
    for (tokens, _) in TEXTS {
        length(runtime, &bench, &peer, tokens)?;
    }
    println!("  RSS: sidecar {} KiB", bench.sidecar.rss_kib()?);
    if let Some(process) = process {
        println!("  RSS: peer {} KiB", rss_kib(process)?);
    }
    Ok(())
}

fn length(runtime: &Runtime, bench: &Bench, peer: &Peer, tokens: usize) -> Result<()> {
    let texts = bench.texts(tokens)?;
    let sidecar = bench.tcp(&bench.unix(texts));
    let other = Target {
        address: peer.address.clone(),
        process: peer.process,
        requests: embeddings(&peer.path, peer.model, texts).into(),
    };
    same_vectors(runtime, bench, peer, texts)?;
    let sizes = if tokens < 512 {
        CONNECTIONS
    } else {
        LONG_CONNECTIONS
    };
    let mut cells: Vec<[Cell; 2]> = sizes.iter().map(|_| Default::default()).collect();
    let targets = [&sidecar, &other];
    // What each did last says how long its next turn must be.
    let mut rates = [0.0; 2];
    for (target, rate) in targets.iter().zip(&mut rates) {
        *rate = runtime
            .block_on(closed(target, 1, Duration::ZERO, TURN))?
            .rate;
    }
    for _ in 0..ROUNDS {
        for (connections, pair) in sizes.iter().zip(&mut cells) {
            for ((cell, target), rate) in pair.iter_mut().zip(targets).zip(&mut rates) {
                cell.measure(runtime, target, *connections, *rate, TURN)?;
                *rate = cell.loads.last().map_or(*rate, |load| load.rate);
            }
        }
    }
    for (connections, pair) in sizes.iter().zip(&cells) {
        for (name, cell) in ["sidecar", "peer"].into_iter().zip(pair) {
            let [p50, p99] = cell.latencies();
            println!(
                "  {tokens:<8} {connections:>4} {name:<8} {:>9.1} {p50:>9.2} {p99:>9.2} {:>7.2} {:>12.2}",
                cell.rate(),
                cell.server_cores(),
                cell.own_cores()
            );
        }
        let [sidecar, other] = pair;
        let rounds = sidecar.loads.iter().zip(&other.loads);
        let ratio = median(rounds.map(|(a, b)| a.rate / b.rate.max(1e-9)));
        println!(
            "  {:<13} sidecar / peer {ratio:.2}, {}",
            "",
            verdict(ratio >= 1.0)
        );
    }
    println!();
    Ok(())
}

/// Both must compute the same, or the comparison means nothing.
fn same_vectors(runtime: &Runtime, bench: &Bench, peer: &Peer, texts: &[Text]) -> Result<()> {
    let text = texts.first().context("no texts")?;
    let theirs = runtime.block_on(vector(&peer.address, &peer.path, peer.model, text))?;
    let own = bench.plain.forward(&[&text.row])?.pop().unwrap_or_default();
    let cosine: f32 = theirs.iter().zip(&own).map(|(a, b)| a * b).sum();
    ensure!(cosine > 0.999, "peer and sidecar differ: cosine {cosine}");
    Ok(())
}

/// Writes all texts as `{"16": […], …}`.
pub(super) fn write_texts(file: &str) -> Result<()> {
    let texts = super::texts(&Plain::open(&config()?)?)?;
    let by_length: Map<String, Value> = texts
        .iter()
        .map(|(tokens, texts)| {
            let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
            (tokens.to_string(), json!(texts))
        })
        .collect();
    std::fs::write(file, Value::from(by_length).to_string()).with_context(|| file.to_owned())
}

/// Prints one turn of loop and sidecar, texts a second by length.
pub(super) fn turn(runtime: &Runtime) -> Result<()> {
    let bench = Bench::start(runtime, false)?;
    let mut rates = Map::new();
    for (tokens, _) in TEXTS {
        let texts = bench.texts(tokens)?;
        let mut best = 0.0_f64;
        for batch in BATCHES {
            best = best.max(bench.plain.run(texts, batch, TURN)?.rate);
        }
        let mut cell = Cell::default();
        let target = bench.unix(texts);
        cell.measure(runtime, &target, TURN_CONNECTIONS, best, TURN)?;
        let rate = json!({"loop": best, "sidecar": cell.rate()});
        rates.insert(tokens.to_string(), rate);
    }
    println!("{}", Value::from(rates));
    Ok(())
}
