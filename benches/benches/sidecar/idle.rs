//! One request at a time: what the way through the sidecar costs beside the forward.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benches::load::{Address, Connection, get, post};
use benches::report::percentile_us;
use benches::texts::Text;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Bench, median, verdict};

/// Tokens of a text and pairs of request and forward.
const PAIRS: [(usize, usize); 3] = [(16, 400), (128, 300), (512, 200)];
const WARM_UP: usize = 5;
/// Tokens of the text that all heads read.
const CLASSIFIED: usize = 128;

const MOST_ADDED_MS: f64 = 0.3;

pub(super) fn run(runtime: &Runtime, bench: &Bench) -> Result<()> {
    println!(
        "idle, one request at a time, each beside the bare forward of the same text; medians, ms"
    );
    println!(
        "  {:<8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "tokens", "request", "forward", "added", "limit", "tokenizing", "empty HTTP"
    );
    for (tokens, pairs) in PAIRS {
        let pairs = if bench.quick { pairs / 4 } else { pairs };
        for (name, address) in [("unix", bench.sidecar.unix()), ("tcp", bench.sidecar.tcp())] {
            beside_forward(runtime, bench, name, &address, (tokens, pairs))?;
        }
    }
    println!("  tokenizing and an empty HTTP exchange (GET /healthz) are part of what is added\n");
    many_heads(runtime, bench)
}

fn beside_forward(
    runtime: &Runtime,
    bench: &Bench,
    name: &str,
    address: &Address,
    (tokens, pairs): (usize, usize),
) -> Result<()> {
    let texts = bench.texts(tokens)?.iter().rev().take(pairs + WARM_UP);
    let mut connection = runtime.block_on(Connection::open(address))?;
    let empty = get("/healthz");
    let mut times: [Vec<f64>; 5] = Default::default();
    for (at, text) in texts.enumerate() {
        let request = bench.sidecar.embeddings([text]).pop().unwrap_or_default();
        let mut ask = || ask(runtime, &mut connection, &request);
        let forward = || -> Result<Duration> {
            let started_at = Instant::now();
            std::hint::black_box(bench.plain.forward(&[&text.row])?);
            Ok(started_at.elapsed())
        };
        let (asked, computed) = if at % 2 == 0 {
            let asked = ask()?;
            (asked, forward()?)
        } else {
            let computed = forward()?;
            (ask()?, computed)
        };
        let (tokenized, exchanged) = (
            tokenize(bench, text)?,
            self::ask(runtime, &mut connection, &empty)?,
        );
        if at >= WARM_UP {
            let [asked, computed, tokenized, exchanged] =
                [asked, computed, tokenized, exchanged].map(milliseconds);
            let values = [asked, computed, asked - computed, tokenized, exchanged];
            for (times, value) in times.iter_mut().zip(values) {
                times.push(value);
            }
        }
    }
    let [asked, computed, added, tokenized, exchanged] = times.map(median);
    println!(
        "  {:<8} {asked:>8.3} {computed:>8.3} {added:>8.3} {MOST_ADDED_MS:>8} {tokenized:>10.3} {exchanged:>10.3}  {}",
        format!("{tokens} {name}"),
        verdict(added <= MOST_ADDED_MS)
    );
    Ok(())
}

/// Sends a request that must be answered with 200.
pub(super) fn ask(
    runtime: &Runtime,
    connection: &mut Connection,
    request: &[u8],
) -> Result<Duration> {
    let started_at = Instant::now();
    let (status, _) = runtime.block_on(connection.exchange(request))?;
    let took = started_at.elapsed();
    ensure!(status == 200, "status {status}");
    Ok(took)
}

fn tokenize(bench: &Bench, text: &Text) -> Result<Duration> {
    let started_at = Instant::now();
    let row = bench.plain.tokenizer.tokenize(&text.text);
    std::hint::black_box(row.map_err(|e| anyhow::anyhow!(e))?);
    Ok(started_at.elapsed())
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One forward, many heads.
fn many_heads(runtime: &Runtime, bench: &Bench) -> Result<()> {
    let pairs = if bench.quick { 30 } else { 120 };
    let texts = bench.texts(CLASSIFIED)?.iter().take(pairs + WARM_UP);
    let mut connection = runtime.block_on(Connection::open(&bench.sidecar.unix()))?;
    let (mut embedded, mut classified, mut heads) = (Vec::new(), Vec::new(), 0);
    for (at, text) in texts.enumerate() {
        let embed = bench.sidecar.embeddings([text]).pop().unwrap_or_default();
        let classify = post("/v1/classify", &json!({"input": text.text}));
        if at == 0 {
            let (_, body) = runtime.block_on(connection.exchange(&classify))?;
            let answer: Value = serde_json::from_slice(body)?;
            let answers = answer.pointer("/data/0/heads").and_then(Value::as_object);
            heads = answers.map_or(0, serde_json::Map::len);
        }
        let mut times = [Duration::ZERO; 2];
        for turn in [at % 2, (at + 1) % 2] {
            let request = [&embed, &classify][turn];
            times[turn] = ask(runtime, &mut connection, request)?;
        }
        if at >= WARM_UP {
            embedded.push(times[0]);
            classified.push(times[1]);
        }
    }
    let pairs = embedded.iter().zip(&classified);
    let added = median(pairs.map(|(e, c)| milliseconds(*c) - milliseconds(*e)));
    let [embedded, classified] =
        [&mut embedded, &mut classified].map(|times| percentile_us(times, 0.5) / 1e3);
    println!(
        "{heads} heads, one text of {CLASSIFIED} tokens: /v1/classify {classified:.3} ms, /v1/embeddings {embedded:.3} ms, \
         ratio {:.2}, added {added:.3} ms\n",
        classified / embedded
    );
    Ok(())
}
