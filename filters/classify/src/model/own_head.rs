//! A head that users train on their own labels: softmax regression on what the model's heads read.
//!
//! The file is JSON, written by `turnpike train-head`. It fits only the model that it was trained on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Head, Model, Windows, softmax};

/// The format of the file.
const FORMAT: u32 = 1;

/// Most labels of a head.
const MAX_LABELS: usize = 256;

/// A head file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    /// Id of the model.
    model: String,
    name: String,
    labels: Vec<String>,
    threshold: f32,
    /// [features][labels]
    weights: Vec<Vec<f32>>,
    /// [labels]
    bias: Vec<f32>,
}

/// A head beside those of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnHead {
    model: String,
    /// Its name and labels.
    pub about: Head,
    features: usize,
    /// [features, labels]
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// Why a head cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnHeadError {
    /// Not a head file.
    Malformed(String),
    /// Sizes within it do not agree.
    Shape(String),
    /// Trained on another model: its id, ours.
    OtherModel(String, String),
    /// A head of that name is there.
    NameTaken(String),
    /// What to train on is not enough.
    Rows(String),
}

impl fmt::Display for OwnHeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not a head file: {why}"),
            Self::Shape(name) => write!(f, "head '{name}': the sizes of its weights do not agree"),
            Self::OtherModel(theirs, ours) => write!(
                f,
                "trained on the model '{theirs}', this is '{ours}'; train it again with `turnpike train-head`"
            ),
            Self::NameTaken(name) => write!(f, "there is a head '{name}' already"),
            Self::Rows(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for OwnHeadError {}

impl OwnHead {
    /// Reads a head file.
    ///
    /// # Errors
    /// It is not one, or its sizes do not agree.
    pub fn read(json: &str) -> Result<Self, OwnHeadError> {
        let file: File =
            serde_json::from_str(json).map_err(|e| OwnHeadError::Malformed(e.to_string()))?;
        if file.format != FORMAT {
            return Err(OwnHeadError::Malformed(format!(
                "format {}, this version reads {FORMAT}",
                file.format
            )));
        }
        let labels = file.labels.len();
        let even = file.weights.iter().all(|row| row.len() == labels);
        if !(2..=MAX_LABELS).contains(&labels) || file.bias.len() != labels || !even {
            return Err(OwnHeadError::Shape(file.name));
        }
        check(&file)?;
        Ok(Self {
            model: file.model,
            about: Head {
                name: file.name,
                labels: file.labels,
                windows: Windows::Mean,
                threshold: file.threshold,
            },
            features: file.weights.len(),
            weights: file.weights.concat(),
            bias: file.bias,
        })
    }

    /// Writes a head file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = File {
            format: FORMAT,
            model: self.model.clone(),
            name: self.about.name.clone(),
            labels: self.about.labels.clone(),
            threshold: self.about.threshold,
            weights: self
                .weights
                .chunks(self.bias.len().max(1))
                .map(<[f32]>::to_vec)
                .collect(),
            bias: self.bias.clone(),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// Whether it was trained on the model of this id, which gives that many features.
    ///
    /// # Errors
    /// It was trained on another one.
    pub fn fits(&self, model: &str, features: usize) -> Result<(), OwnHeadError> {
        if self.model != model {
            return Err(OwnHeadError::OtherModel(self.model.clone(), model.into()));
        }
        if self.features != features {
            return Err(OwnHeadError::Shape(self.about.name.clone()));
        }
        Ok(())
    }

    /// The probability of each label.
    #[must_use]
    pub fn probabilities(&self, features: &[f32]) -> Vec<f32> {
        let mut probabilities = Vec::new();
        self.logits(features, &mut probabilities);
        softmax(&mut probabilities);
        probabilities
    }

    pub(super) fn logits(&self, features: &[f32], logits: &mut Vec<f32>) {
        logits.clear();
        logits.extend_from_slice(&self.bias);
        for (x, row) in features
            .iter()
            .zip(self.weights.chunks(self.bias.len().max(1)))
        {
            for (logit, weight) in logits.iter_mut().zip(row) {
                *logit += x * weight;
            }
        }
    }

    /// Trains a head on texts with labels: softmax regression with weight decay, whole-batch gradient descent with momentum.
    /// Each label counts alike, however many texts it has.
    ///
    /// # Errors
    /// Fewer than two labels, or a label with fewer than two texts.
    pub fn train(
        model: &Model<'_>,
        name: &str,
        rows: &[(String, String)],
    ) -> Result<Self, OwnHeadError> {
        let rows: Vec<(Vec<Vec<f32>>, String)> = rows
            .iter()
            .map(|(text, label)| {
                let windows = model.features(text).into_iter();
                (
                    windows.map(|(features, _)| features).collect(),
                    label.clone(),
                )
            })
            .collect();
        Self::fit(&model.id, model.network.features(), name, &rows)
    }

    /// The same on what a model gives: `features` numbers for every window of each text. `model`: its id.
    ///
    /// # Errors
    /// Fewer than two labels, or a label with fewer than two texts.
    pub fn fit(
        model: &str,
        features: usize,
        name: &str,
        rows: &[(Vec<Vec<f32>>, String)],
    ) -> Result<Self, OwnHeadError> {
        check_name(name)?;
        let mut labels: Vec<String> = rows.iter().map(|(_, label)| label.clone()).collect();
        labels.sort();
        labels.dedup();
        if labels.iter().any(String::is_empty) {
            return Err(OwnHeadError::Rows("a label must not be empty".into()));
        }
        if !(2..=MAX_LABELS).contains(&labels.len()) {
            return Err(OwnHeadError::Rows(format!(
                "{} different labels; 2 to {MAX_LABELS} are needed",
                labels.len()
            )));
        }
        let of = |label: &String| {
            labels
                .iter()
                .position(|known| known == label)
                .unwrap_or_default()
        };
        let mut counts = vec![0_usize; labels.len()];
        for (_, label) in rows {
            if let Some(count) = counts.get_mut(of(label)) {
                *count = count.saturating_add(1);
            }
        }
        if let Some((label, _)) = labels.iter().zip(&counts).find(|(_, count)| **count < 2) {
            return Err(OwnHeadError::Rows(format!(
                "the label '{label}' has one text; two or more are needed"
            )));
        }
        let mut samples = Vec::new();
        for (windows, label) in rows {
            let class = of(label);
            let count = counts
                .get(class)
                .copied()
                .unwrap_or(1)
                .saturating_mul(windows.len());
            let weight = 1.0 / (super::exact(count) * super::exact(labels.len()));
            samples.extend(windows.iter().map(|features| Sample {
                features,
                class,
                weight,
            }));
        }
        let (weights, bias) = regress(&samples, features, labels.len());
        Ok(Self {
            model: model.into(),
            about: Head {
                name: name.into(),
                labels,
                windows: Windows::Mean,
                threshold: 0.5,
            },
            features,
            weights,
            bias,
        })
    }
}

/// What its sizes do not tell.
fn check(file: &File) -> Result<(), OwnHeadError> {
    check_name(&file.name)?;
    let numbers = file.weights.iter().flatten().chain(&file.bias);
    if !numbers
        .chain([&file.threshold])
        .all(|number| number.is_finite())
    {
        return Err(OwnHeadError::Malformed(
            "a number in it is not finite".into(),
        ));
    }
    if !(0.0..=1.0).contains(&file.threshold) {
        let why = format!("threshold: must be between 0 and 1, got {}", file.threshold);
        return Err(OwnHeadError::Malformed(why));
    }
    let mut labels: Vec<&String> = file.labels.iter().collect();
    labels.sort();
    labels.dedup();
    if labels.len() != file.labels.len() || labels.iter().any(|label| label.is_empty()) {
        return Err(OwnHeadError::Malformed(
            "labels: must be different and not empty".into(),
        ));
    }
    Ok(())
}

/// Conditions name a label as `head:label`.
fn check_name(name: &str) -> Result<(), OwnHeadError> {
    if name.is_empty() || name.contains(':') {
        let why = format!("the name of a head must not be empty nor hold a colon, got '{name}'");
        return Err(OwnHeadError::Malformed(why));
    }
    Ok(())
}

struct Sample<'f> {
    features: &'f [f32],
    class: usize,
    /// All weights together are 1.
    weight: f32,
}

const STEPS: usize = 400;
const RATE: f32 = 0.5;
const MOMENTUM: f32 = 0.9;
const DECAY: f32 = 1e-4;

fn regress(samples: &[Sample<'_>], features: usize, labels: usize) -> (Vec<f32>, Vec<f32>) {
    let size = features.saturating_mul(labels);
    // Steps of one length for all features: of the size of the features' mean square.
    let square: f32 = samples
        .iter()
        .map(|s| s.weight * s.features.iter().map(|x| x * x).sum::<f32>())
        .sum();
    let rate = RATE / (1.0 + square);
    let (mut weights, mut bias) = (vec![0.0_f32; size], vec![0.0_f32; labels]);
    let (mut speed, mut bias_speed) = (weights.clone(), bias.clone());
    let mut logits = Vec::with_capacity(labels);
    for _ in 0..STEPS {
        let mut gradient: Vec<f32> = weights.iter().map(|w| w * DECAY).collect();
        let mut bias_gradient = vec![0.0; labels];
        for sample in samples {
            logits.clear();
            logits.extend_from_slice(&bias);
            for (x, row) in sample.features.iter().zip(weights.chunks(labels.max(1))) {
                for (logit, weight) in logits.iter_mut().zip(row) {
                    *logit += x * weight;
                }
            }
            softmax(&mut logits);
            if let Some(wanted) = logits.get_mut(sample.class) {
                *wanted -= 1.0;
            }
            for (x, row) in sample
                .features
                .iter()
                .zip(gradient.chunks_mut(labels.max(1)))
            {
                for (slope, error) in row.iter_mut().zip(&logits) {
                    *slope += sample.weight * x * error;
                }
            }
            for (slope, error) in bias_gradient.iter_mut().zip(&logits) {
                *slope += sample.weight * error;
            }
        }
        descend(&mut weights, &mut speed, &gradient, rate);
        descend(&mut bias, &mut bias_speed, &bias_gradient, rate);
    }
    (weights, bias)
}

fn descend(values: &mut [f32], speed: &mut [f32], gradient: &[f32], rate: f32) {
    for ((value, speed), slope) in values.iter_mut().zip(speed).zip(gradient) {
        *speed = MOMENTUM * *speed - rate * slope;
        *value += *speed;
    }
}
