//! Three times what the sidecar can serve: what it serves then, whom it refuses, how long anybody waits, and how it is after.

use std::time::Duration;

use anyhow::Result;
use benches::load::{Connection, Outcome, Target, closed, open, post};
use benches::report::percentile_us;
use serde_json::json;
use tokio::runtime::Runtime;

use super::Bench;
use super::idle::{ask, milliseconds};

const TOKENS: usize = 128;
/// Arrivals in terms of the capacity.
const TIMES: f64 = 3.0;
const TIME: Duration = Duration::from_secs(60);
const QUICK_TIME: Duration = Duration::from_secs(5);
const SLICE_S: u64 = 5;
/// Connections of the closed loops that find the capacity: few enough for the deadline.
const CONNECTIONS: [usize; 3] = [4, 8, 16];
const SINGLES: usize = 30;

pub(super) fn run(runtime: &Runtime, bench: &mut Bench) -> Result<()> {
    let deadline = Duration::from_millis(bench.config.sidecar.timeout_ms.into());
    let texts = bench.texts(TOKENS)?.iter();
    let requests = texts.map(|text| {
        let body = json!({"text": text.text, "heads": ["category"]});
        post("/v1/analyze", &body)
    });
    let target = Target {
        address: bench.sidecar.unix(),
        process: Some(bench.sidecar.id()),
        requests: requests.collect(),
    };
    let before = singles(runtime, &target)?;
    let mut capacity = 0.0_f64;
    for connections in CONNECTIONS {
        let time = Duration::from_secs(2);
        let load = runtime.block_on(closed(&target, connections, time / 4, time))?;
        capacity = capacity.max(load.rate);
    }
    let time = if bench.quick { QUICK_TIME } else { TIME };
    println!(
        "overload, /v1/analyze, {TOKENS} tokens, deadline {} ms: {capacity:.1} a second in closed loops; {:.1} a second for {} s",
        deadline.as_millis(),
        capacity * TIMES,
        time.as_secs()
    );
    let mut memory = vec![bench.sidecar.rss_kib()?];
    let each_second = || {
        memory.push(bench.sidecar.rss_kib()?);
        Ok(())
    };
    let forwards = runtime.block_on(bench.sidecar.forwards())?;
    let outcomes = runtime.block_on(open(&target, capacity * TIMES, time, each_second))?;
    let computed = runtime.block_on(bench.sidecar.forwards())?.rows - forwards.rows;
    let after = singles(runtime, &target)?;
    memory.push(bench.sidecar.rss_kib()?);
    print_slices(&outcomes, time, capacity);
    let most = outcomes.iter().map(|o| o.took).max().unwrap_or_default();
    println!(
        "  longest wait {:.1} ms of {} until the deadline; RSS {} KiB before, {} after, at most {}",
        milliseconds(most),
        deadline.as_millis(),
        memory.first().copied().unwrap_or_default(),
        memory.last().copied().unwrap_or_default(),
        memory.iter().max().copied().unwrap_or_default(),
    );
    let served = outcomes.iter().filter(|o| o.status == 200).count() as f64;
    println!(
        "  {served} served of {computed} texts in forwards: {:.0} % of the forwards' work came too late",
        1e2 * (computed - served) / computed.max(1.0)
    );
    print_singles("before", before);
    print_singles("right after", after);
    println!();
    Ok(())
}

fn print_slices(outcomes: &[Outcome], time: Duration, capacity: f64) {
    println!(
        "  {:>9} {:>9} {:>12} {:>9} {:>11} {:>11} {:>12} {:>14}",
        "second",
        "served/s",
        "of capacity",
        "503 a s",
        "p50 ms",
        "longest ms",
        "503, longest",
        "client late ms"
    );
    for slice in 0..time.as_secs().div_ceil(SLICE_S) {
        let of_slice = |o: &&Outcome| o.sent.as_secs() / SLICE_S == slice;
        let (mut served, mut refused, mut late) = (Vec::new(), Vec::new(), Duration::ZERO);
        for outcome in outcomes.iter().filter(of_slice) {
            match outcome.status {
                200 => served.push(outcome.took),
                _ => refused.push(outcome.took),
            }
            late = late.max(outcome.late);
        }
        let rate = |times: &[Duration]| times.len() as f64 / SLICE_S as f64;
        let [p50, longest] = [0.5, 1.0].map(|share| percentile_us(&mut served, share) / 1e3);
        println!(
            "  {:>9} {:>9.1} {:>12.2} {:>9.1} {p50:>11.1} {longest:>11.1} {:>12.1} {:>14.1}",
            slice * SLICE_S,
            rate(&served),
            rate(&served) / capacity,
            rate(&refused),
            percentile_us(&mut refused, 1.0) / 1e3,
            milliseconds(late),
        );
    }
    let others = outcomes.iter().filter(|o| ![200, 503].contains(&o.status));
    let others = others.count();
    if others > 0 {
        println!("  {others} answers were neither 200 nor 503");
    }
}

/// Requests one after the other, on a fresh connection.
fn singles(runtime: &Runtime, target: &Target) -> Result<Vec<Duration>> {
    let mut connection = runtime.block_on(Connection::open(&target.address))?;
    let requests = target.requests.iter().take(SINGLES);
    requests
        .map(|request| ask(runtime, &mut connection, request))
        .collect()
}

fn print_singles(when: &str, mut times: Vec<Duration>) {
    let first = times.first().copied().unwrap_or_default();
    let [p50, longest] = [0.5, 1.0].map(|share| percentile_us(&mut times, share) / 1e3);
    println!(
        "  {SINGLES} single requests {when}: first {:.2} ms, p50 {p50:.2}, longest {longest:.2}",
        milliseconds(first)
    );
}
