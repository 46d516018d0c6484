//! From a file to a checked [`Config`].
//!
//! 1. YAML (JSON is a part of it) becomes one `serde_json::Value`; duplicate keys and further documents are refused.
//! 2. Core brings the keys of vLLM Semantic Router into ours, turns the whole into a [`Config`] and reports every wrong key and
//!    type at once.
//! 3. The files that it names are read into it: filters read none.
//! 4. Core checks ranges and references, the classifier what it compiles: patterns, own heads.
//!
//! A step runs only when those before found nothing: half a configuration has no references worth checking.

use std::path::{Path, PathBuf};

use serde_json::Value;
use turnpike_classify::Classifier;
use turnpike_core::Config;
use turnpike_core::config::{ConfigError, ConfigErrors, Document, KeyState, Note};

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

/// A file that was read and checked.
#[derive(Debug, Clone)]
pub struct Checked {
    path: PathBuf,
    document: Document,
    result: Result<Config, ConfigErrors>,
}

impl Checked {
    /// The configuration.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] with every mistake.
    pub fn config(self) -> Result<Config, LoadError> {
        self.result.map_err(|errors| LoadError::Invalid {
            path: self.path,
            errors,
        })
    }

    /// The file in Turnpike's own keys.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What is accepted and worth a word.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        self.document.notes(self.result.as_ref().ok())
    }

    /// The notes in a line each; keys that have no effect for the same reason share one.
    #[must_use]
    pub fn note_lines(&self) -> Vec<String> {
        let notes = self.notes();
        let mut told: Vec<(&Note, usize)> = Vec::new();
        for note in &notes {
            let same = |(other, _): &&mut (&Note, usize)| {
                note.no_effect().is_some() && other.message == note.message
            };
            match told.iter_mut().find(same) {
                Some((_, more)) => *more += 1,
                None => told.push((note, 0)),
            }
        }
        let line = |(note, more): (&Note, usize)| match more {
            0 => note.to_string(),
            more => format!("{} and {more} more: {}", note.path, note.message),
        };
        told.into_iter().map(line).collect()
    }

    /// Every key of the file in a line of its own, with what becomes of it.
    #[must_use]
    pub fn keys(&self) -> String {
        let notes = self.notes();
        let errors = self.result.as_ref().err();
        let errors = errors.map_or(&[][..], |errors| &errors.0);
        let line = |(path, state): (String, KeyState<'_>)| match state {
            KeyState::Used => format!("used       {path}\n"),
            KeyState::NoEffect(why) => format!("no effect  {path}: {why}\n"),
            KeyState::Mistake(what) => format!("mistake    {path}: {what}\n"),
        };
        let keys = self.document.keys(&notes, errors);
        keys.into_iter().map(line).collect()
    }
}

/// Reads and checks a configuration file.
///
/// # Errors
/// [`LoadError::Read`], [`LoadError::Syntax`] with line and column, or [`LoadError::Invalid`] with every mistake.
pub fn load(path: impl AsRef<Path>) -> Result<Config, LoadError> {
    inspect(path)?.config()
}

/// Reads and checks a configuration file; what is wrong in it is told by [`Checked::config`].
///
/// # Errors
/// [`LoadError::Read`], or [`LoadError::Syntax`] with line and column.
pub fn inspect(path: impl AsRef<Path>) -> Result<Checked, LoadError> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let document = parse(&text).map_err(|error| LoadError::Syntax {
        path: path.to_owned(),
        error,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let document = Document::read(document);
    Ok(Checked {
        path: path.to_owned(),
        result: check(&document, folder),
        document,
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

fn check(document: &Document, folder: &Path) -> Result<Config, ConfigErrors> {
    if !document.flat().is_object() {
        let error = ConfigError::new("", "the document must be a mapping of keys to values");
        return Err(ConfigErrors(vec![error]));
    }
    let mut config = document.config()?;
    read_heads(&mut config, folder).map_err(|errors| document.located(errors.0))?;
    let errors = config.validate();
    if !errors.is_empty() {
        return Err(document.located(errors));
    }
    match Classifier::compile(&config) {
        Ok(_) => Ok(config),
        Err(error) => Err(document.located(vec![error.located()])),
    }
}

/// Puts the files of `classifier.heads` into the configuration. Paths are relative to its folder.
fn read_heads(config: &mut Config, folder: &Path) -> Result<(), ConfigErrors> {
    let mut errors = Vec::new();
    for (i, head) in config.classifier.heads.iter_mut().enumerate() {
        if head.content.is_some() || head.path.is_empty() {
            continue;
        }
        let path = folder.join(&head.path);
        let read = std::fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))
            .and_then(|text| {
                serde_json::from_str(&text)
                    .map_err(|e| format!("{}: not a head file: {e}", path.display()))
            });
        match read {
            Ok(content) => head.content = Some(content),
            Err(why) => errors.push(ConfigError::new(format!("classifier.heads[{i}].path"), why)),
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(errors))
    }
}
