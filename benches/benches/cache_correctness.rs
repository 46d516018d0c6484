//! What the semantic cache serves: hits on paraphrases and false hits on questions that only look alike, by similarity alone and with the
//! rules of `turnpike_sidecar::cache::agreement`.
//!
//! 1. The pairs of `sidecar/tests/cache_correctness`, through the real MiniLM, by part: the author's, those of others, and those that the
//!    rules were never changed by.
//! 2. By threshold, and by kind of pair at the default threshold.
//! 3. Every `pairs.*.jsonl` in the folder that `TURNPIKE_PAIRS_DIR` names, if it is set: lines of `{"a", "b", "label"}`.
//! 4. What a comparison takes.
//! 5. What a second opinion makes of the pairs that are similar enough, and what it takes: with the cross-encoder of
//!    `models/duplicate-questions`, or the one in the folder that `TURNPIKE_SECOND_OPINION_DIR` names; `TURNPIKE_SECOND_OPINION_LABEL` names its
//!    label where it has several.
//!
//! `TURNPIKE_SHOW_PAIRS=1` prints each pair with a wrong verdict.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use benches::report::{percentile_us, set_up};
use turnpike_core::cache::SemanticCacheConfig;
use turnpike_sidecar::cache::agreement;

#[path = "../../sidecar/tests/cache_correctness/suite.rs"]
mod suite;

use suite::{CrossEncoder, Judged, MiniLm, committed, hits, pairs};

const THRESHOLDS: [f32; 6] = [0.75, 0.80, 0.85, 0.90, 0.95, 0.97];

/// Comparisons of each pair that are timed, after one that is not.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    if std::env::args()
        .skip(1)
        .any(|a| !a.starts_with("--") && !"cache_correctness".contains(&a))
    {
        return Ok(());
    }
    println!("set-up: {}", set_up());
    println!(
        "all-MiniLM-L6-v2 in f32; a hit is a similarity of at least the threshold and, with the rules, their consent"
    );
    println!(
        "hits of paraphrases are wanted; of hard negatives, questions with another answer, they are wrong\n"
    );
    let default = SemanticCacheConfig::default().similarity_threshold;
    report(default).map_err(|e| anyhow::anyhow!("{e}"))
}

fn report(default: f32) -> suite::Outcome<()> {
    let model = MiniLm::load()?;
    let development = model.judge(committed("development")?)?;
    let held_out = model.judge(committed("held_out")?)?;
    by_threshold("development", &development);
    by_threshold("held out", &held_out);
    let both: Vec<Judged> = development.into_iter().chain(held_out).collect();
    by_threshold("both parts", &both);
    by_kind(&both, default);
    let mut parts = vec![("both parts", both)];
    for (part, name) in [
        ("adversarial", "written to get past the rules"),
        ("blind", "by somebody who did not know the rules"),
        ("rewordings", "by another one"),
        ("unseen", "by a third one, unseen"),
    ] {
        let judged = model.judge(committed(part)?)?;
        by_threshold(name, &judged);
        by_reason(&judged, default);
        parts.push((name, judged));
    }
    let (_, both) = &parts[0];
    cost("committed pairs", both);
    long_texts();
    let cross_encoder = CrossEncoder::load()?;
    second_opinions(&cross_encoder, both, default)?;
    for (name, judged) in &parts {
        accepted(&cross_encoder, name, judged, default)?;
    }
    if let Some(folder) = std::env::var_os("TURNPIKE_PAIRS_DIR") {
        for path in pair_files(folder.into())? {
            let judged = model.judge(pairs(&path)?)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            by_threshold(&name, &judged);
            by_reason(&judged, default);
            accepted(&cross_encoder, &name, &judged, default)?;
            cost(&name, &judged);
        }
    }
    Ok(())
}

fn pair_files(folder: PathBuf) -> std::io::Result<BTreeSet<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().map(|entry| entry.path());
    Ok(files
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("pairs.") && name.ends_with(".jsonl")
        })
        .collect())
}

fn percent((part, all): (usize, usize)) -> String {
    #[expect(clippy::cast_precision_loss, reason = "thousands of pairs")]
    let percent = 100.0 * part as f64 / all.max(1) as f64;
    format!("{percent:5.1} %")
}

/// One line per threshold, with counts: `hits/pairs`.
fn by_threshold(name: &str, judged: &[Judged]) {
    let count = |same| judged.iter().filter(|j| j.pair.same == same).count();
    println!(
        "{name}: {} paraphrases, {} hard negatives",
        count(true),
        count(false)
    );
    println!(
        "  {:<10} {:^33} {:^33}",
        "", "paraphrases that hit", "hard negatives that hit"
    );
    println!(
        "  {:<10} {:>16} {:>16} {:>16} {:>16}",
        "threshold", "similarity", "with rules", "similarity", "with rules"
    );
    for threshold in THRESHOLDS {
        let cell = |same, guarded| {
            let found = hits(judged, same, threshold, guarded);
            format!("{:>5} {}", found.0, percent(found))
        };
        println!(
            "  {threshold:<10.2} {:>16} {:>16} {:>16} {:>16}",
            cell(true, false),
            cell(true, true),
            cell(false, false),
            cell(false, true)
        );
    }
    println!();
    if std::env::var_os("TURNPIKE_SHOW_PAIRS").is_some() {
        for j in judged.iter().filter(|j| j.pair.same == j.refused.is_some()) {
            println!("  {:.3} {:?} {:?}", j.similarity, j.refused, j.pair);
        }
    }
}

fn by_kind(judged: &[Judged], threshold: f32) {
    println!("both parts by kind, threshold {threshold}");
    println!(
        "  {:<14} {:>6} {:>12} {:>12}   refused as",
        "", "pairs", "similarity", "with rules"
    );
    let kinds: BTreeSet<(bool, &str)> = judged
        .iter()
        .map(|j| (!j.pair.same, j.pair.kind.as_str()))
        .collect();
    for (different, kind) in kinds {
        let of_kind: Vec<&Judged> = judged
            .iter()
            .filter(|j| j.pair.same != different && j.pair.kind == kind)
            .collect();
        let count = |guarded| hits(of_kind.iter().copied(), !different, threshold, guarded).0;
        println!(
            "  {} {kind:<12} {:>6} {:>12} {:>12}   {}",
            if different { "≠" } else { "=" },
            of_kind.len(),
            count(false),
            count(true),
            reasons(&of_kind, threshold)
        );
    }
    println!();
}

fn by_reason(judged: &[Judged], threshold: f32) {
    for same in [true, false] {
        let of_verdict: Vec<&Judged> = judged.iter().filter(|j| j.pair.same == same).collect();
        if !of_verdict.is_empty() {
            let verdict = if same {
                "paraphrases"
            } else {
                "hard negatives"
            };
            println!(
                "  {verdict} at {threshold} refused as: {}",
                reasons(&of_verdict, threshold)
            );
        }
    }
    println!();
}

/// How many of those that similarity lets pass are refused as what.
fn reasons(judged: &[&Judged], threshold: f32) -> String {
    let near = || judged.iter().filter(|j| j.similarity >= threshold);
    let names: BTreeSet<&str> = near()
        .filter_map(|j| j.refused.map(|why| why.name()))
        .collect();
    let counts = names.into_iter().map(|name| {
        let count = near()
            .filter(|j| j.refused.is_some_and(|why| why.name() == name))
            .count();
        format!("{name} {count}")
    });
    counts.collect::<Vec<_>>().join(", ")
}

fn cost(name: &str, judged: &[Judged]) {
    let mut times = Vec::with_capacity(judged.len() * ROUNDS);
    for round in 0..=ROUNDS {
        for j in judged {
            let time = timed(&j.pair.a, &j.pair.b);
            if round > 0 {
                times.push(time);
            }
        }
    }
    println!(
        "a comparison, {name}: p50 {:.1} µs, p99 {:.1} µs\n",
        percentile_us(&mut times, 0.50),
        percentile_us(&mut times, 0.99)
    );
}

fn timed(a: &str, b: &str) -> Duration {
    let began = Instant::now();
    let _ = black_box(agreement::compare(black_box(a), black_box(b)));
    began.elapsed()
}

/// Texts of the longest kind that is compared word by word, which agree but for their order.
fn long_texts() {
    let words = |from: usize| -> String {
        let all = (0..).map(|n| format!("word{} ", (n * 7 + from) % 997));
        let mut text: String = all.take(agreement::MAX_BYTES / 9).collect();
        text.truncate(agreement::MAX_BYTES);
        text
    };
    let (a, b) = (words(0), words(1));
    let mut times: Vec<Duration> = (0..100).map(|_| timed(&a, &b)).collect();
    println!(
        "a comparison of two texts of {} bytes: p50 {:.0} µs, p99 {:.0} µs\n",
        a.len(),
        percentile_us(&mut times, 0.50),
        percentile_us(&mut times, 0.99)
    );
}

/// Candidates of a lookup at most, each of them in both orders.
const MOST_CANDIDATES: usize = 4;

const OPINION_THRESHOLDS: [f32; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];

/// The last one is reached by none: what the rules do alone.
const ACCEPT_THRESHOLDS: [f32; 9] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1.1];

/// Among the pairs from `threshold` on: what a second opinion leaves of the hits, behind the rules and in their place.
fn second_opinions(model: &CrossEncoder, judged: &[Judged], threshold: f32) -> suite::Outcome<()> {
    let near: Vec<&Judged> = judged
        .iter()
        .filter(|j| j.similarity >= threshold)
        .collect();
    let mut opinions = Vec::with_capacity(near.len());
    let mut times = Vec::with_capacity(near.len());
    for pair in &near {
        let began = Instant::now();
        opinions.extend(model.judge(&[*pair])?);
        times.push(began.elapsed());
    }
    let all = |same| judged.iter().filter(|j| j.pair.same == same).count();
    let cell = |same, guarded, least: f32| {
        let pairs = near.iter().zip(&opinions);
        let hits = pairs.filter(|(j, opinion)| {
            j.pair.same == same
                && j.is_hit(threshold, guarded)
                && opinion.is_some_and(|o| o >= least)
        });
        let hits = hits.count();
        format!("{hits:>5} {}", percent((hits, all(same))))
    };
    println!("both parts at {threshold}, with a second opinion on every pair");
    println!(
        "  {:<10} {:^33} {:^33}",
        "", "paraphrases that hit", "hard negatives that hit"
    );
    println!(
        "  {:<10} {:>16} {:>16} {:>16} {:>16}",
        "opinion", "without rules", "with rules", "without rules", "with rules"
    );
    for least in OPINION_THRESHOLDS {
        println!(
            "  {least:<10.2} {:>16} {:>16} {:>16} {:>16}",
            cell(true, false, least),
            cell(true, true, least),
            cell(false, false, least),
            cell(false, true, least)
        );
    }
    let mut of_most = Vec::new();
    for candidates in near.chunks_exact(MOST_CANDIDATES) {
        let began = Instant::now();
        model.judge(candidates)?;
        of_most.push(began.elapsed());
    }
    println!(
        "  one candidate: p50 {:.0} µs, p99 {:.0} µs; {MOST_CANDIDATES} candidates: p50 {:.0} µs, p99 {:.0} µs\n",
        percentile_us(&mut times, 0.50),
        percentile_us(&mut times, 0.99),
        percentile_us(&mut of_most, 0.50),
        percentile_us(&mut of_most, 0.99)
    );
    Ok(())
}

/// What hits when the model is asked about the pairs that the rules do not understand, behind what these accept.
fn accepted(
    model: &CrossEncoder,
    name: &str,
    judged: &[Judged],
    threshold: f32,
) -> suite::Outcome<()> {
    let open: Vec<&Judged> = judged.iter().filter(|j| j.is_open(threshold)).collect();
    let mut opinions = Vec::with_capacity(open.len());
    for pair in &open {
        opinions.extend(model.judge(&[*pair])?);
    }
    println!(
        "{name} at {threshold}: the rules accept, or do not understand and the model accepts; {} of {} pairs are not understood",
        open.len(),
        judged.len()
    );
    println!(
        "  {:<10} {:>16} {:>16}",
        "opinion", "paraphrases", "hard negatives"
    );
    let cell = |same, least: f32| {
        let (by_rules, all) = hits(judged, same, threshold, true);
        let by_model = open.iter().zip(&opinions).filter(|(j, opinion)| {
            j.pair.same == same && opinion.is_some_and(|opinion| opinion >= least)
        });
        let found = by_rules + by_model.count();
        format!("{found:>5} {}", percent((found, all)))
    };
    for least in ACCEPT_THRESHOLDS {
        let (paraphrases, negatives) = (cell(true, least), cell(false, least));
        println!("  {least:<10.2} {paraphrases:>16} {negatives:>16}");
    }
    println!();
    Ok(())
}
