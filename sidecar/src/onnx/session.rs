//! A session and how rows of tokens are put into it.
//!
//! Rows are padded on the right to the longest of the batch, with the model's own padding token: RoBERTa and its kin count
//! positions by it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::f16;
use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType};

use super::device::{Device, Placement};
use crate::model::{ForwardError, TokenizedText};

const INPUTS: [&str; 4] = [
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "position_ids",
];

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime refused the file.
    #[error("{0}")]
    Runtime(String),
    /// There is no such GPU, or its provider does not load.
    #[error(
        "sidecar.device: cuda:{number} cannot be used: {message}\n\
         The CUDA provider is libonnxruntime_providers_cuda.so beside libonnxruntime.so, both of PyPI's `onnxruntime-gpu`; \
         it needs the CUDA and cuDNN libraries on the loader's path. `auto` takes the CPU where there is no GPU."
    )]
    Device {
        /// Which GPU.
        number: u16,
        /// What ONNX Runtime said.
        message: String,
    },
    /// The graph has other inputs or outputs.
    #[error("the graph must {wanted}; it takes {inputs:?} and gives {outputs:?}")]
    Contract {
        /// What it should take and give.
        wanted: String,
        /// Names of its inputs.
        inputs: Vec<String>,
        /// Names of its outputs.
        outputs: Vec<String>,
    },
}

impl From<ort::Error> for LoadError {
    fn from(error: ort::Error) -> Self {
        Self::Runtime(error.to_string())
    }
}

/// Opens a graph. `intra_threads`: threads of one forward, 0 = as many as the process may use cores.
///
/// Threads do not spin between two forwards: those cores belong to the proxy beside. Their number is always given: left to
/// itself, ONNX Runtime counts the cores of the machine rather than those that the process may use, and pins a thread to each.
///
/// # Errors
/// [`LoadError::Runtime`], [`LoadError::Device`].
pub fn open(
    environment: &Environment,
    graph: &Path,
    device: Device,
    intra_threads: usize,
) -> Result<(Session, Placement), LoadError> {
    let threads = match intra_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let runtime = |e: ort::Error<SessionBuilder>| LoadError::Runtime(e.to_string());
    let mut builder = Session::builder(environment)?
        .with_intra_threads(threads)
        .map_err(runtime)?
        .with_intra_op_spinning(false)
        .map_err(runtime)?;
    let placement = device.place(&mut builder)?;
    Ok((builder.commit_from_file(graph)?, placement))
}

/// A graph that reads rows of tokens.
#[derive(Debug)]
pub struct TokenModel {
    session: Mutex<Session>,
    /// Those of [`INPUTS`] that it takes.
    inputs: Vec<&'static str>,
    output: String,
    pad_token: i64,
    placement: Placement,
}

/// Numbers of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Row by row.
    pub values: Vec<f32>,
}

impl TokenModel {
    /// Opens `graph`, which must take `input_ids` and `attention_mask`, may take `token_type_ids` and `position_ids`, all
    /// `[batch, sequence]` i64, and give one of `outputs`, f32 or f16; the first that it has is read.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(
        environment: &Environment,
        graph: &Path,
        outputs: &[&str],
        pad_token: u32,
        device: Device,
        intra_threads: usize,
    ) -> Result<Self, LoadError> {
        let (session, placement) = open(environment, graph, device, intra_threads)?;
        let names = |outlets: &[Outlet]| -> Vec<String> {
            outlets.iter().map(|o| o.name().to_owned()).collect()
        };
        let (takes, gives) = (names(session.inputs()), names(session.outputs()));
        let has = |name: &str| takes.iter().any(|input| input == name);
        let known = takes.iter().all(|input| INPUTS.contains(&input.as_str()));
        let output = outputs.iter().find(|name| gives.iter().any(|g| g == *name));
        let Some(output) = output.filter(|_| known && has(INPUTS[0]) && has(INPUTS[1])) else {
            return Err(LoadError::Contract {
                wanted: format!(
                    "take input_ids and attention_mask (and may take token_type_ids and position_ids) and give {}",
                    outputs.join(" or ")
                ),
                inputs: takes,
                outputs: gives,
            });
        };
        Ok(Self {
            inputs: INPUTS.into_iter().filter(|name| has(name)).collect(),
            output: (*output).to_owned(),
            session: Mutex::new(session),
            pad_token: pad_token.into(),
            placement,
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Name of the output that is read.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Runs one forward and hands the numbers of the output to `read`, with their shape.
    ///
    /// `expected`: the shape, given the number of rows and the tokens of the longest.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub fn run<T>(
        &self,
        rows: &[&TokenizedText],
        expected: impl FnOnce(usize, usize) -> Vec<usize>,
        read: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, ForwardError> {
        let longest = rows.iter().map(|row| row.input_ids.len()).max();
        let sequence = longest.unwrap_or(0);
        let inputs = self.tensors(rows, sequence).map_err(failed)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(failed)?;
        let output = outputs
            .get(&self.output)
            .ok_or_else(|| ForwardError::Runtime(format!("no output {}", self.output)))?;
        with_numbers(output, |shape, values| {
            let expected = expected(rows.len(), sequence);
            if shape.iter().copied().eq(expected.iter().map(|n| *n as i64)) {
                Ok(read(values))
            } else {
                Err(ForwardError::Shape {
                    output: self.output.clone(),
                    found: shape.to_vec(),
                    expected,
                })
            }
        })?
    }

    fn tensors(
        &self,
        rows: &[&TokenizedText],
        sequence: usize,
    ) -> ort::Result<Vec<(&'static str, SessionInputValue<'static>)>> {
        let size = rows.len() * sequence;
        let fill = |padding: i64, value: &dyn Fn(&TokenizedText, usize, u32) -> i64| {
            let mut values = vec![padding; size];
            for (row, places) in rows.iter().zip(values.chunks_exact_mut(sequence.max(1))) {
                for (at, (place, id)) in places.iter_mut().zip(&row.input_ids).enumerate() {
                    *place = value(row, at, *id);
                }
            }
            values
        };
        let type_id = |row: &TokenizedText, at: usize| row.token_type_ids.get(at).copied();
        self.inputs
            .iter()
            .map(|name| {
                let values = match *name {
                    "input_ids" => fill(self.pad_token, &|_, _, id| id.into()),
                    "attention_mask" => fill(0, &|_, _, _| 1),
                    "position_ids" => fill(0, &|_, at, _| at as i64),
                    _ => fill(0, &|row, at, _| type_id(row, at).unwrap_or_default().into()),
                };
                let tensor = Tensor::from_array(([rows.len(), sequence], values))?;
                Ok((*name, SessionInputValue::from(tensor)))
            })
            .collect()
    }
}

/// The numbers of an output as f32, whatever its precision.
///
/// # Errors
/// [`ForwardError::Runtime`] when it holds something else.
pub fn with_numbers<T>(
    output: &DynValue,
    read: impl FnOnce(&[i64], &[f32]) -> T,
) -> Result<T, ForwardError> {
    if output.dtype().tensor_type() == Some(TensorElementType::Float16) {
        let (shape, values) = output.try_extract_tensor::<f16>().map_err(failed)?;
        let values: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
        Ok(read(shape, &values))
    } else {
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
        Ok(read(shape, values))
    }
}

/// A failure of ONNX Runtime.
pub fn failed(error: ort::Error) -> ForwardError {
    ForwardError::Runtime(error.to_string())
}
