//! The small model: what a text is about, whether it attacks, is toxic, is hard, needs fresh information.
//!
//! 1. [`wordpiece`] cuts a text into word pieces, [`network`] turns windows of them into logits, a softmax into probabilities.
//!    They are calibrated: the training fits a temperature on sources that it left out (`models/classifier/CARD.md`).
//! 2. A [`Run`] reads every text part whole, in windows. A head that guards takes its highest window (and the more there are, the higher it must be), the others the mean over
//!    the windows of the parts that are [`Part::topic`], by tokens.
//! 3. A run can be stopped after each window and go on later: the caller looks at the clock.
//!
//! The weights stay in the file, [`MODEL`]; one [`Model`] serves a worker.

pub mod fixed;
pub mod network;
pub mod onnx;
pub mod own_head;
pub mod wordpiece;

use std::fmt;

use serde::Deserialize;

use network::{BLOCK, Block, Network, Scratch};
use onnx::{Onnx, OnnxError};
pub use own_head::{OwnHead, OwnHeadError};
use wordpiece::{Reader, Vocabulary, VocabularyError};

/// The model that is shipped: `models/classifier/model.onnx`.
pub static MODEL: &[u8] = include_bytes!("../../../../models/classifier/model.onnx");

/// A classification model.
#[derive(Debug)]
pub struct Model<'f> {
    vocabulary: Vocabulary,
    network: Network<'f>,
    heads: Vec<Head>,
    own: Vec<OwnHead>,
    id: String,
}

/// One question that the model answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Head {
    /// `category`, `jailbreak`, `toxicity`, `complexity`, `fresh`, or the name of an own head.
    pub name: String,
    /// Its answers, in the order of the probabilities. The finding of a guard is the last.
    pub labels: Vec<String>,
    /// How windows combine.
    pub windows: Windows,
    /// Probability from which an answer counts where the configuration names none.
    pub threshold: f32,
}

/// How the windows of a text combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Windows {
    /// The window where the last label is most probable: nothing hides in a long text.
    Max,
    /// The mean, by tokens.
    Mean,
}

/// What the file says about itself, in its property `turnpike`.
#[derive(Debug, Deserialize)]
struct About {
    format: u32,
    id: String,
    heads: Vec<Head>,
}

/// The format of the file that this version reads.
const FORMAT: u32 = 1;

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// The file.
    Onnx(OnnxError),
    /// The vocabulary in it.
    Vocabulary(VocabularyError),
    /// What it says about itself.
    About(String),
    /// An own head.
    OwnHead(OwnHeadError),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onnx(e) => e.fmt(f),
            Self::Vocabulary(e) => e.fmt(f),
            Self::About(e) => write!(f, "the model does not describe itself as expected: {e}"),
            Self::OwnHead(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for ModelError {}

impl<'f> Model<'f> {
    /// Reads a model file.
    ///
    /// # Errors
    /// It is not one, or made for another version.
    pub fn read(file: &'f [u8]) -> Result<Self, ModelError> {
        let onnx = Onnx::read(file).map_err(ModelError::Onnx)?;
        let about = onnx.property("turnpike").map_err(ModelError::Onnx)?;
        let about: About =
            serde_json::from_str(about).map_err(|e| ModelError::About(e.to_string()))?;
        if about.format != FORMAT {
            return Err(ModelError::About(format!(
                "format {}, this version reads {FORMAT}",
                about.format
            )));
        }
        let vocabulary = onnx.property("vocabulary").map_err(ModelError::Onnx)?;
        let vocabulary = Vocabulary::read(vocabulary).map_err(ModelError::Vocabulary)?;
        let network = Network::read(&onnx).map_err(ModelError::Onnx)?;
        let outputs: usize = about.heads.iter().map(|head| head.labels.len()).sum();
        if vocabulary.size() != network.pieces() || outputs != network.outputs() {
            return Err(ModelError::About("sizes do not agree".into()));
        }
        Ok(Self {
            vocabulary,
            network,
            heads: about.heads,
            own: Vec::new(),
            id: about.id,
        })
    }

    /// Adds a head that was trained on this model.
    ///
    /// # Errors
    /// It was trained on another model, or its name is taken.
    pub fn add(&mut self, head: OwnHead) -> Result<(), ModelError> {
        head.fits(&self.id, self.network.features())
            .map_err(ModelError::OwnHead)?;
        if self.heads.iter().any(|known| known.name == head.about.name) {
            return Err(ModelError::OwnHead(OwnHeadError::NameTaken(
                head.about.name,
            )));
        }
        self.heads.push(head.about.clone());
        self.own.push(head);
        Ok(())
    }

    /// Which model this is; own heads name the one they were trained on.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All heads, those of the file first.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The place of a head among [`Self::heads`].
    #[must_use]
    pub fn head(&self, name: &str) -> Option<usize> {
        self.heads.iter().position(|head| head.name == name)
    }

    /// The label that counts for conditions: that of a guard's finding from its threshold on, else its first; the most probable
    /// of the others if it reaches the threshold.
    #[must_use]
    pub fn label(&self, scores: &Scores, at: usize) -> Option<(usize, f32)> {
        let head = self.heads.get(at)?;
        match head.windows {
            Windows::Max => {
                let found = scores.finding(at)?;
                Some(if found >= head.threshold {
                    (head.labels.len().saturating_sub(1), found)
                } else {
                    (0, 1.0 - found)
                })
            }
            Windows::Mean => {
                let (label, probability) = scores.best(at)?;
                (probability >= head.threshold).then_some((label, probability))
            }
        }
    }

    /// Reads a text whole.
    #[must_use]
    pub fn classify(&self, text: &str) -> Scores {
        let mut run = Run::new(self);
        run.part(self, text, (true, None), &mut Reader::default(), || true);
        run.scores(self)
    }

    /// What heads read, for each window of a text with its tokens: to train a head.
    #[must_use]
    pub fn features(&self, text: &str) -> Vec<(Vec<f32>, usize)> {
        let mut found = Vec::new();
        let mut run = Run::new(self);
        run.each_window(
            self,
            text,
            &mut Reader::default(),
            &mut |scratch, tokens| {
                found.push((scratch.features.clone(), tokens));
                true
            },
        );
        found
    }

    /// How many numbers [`Self::features`] gives for a window.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.network.features()
    }

    /// Length of the vector of a word.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.network.dim()
    }

    /// The static vector of a word: the mean of those of its pieces.
    #[must_use]
    pub fn vector(&self, word: &str) -> Vec<f32> {
        self.network.mean(&self.tokens(word))
    }

    /// The word pieces of a text, by number.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        Reader::default().read(&self.vocabulary, text, &mut tokens, usize::MAX);
        tokens
    }
}

/// What a model found, by head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores(Vec<Vec<f32>>);

impl Scores {
    /// The probabilities of a head's labels; empty when no text was read.
    #[must_use]
    pub fn of(&self, head: usize) -> &[f32] {
        self.0.get(head).map(Vec::as_slice).unwrap_or_default()
    }

    /// The most probable label of a head, by its place, and its probability.
    #[must_use]
    pub fn best(&self, head: usize) -> Option<(usize, f32)> {
        let all = self.of(head).iter().copied().enumerate();
        all.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The probability of the last label: a guard's finding.
    #[must_use]
    pub fn finding(&self, head: usize) -> Option<f32> {
        self.of(head).last().copied()
    }
}

/// The reading of one request, part by part.
#[derive(Debug)]
pub struct Run {
    /// By head: Σ tokens · probability for means, the probabilities of the highest window for maxima.
    sums: Vec<Vec<f32>>,
    /// Tokens in the sums.
    tokens: usize,
    /// Windows of all parts that each head read.
    read: Vec<usize>,
    /// The block before, of the part in work.
    before: Option<Block>,
    windows: usize,
    pieces: Vec<u32>,
    scratch: Scratch,
    probabilities: Vec<f32>,
}

/// The more windows a text has, the likelier one of them looks like an attack by chance: what each e-fold of them takes from
/// the logit of the highest. Chosen by the training (`models/classifier/fit.py`), which calibrates with it.
const MANY_WINDOWS: f32 = 0.25;

/// Whether a part was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// To its end.
    Done,
    /// There is more; the next call goes on there.
    Stopped,
}

impl Run {
    /// Nothing read yet.
    #[must_use]
    pub fn new(model: &Model<'_>) -> Self {
        Self {
            sums: model
                .heads
                .iter()
                .map(|head| vec![0.0; head.labels.len()])
                .collect(),
            tokens: 0,
            read: vec![0; model.heads.len()],
            before: None,
            windows: 0,
            pieces: Vec::with_capacity(2 * BLOCK),
            scratch: Scratch::default(),
            probabilities: Vec::new(),
        }
    }

    /// Reads on in a part from where `reader` is, window by window while `go_on` says so. Means take the part if `topic`; the head
    /// `without`, if any, takes nothing of it.
    pub fn part(
        &mut self,
        model: &Model<'_>,
        text: &str,
        (topic, without): (bool, Option<usize>),
        reader: &mut Reader,
        mut go_on: impl FnMut() -> bool,
    ) -> Progress {
        let mut sums = std::mem::take(&mut self.sums);
        let mut probabilities = std::mem::take(&mut self.probabilities);
        let mut read = std::mem::take(&mut self.read);
        let mut counted = 0_usize;
        let progress = self.each_window(model, text, reader, &mut |scratch, tokens| {
            for (_, read) in read
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| without != Some(*at))
            {
                *read = read.saturating_add(1);
            }
            if topic {
                counted = counted.saturating_add(tokens);
            }
            let weight = topic.then_some(tokens);
            combine(
                model,
                scratch,
                weight,
                without,
                &mut sums,
                &mut probabilities,
            );
            go_on()
        });
        self.tokens = self.tokens.saturating_add(counted);
        self.read = read;
        self.sums = sums;
        self.probabilities = probabilities;
        progress
    }

    /// Calls `with` for each window, with the tokens that no window before it had, until it says no.
    fn each_window(
        &mut self,
        model: &Model<'_>,
        text: &str,
        reader: &mut Reader,
        with: &mut dyn FnMut(&Scratch, usize) -> bool,
    ) -> Progress {
        loop {
            let more = reader.read(&model.vocabulary, text, &mut self.pieces, BLOCK);
            if self.pieces.is_empty() && !more {
                // The text ended with the block before, which a window has seen, unless it was the only one.
                if let Some(only) = self.before.take().filter(|_| self.windows == 0) {
                    model.network.forward(&only, None, &mut self.scratch);
                    with(&self.scratch, only.tokens());
                }
                self.windows = 0;
                return Progress::Done;
            }
            let cut = self.pieces.len().min(BLOCK);
            let block = model
                .network
                .block(self.pieces.get(..cut).unwrap_or_default());
            self.pieces.drain(..cut);
            let ended = !more && self.pieces.is_empty();
            let tokens = block.tokens();
            // The first block waits for its neighbour, unless there is none.
            let read = match self.before.take() {
                Some(before) => {
                    let first = if self.windows == 0 {
                        before.tokens()
                    } else {
                        0
                    };
                    model
                        .network
                        .forward(&before, Some(&block), &mut self.scratch);
                    Some(tokens.saturating_add(first))
                }
                None if ended => {
                    model.network.forward(&block, None, &mut self.scratch);
                    Some(tokens)
                }
                None => None,
            };
            let mut go_on = true;
            if let Some(tokens) = read {
                self.windows = self.windows.saturating_add(1);
                go_on = with(&self.scratch, tokens);
            }
            if ended {
                self.windows = 0;
                return Progress::Done;
            }
            self.before = Some(block);
            if !go_on {
                return Progress::Stopped;
            }
        }
    }

    /// What was found in all parts so far.
    #[must_use]
    pub fn scores(&self, model: &Model<'_>) -> Scores {
        let tokens = exact(self.tokens);
        let mean = |head: &Head, sums: &Vec<f32>, read| match head.windows {
            Windows::Max => less_for_many(sums, read),
            Windows::Mean => sums.iter().map(|sum| sum / tokens.max(1.0)).collect(),
        };
        let was_read = self.read.iter().any(|read| *read > 0);
        let found = model.heads.iter().zip(&self.sums).zip(&self.read);
        let scores = found.map(|((head, sums), read)| {
            if head.windows == Windows::Max && *read == 0 && was_read {
                // It was told not to read, so it found nothing.
                let labels = 0..head.labels.len();
                labels
                    .map(|label| if label == 0 { 1.0 } else { 0.0 })
                    .collect()
            } else if sums.iter().all(|sum| *sum == 0.0) {
                Vec::new()
            } else {
                mean(head, sums, *read)
            }
        });
        Scores(scores.collect())
    }
}

/// Adds a window to what the windows before it said: to means with the weight of so many tokens, to the head `without` not.
fn combine(
    model: &Model<'_>,
    scratch: &Scratch,
    weight: Option<usize>,
    without: Option<usize>,
    sums: &mut [Vec<f32>],
    probabilities: &mut Vec<f32>,
) {
    let mut logits = scratch.logits.as_slice();
    let mut own = model.own.iter();
    for (at, (head, sums)) in model.heads.iter().zip(sums).enumerate() {
        match logits.split_at_checked(head.labels.len()) {
            Some((ours, rest)) => {
                logits = rest;
                probabilities.clear();
                probabilities.extend_from_slice(ours);
            }
            None => match own.next() {
                Some(own) => own.logits(&scratch.features, probabilities),
                None => return,
            },
        }
        if without == Some(at) {
            continue;
        }
        softmax(probabilities);
        match (head.windows, weight) {
            (Windows::Max, _) => {
                if probabilities.last() > sums.last() {
                    sums.clone_from(probabilities);
                }
            }
            (Windows::Mean, Some(tokens)) => {
                for (sum, probability) in sums.iter_mut().zip(probabilities.iter()) {
                    *sum += probability * exact(tokens);
                }
            }
            (Windows::Mean, None) => {}
        }
    }
}

/// The probabilities of the highest window of so many, as of a text.
fn less_for_many(highest: &[f32], windows: usize) -> Vec<f32> {
    let Some((finding, others)) = highest.split_last() else {
        return Vec::new();
    };
    let rest = 1.0 - finding;
    let less = finding / (finding + rest * exact(windows.max(1)).powf(MANY_WINDOWS));
    let scale = (1.0 - less) / rest.max(f32::MIN_POSITIVE);
    others
        .iter()
        .map(|other| other * scale)
        .chain([less])
        .collect()
}

/// A count of tokens as f32: exact up to 16 million.
fn exact(tokens: usize) -> f32 {
    u32::try_from(tokens).map_or(f32::MAX, |tokens| tokens as f32)
}

/// `e^x / Σ e^x`, in place.
pub(crate) fn softmax(logits: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        sum += *logit;
    }
    for logit in logits {
        *logit /= sum;
    }
}

#[cfg(test)]
mod tests;
