//! Mistakes in a configuration, each with the path of its key.

use std::fmt;

/// One mistake: where it is and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the key, as `decisions[2].modelRefs[0].model`; empty for the document itself.
    pub path: String,
    /// What is wrong, with the allowed range or the known names.
    pub message: String,
}

impl ConfigError {
    /// A mistake at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes of one document, in the order of their paths in the document's sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A key that is accepted but changes nothing, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Path of the key.
    pub path: String,
    /// Why it has no effect, or what to know.
    pub message: String,
}

/// How notes about keys without effect begin.
const NO_EFFECT: &str = "accepted, no effect";

impl Note {
    /// A key that is accepted and changes nothing, with the reason.
    pub fn without_effect(path: impl Into<String>, why: &str) -> Self {
        Self {
            path: path.into(),
            message: format!("{NO_EFFECT}: {why}"),
        }
    }

    /// Why the key changes nothing, if the note says so.
    #[must_use]
    pub fn no_effect(&self) -> Option<&str> {
        let reason = self.message.strip_prefix(NO_EFFECT)?;
        Some(reason.trim_start_matches([':', ' ']))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
