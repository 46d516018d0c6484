//! Keys and values of tokens that a decoder has read, kept in plain memory.

use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorRef};

use crate::model::ForwardError;
use crate::onnx::session::failed;

/// One input or output of the cache: `[rows, heads, tokens, size]`.
#[derive(Debug, Clone)]
enum Floats {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

/// Heads and numbers of a head, of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heads {
    pub(super) count: usize,
    pub(super) size: usize,
}

#[derive(Debug, Clone)]
struct Part {
    heads: Heads,
    floats: Floats,
}

/// What a decoder knows of the tokens before, once or repeated for several rows.
#[derive(Debug, Clone)]
pub(super) struct Past {
    tokens: usize,
    rows: usize,
    parts: Vec<Part>,
}

impl Past {
    /// Nothing read yet.
    pub(super) fn empty(heads: impl Iterator<Item = Heads>, is_f16: bool) -> Self {
        let part = |heads| Part {
            heads,
            floats: if is_f16 {
                Floats::F16(Vec::new())
            } else {
                Floats::F32(Vec::new())
            },
        };
        Self {
            tokens: 0,
            rows: 1,
            parts: heads.map(part).collect(),
        }
    }

    /// Tokens of a row.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Bytes of one row.
    pub(super) fn bytes(&self) -> usize {
        let of = |part: &Part| match part.floats {
            Floats::F32(_) => part.len(self.tokens) * size_of::<f32>(),
            Floats::F16(_) => part.len(self.tokens) * size_of::<f16>(),
        };
        self.parts.iter().map(of).sum()
    }

    /// A copy of the first row alone.
    pub(super) fn first_row(&self) -> Self {
        let part = |part: &Part| {
            let row = part.len(self.tokens);
            Part {
                heads: part.heads,
                floats: match &part.floats {
                    Floats::F32(values) => Floats::F32(values[..row].to_vec()),
                    Floats::F16(values) => Floats::F16(values[..row].to_vec()),
                },
            }
        };
        Self {
            tokens: self.tokens,
            rows: 1,
            parts: self.parts.iter().map(part).collect(),
        }
    }

    /// Repeats the first row until there are at least `rows`. What was repeated once stays for later forwards.
    pub(super) fn repeat(&mut self, rows: usize) {
        for part in &mut self.parts {
            let row = part.len(self.tokens);
            for _ in self.rows..rows {
                match &mut part.floats {
                    Floats::F32(values) => values.extend_from_within(..row),
                    Floats::F16(values) => values.extend_from_within(..row),
                }
            }
        }
        self.rows = self.rows.max(rows);
    }

    /// The inputs for the first `rows` rows, of which there must be as many.
    pub(super) fn inputs(&self, rows: usize) -> ort::Result<Vec<SessionInputValue<'_>>> {
        self.parts
            .iter()
            .map(|part| part.input(rows, self.tokens))
            .collect()
    }

    /// What was known and what one row of `tokens` further tokens added, as the graph gave it.
    pub(super) fn grown<'o>(
        &self,
        tokens: usize,
        outputs: impl Iterator<Item = Option<(&'o str, DynValue)>>,
    ) -> Result<Self, ForwardError> {
        let tokens = self.tokens + tokens;
        let parts = self.parts.iter().zip(outputs).map(|(part, output)| {
            let (name, value) =
                output.ok_or_else(|| ForwardError::Runtime("the graph gave no cache".into()))?;
            let expected = vec![1, part.heads.count, tokens, part.heads.size];
            let found = value.shape();
            if !found.iter().copied().eq(expected.iter().map(|n| *n as i64)) {
                return Err(ForwardError::Shape {
                    output: name.to_owned(),
                    found: found.to_vec(),
                    expected,
                });
            }
            let floats = match part.floats {
                Floats::F32(_) => {
                    Floats::F32(value.try_extract_tensor().map_err(failed)?.1.to_vec())
                }
                Floats::F16(_) => {
                    Floats::F16(value.try_extract_tensor().map_err(failed)?.1.to_vec())
                }
            };
            Ok(Part {
                heads: part.heads,
                floats,
            })
        });
        Ok(Self {
            tokens,
            rows: 1,
            parts: parts.collect::<Result<_, _>>()?,
        })
    }
}

impl Part {
    /// Numbers of one row.
    fn len(&self, tokens: usize) -> usize {
        self.heads.count * tokens * self.heads.size
    }
    fn input(&self, rows: usize, tokens: usize) -> ort::Result<SessionInputValue<'_>> {
        let shape = [rows, self.heads.count, tokens, self.heads.size];
        let length = rows * self.len(tokens);
        Ok(match &self.floats {
            Floats::F32(values) => TensorRef::from_array_view((shape, &values[..length]))?.into(),
            Floats::F16(values) => TensorRef::from_array_view((shape, &values[..length]))?.into(),
        })
    }
}
