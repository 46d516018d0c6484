//! What the sidecar makes of its model: the same ONNX Runtime session in a plain loop is the limit, in the same run.
//!
//! 1. `throughput`: the loop at batches of 1 to 64 texts, and `/v1/embeddings` with a text a request from 1 to 64 connections,
//!    in turns; then the best of both against each other. Memory after each length of text.
//! 2. `idle`: one request at a time, against the bare forward of the same text; `/v1/classify`, one forward for all heads.
//! 3. `overload`: three times what `/v1/analyze` can serve, at random moments: who is served, how long anybody waits.
//!
//! `quick` makes all of it short. `peer URL MODEL [PROCESS]` lets another server of OpenAI's embeddings take turns with the
//! sidecar under the same load. `texts FILE` writes the texts and `turn` prints one turn of loop and sidecar, both as JSON, for
//! `benches/peers/sidecar.py`.
//!
//! Texts have exactly 16, 128 or 512 tokens, and there are too many to come again soon. Prints the limits of the project beside
//! the measured values; it does not fail above them, since the machine may be busy.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod idle;
mod overload;
mod peer;
mod throughput;

use std::time::Duration;

use anyhow::{Context as _, Result};
use benches::load::Target;
use benches::report::set_up;
use benches::sidecar::{Plain, Sidecar, config};
use benches::texts::{Text, compose};
use turnpike_core::Config;

/// Tokens of a text and how many different texts there are.
const TEXTS: [(usize, usize); 3] = [(16, 4096), (128, 4096), (512, 512)];

/// Who is asked in a benchmark, and what for.
struct Bench {
    config: Config,
    plain: Plain,
    sidecar: Sidecar,
    /// Texts by their tokens.
    texts: Vec<(usize, Vec<Text>)>,
    quick: bool,
}

impl Bench {
    fn start(runtime: &tokio::runtime::Runtime, quick: bool) -> Result<Self> {
        let config = config()?;
        let plain = Plain::open(&config)?;
        let texts = texts(&plain)?;
        let sidecar = runtime.block_on(Sidecar::start(&config))?;
        Ok(Self {
            config,
            plain,
            sidecar,
            texts,
            quick,
        })
    }

    fn texts(&self, tokens: usize) -> Result<&[Text]> {
        let found = self.texts.iter().find(|(length, _)| *length == tokens);
        Ok(&found.context("no texts of that length")?.1)
    }

    /// `/v1/embeddings` over the unix socket.
    fn unix(&self, texts: &[Text]) -> Target {
        Target {
            address: self.sidecar.unix(),
            process: Some(self.sidecar.id()),
            requests: self.sidecar.embeddings(texts).into(),
        }
    }

    /// The same over TCP.
    fn tcp(&self, unix: &Target) -> Target {
        Target {
            address: self.sidecar.tcp(),
            ..unix.clone()
        }
    }
}

fn texts(plain: &Plain) -> Result<Vec<(usize, Vec<Text>)>> {
    let lengths = TEXTS.iter();
    lengths
        .map(|&(tokens, number)| Ok((tokens, compose(&plain.tokenizer, tokens, number)?)))
        .collect()
}

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // One thread: it takes as little as it can from what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match arguments.as_slice() {
        ["texts", file] => peer::write_texts(file),
        ["turn"] => peer::turn(&runtime),
        ["peer", url, model] => peer::run(&runtime, url, model, None),
        ["peer", url, model, process] => peer::run(&runtime, url, model, Some(process.parse()?)),
        parts => run(&runtime, parts),
    }
}

fn run(runtime: &tokio::runtime::Runtime, parts: &[&str]) -> Result<()> {
    const PARTS: [&str; 3] = ["throughput", "idle", "overload"];
    let known = |part: &&str| PARTS.contains(part) || *part == "quick" || "sidecar".contains(*part);
    if !parts.iter().all(known) {
        return Ok(());
    }
    let is_whole = !parts.iter().any(|part| PARTS.contains(part));
    let wanted = |part| is_whole || parts.contains(&part);
    let mut bench = Bench::start(runtime, parts.contains(&"quick"))?;
    println!("set-up: {}", set_up());
    println!(
        "{} threads a forward, at most {} texts and {} tokens of one (0: what suits the device); load from one thread of this process\n",
        match bench.config.sidecar.intra_threads {
            0 => std::thread::available_parallelism().map_or(0, usize::from),
            threads => threads.into(),
        },
        bench.config.sidecar.batching.max_batch_size,
        bench.config.sidecar.batching.max_tokens,
    );
    if wanted("throughput") {
        throughput::run(runtime, &bench)?;
    }
    if wanted("idle") {
        idle::run(runtime, &bench)?;
    }
    if wanted("overload") {
        overload::run(runtime, &mut bench)?;
    }
    Ok(())
}

/// The middle one.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match (
        values.get(values.len() / 2),
        values.get((values.len().max(1) - 1) / 2),
    ) {
        (Some(upper), Some(lower)) => f64::midpoint(*upper, *lower),
        _ => 0.0,
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

/// As long as `requests` take at `rate` a second, and no shorter than `shortest`.
fn time_for(requests: usize, rate: f64, shortest: Duration) -> Duration {
    Duration::from_secs_f64(requests as f64 / rate.max(1e-3)).max(shortest)
}
