//! Scores the detectors on labelled text: `cargo run --release -p turnpike-classify --example pii_score -- FILE…`
//!
//! A line is `{"text": …, "entities": [{"type", "start", "end"}]}` with character offsets, end exclusive. A span counts when its kind
//! and both ends are right; `overlap` counts those that only touch. Labels without a detector are left out.

#![expect(clippy::print_stdout, reason = "a tool prints its result")]

use std::collections::BTreeMap;

use turnpike_classify::pii::{Detectors, Kind};

#[derive(Default)]
struct Score {
    labels: usize,
    right: usize,
    touched: usize,
    found: usize,
    missed: Vec<String>,
    wrong: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let detectors = Detectors::compile()?;
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        for line in std::fs::read_to_string(path)?.lines() {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let text = row["text"].as_str().unwrap_or_default();
            let offsets: Vec<usize> = text
                .char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .collect();
            let byte = |key: &str, entity: &serde_json::Value| {
                let at = entity[key].as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| offsets.get(at))
                    .copied()
                    .unwrap_or_default()
            };
            let labels: Vec<(&str, usize, usize)> = row["entities"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|e| {
                    (
                        e["type"].as_str().unwrap_or_default(),
                        byte("start", e),
                        byte("end", e),
                    )
                })
                .collect();
            let findings = detectors.detect(text);
            for finding in &findings {
                let score = scores.entry(finding.kind.name()).or_default();
                score.found += 1;
                let exact = (finding.kind.name(), finding.start, finding.end);
                if labels.contains(&exact) {
                    score.right += 1;
                } else if score.wrong.len() < 12 {
                    score
                        .wrong
                        .push(text[finding.start..finding.end].to_owned());
                }
            }
            for (kind, start, end) in labels {
                let Some(kind) = Kind::ALL.iter().find(|k| k.name() == kind) else {
                    continue;
                };
                let score = scores.entry(kind.name()).or_default();
                score.labels += 1;
                let touches = findings
                    .iter()
                    .any(|f| f.kind == *kind && f.start < end && start < f.end);
                score.touched += usize::from(touches);
                let exact = findings
                    .iter()
                    .any(|f| f.kind == *kind && (f.start, f.end) == (start, end));
                if !exact && score.missed.len() < 24 {
                    score.missed.push(text[start..end].to_owned());
                }
            }
        }
    }
    println!(
        "{:<18} {:>6} {:>6} {:>9} {:>7} {:>6} {:>8}",
        "", "labels", "found", "precision", "recall", "F1", "overlap"
    );
    for (kind, score) in &scores {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let share = |a: usize, b: usize| {
            if b == 0 {
                f64::NAN
            } else {
                a as f64 / b as f64
            }
        };
        let (precision, recall) = (
            share(score.right, score.found),
            share(score.right, score.labels),
        );
        let f1 = 2.0 * precision * recall / (precision + recall);
        println!(
            "{kind:<18} {:>6} {:>6} {precision:>9.3} {recall:>7.3} {f1:>6.3} {:>8.3}",
            score.labels,
            score.found,
            share(score.touched, score.labels)
        );
        println!(
            "    missed: {:?}\n    wrong: {:?}",
            score.missed, score.wrong
        );
    }
    Ok(())
}
