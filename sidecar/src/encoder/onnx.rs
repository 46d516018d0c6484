//! [`Encoder`] on ONNX Runtime.
//!
//! The graph: `input_ids`, `attention_mask` (and `token_type_ids`, where it has one: zeros), all `[batch, sequence]` i64, mask
//! 1 = token; output `last_hidden_state` `[batch, sequence, dimensions]` f32. Pooling and normalisation are done here.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor};

use super::pooling::Pooling;
use super::{EmbedError, Embedding, Encoder, TokenizedText};

const OUTPUT: &str = "last_hidden_state";
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// A loaded model.
#[derive(Debug)]
pub struct OnnxEncoder {
    session: Mutex<Session>,
    has_token_types: bool,
    pooling: Pooling,
    dimensions: usize,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime refused the file.
    #[error("{0}")]
    Runtime(String),
    /// The graph has other inputs or outputs.
    #[error(
        "the graph must take input_ids and attention_mask (and may take token_type_ids) and give last_hidden_state; it takes {inputs:?} and gives {outputs:?}"
    )]
    Contract {
        /// Names of its inputs.
        inputs: Vec<String>,
        /// Names of its outputs.
        outputs: Vec<String>,
    },
}

impl OnnxEncoder {
    /// Loads `model`, whose vectors have `dimensions` components.
    ///
    /// `intra_threads`: threads of one forward, 0 = as many as the process may use cores.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        environment: &Environment,
        model: &Path,
        dimensions: usize,
        pooling: Pooling,
        intra_threads: usize,
    ) -> Result<Self, LoadError> {
        let session = open(environment, model, intra_threads)
            .map_err(|e| LoadError::Runtime(e.to_string()))?;
        let names = |outlets: &[Outlet]| -> Vec<String> {
            outlets.iter().map(|o| o.name().to_owned()).collect()
        };
        let (inputs, outputs) = (names(session.inputs()), names(session.outputs()));
        let has = |name: &str| inputs.iter().any(|input| input == name);
        let known = inputs.iter().all(|input| INPUTS.contains(&input.as_str()));
        let complete = has("input_ids") && has("attention_mask");
        if !known || !complete || !outputs.iter().any(|output| output == OUTPUT) {
            return Err(LoadError::Contract { inputs, outputs });
        }
        let has_token_types = has("token_type_ids");
        Ok(Self {
            session: Mutex::new(session),
            has_token_types,
            pooling,
            dimensions,
        })
    }
}

/// Threads do not spin between two forwards: those cores belong to the proxy beside.
///
/// The number of threads is always given: left to itself, ONNX Runtime counts the cores of the machine rather than those that
/// the process may use, and pins a thread to each.
fn open(environment: &Environment, model: &Path, intra_threads: usize) -> ort::Result<Session> {
    let threads = match intra_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_intra_op_spinning(false)?
        .commit_from_file(model)
}

impl Encoder for OnnxEncoder {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, EmbedError> {
        let sequence = batch.iter().map(|t| t.input_ids.len()).max().unwrap_or(0);
        if sequence == 0 {
            return Ok(batch
                .iter()
                .map(|_| Embedding::normalized(vec![0.0; self.dimensions]))
                .collect());
        }
        let inputs = self.inputs(batch, sequence).map_err(runtime)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(runtime)?;
        let hidden = outputs
            .get(OUTPUT)
            .ok_or_else(|| EmbedError::Runtime(format!("no output {OUTPUT}")))?;
        let (shape, values) = hidden.try_extract_tensor::<f32>().map_err(runtime)?;
        let expected = [batch.len(), sequence, self.dimensions];
        if !shape.iter().copied().eq(expected.map(|n| n as i64)) {
            return Err(EmbedError::Shape {
                found: shape.to_vec(),
                batch: batch.len(),
                sequence,
                dimensions: self.dimensions,
            });
        }
        let rows = values.chunks_exact(sequence * self.dimensions);
        Ok(batch
            .iter()
            .zip(rows)
            .map(|(text, row)| {
                let tokens = &row[..text.input_ids.len() * self.dimensions];
                Embedding::normalized(self.pooling.pool(tokens, self.dimensions))
            })
            .collect())
    }
}

impl OnnxEncoder {
    fn inputs(
        &self,
        batch: &[&TokenizedText],
        sequence: usize,
    ) -> ort::Result<Vec<(&'static str, SessionInputValue<'static>)>> {
        let size = batch.len() * sequence;
        let mut input_ids = vec![0_i64; size];
        let mut attention_mask = vec![0_i64; size];
        for (row, text) in batch.iter().enumerate() {
            let start = row * sequence;
            for (at, id) in text.input_ids.iter().enumerate() {
                input_ids[start + at] = i64::from(*id);
                attention_mask[start + at] = 1;
            }
        }
        let tensor = |values: Vec<i64>| {
            Tensor::from_array(([batch.len(), sequence], values)).map(SessionInputValue::from)
        };
        let mut inputs = vec![
            ("input_ids", tensor(input_ids)?),
            ("attention_mask", tensor(attention_mask)?),
        ];
        if self.has_token_types {
            inputs.push(("token_type_ids", tensor(vec![0; size])?));
        }
        Ok(inputs)
    }
}

fn runtime(error: ort::Error) -> EmbedError {
    EmbedError::Runtime(error.to_string())
}
