//! From a file to a checked [`Config`].
//!
//! 1. YAML (JSON is a part of it) becomes one `serde_json::Value`; duplicate keys and further documents are refused.
//! 2. Core turns that into a [`Config`] and reports every wrong key and type at once.
//! 3. Core checks ranges and references.
//!
//! Step 3 runs only when step 2 found nothing: half a configuration has no references worth checking.

use std::path::{Path, PathBuf};

use serde_json::Value;
use turnpike_core::Config;
use turnpike_core::config::{ConfigError, ConfigErrors};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not one YAML document.
    #[error("{}:{error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        error: SyntaxError,
    },
    /// The document is no configuration; one line for each mistake.
    #[error("{errors}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All mistakes.
        errors: ConfigErrors,
    },
}

/// A mistake in the YAML itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SyntaxError {
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
}

/// Reads and checks a configuration file.
///
/// # Errors
/// [`LoadError::Read`], [`LoadError::Syntax`] with line and column, or [`LoadError::Invalid`] with every mistake.
pub fn load(path: impl AsRef<Path>) -> Result<Config, LoadError> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let document = parse(&text).map_err(|error| LoadError::Syntax {
        path: path.to_owned(),
        error,
    })?;
    check(document).map_err(|errors| LoadError::Invalid {
        path: path.to_owned(),
        errors,
    })
}

/// Parses one YAML or JSON document.
///
/// # Errors
/// The first mistake: bad syntax, a duplicate key, or a second document.
pub fn parse(text: &str) -> Result<Value, SyntaxError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        SyntaxError {
            line: location.map_or(1, |at| at.line()),
            column: location.map_or(1, |at| at.column()),
            message: message(&error),
        }
    })
}

/// The parser's message without its advice to programmers and the place, which stands before the message here.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` comes twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key comes twice".into(),
        Error::MultipleDocuments { .. } => "a second document starts here; one is allowed".into(),
        other => {
            let text = other.to_string();
            let end = text.rfind(" at line ").unwrap_or(text.len());
            text.split_at(end).0.to_owned()
        }
    }
}

fn check(document: Value) -> Result<Config, ConfigErrors> {
    if !document.is_object() {
        let error = ConfigError::new("", "the document must be a mapping of keys to values");
        return Err(ConfigErrors(vec![error]));
    }
    let config = Config::from_value(document)?;
    let errors = config.validate();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors))
    }
}
