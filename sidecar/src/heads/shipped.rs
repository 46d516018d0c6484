//! Trained heads: linear in the encoder's vector, joined with what the proxy's small model says of the same text.
//!
//! 1. A text is read in windows, as in the training; each has a vector and the small model's probabilities.
//! 2. The logits of a window are `encoder_share · (weights · vector + bias) + small_share · ln(probabilities) + offset`, the
//!    offset for the last label alone. A softmax makes probabilities; they are calibrated on sources that the training left out.
//! 3. Those of a text are the mean over its windows.
//!
//! `models/classifier` trains them and measures them (`REPORT.md`, "sidecar"). They mean nothing to another encoder: the file
//! says what the right one answers to a few texts, and [`Heads::check`] compares.

use serde::Deserialize;
use turnpike_classify::model::{MODEL, Model, ModelError, Scores};

use crate::encoder::{Embedding, dot};

/// The heads that are shipped, for all-MiniLM-L6-v2.
pub const SHIPPED: &str = include_str!("../../../models/classifier/encoder-heads.json");

/// Tokens of a window that heads read, special tokens included, and those that it shares with the next: as in the training
/// (`models/classifier/teacher.py`).
pub const WINDOW: usize = 128;
/// See [`WINDOW`].
pub const OVERLAP: usize = 30;

/// The format of the file that this version reads.
const FORMAT: u32 = 1;

/// How far a probability may be from the training's: another runtime or int8 weights round otherwise, another model is farther.
const TOLERANCE: f32 = 0.05;

/// Below this a probability counts as this, as in the training.
const LOWEST: f32 = 1e-6;

/// Trained heads and the small model that they are joined with.
#[derive(Debug)]
pub struct Heads {
    small: Model<'static>,
    heads: Vec<Trained>,
    probes: Vec<Probe>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    /// Id of the small model.
    model: String,
    /// For people; [`Heads::check`] decides.
    #[serde(rename = "encoder")]
    _encoder: String,
    heads: Vec<Trained>,
    probes: Vec<Probe>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trained {
    name: String,
    labels: Vec<String>,
    encoder_share: f32,
    small_share: f32,
    offset: f32,
    /// [labels][dimensions]
    weights: Vec<Vec<f32>>,
    /// [labels]
    bias: Vec<f32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    text: String,
    /// Probabilities by head.
    scores: std::collections::BTreeMap<String, Vec<f32>>,
}

/// Why heads cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// Not a file of heads.
    #[error("not a file of heads: {0}")]
    Malformed(String),
    /// The small model.
    #[error("{0}")]
    Small(ModelError),
    /// Joined with another small model.
    #[error("trained with the model `{theirs}`, this is `{ours}`")]
    OtherModel {
        /// Id in the file.
        theirs: String,
        /// Id of the model in this version.
        ours: String,
    },
    /// Vectors of another length.
    #[error("trained on vectors of {theirs} components, this encoder gives {ours}")]
    Dimensions {
        /// Of the file.
        theirs: usize,
        /// Of the encoder.
        ours: usize,
    },
    /// Vectors of the same length that mean something else.
    #[error(
        "trained on another encoder: head `{head}` answers {ours:.2} to a text where it should answer {theirs:.2}"
    )]
    OtherEncoder {
        /// The head.
        head: String,
        /// Probability in the file.
        theirs: f32,
        /// Probability here.
        ours: f32,
    },
}

/// A text of which some windows were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Sums of probabilities, by head.
    sums: Vec<Vec<f32>>,
    windows: usize,
}

/// What a head says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<'h> {
    /// The head.
    pub name: &'h str,
    /// Its labels.
    pub labels: &'h [String],
    /// The probability of each; empty when nothing was read.
    pub probabilities: Vec<f32>,
}

impl Verdict<'_> {
    /// The most probable label and its probability.
    #[must_use]
    pub fn best(&self) -> Option<(&str, f32)> {
        let all = self.labels.iter().zip(&self.probabilities);
        all.max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(label, probability)| (label.as_str(), *probability))
    }
}

impl Heads {
    /// Reads a file of heads for vectors of `dimensions` components.
    ///
    /// # Errors
    /// [`HeadsError`], all but [`HeadsError::OtherEncoder`].
    pub fn read(json: &str, dimensions: usize) -> Result<Self, HeadsError> {
        let malformed = |why: String| HeadsError::Malformed(why);
        let file: File = serde_json::from_str(json).map_err(|e| malformed(e.to_string()))?;
        if file.format != FORMAT {
            return Err(malformed(format!(
                "format {}, this version reads {FORMAT}",
                file.format
            )));
        }
        let small = Model::read(MODEL).map_err(HeadsError::Small)?;
        if file.model != small.id() {
            return Err(HeadsError::OtherModel {
                theirs: file.model,
                ours: small.id().into(),
            });
        }
        for head in &file.heads {
            let labels = head.labels.len();
            let known = small.head(&head.name).and_then(|at| small.heads().get(at));
            if known.is_none_or(|known| known.labels != head.labels) {
                return Err(malformed(format!(
                    "head `{}` is none of the small model's",
                    head.name
                )));
            }
            if head.weights.len() != labels || head.bias.len() != labels {
                return Err(malformed(format!(
                    "head `{}`: the sizes of its weights do not agree",
                    head.name
                )));
            }
            if let Some(row) = head.weights.iter().find(|row| row.len() != dimensions) {
                return Err(HeadsError::Dimensions {
                    theirs: row.len(),
                    ours: dimensions,
                });
            }
        }
        Ok(Self {
            small,
            heads: file.heads,
            probes: file.probes,
        })
    }

    /// The texts that [`Self::check`] wants the vectors of.
    #[must_use]
    pub fn probes(&self) -> Vec<String> {
        self.probes.iter().map(|probe| probe.text.clone()).collect()
    }

    /// Whether the encoder is the one that the heads were trained on.
    ///
    /// # Errors
    /// [`HeadsError::OtherEncoder`].
    pub fn check(&self, embeddings: &[Embedding]) -> Result<(), HeadsError> {
        for (probe, embedding) in self.probes.iter().zip(embeddings) {
            for verdict in self.judge(&[(self.small(&probe.text), embedding)]) {
                let expected = probe.scores.get(verdict.name);
                let pairs = expected.into_iter().flatten().zip(&verdict.probabilities);
                for (theirs, ours) in pairs {
                    if (theirs - ours).abs() > TOLERANCE {
                        return Err(HeadsError::OtherEncoder {
                            head: verdict.name.into(),
                            theirs: *theirs,
                            ours: *ours,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Names of the heads.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.heads.iter().map(|head| head.name.as_str())
    }

    /// The labels of a head.
    #[must_use]
    pub fn labels(&self, name: &str) -> Option<&[String]> {
        let head = self.heads.iter().find(|head| head.name == name)?;
        Some(&head.labels)
    }

    /// What the small model says of a window's text; the encoder's vector is not needed for it.
    #[must_use]
    pub fn small(&self, text: &str) -> Scores {
        self.small.classify(text)
    }

    /// What every head says of a text in `windows`, each as the small model and as the encoder read it.
    #[must_use]
    pub fn judge(&self, windows: &[(Scores, &Embedding)]) -> Vec<Verdict<'_>> {
        let mut read = Read::default();
        for (small, embedding) in windows {
            self.window(&mut read, small, embedding);
        }
        self.verdicts(&read)
    }

    fn window(&self, read: &mut Read, small: &Scores, embedding: &Embedding) {
        read.windows += 1;
        read.sums.resize(self.heads.len(), Vec::new());
        for (head, sum) in self.heads.iter().zip(&mut read.sums) {
            let at = self.small.head(&head.name);
            let said = at.map(|at| small.of(at)).unwrap_or_default();
            let probabilities = head.probabilities(embedding, said);
            sum.resize(probabilities.len(), 0.0);
            for (sum, probability) in sum.iter_mut().zip(&probabilities) {
                *sum += probability;
            }
        }
    }

    /// What every head says of the windows read.
    #[must_use]
    pub fn verdicts(&self, read: &Read) -> Vec<Verdict<'_>> {
        let mean = |sum: &Vec<f32>| sum.iter().map(|sum| sum / read.windows as f32).collect();
        let sums = read
            .sums
            .iter()
            .map(mean)
            .chain(std::iter::repeat(Vec::new()));
        self.heads
            .iter()
            .zip(sums)
            .map(|(head, probabilities)| Verdict {
                name: &head.name,
                labels: &head.labels,
                probabilities,
            })
            .collect()
    }
}

impl Trained {
    /// Of one window. `read`: the small model's probabilities, none where it found no word.
    fn probabilities(&self, embedding: &Embedding, read: &[f32]) -> Vec<f32> {
        let rows = self.weights.iter().zip(&self.bias);
        let mut logits: Vec<f32> = rows
            .map(|(row, bias)| self.encoder_share * (dot(row, embedding.values()) + bias))
            .collect();
        for (logit, probability) in logits.iter_mut().zip(read) {
            *logit += self.small_share * probability.max(LOWEST).ln();
        }
        if let Some(last) = logits.last_mut() {
            *last += self.offset;
        }
        softmax(&logits)
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let total: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(at: usize) -> Embedding {
        Embedding::normalized((0..384).map(|i| f32::from(u8::from(i == at))).collect())
    }

    #[test]
    fn the_shipped_heads_fit_the_small_model() {
        let heads = Heads::read(SHIPPED, 384).unwrap();
        assert_eq!(heads.names().collect::<Vec<_>>(), ["category", "fresh"]);
        assert_eq!(heads.labels("category").map(<[_]>::len), Some(14));
    }

    #[test]
    fn probabilities_add_up_to_one_and_windows_are_averaged() {
        let heads = Heads::read(SHIPPED, 384).unwrap();
        let (a, b) = (embedding(0), embedding(7));
        let text = "What is the boiling point of water?";
        let [text, poem] = [text, "Write me a poem"].map(|text| heads.small(text));
        let one = heads.judge(&[(text.clone(), &a)]);
        let other = heads.judge(&[(poem.clone(), &b)]);
        let both = heads.judge(&[(text, &a), (poem, &b)]);
        for ((one, other), both) in one.iter().zip(&other).zip(&both) {
            assert!((one.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for ((x, y), z) in one
                .probabilities
                .iter()
                .zip(&other.probabilities)
                .zip(&both.probabilities)
            {
                assert!((f32::midpoint(*x, *y) - z).abs() < 1e-5);
            }
        }
        assert!(heads.judge(&[]).iter().all(|v| v.best().is_none()));
    }

    #[test]
    fn another_encoder_is_found_out() {
        let heads = Heads::read(SHIPPED, 384).unwrap();
        let wrong: Vec<Embedding> = (0..heads.probes().len()).map(embedding).collect();
        let error = heads.check(&wrong).unwrap_err();
        assert!(matches!(error, HeadsError::OtherEncoder { .. }), "{error}");
        let error = Heads::read(SHIPPED, 768).unwrap_err();
        assert_eq!(
            error.to_string(),
            "trained on vectors of 384 components, this encoder gives 768"
        );
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused() {
        let with = |from: &str, to: &str| {
            Heads::read(&SHIPPED.replacen(from, to, 1), 384)
                .unwrap_err()
                .to_string()
        };
        assert!(with("{", "[").contains("not a file of heads"));
        assert!(with("\"format\": 1", "\"format\": 9").contains("format 9"));
        assert!(with("turnpike-classifier-", "other-").contains("trained with the model `other-"));
        assert!(
            with("\"biology\"", "\"botany\"")
                .contains("head `category` is none of the small model's")
        );
        assert!(with("\"bias\": [", "\"bias\": [1.0, ").contains("sizes"));
    }
}
