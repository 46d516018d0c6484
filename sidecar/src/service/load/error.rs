//! Why there is no engine: [`StartError`].

use std::path::PathBuf;

use crate::cache::{OpenError, RedisOpenError};
use crate::heads::OwnHeadError;
use crate::llm::{DecoderError, LlmError};
use crate::onnx::runtime::RuntimeError;
use crate::onnx::{FilesError, LoadError, ModelFiles};

/// Why the sidecar cannot start, or a new configuration cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's files.
    #[error("{key}")]
    Files {
        /// The key that names it.
        key: String,
        /// What is wrong.
        source: FilesError,
    },
    /// ONNX Runtime.
    #[error("ONNX Runtime")]
    Runtime(#[from] RuntimeError),
    /// The graph.
    #[error("{model}")]
    Model {
        /// The file.
        model: String,
        /// What is wrong.
        source: LoadError,
    },
    /// `tokenizer.json`.
    #[error("{file}: {message}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A model cannot do what is configured.
    #[error("{key}: {message}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A file of a head.
    #[error("{}: {source}", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OwnHeadError,
    },
    /// The language model's server.
    #[error("sidecar.llm_classifier")]
    Llm {
        /// What is wrong.
        source: LlmError,
    },
    /// The language model's files.
    #[error("sidecar.llm_classifier")]
    Decoder {
        /// What is wrong.
        source: DecoderError,
    },
    /// The cache's folder.
    #[error("semantic_cache.path")]
    Cache(#[from] OpenError),
    /// The files of the cache's Redis.
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The first forward.
    #[error("warm-up: {0}")]
    WarmUp(String),
    /// The system gave no thread.
    #[error("inference thread")]
    Thread(#[from] std::io::Error),
}

pub(super) fn files_error(key: impl Into<String>) -> impl FnOnce(FilesError) -> StartError {
    let key = key.into();
    move |source| StartError::Files { key, source }
}

pub(super) fn config_error(key: impl Into<String>, message: impl Into<String>) -> StartError {
    StartError::Config {
        key: key.into(),
        message: message.into(),
    }
}

pub(super) fn model_error(files: &ModelFiles, source: LoadError) -> StartError {
    StartError::Model {
        model: files.graph.display().to_string(),
        source,
    }
}
