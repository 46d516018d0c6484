//! The graph of a decoder: its inputs and outputs, and one run of it.

use std::borrow::Cow;
use std::path::Path;

use half::f16;
use ort::environment::Environment;
use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, ValueType};

use super::past::{Heads, Past};
use crate::model::ForwardError;
use crate::onnx::device::Placement;
use crate::onnx::session::{self, failed};
use crate::onnx::{Device, LoadError};

/// Inputs that say how many logits at the end of a row are wanted.
const LAST_LOGITS: [&str; 2] = ["num_logits_to_keep", "logits_to_keep"];

const LOGITS: &str = "logits";

type Inputs<'v> = Vec<(Cow<'v, str>, SessionInputValue<'v>)>;

/// A pair of an input and the output that continues it.
#[derive(Debug)]
struct Cache {
    input: String,
    output: String,
    heads: Heads,
}

/// An opened decoder.
#[derive(Debug)]
pub(super) struct Graph {
    session: Session,
    caches: Vec<Cache>,
    is_f16: bool,
    takes_positions: bool,
    /// The one of [`LAST_LOGITS`] that it takes, and whether it is a scalar.
    last_logits: Option<(&'static str, bool)>,
    pad_token: i64,
    /// Entries of the vocabulary; 0 when the graph does not say.
    vocabulary: usize,
}

/// Rows of one run, all behind the same past.
pub(super) struct Batch<'b> {
    pub(super) rows: &'b [&'b [u32]],
    /// The first position whose logits are read, counted from the rows' beginning.
    pub(super) from: usize,
}

impl Batch<'_> {
    fn longest(&self) -> usize {
        self.rows.iter().map(|row| row.len()).max().unwrap_or(0)
    }
}

/// Logits of a run, `[rows, positions, vocabulary]`.
#[derive(Debug)]
pub(super) struct Logits {
    output: DynValue,
    /// The position of the first that are there.
    from: usize,
}

impl Graph {
    /// Opens a decoder that takes `input_ids`, `attention_mask` and `past_key_values.N.key` and `.value`, f32 or f16, may take
    /// `position_ids` and one of [`LAST_LOGITS`], and gives `logits` and `present.N.key` and `.value`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn open(
        environment: &Environment,
        path: &Path,
        pad_token: u32,
        device: Device,
        intra_threads: usize,
    ) -> Result<(Self, Placement), LoadError> {
        let (session, placement) = session::open(environment, path, device, intra_threads)?;
        let takes = |name: &str| session.inputs().iter().find(|input| input.name() == name);
        let gives = |name: &str| {
            session
                .outputs()
                .iter()
                .find(|output| output.name() == name)
        };
        let last_logits = LAST_LOGITS
            .iter()
            .find_map(|name| Some((*name, takes(name)?)));
        let caches: Option<Vec<(Cache, bool)>> = session
            .inputs()
            .iter()
            .filter(|input| input.name().starts_with("past_key_values."))
            .map(|input| {
                let (cache, is_f16) = cache_of(input)?;
                gives(&cache.output).map(|_| (cache, is_f16))
            })
            .collect();
        let is_f16 = caches.iter().flatten().any(|(_, is_f16)| *is_f16);
        let of_one_kind = caches.iter().flatten().all(|(_, other)| *other == is_f16);
        let caches: Vec<Cache> = caches
            .into_iter()
            .flatten()
            .map(|(cache, _)| cache)
            .collect();
        let positions = takes("position_ids").is_some();
        let known = 2 + usize::from(positions) + usize::from(last_logits.is_some()) + caches.len();
        let logits = gives(LOGITS).and_then(|outlet| float_shape(outlet.dtype()));
        let fits = takes("input_ids").is_some()
            && takes("attention_mask").is_some()
            && !caches.is_empty()
            && of_one_kind
            && known == session.inputs().len();
        let Some((_, logits)) = logits.filter(|_| fits) else {
            let names = |outlets: &[Outlet]| outlets.iter().map(|o| o.name().to_owned()).collect();
            return Err(LoadError::Contract {
                wanted: "be a decoder with a cache (Optimum's `text-generation-with-past`): take input_ids, attention_mask, \
                         past_key_values.N.key and .value of f32 or f16 (and may take position_ids and num_logits_to_keep) \
                         and give logits, present.N.key and .value"
                    .into(),
                inputs: names(session.inputs()),
                outputs: names(session.outputs()),
            });
        };
        let graph = Self {
            caches,
            is_f16,
            takes_positions: positions,
            last_logits: last_logits.map(|(name, outlet)| (name, is_scalar(outlet.dtype()))),
            pad_token: pad_token.into(),
            vocabulary: logits.last().copied().map_or(0, known_size),
            session,
        };
        Ok((graph, placement))
    }

    /// Bytes of a token's logits; 0 when they do not matter or are not known.
    pub(super) fn logits_bytes_per_token(&self) -> usize {
        match self.last_logits {
            Some(_) => 0,
            None => self.vocabulary * size_of::<f32>(),
        }
    }

    /// Reads one row from the beginning, at most `most` tokens at a time.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub(super) fn read(&mut self, ids: &[u32], most: usize) -> Result<Past, ForwardError> {
        let past = Past::empty(self.caches.iter().map(|cache| cache.heads), self.is_f16);
        self.extend(past, ids, most)
    }

    /// The logits of `batch` behind `past`, from [`Batch::from`] on. A single row of more than `most` tokens is read in pieces.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub(super) fn logits(
        &mut self,
        past: &mut Past,
        batch: &Batch<'_>,
        most: usize,
    ) -> Result<Logits, ForwardError> {
        let [row] = batch.rows else {
            past.repeat(batch.rows.len());
            return self.last_run(past, batch);
        };
        let (head, rest) = row.split_at(row.len().saturating_sub(most).min(batch.from));
        if head.is_empty() {
            return self.last_run(past, batch);
        }
        let first = self.extend(past.first_row(), head, most)?;
        let rest = Batch {
            rows: &[rest],
            from: batch.from - head.len(),
        };
        let mut logits = self.last_run(&first, &rest)?;
        logits.from += head.len();
        Ok(logits)
    }

    fn extend(&mut self, mut past: Past, ids: &[u32], most: usize) -> Result<Past, ForwardError> {
        for piece in ids.chunks(most.max(1)) {
            let batch = Batch {
                rows: &[piece],
                from: piece.len().saturating_sub(1),
            };
            let mut wanted = OutputSelector::no_default();
            for cache in &self.caches {
                wanted = wanted.with(&cache.output);
            }
            let options = RunOptions::new().map_err(failed)?.with_outputs(wanted);
            let inputs = self.inputs(&past, &batch).map_err(failed)?;
            let caches = &self.caches;
            let mut outputs = self
                .session
                .run_with_options(inputs, &options)
                .map_err(failed)?;
            let given = caches.iter().map(|cache| {
                let value = outputs.remove(&cache.output)?;
                Some((cache.output.as_str(), value))
            });
            past = past.grown(piece.len(), given)?;
        }
        Ok(past)
    }

    fn last_run(&mut self, past: &Past, batch: &Batch<'_>) -> Result<Logits, ForwardError> {
        let wanted = OutputSelector::no_default().with(LOGITS);
        let options = RunOptions::new().map_err(failed)?.with_outputs(wanted);
        let inputs = self.inputs(past, batch).map_err(failed)?;
        let mut outputs = self
            .session
            .run_with_options(inputs, &options)
            .map_err(failed)?;
        let output = outputs.remove(LOGITS);
        let output =
            output.ok_or_else(|| ForwardError::Runtime("the graph gave no logits".into()))?;
        let longest = batch.longest();
        let from = self.last_logits.map_or(0, |_| batch.from);
        let vocabulary = output.shape().last().copied().map_or(0, known_size);
        let expected = vec![batch.rows.len(), longest - from, vocabulary];
        let found = output.shape();
        if !found.iter().copied().eq(expected.iter().map(|n| *n as i64)) {
            return Err(ForwardError::Shape {
                output: LOGITS.into(),
                found: found.to_vec(),
                expected,
            });
        }
        Ok(Logits { output, from })
    }

    fn inputs<'v>(&self, past: &'v Past, batch: &Batch<'_>) -> ort::Result<Inputs<'v>> {
        let (rows, longest, before) = (batch.rows.len(), batch.longest(), past.tokens());
        let fill = |width: usize, padding: i64, value: &dyn Fn(usize, &[u32]) -> Option<i64>| {
            let mut values = vec![padding; rows * width];
            for (row, places) in batch.rows.iter().zip(values.chunks_exact_mut(width.max(1))) {
                for (at, place) in places.iter_mut().enumerate() {
                    *place = value(at, row).unwrap_or(padding);
                }
            }
            Tensor::from_array(([rows, width], values)).map(SessionInputValue::from)
        };
        let ids = fill(longest, self.pad_token, &|at, row| {
            row.get(at).map(|id| (*id).into())
        })?;
        let mask = fill(before + longest, 0, &|at, row| {
            (at < before + row.len()).then_some(1)
        })?;
        let mut inputs: Inputs<'v> =
            vec![("input_ids".into(), ids), ("attention_mask".into(), mask)];
        if self.takes_positions {
            let positions = fill(longest, 0, &|at, row| {
                (at < row.len()).then_some((before + at) as i64)
            })?;
            inputs.push(("position_ids".into(), positions));
        }
        if let Some((name, is_scalar)) = self.last_logits {
            let count = vec![(longest - batch.from) as i64];
            let count = if is_scalar {
                Tensor::from_array(((), count))?
            } else {
                Tensor::from_array(([1], count))?
            };
            inputs.push((name.into(), count.into()));
        }
        let caches = self.caches.iter().zip(past.inputs(rows)?);
        inputs.extend(caches.map(|(cache, value)| (cache.input.clone().into(), value)));
        Ok(inputs)
    }
}

impl Logits {
    /// Those of `tokens` at a position of a row.
    ///
    /// # Errors
    /// [`ForwardError::Runtime`] for a place that is not there, and for numbers of another kind.
    pub(super) fn at(
        &self,
        row: usize,
        position: usize,
        tokens: impl Iterator<Item = u32>,
    ) -> Result<Vec<f32>, ForwardError> {
        if *self.output.data_type() == TensorElementType::Float16 {
            let (shape, values) = self.output.try_extract_tensor::<f16>().map_err(failed)?;
            self.pick(shape, values, row, position, tokens, |value| value.to_f32())
        } else {
            let (shape, values) = self.output.try_extract_tensor::<f32>().map_err(failed)?;
            self.pick(shape, values, row, position, tokens, |value| *value)
        }
    }

    fn pick<T>(
        &self,
        shape: &[i64],
        values: &[T],
        row: usize,
        position: usize,
        tokens: impl Iterator<Item = u32>,
        number: impl Fn(&T) -> f32,
    ) -> Result<Vec<f32>, ForwardError> {
        let [_, positions, vocabulary] =
            shape.iter().copied().map(known_size).collect::<Vec<_>>()[..]
        else {
            return Err(ForwardError::Runtime("logits of another rank".into()));
        };
        let place = row * positions + position.saturating_sub(self.from);
        let values = values.get(place * vocabulary..(place + 1) * vocabulary);
        let of = |token: u32| values?.get(usize::try_from(token).ok()?).map(&number);
        tokens
            .map(|token| {
                of(token).ok_or_else(|| ForwardError::Runtime(format!("no logit of token {token}")))
            })
            .collect()
    }
}

/// What an input of the cache says of itself; the flag is for f16.
fn cache_of(input: &Outlet) -> Option<(Cache, bool)> {
    let part = input.name().strip_prefix("past_key_values.")?;
    let (is_f16, shape) = float_shape(input.dtype())?;
    let [_, count, _, size] = shape[..] else {
        return None;
    };
    let heads = Heads {
        count: known_size(count),
        size: known_size(size),
    };
    let cache = Cache {
        input: input.name().to_owned(),
        output: format!("present.{part}"),
        heads,
    };
    (heads.count > 0 && heads.size > 0).then_some((cache, is_f16))
}

/// The shape of a tensor of f32 or f16; the flag is for f16.
fn float_shape(kind: &ValueType) -> Option<(bool, Vec<i64>)> {
    match kind {
        ValueType::Tensor { ty, shape, .. } => match ty {
            TensorElementType::Float32 => Some((false, shape.to_vec())),
            TensorElementType::Float16 => Some((true, shape.to_vec())),
            _ => None,
        },
        _ => None,
    }
}

fn is_scalar(kind: &ValueType) -> bool {
    matches!(kind, ValueType::Tensor { shape, .. } if shape.is_empty())
}

/// A dimension; 0 for one that is not fixed.
fn known_size(dimension: i64) -> usize {
    usize::try_from(dimension).unwrap_or(0)
}
