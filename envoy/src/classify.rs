//! `turnpike classify`: the router's own classifier, on lines of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use turnpike_classify::Classifier;
use turnpike_classify::model::{Head, Model, OwnHead, Scores, Windows};
use turnpike_classify::route::Route;
use turnpike_core::Config;

use crate::sidecar_client::SidecarClient;

/// Heads that the sidecar may know better: those of `models/classifier/encoder-heads.json`.
const SECOND_OPINIONS: [&str; 2] = ["category", "fresh"];

/// A sidecar that is asked where the router's own model is not sure.
#[derive(Debug)]
pub struct Sidecar {
    client: SidecarClient,
    threshold: f32,
}

impl Sidecar {
    /// Asked about heads whose best label has less than `threshold`; of two labels, less than midway from it to 1.
    #[must_use]
    pub fn new(client: SidecarClient, threshold: f32) -> Self {
        Self { client, threshold }
    }

    /// Its verdicts on `heads`.
    fn ask(&self, text: &str, heads: &[&str]) -> anyhow::Result<BTreeMap<String, Value>> {
        let body = json!({"input": text, "heads": heads});
        let answer: Answer = self.client.post("/v1/classify", &body)?;
        let first = answer.data.into_iter().next();
        Ok(first.context("the sidecar answered nothing")?.heads)
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Classified>,
}

#[derive(Debug, Deserialize)]
struct Classified {
    heads: BTreeMap<String, Value>,
}

/// Reads texts, one JSON object with `text` a line, and writes what is found in each, one object a line in the same order.
///
/// # Errors
/// A line that is no such object, a head that does not fit the model, a sidecar that does not answer, a stream that breaks.
pub fn classify(
    heads: &[impl AsRef<Path>],
    sidecar: Option<&Sidecar>,
    input: impl BufRead,
    mut output: impl Write,
) -> anyhow::Result<()> {
    let mut classifier = Classifier::compile(&Config::default())?;
    for path in heads {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let head = OwnHead::read(&text).with_context(|| path.display().to_string())?;
        classifier
            .add(head)
            .with_context(|| path.display().to_string())?;
    }
    for (number, line) in input.lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let Text { text } =
            serde_json::from_str(&line).with_context(|| format!("line {}", number + 1))?;
        let began = Instant::now();
        let scores = classifier.classify(&text);
        let found = classifier.personal_data(&text);
        let second = match sidecar {
            Some(sidecar) => second_opinions(sidecar, classifier.model(), &scores, &text)
                .with_context(|| format!("line {}", number + 1))?,
            None => BTreeMap::new(),
        };
        let took = began.elapsed();
        let pii: Vec<Value> = found
            .iter()
            .map(|f| json!({"type": f.kind.name(), "start": f.start, "end": f.end, "score": round(f.score)}))
            .collect();
        let model = classifier.model();
        let of = |name: &str| {
            model
                .head(name)
                .and_then(|at| scores.finding(at))
                .unwrap_or_default()
        };
        let heads: serde_json::Map<String, Value> = model
            .heads()
            .iter()
            .enumerate()
            .map(|(at, head)| {
                let mut said = match second.get(&head.name) {
                    Some(said) => said.clone(),
                    None => verdict(head, &scores, at),
                };
                if let (Some(_), Some(object)) = (sidecar, said.as_object_mut()) {
                    let by = if second.contains_key(&head.name) {
                        "sidecar"
                    } else {
                        "proxy"
                    };
                    object.insert("by".into(), by.into());
                }
                (head.name.clone(), said)
            })
            .collect();
        let fresh = match second
            .get("fresh")
            .and_then(|said| said["probabilities"]["fresh"].as_f64())
        {
            Some(probability) => probability as f32,
            None => of("fresh"),
        };
        let route = Route::of(&text, fresh, of("complexity")).name();
        let line = json!({"heads": heads, "route": route, "pii": pii, "time_us": took.as_micros()});
        match writeln!(output, "{line}") {
            // A reader that has gone (`| head`) is no mistake.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}

/// What the sidecar says of the heads that the router's own model is not sure of.
fn second_opinions(
    sidecar: &Sidecar,
    model: &Model<'_>,
    scores: &Scores,
    text: &str,
) -> anyhow::Result<BTreeMap<String, Value>> {
    // The more probable of two labels has a half at least.
    let sure = |at: usize| {
        let two = model
            .heads()
            .get(at)
            .is_some_and(|head| head.labels.len() == 2);
        let threshold = if two {
            f32::midpoint(sidecar.threshold, 1.0)
        } else {
            sidecar.threshold
        };
        scores
            .best(at)
            .is_some_and(|(_, probability)| probability >= threshold)
    };
    let unsure: Vec<&str> = SECOND_OPINIONS
        .into_iter()
        .filter(|name| model.head(name).is_some_and(|at| !sure(at)))
        .collect();
    if unsure.is_empty() || text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    sidecar.ask(text, &unsure)
}

#[derive(Debug, Deserialize)]
struct Text {
    text: String,
}

/// The label of a head and the probabilities of all. A guard finds something from its threshold on.
fn verdict(head: &Head, scores: &Scores, at: usize) -> Value {
    let all = scores.of(at);
    let best = match (head.windows, scores.finding(at)) {
        (Windows::Max, Some(finding)) => {
            let last = all.len().saturating_sub(1);
            Some(if finding >= head.threshold { last } else { 0 })
        }
        _ => scores.best(at).map(|(label, _)| label),
    };
    let label = best.and_then(|label| head.labels.get(label));
    let probability = best.and_then(|label| all.get(label)).map(|p| round(*p));
    let probabilities: serde_json::Map<String, Value> = head
        .labels
        .iter()
        .zip(all)
        .map(|(label, p)| (label.clone(), round(*p).into()))
        .collect();
    json!({"label": label, "probability": probability, "probabilities": probabilities})
}

/// Five decimals.
fn round(x: f32) -> f64 {
    (f64::from(x) * 1e5).round() / 1e5
}
