//! The weights within an ONNX file, found in place: no copy, no graph.
//!
//! An ONNX file is one protobuf message. Read here: `ModelProto.graph.initializer` (name, type, shape, raw data) and
//! `ModelProto.metadata_props`. What the graph does with them is fixed ([`super::network`]); that both agree is a test, which
//! runs the graph by tract-onnx.
//!
//! Source: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>, <https://protobuf.dev/programming-guides/encoding/>.

use std::fmt;

/// Field numbers of `ModelProto`, `GraphProto`, `TensorProto` and `StringStringEntryProto`.
mod field {
    pub(super) const MODEL_GRAPH: u64 = 7;
    pub(super) const MODEL_METADATA: u64 = 14;
    pub(super) const GRAPH_INITIALIZER: u64 = 5;
    pub(super) const TENSOR_DIMS: u64 = 1;
    pub(super) const TENSOR_TYPE: u64 = 2;
    pub(super) const TENSOR_NAME: u64 = 8;
    pub(super) const TENSOR_RAW_DATA: u64 = 9;
    pub(super) const ENTRY_KEY: u64 = 1;
    pub(super) const ENTRY_VALUE: u64 = 2;
}

/// Element types of `TensorProto.DataType`.
const FLOAT: u64 = 1;
const INT8: u64 = 3;

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnnxError {
    /// Not a protobuf message, or cut.
    Malformed,
    /// A tensor or property that must be there is not.
    Missing(&'static str),
    /// A tensor has another shape or type than this version expects.
    Shape(&'static str),
}

impl fmt::Display for OnnxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not an ONNX file, or a part of one"),
            Self::Missing(name) => write!(f, "the ONNX file has no `{name}`"),
            Self::Shape(name) => write!(
                f,
                "`{name}` in the ONNX file has an unexpected shape or type"
            ),
        }
    }
}

impl std::error::Error for OnnxError {}

/// A tensor in the file.
#[derive(Debug, Clone)]
struct Tensor<'f> {
    name: &'f [u8],
    dims: Vec<usize>,
    kind: u64,
    data: &'f [u8],
}

/// An ONNX file.
#[derive(Debug)]
pub struct Onnx<'f> {
    tensors: Vec<Tensor<'f>>,
    metadata: Vec<(&'f [u8], &'f [u8])>,
}

impl<'f> Onnx<'f> {
    /// Finds what is in a file.
    ///
    /// # Errors
    /// [`OnnxError::Malformed`].
    pub fn read(file: &'f [u8]) -> Result<Self, OnnxError> {
        let mut found = Self {
            tensors: Vec::new(),
            metadata: Vec::new(),
        };
        for part in Message(file) {
            match part? {
                (field::MODEL_GRAPH, Value::Bytes(graph)) => {
                    for part in Message(graph) {
                        if let (field::GRAPH_INITIALIZER, Value::Bytes(tensor)) = part? {
                            found.tensors.push(Tensor::read(tensor)?);
                        }
                    }
                }
                (field::MODEL_METADATA, Value::Bytes(entry)) => {
                    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
                    for part in Message(entry) {
                        match part? {
                            (field::ENTRY_KEY, Value::Bytes(bytes)) => key = bytes,
                            (field::ENTRY_VALUE, Value::Bytes(bytes)) => value = bytes,
                            _ => {}
                        }
                    }
                    found.metadata.push((key, value));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The value of a property.
    ///
    /// # Errors
    /// It is not there, or not UTF-8.
    pub fn property(&self, key: &'static str) -> Result<&'f str, OnnxError> {
        let found = self.metadata.iter().find(|(k, _)| *k == key.as_bytes());
        let (_, value) = found.ok_or(OnnxError::Missing(key))?;
        std::str::from_utf8(value).map_err(|_| OnnxError::Malformed)
    }

    /// The dimensions of a tensor.
    ///
    /// # Errors
    /// It is not there.
    pub fn dims(&self, name: &'static str) -> Result<&[usize], OnnxError> {
        self.tensor(name).map(|tensor| tensor.dims.as_slice())
    }

    /// An int8 tensor of this shape, row by row, one byte an element in two's complement.
    ///
    /// # Errors
    /// It is not there, or has another shape or type.
    pub fn int8(&self, name: &'static str, dims: &[usize]) -> Result<&'f [u8], OnnxError> {
        self.shaped(name, dims, INT8, 1)
    }

    /// An f32 tensor of this shape, row by row.
    ///
    /// # Errors
    /// It is not there, has another shape or type, or a number in it is not finite.
    pub fn float(&self, name: &'static str, dims: &[usize]) -> Result<Vec<f32>, OnnxError> {
        let bytes = self.shaped(name, dims, FLOAT, 4)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        if numbers.iter().all(|number| number.is_finite()) {
            Ok(numbers)
        } else {
            Err(OnnxError::Shape(name))
        }
    }

    fn tensor(&self, name: &'static str) -> Result<&Tensor<'f>, OnnxError> {
        let found = self
            .tensors
            .iter()
            .find(|tensor| tensor.name == name.as_bytes());
        found.ok_or(OnnxError::Missing(name))
    }

    fn shaped(
        &self,
        name: &'static str,
        dims: &[usize],
        kind: u64,
        size: usize,
    ) -> Result<&'f [u8], OnnxError> {
        let tensor = self.tensor(name)?;
        let bytes = dims
            .iter()
            .try_fold(size, |product, dim| product.checked_mul(*dim));
        if tensor.dims == dims && tensor.kind == kind && bytes == Some(tensor.data.len()) {
            Ok(tensor.data)
        } else {
            Err(OnnxError::Shape(name))
        }
    }
}

impl<'f> Tensor<'f> {
    fn read(message: &'f [u8]) -> Result<Self, OnnxError> {
        let mut tensor = Self {
            name: &[],
            dims: Vec::new(),
            kind: 0,
            data: &[],
        };
        for part in Message(message) {
            match part? {
                (field::TENSOR_DIMS, Value::Number(dim)) => tensor.dims.push(size(dim)?),
                // Packed: several in one field.
                (field::TENSOR_DIMS, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        tensor.dims.push(size(varint(&mut packed)?)?);
                    }
                }
                (field::TENSOR_TYPE, Value::Number(kind)) => tensor.kind = kind,
                (field::TENSOR_NAME, Value::Bytes(name)) => tensor.name = name,
                (field::TENSOR_RAW_DATA, Value::Bytes(data)) => tensor.data = data,
                _ => {}
            }
        }
        Ok(tensor)
    }
}

fn size(number: u64) -> Result<usize, OnnxError> {
    usize::try_from(number).map_err(|_| OnnxError::Malformed)
}

/// The value of a protobuf field.
#[derive(Debug)]
enum Value<'f> {
    Number(u64),
    Bytes(&'f [u8]),
    Fixed,
}

/// The fields of a protobuf message, in their order.
struct Message<'f>(&'f [u8]);

impl<'f> Iterator for Message<'f> {
    type Item = Result<(u64, Value<'f>), OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = next_field(&mut self.0);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn next_field<'f>(rest: &mut &'f [u8]) -> Result<(u64, Value<'f>), OnnxError> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = size(varint(rest)?)?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(OnnxError::Malformed),
    };
    Ok((tag >> 3, value))
}

fn take<'f>(rest: &mut &'f [u8], length: usize) -> Result<&'f [u8], OnnxError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(OnnxError::Malformed)?;
    *rest = left;
    Ok(taken)
}

/// Seven bits a byte, the lowest first, at most ten bytes.
fn varint(rest: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first().ok_or(OnnxError::Malformed)?;
        *rest = left;
        number |= u64::from(byte & 0x7f).wrapping_shl(shift);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(OnnxError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_onnx_file_is_refused() {
        assert_eq!(Onnx::read(b"\xff\xff").unwrap_err(), OnnxError::Malformed);
        assert_eq!(
            Onnx::read(&[0x3a, 0x05, 0x01]).unwrap_err(),
            OnnxError::Malformed
        );
        assert_eq!(Onnx::read(&[0x80; 20]).unwrap_err(), OnnxError::Malformed);
        let empty = Onnx::read(&[]).unwrap();
        assert_eq!(empty.float("x", &[1]).unwrap_err(), OnnxError::Missing("x"));
        assert_eq!(empty.property("x").unwrap_err(), OnnxError::Missing("x"));
    }

    #[test]
    fn a_tensor_is_found_with_its_shape_and_type() {
        // graph { initializer { dims: 2 data_type: FLOAT name: "x" raw_data: 1.0, 2.0 } }
        let mut tensor = vec![0x08, 2, 0x10, 1, 0x42, 1, b'x', 0x4a, 8];
        tensor.extend([1.0_f32, 2.0].iter().flat_map(|x| x.to_le_bytes()));
        let mut graph = vec![0x2a, u8::try_from(tensor.len()).unwrap()];
        graph.extend(tensor);
        let mut file = vec![0x3a, u8::try_from(graph.len()).unwrap()];
        file.extend(graph);
        let onnx = Onnx::read(&file).unwrap();
        assert_eq!(onnx.float("x", &[2]).unwrap(), [1.0, 2.0]);
        assert_eq!(onnx.float("x", &[3]).unwrap_err(), OnnxError::Shape("x"));
        assert_eq!(onnx.int8("x", &[2]).unwrap_err(), OnnxError::Shape("x"));
        for cut in 1..file.len() {
            assert!(Onnx::read(&file[..cut]).is_err(), "{cut}");
        }
    }
}
