//! ONNX Runtime, loaded from a shared library at start.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

/// Why ONNX Runtime could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No path was given.
    #[error(
        "ORT_DYLIB_PATH is not set: it must name libonnxruntime.so, version 1.{minor} or later.\n\
         `make setup` puts one under .cache/onnxruntime; elsewhere, unpack capi/libonnxruntime.so.* from PyPI's \
         `onnxruntime` wheel, or install your distribution's package.",
        minor = ort::MINOR_VERSION
    )]
    NotSet,
    /// The file is not there.
    #[error(
        "ORT_DYLIB_PATH names {path}, which is not a file; `make setup` puts libonnxruntime.so under .cache/onnxruntime"
    )]
    Missing {
        /// What the variable says.
        path: PathBuf,
    },
    /// The library is there and unfit.
    #[error("ORT_DYLIB_PATH: {0}")]
    Load(#[from] ort::LoadDynamicError),
    /// The library refused to start.
    #[error("ONNX Runtime did not start: {0}")]
    Start(#[from] ort::Error),
}

/// The environment of this process; the library allows one, and the first path counts.
///
/// # Errors
/// [`RuntimeError`], each naming the variable to set.
pub fn environment(library: Option<&Path>) -> Result<Environment, RuntimeError> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());

    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment.clone());
    }
    let path = library
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or(RuntimeError::NotSet)?;
    // The loader would take a relative path from the folder of the executable first.
    let path = path.canonicalize().map_err(|_| RuntimeError::Missing {
        path: path.to_owned(),
    })?;
    let environment = ort::init_from(path)?
        .with_name("turnpike-sidecar")
        .with_telemetry(false)
        .build()?;
    // `ort` asks for everything and lets `tracing` drop it; lines that nobody reads would be formatted in each forward.
    let wants_all = tracing::enabled!(target: "ort::logging", tracing::Level::TRACE);
    environment.set_log_level(if wants_all {
        LogLevel::Verbose
    } else {
        LogLevel::Warning
    });
    Ok(ENVIRONMENT.get_or_init(|| environment).clone())
}
