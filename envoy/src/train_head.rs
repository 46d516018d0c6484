//! `turnpike train-head`: a head for own labels, from a few texts of each.
//!
//! Without a sidecar it reads what the model in the proxy reads, and belongs into `classifier.heads`; with one it reads the
//! encoder's vectors, and belongs into `sidecar.heads`. The regression and the file are the same.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use turnpike_classify::model::{MODEL, Model, OwnHead, OwnHeadError};

use crate::sidecar_client::SidecarClient;

/// Parts that the rows are cut into to measure a head on texts that it was not trained on.
const FOLDS: usize = 5;

/// Texts of one request to the sidecar.
const BATCH: usize = 128;

#[derive(Debug, Deserialize)]
struct Labelled {
    text: String,
    label: String,
}

#[derive(Debug, Deserialize)]
struct Models {
    data: Vec<ModelObject>,
}

#[derive(Debug, Deserialize)]
struct ModelObject {
    id: String,
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Embeddings {
    data: Vec<Vector>,
}

#[derive(Debug, Deserialize)]
struct Vector {
    embedding: Vec<f32>,
}

/// A text as numbers, window by window, and its label.
type Row = (Vec<Vec<f32>>, String);

/// Trains a head on rows, one JSON object with `text` and `label` a line. Gives the head file and what it was measured to do.
///
/// # Errors
/// A line that is no such object, too few rows or labels, a sidecar that does not answer.
pub fn train_head(
    name: &str,
    sidecar: Option<&SidecarClient>,
    input: impl BufRead,
) -> anyhow::Result<(String, String)> {
    let texts = read(input)?;
    let model = Model::read(MODEL)?;
    if name.is_empty() || model.head(name).is_some() {
        bail!("the name of a head must not be empty or that of a head of the model, got '{name}'");
    }
    let (id, features, rows) = match sidecar {
        None => {
            let windows = |text: &str| {
                let windows = model.features(text).into_iter();
                windows.map(|(features, _)| features).collect()
            };
            let rows: Vec<Row> = texts
                .into_iter()
                .map(|row| (windows(&row.text), row.label))
                .collect();
            (model.id().to_owned(), model.feature_count(), rows)
        }
        Some(sidecar) => embed(sidecar, texts)?,
    };
    let train = |rows: &[Row]| OwnHead::fit(&id, features, name, rows);
    let head = train(&rows)?;
    let measured = measure(&rows, train)?;
    let (count, labels) = (rows.len(), head.about.labels.len());
    Ok((
        head.to_json(),
        format!("{count} rows, {labels} labels; {measured}"),
    ))
}

fn read(input: impl BufRead) -> anyhow::Result<Vec<Labelled>> {
    let mut rows = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        if !line.trim().is_empty() {
            let row = serde_json::from_str(&line);
            rows.push(row.with_context(|| format!("line {}", number + 1))?);
        }
    }
    Ok(rows)
}

/// Id of the sidecar's encoder, length of its vectors, and the texts as those.
fn embed(
    sidecar: &SidecarClient,
    texts: Vec<Labelled>,
) -> anyhow::Result<(String, usize, Vec<Row>)> {
    let models: Models = sidecar.get("/v1/models")?;
    let encoder = models
        .data
        .into_iter()
        .find(|model| model.kind == "encoder");
    let encoder = encoder.context("the sidecar names no encoder")?.id;
    let mut rows = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        let input: Vec<&str> = batch.iter().map(|row| row.text.as_str()).collect();
        let body = json!({"model": encoder, "input": input});
        let found: Embeddings = sidecar.post("/v1/embeddings", &body)?;
        if found.data.len() != batch.len() {
            bail!(
                "the sidecar gave {} vectors for {} texts",
                found.data.len(),
                batch.len()
            );
        }
        for (row, vector) in batch.iter().zip(found.data) {
            rows.push((vec![vector.embedding], row.label.clone()));
        }
    }
    let size = rows.first().and_then(|(windows, _)| windows.first());
    let size = size.map_or(0, Vec::len);
    // As `turnpike_sidecar::heads::encoder_id` has it.
    Ok((format!("encoder:{encoder}"), size, rows))
}

/// Accuracy and macro-F1 on rows that the head was not trained on: every fifth row of each label in turn.
fn measure(
    rows: &[Row],
    train: impl Fn(&[Row]) -> Result<OwnHead, OwnHeadError>,
) -> anyhow::Result<String> {
    let mut seen = HashMap::new();
    let fold: Vec<usize> = rows
        .iter()
        .map(|(_, label)| {
            let count = seen.entry(label.as_str()).or_insert(0_usize);
            *count += 1;
            *count % FOLDS
        })
        .collect();
    // Fewer than two left for training in some fold.
    if seen.values().any(|count| *count < 3) {
        return Ok("too few texts of some label to measure it".into());
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for part in 0..FOLDS {
        let chosen = |test: bool| {
            let all = rows.iter().zip(&fold);
            all.filter(move |(_, f)| (**f == part) == test)
                .map(|(row, _)| row)
        };
        let head = train(&chosen(false).cloned().collect::<Vec<_>>())?;
        for (windows, label) in chosen(true) {
            pairs.push((label, best(&head, windows).unwrap_or_default()));
        }
    }
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    let right = pairs.iter().filter(|(label, found)| label == found).count();
    let f1: f64 = seen
        .keys()
        .map(|name| {
            let both = pairs
                .iter()
                .filter(|(label, found)| label == name && found == name);
            let either: usize = pairs
                .iter()
                .map(|(label, found)| usize::from(label == name) + usize::from(found == name))
                .sum();
            share(2 * both.count(), either)
        })
        .sum();
    Ok(format!(
        "on rows that it was not trained on ({FOLDS} folds): accuracy {:.3}, macro-F1 {:.3}",
        share(right, pairs.len()),
        f1 / seen.len() as f64
    ))
}

/// The label that is most probable in the mean of the windows.
fn best(head: &OwnHead, windows: &[Vec<f32>]) -> Option<String> {
    let mut sums = vec![0.0; head.about.labels.len()];
    for window in windows {
        for (sum, probability) in sums.iter_mut().zip(head.probabilities(window)) {
            *sum += probability;
        }
    }
    let all = head.about.labels.iter().zip(sums);
    let best = all.max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|_| !windows.is_empty())
        .map(|(label, _)| label.clone())
}
