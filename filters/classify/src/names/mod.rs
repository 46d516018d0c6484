//! Persons, places and addresses: no form tells them, so a small network judges each word by itself and its neighbours.
//!
//! 1. [`words`] cuts a text. Only words with a capital letter or a digit, or from a [`lists::List`] of names, are judged.
//! 2. A word and two neighbours on each side give the input: of each the static vector of the classification model, projected,
//!    and its [`shape`].
//! 3. One hidden layer, a softmax over the labels; runs of words with the same label are findings.
//!
//! `models/classifier/entities.py` trains it, `ENTITIES.md` says how good it is. The same text gives the same findings there.

mod lists;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;

use crate::model::fixed::Layer;
use crate::model::onnx::{Onnx, OnnxError};
use crate::model::{Model, softmax};
use crate::pii::{Finding, Kind};
use lists::List;
use words::words;

/// The weights and lists that are shipped: `models/classifier/names.onnx`.
pub static NAMES: &[u8] = include_bytes!("../../../../models/classifier/names.onnx");

/// The format of the file that this version reads.
const FORMAT: u32 = 1;

/// Words that are looked at on each side.
const SIDE: usize = 2;

/// Numbers that tell the shape of a word.
const SHAPE: usize = 14;

/// What the file says about itself, in its property `turnpike`.
#[derive(Debug, Deserialize)]
struct About {
    format: u32,
    /// Id of the classification model whose vectors it reads.
    model: String,
    /// The first is "nothing".
    labels: Vec<String>,
    shipped: Vec<String>,
    threshold: f32,
    /// Words of addresses.
    street: Vec<String>,
    /// By label: words and signs that may stand within a name.
    glue: BTreeMap<String, Vec<String>>,
}

/// The network with its lists.
#[derive(Debug)]
pub struct Names {
    /// [dim, projected]
    project: Layer,
    projected: usize,
    /// [5 (projected + SHAPE), hidden]
    hidden: Layer,
    /// [hidden, labels]
    out: Layer,
    given: List,
    family: List,
    place: List,
    /// Those of the lists that are ordinary words too: names only with a capital letter.
    ordinary: List,
    street: Vec<String>,
    labels: Vec<Label>,
    threshold: f32,
}

#[derive(Debug)]
struct Label {
    /// `None` for "nothing", and for what is found too badly to be reported.
    kind: Option<Kind>,
    glue: Vec<String>,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamesError {
    /// The file.
    Onnx(OnnxError),
    /// What it says about itself.
    About(String),
}

impl fmt::Display for NamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onnx(e) => e.fmt(f),
            Self::About(e) => f.write_str(e),
        }
    }
}

impl std::error::Error for NamesError {}

impl From<OnnxError> for NamesError {
    fn from(error: OnnxError) -> Self {
        Self::Onnx(error)
    }
}

impl Names {
    /// Reads a file made for `model`.
    ///
    /// # Errors
    /// It is none, made for another model or another version.
    pub fn read(file: &[u8], model: &Model<'_>) -> Result<Self, NamesError> {
        let onnx = Onnx::read(file)?;
        let about: About = serde_json::from_str(onnx.property("turnpike")?)
            .map_err(|e| NamesError::About(e.to_string()))?;
        if about.format != FORMAT || about.model != model.id() {
            return Err(NamesError::About(format!(
                "format {} for the model '{}'; this version reads {FORMAT} for '{}'",
                about.format,
                about.model,
                model.id()
            )));
        }
        let &[dim, projected] = onnx.dims("project")? else {
            return Err(OnnxError::Shape("project").into());
        };
        let &[hidden] = onnx.dims("hidden_b")? else {
            return Err(OnnxError::Shape("hidden_b").into());
        };
        let width = projected.saturating_add(SHAPE).saturating_mul(2 * SIDE + 1);
        let labels = about.labels.len();
        if dim != model.dim() || labels == 0 {
            return Err(OnnxError::Shape("project").into());
        }
        let list = |name| -> Result<List, NamesError> {
            let dims = onnx.dims(name)?.to_vec();
            List::new(onnx.int8(name, &dims)?).ok_or_else(|| OnnxError::Shape(name).into())
        };
        Ok(Self {
            project: Layer::new(
                &onnx.float("project", &[dim, projected])?,
                vec![0.0; projected],
            ),
            projected,
            hidden: Layer::new(
                &onnx.float("hidden_w", &[width, hidden])?,
                onnx.float("hidden_b", &[hidden])?,
            ),
            out: Layer::new(
                &onnx.float("out_w", &[hidden, labels])?,
                onnx.float("out_b", &[labels])?,
            ),
            given: list("given")?,
            family: list("family")?,
            place: list("place")?,
            ordinary: list("ordinary")?,
            street: about.street,
            labels: about
                .labels
                .iter()
                .map(|name| Label {
                    kind: kind(name).filter(|_| about.shipped.contains(name)),
                    glue: about.glue.get(name).cloned().unwrap_or_default(),
                })
                .collect(),
            threshold: about.threshold,
        })
    }

    /// Adds what is in `text` to `found`, in its order.
    pub fn detect(&self, model: &Model<'_>, text: &str, found: &mut Vec<Finding>) {
        let pieces: Vec<Word<'_>> = self.shaped(text);
        if !pieces.iter().any(|word| word.judged) {
            return;
        }
        let mut projected: Vec<Option<Vec<f32>>> = vec![None; pieces.len()];
        let mut judged = Vec::with_capacity(pieces.len());
        for (at, word) in pieces.iter().enumerate() {
            judged.push(if word.judged {
                self.judge(model, &pieces, &mut projected, at)
            } else {
                (0, 0.0)
            });
        }
        self.runs(text, &pieces, &judged, found);
    }

    fn shaped<'t>(&self, text: &'t str) -> Vec<Word<'t>> {
        let mut before = '\n';
        words(text)
            .into_iter()
            .map(|range| {
                let word = text.get(range.clone()).unwrap_or_default();
                let (shape, judged) = self.shape(word, before);
                before = word.chars().next().unwrap_or('\n');
                Word {
                    text: word,
                    range,
                    shape,
                    judged,
                }
            })
            .collect()
    }

    /// The shape of a word behind one that begins with `before`, and whether it may be part of a name.
    fn shape(&self, word: &str, before: char) -> ([f32; SHAPE], bool) {
        let first = word.chars().next().unwrap_or('\n');
        let (mut letters, mut upper, mut digit, mut length) = (0_u16, 0_u16, false, 0_u16);
        for c in word.chars() {
            length = length.saturating_add(1);
            letters = letters.saturating_add(c.is_alphabetic().into());
            upper = upper.saturating_add(c.is_uppercase().into());
            digit |= c.is_ascii_digit();
        }
        let low = word.to_lowercase();
        let low = low.split(['\'', '’']).next().unwrap_or_default();
        let listed = first.is_alphanumeric() && (upper > 0 || !self.ordinary.holds(low));
        let given = listed && self.given.holds(low);
        let family = listed && self.family.holds(low);
        let place = listed && self.place.holds(low);
        let street = self.street.iter().any(|word| word == low);
        let title = first.is_uppercase() && upper < letters.max(2);
        let capitals = upper > 1 && upper == letters;
        let yes = |is: bool| f32::from(u8::from(is));
        let shape = [
            yes(letters > 0 && upper == 0),
            yes(title),
            yes(capitals),
            yes(digit),
            yes(first == '\n'),
            yes(!first.is_alphanumeric() && first != '\n'),
            yes(".!?:\n\"“>*-•".contains(before)),
            yes(letters == 1 && upper == 1),
            yes(given),
            yes(family),
            yes(place),
            yes(street),
            f32::from(length.min(12)) / 12.0,
            yes(before == '@'),
        ];
        (
            shape,
            title || capitals || digit || given || family || place || street,
        )
    }

    /// The label of a word and its probability.
    fn judge(
        &self,
        model: &Model<'_>,
        pieces: &[Word<'_>],
        projected: &mut [Option<Vec<f32>>],
        at: usize,
    ) -> (usize, f32) {
        let mut input = Vec::with_capacity(
            self.projected
                .saturating_add(SHAPE)
                .saturating_mul(2 * SIDE + 1),
        );
        for place in 0..=2 * SIDE {
            let near = at.checked_add(place).and_then(|n| n.checked_sub(SIDE));
            let near = near.and_then(|n| Some((pieces.get(n)?, projected.get_mut(n)?)));
            match near {
                Some((word, vector)) => {
                    let vector = vector.get_or_insert_with(|| self.projected(model, word.text));
                    input.extend_from_slice(vector);
                    input.extend_from_slice(&word.shape);
                }
                None => input.resize(
                    input
                        .len()
                        .saturating_add(self.projected)
                        .saturating_add(SHAPE),
                    0.0,
                ),
            }
        }
        let (mut room, mut hidden) = (Vec::new(), Vec::new());
        self.hidden.forward(&input, &mut room, &mut hidden);
        for unit in &mut hidden {
            *unit = unit.max(0.0);
        }
        let mut chance = Vec::new();
        self.out.forward(&hidden, &mut room, &mut chance);
        softmax(&mut chance);
        if chance.first().is_none_or(|nothing| *nothing > 0.5) {
            return (0, 0.0);
        }
        let named = chance.iter().copied().enumerate().skip(1);
        named.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    }

    fn projected(&self, model: &Model<'_>, word: &str) -> Vec<f32> {
        let mut out = Vec::new();
        self.project
            .forward(&model.vector(word), &mut Vec::new(), &mut out);
        out
    }

    /// Runs of words with the same label; a run goes over one word or sign of its glue.
    fn runs(
        &self,
        text: &str,
        pieces: &[Word<'_>],
        judged: &[(usize, f32)],
        found: &mut Vec<Finding>,
    ) {
        let label = |at: usize| judged.get(at).map_or(0, |(label, _)| *label);
        let mut at = 0_usize;
        while at < pieces.len() {
            let kind = label(at);
            let mut end = at.saturating_add(1);
            if let Some(about) = self.labels.get(kind).filter(|_| kind > 0) {
                loop {
                    if label(end) == kind {
                        end = end.saturating_add(1);
                    } else if label(end) == 0
                        && label(end.saturating_add(1)) == kind
                        && pieces.get(end).is_some_and(|word| about.glues(word.text))
                    {
                        end = end.saturating_add(2);
                    } else {
                        break;
                    }
                }
                found.extend(self.finding(text, pieces.get(at..end), judged.get(at..end), kind));
            }
            at = end;
        }
    }

    fn finding(
        &self,
        text: &str,
        pieces: Option<&[Word<'_>]>,
        judged: Option<&[(usize, f32)]>,
        label: usize,
    ) -> Option<Finding> {
        let (pieces, judged) = (pieces?, judged?);
        let kind = self.labels.get(label)?.kind?;
        let (start, end) = (pieces.first()?.range.start, pieces.last()?.range.end);
        let of_kind = || judged.iter().filter(|(l, _)| *l == label).map(|(_, p)| *p);
        let count = u16::try_from(of_kind().count()).unwrap_or(u16::MAX);
        let score = of_kind().sum::<f32>() / f32::from(count);
        let number = text
            .get(start..end)?
            .bytes()
            .any(|byte| byte.is_ascii_digit());
        let street = pieces.iter().any(|word| {
            word.text.chars().count() > 2 && word.text.starts_with(char::is_alphabetic)
        });
        let whole = kind != Kind::StreetAddress || (number && street);
        (score >= self.threshold && whole).then_some(Finding {
            kind,
            start,
            end,
            score,
        })
    }
}

impl Label {
    fn glues(&self, word: &str) -> bool {
        let low = word.to_lowercase();
        self.glue.contains(&low)
    }
}

#[derive(Debug)]
struct Word<'t> {
    text: &'t str,
    range: Range<usize>,
    shape: [f32; SHAPE],
    judged: bool,
}

fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

#[cfg(test)]
mod tests;
