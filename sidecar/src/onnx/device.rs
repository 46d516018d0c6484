//! Where models run.
//!
//! The CUDA provider is a library of its own (`libonnxruntime_providers_cuda.so`, of PyPI's `onnxruntime-gpu`) that ONNX Runtime
//! looks for beside itself, so one binary serves both. TensorRT builds an engine for shapes that it has not seen, which takes
//! seconds to minutes: it is used only where it is asked for.

use std::str::FromStr;

use ort::ep::{CUDA, ExecutionProvider as _, TensorRT};
use ort::session::builder::SessionBuilder;

use super::session::LoadError;

/// `sidecar.device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(u16),
    /// The same, TensorRT before CUDA.
    TensorRt(u16),
    /// The first GPU where there is one that works, else the CPU.
    Auto,
}

/// What may stand there.
const DEVICES: &str = "`cpu`, `cuda`, `cuda:N`, `tensorrt`, `tensorrt:N` or `auto`";

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(Self::Auto),
            _ => {
                let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
                match (kind, number.parse()) {
                    ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
                    ("tensorrt", Ok(number)) => Ok(Self::TensorRt(number)),
                    _ => Err(format!("must be {DEVICES}, got `{text}`")),
                }
            }
        }
    }
}

/// Where a session was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The CPU.
    Cpu,
    /// CUDA on the GPU of this number.
    Cuda(u16),
    /// TensorRT on the GPU of this number, CUDA for what it does not know.
    TensorRt(u16),
}

impl Placement {
    /// Whether it is one.
    #[must_use]
    pub fn is_gpu(self) -> bool {
        self != Self::Cpu
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::TensorRt(number) => write!(f, "tensorrt:{number}"),
        }
    }
}

impl Device {
    /// Tells the builder of a session where it runs.
    ///
    /// # Errors
    /// [`LoadError::Device`] when a GPU is asked for and there is none that works.
    pub(super) fn place(self, builder: &mut SessionBuilder) -> Result<Placement, LoadError> {
        let number = match self {
            Self::Cpu => return Ok(Placement::Cpu),
            Self::Cuda(number) | Self::TensorRt(number) => number,
            Self::Auto => 0,
        };
        let failed = |why: ort::Error| LoadError::Device {
            number,
            message: why.to_string(),
        };
        if let Self::TensorRt(_) = self {
            let tensorrt = TensorRT::default().with_device_id(number.into());
            tensorrt.register(builder).map_err(failed)?;
        }
        let cuda = CUDA::default().with_device_id(number.into());
        match (cuda.register(builder), self) {
            (Ok(()), Self::TensorRt(_)) => Ok(Placement::TensorRt(number)),
            (Ok(()), _) => Ok(Placement::Cuda(number)),
            (Err(why), Self::Auto) => {
                tracing::debug!(%why, "no GPU");
                Ok(Placement::Cpu)
            }
            (Err(why), _) => Err(failed(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_by_name() {
        let of = |text: &str| text.parse::<Device>();
        assert_eq!(of("cpu"), Ok(Device::Cpu));
        assert_eq!(of("auto"), Ok(Device::Auto));
        assert_eq!(of("cuda"), Ok(Device::Cuda(0)));
        assert_eq!(of("cuda:3"), Ok(Device::Cuda(3)));
        assert_eq!(of("tensorrt:1"), Ok(Device::TensorRt(1)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
