//! Where a model's files are: a local folder, or a Hugging Face repository.
//!
//! Needed are `model.onnx` (in a repository also `onnx/model.onnx`), `tokenizer.json` and `config.json`;
//! `1_Pooling/config.json` is read when it is there, else the mean is taken.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError};
use serde::Deserialize;

use super::pooling::Pooling;

/// A model on disk, its settings read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderFiles {
    /// The graph.
    pub model: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// Length of a vector, `hidden_size` of `config.json`.
    pub dimensions: usize,
    /// Tokens that the model can read, `max_position_embeddings` of `config.json`.
    pub max_positions: usize,
    /// How token vectors become one.
    pub pooling: Pooling,
}

/// Why the files are not there or not fit.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Neither folder nor repository.
    #[error(
        "sidecar.encoder: name a folder in `path` or a Hugging Face repository in `repository`"
    )]
    NotConfigured,
    /// A file cannot be read.
    #[error("{}: {error}; `make setup` fetches the default model", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file says something else than expected.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be fetched.
    #[error("sidecar.encoder.repository: {file} of {repository}: {message}")]
    Fetch {
        /// As `owner/name`.
        repository: String,
        /// The file.
        file: String,
        /// What the hub said.
        message: String,
    },
}

/// The part of `config.json` that matters here; unknown keys are allowed, the file belongs to transformers.
#[derive(Debug, Deserialize)]
struct ModelFile {
    hidden_size: usize,
    max_position_embeddings: usize,
}

impl EncoderFiles {
    /// The files of a local folder.
    ///
    /// # Errors
    /// [`FilesError`] naming the file.
    pub fn from_folder(folder: &Path) -> Result<Self, FilesError> {
        let pooling = folder.join("1_Pooling/config.json");
        Self::read(
            folder.join("model.onnx"),
            folder.join("tokenizer.json"),
            &folder.join("config.json"),
            pooling.exists().then_some(&pooling),
        )
    }

    /// Fetches the files of a Hugging Face repository into the hub's cache folder (`HF_HOME`), or takes them from there.
    ///
    /// Blocks. `HF_ENDPOINT` names another hub.
    ///
    /// # Errors
    /// [`FilesError`] naming the file. A file that the hub does not have is one thing, a hub that does not answer another: the
    /// latter never leads to a model with the wrong pooling.
    pub fn from_repository(repository: &str) -> Result<Self, FilesError> {
        let failed = |file: &str, error: ApiError| FilesError::Fetch {
            repository: repository.to_owned(),
            file: file.to_owned(),
            message: error.to_string(),
        };
        let api = ApiBuilder::from_env()
            .with_progress(false)
            .build()
            .map_err(|e| failed("client", e))?
            .model(repository.to_owned());
        let get = |file: &str| api.get(file).map_err(|e| failed(file, e));
        let get_if_there = |file: &str| match api.get(file) {
            Ok(path) => Ok(Some(path)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(failed(file, error)),
        };
        let model = match get_if_there("onnx/model.onnx")? {
            Some(model) => model,
            None => get("model.onnx")?,
        };
        Self::read(
            model,
            get("tokenizer.json")?,
            &get("config.json")?,
            get_if_there("1_Pooling/config.json")?.as_ref(),
        )
    }

    fn read(
        model: PathBuf,
        tokenizer: PathBuf,
        config: &Path,
        pooling: Option<&PathBuf>,
    ) -> Result<Self, FilesError> {
        for path in [&model, &tokenizer] {
            std::fs::metadata(path).map_err(|error| FilesError::Unreadable {
                path: path.clone(),
                error,
            })?;
        }
        let file: ModelFile = serde_json::from_str(&text_of(config)?)
            .map_err(|error| invalid(config, error.to_string()))?;
        if file.hidden_size == 0 {
            return Err(invalid(
                config,
                "hidden_size: must be at least 1, got 0".into(),
            ));
        }
        let pooling = match pooling {
            Some(path) => Pooling::from_json(&text_of(path)?).map_err(|e| invalid(path, e))?,
            None => Pooling::default(),
        };
        Ok(Self {
            model,
            tokenizer,
            dimensions: file.hidden_size,
            max_positions: file.max_position_embeddings,
            pooling,
        })
    }
}

fn text_of(path: &Path) -> Result<String, FilesError> {
    std::fs::read_to_string(path).map_err(|error| FilesError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn invalid(path: &Path, message: String) -> FilesError {
    FilesError::Invalid {
        path: path.to_owned(),
        message,
    }
}

fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::RequestError(e) if matches!(**e, ureq::Error::StatusCode(404)))
}
