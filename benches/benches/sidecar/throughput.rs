//! Saturation: the plain loop at every batch size, the sidecar at every number of connections, in turns.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use benches::load::{Load, Target, closed};
use benches::report::percentile_us;
use benches::sidecar::{Looped, vector};
use benches::texts::Text;
use tokio::runtime::Runtime;

use super::{Bench, TEXTS, median, time_for, verdict};

/// Batches of the plain loop and connections to the sidecar.
const SIZES: &[usize] = &[1, 2, 4, 8, 16, 32, 64];
/// Those for long texts, which take their time; no more than 8 share a forward.
const LONG_SIZES: &[usize] = &[1, 4, 8, 32];
const QUICK_SIZES: &[usize] = &[1, 8, 32];
/// Those that are also measured over TCP, long texts aside.
const TCP_SIZES: &[usize] = &[1, 32];

/// Tokens from which a text is long.
const LONG: usize = 512;

const ROUNDS: usize = 3;
const TURN: Duration = Duration::from_millis(600);
const WARM_UP: Duration = Duration::from_millis(150);
/// Turns of the best batch against the best number of connections, and how long each is.
const DUELS: usize = 8;
const DUEL: Duration = Duration::from_millis(900);

/// Answers that each connection has in a turn, at least.
const TURNS_EACH: usize = 2;

/// Connections at which the tail is judged, and from which the sidecar counts as saturated.
const TAIL_CONNECTIONS: usize = 32;

const LEAST_OF_LIMIT: f64 = 0.95;
const MOST_TAIL: f64 = 1.3;
const MOST_MEMORY_MB: f64 = 150.0;

pub(super) fn run(runtime: &Runtime, bench: &Bench) -> Result<()> {
    let mut memory = vec![("ready".to_owned(), bench.sidecar.rss_kib()?)];
    for (tokens, _) in TEXTS {
        length(runtime, bench, tokens)?;
        memory.push((format!("after {tokens} tokens"), bench.sidecar.rss_kib()?));
    }
    let model = bench.plain.graph.metadata()?.len() as f64 / 1e6;
    println!("memory, model file {model:.1} MB");
    for (when, kib) in memory {
        let rss = kib as f64 * 1024.0 / 1e6;
        let above = rss - model;
        let verdict = verdict(above < MOST_MEMORY_MB);
        println!("  {when:<18} RSS {rss:>6.1} MB, {above:>6.1} above the model's file, {verdict}");
    }
    println!("  limit: {MOST_MEMORY_MB:.0} MB above the model's file\n");
    Ok(())
}

/// One number of connections, over all rounds.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) loads: Vec<Load>,
    pub(super) rows_each: Vec<f64>,
}

impl Cell {
    pub(super) fn rate(&self) -> f64 {
        median(self.loads.iter().map(|load| load.rate))
    }

    /// Median and 99th percentile in milliseconds, of each round by itself: a slow moment of the machine is one round's.
    pub(super) fn latencies(&self) -> [f64; 2] {
        [0.5, 0.99].map(|share| median(self.loads.iter().map(|load| latency_ms(load, share))))
    }

    /// The 99th percentile in terms of the mean.
    fn tail(&self, connections: usize) -> f64 {
        let tail = |load: &Load| latency_ms(load, 0.99) * load.rate / (1e3 * connections as f64);
        median(self.loads.iter().map(tail))
    }

    pub(super) fn server_cores(&self) -> f64 {
        median(self.loads.iter().map(|load| load.server_cores))
    }

    pub(super) fn own_cores(&self) -> f64 {
        median(self.loads.iter().map(|load| load.own_cores))
    }

    /// Puts one more turn to it, long enough for every connection to have a few answers at about `rate`.
    pub(super) fn measure(
        &mut self,
        runtime: &Runtime,
        target: &Target,
        connections: usize,
        rate: f64,
        turn: Duration,
    ) -> Result<()> {
        let warm_up = time_for(connections, rate, WARM_UP);
        let time = time_for(TURNS_EACH * connections, rate, turn);
        let load = runtime.block_on(closed(target, connections, warm_up, time))?;
        let refused = load.refused;
        ensure!(refused == 0, "{refused} answers were not 200");
        self.loads.push(load);
        Ok(())
    }

    fn measure_sidecar(
        &mut self,
        runtime: &Runtime,
        bench: &Bench,
        target: &Target,
        connections: usize,
        rate: f64,
        turn: Duration,
    ) -> Result<()> {
        let before = runtime.block_on(bench.sidecar.forwards())?;
        self.measure(runtime, target, connections, rate, turn)?;
        let after = runtime.block_on(bench.sidecar.forwards())?;
        self.rows_each.push(after.rows_each(&before));
        Ok(())
    }
}

fn latency_ms(load: &Load, share: f64) -> f64 {
    percentile_us(&mut load.latencies.clone(), share) / 1e3
}

fn length(runtime: &Runtime, bench: &Bench, tokens: usize) -> Result<()> {
    let texts = bench.texts(tokens)?;
    let unix = bench.unix(texts);
    let tcp = bench.tcp(&unix);
    same_vectors(runtime, bench, &unix, texts)?;
    let (rounds, turn) = if bench.quick {
        (1, TURN / 2)
    } else {
        (ROUNDS, TURN)
    };
    let sizes = match (bench.quick, tokens < LONG) {
        (true, _) => QUICK_SIZES,
        (false, true) => SIZES,
        (false, false) => LONG_SIZES,
    };
    let mut rows: Vec<Row> = sizes.iter().map(|size| Row::new(*size, tokens)).collect();
    for _ in 0..rounds {
        for row in &mut rows {
            let looped = bench.plain.run(texts, row.size, turn)?;
            row.loops.push(looped);
            let (size, rate) = (row.size, looped.rate);
            row.unix
                .measure_sidecar(runtime, bench, &unix, size, rate, turn)?;
            if let Some(over_tcp) = &mut row.tcp {
                over_tcp.measure_sidecar(runtime, bench, &tcp, size, rate, turn)?;
            }
        }
    }
    println!(
        "{tokens} tokens, {} texts, median of {rounds} rounds of {:.1} s or more",
        texts.len(),
        turn.as_secs_f64()
    );
    let best = print_loops(tokens, &rows)?;
    print_header();
    for row in &rows {
        print_cell("unix", row.size, &row.unix, best.loop_rate());
    }
    for row in &rows {
        if let Some(cell) = &row.tcp {
            print_cell("tcp", row.size, cell, best.loop_rate());
        }
    }
    print_tail(&rows);
    let saturating = rows.iter().filter(|row| row.size >= TAIL_CONNECTIONS);
    let fastest = saturating.max_by(|a, b| a.unix.rate().total_cmp(&b.unix.rate()));
    let fastest = fastest.context("no connections")?;
    duel(runtime, bench, texts, &unix, (best, fastest))
}

/// One size: a loop with batches of it, and so many connections.
struct Row {
    size: usize,
    loops: Vec<Looped>,
    unix: Cell,
    tcp: Option<Cell>,
}

impl Row {
    fn new(size: usize, tokens: usize) -> Self {
        let over_tcp = TCP_SIZES.contains(&size) && tokens < LONG;
        Self {
            size,
            loops: Vec::new(),
            unix: Cell::default(),
            tcp: over_tcp.then(Cell::default),
        }
    }

    fn loop_rate(&self) -> f64 {
        median(self.loops.iter().map(|looped| looped.rate))
    }
}

/// Prints the loop's table; the row with the best batch.
fn print_loops(tokens: usize, rows: &[Row]) -> Result<&Row> {
    println!(
        "  {:<14} {:>6} {:>9} {:>10} {:>7} {:>12}",
        "plain loop", "batch", "texts/s", "tokens/s", "cores", "texts/core-s"
    );
    for row in rows {
        let (batch, rate) = (row.size, row.loop_rate());
        let cores = median(row.loops.iter().map(|looped| looped.cores));
        let token_rate = rate * tokens as f64;
        let each = rate / cores.max(1e-9);
        println!(
            "  {:<14} {batch:>6} {rate:>9.1} {token_rate:>10.0} {cores:>7.2} {each:>12.1}",
            ""
        );
    }
    let best = rows
        .iter()
        .max_by(|a, b| a.loop_rate().total_cmp(&b.loop_rate()));
    let best = best.context("no batches")?;
    let (batch, rate) = (best.size, best.loop_rate());
    println!("  the limit: batches of {batch}, {rate:.1} texts/s");
    Ok(best)
}

fn print_header() {
    println!(
        "  {:<8} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>12}",
        "sidecar",
        "C",
        "texts/s",
        "of limit",
        "p50 ms",
        "p99 ms",
        "C/X ms",
        "p99/(C/X)",
        "rows",
        "cores",
        "client cores"
    );
}

fn print_cell(name: &str, connections: usize, cell: &Cell, limit: f64) {
    let rate = cell.rate();
    let [p50, p99] = cell.latencies();
    let bound = 1e3 * connections as f64 / rate;
    println!(
        "  {name:<8} {connections:>5} {rate:>9.1} {:>8.2} {p50:>8.2} {p99:>8.2} {bound:>8.2} {:>9.2} {:>8.1} {:>8.2} {:>12.2}",
        rate / limit,
        cell.tail(connections),
        median(cell.rows_each.iter().copied()),
        cell.server_cores(),
        cell.own_cores(),
    );
}

fn print_tail(rows: &[Row]) {
    let Some(row) = rows.iter().find(|row| row.size == TAIL_CONNECTIONS) else {
        return;
    };
    let ratio = row.unix.tail(row.size);
    println!(
        "  limit: p99 at {TAIL_CONNECTIONS} connections at most {MOST_TAIL} of C/X: {ratio:.2}, {}",
        verdict(ratio <= MOST_TAIL)
    );
}

/// The best of both, turn by turn: what noise of the machine there is hits both.
fn duel(
    runtime: &Runtime,
    bench: &Bench,
    texts: &[Text],
    unix: &Target,
    (best, fastest): (&Row, &Row),
) -> Result<()> {
    let (batch, connections, rate) = (best.size, fastest.size, best.loop_rate());
    let turns = if bench.quick { 2 } else { DUELS };
    // Long turns are fewer.
    let seconds = time_for((1 + TURNS_EACH) * connections, rate, DUEL).as_secs_f64();
    let turns = turns.min((30.0 / seconds) as usize).max(2);
    let mut cell = Cell::default();
    let mut loops = Vec::new();
    for turn in 0..turns {
        let mut turn_of_loop = || bench.plain.run(texts, batch, DUEL).map(|l| loops.push(l));
        let turn_of_sidecar =
            |cell: &mut Cell| cell.measure_sidecar(runtime, bench, unix, connections, rate, DUEL);
        if turn % 2 == 0 {
            turn_of_loop()?;
            turn_of_sidecar(&mut cell)?;
        } else {
            turn_of_sidecar(&mut cell)?;
            turn_of_loop()?;
        }
    }
    let pairs = || cell.loads.iter().zip(&loops);
    let ratio = median(pairs().map(|(load, looped)| load.rate / looped.rate));
    let by_cpu = median(pairs().map(|(load, looped)| {
        (load.rate / load.server_cores.max(1e-9)) / (looped.rate / looped.cores.max(1e-9))
    }));
    println!(
        "  saturated, {turns} turns: {connections} connections {:.1} texts/s of {:.1} in batches of {batch}; {:.1} rows a forward; \
         cores {:.2}, client {:.2}, loop {:.2}",
        cell.rate(),
        median(loops.iter().map(|l| l.rate)),
        median(cell.rows_each.iter().copied()),
        cell.server_cores(),
        cell.own_cores(),
        median(loops.iter().map(|l| l.cores)),
    );
    println!(
        "  limit: at least {LEAST_OF_LIMIT} of the loop: {ratio:.3}, {}; by CPU time of the sidecar alone: {by_cpu:.3}\n",
        verdict(ratio >= LEAST_OF_LIMIT)
    );
    Ok(())
}

/// The sidecar must compute what the loop computes, or the comparison means nothing.
fn same_vectors(runtime: &Runtime, bench: &Bench, target: &Target, texts: &[Text]) -> Result<()> {
    let text = texts.first().context("no texts")?;
    let model = &bench.config.sidecar.encoder.name;
    let address = &target.address;
    let served = runtime.block_on(vector(address, "/v1/embeddings", model, text))?;
    let own = bench.plain.forward(&[&text.row])?.pop().unwrap_or_default();
    let cosine: f32 = served.iter().zip(&own).map(|(a, b)| a * b).sum();
    ensure!(cosine > 0.9999, "sidecar and loop differ: cosine {cosine}");
    Ok(())
}
