//! Configurations of vLLM Semantic Router, in either family of keys, as ours.
//!
//! Turnpike's own keys are those of its flat family (`vllm_endpoints`, `model_config`, `decisions` …), extended. Its canonical
//! family (`version: v0.3`, `providers`, `routing`, `global` …) says the same in other places. So:
//! 1. [`canonical`] moves a canonical document into the flat family and notes where each part came from ([`origin`]).
//! 2. [`table`] lists the keys that Turnpike has not: accepted without effect, or refused with what to use instead ([`fate`]).
//! 3. What is written another way there is rewritten: [`categories`] with models become decisions, [`decisions`] get their
//!    catch-alls, algorithms and plugins in our words, [`rest`] has the remaining sections.
//! 4. What the types of [`Config`](super::Config) and its checks find wrong later is told at its place in the user's file.
//!
//! Filters never see this: `turnpike render` writes them a document in our keys.

mod canonical;
mod categories;
mod conditions;
mod decisions;
mod fate;
mod keys;
mod origin;
mod plugins;
mod providers;
mod recipes;
mod rest;
mod signals;
mod table;

#[cfg(test)]
mod tests;

pub use keys::KeyState;
pub(super) use keys::nearest;
pub use rest::SHARED_SECTIONS;

use serde_json::Value;

use self::origin::Origins;
use super::{Config, ConfigError, ConfigErrors, Note};

/// A configuration file as parsed, and the same in our keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// As written.
    given: Value,
    /// In our keys.
    flat: Value,
    work: Work,
}

/// What a translation finds on its way.
#[derive(Debug, Clone, Default, PartialEq)]
struct Work {
    /// Whether the file is of the canonical family.
    is_canonical: bool,
    origins: Origins,
    notes: Vec<Note>,
    errors: Vec<ConfigError>,
}

impl Work {
    /// A mistake; `at` is a path of the document in our keys.
    fn error(&mut self, at: &str, message: impl Into<String>) {
        let error = ConfigError::new(self.origins.given(at), message);
        self.errors.push(error);
    }

    /// Something that changes nothing, and why.
    fn no_effect(&mut self, at: &str, why: &str) {
        self.notes
            .push(Note::without_effect(self.origins.given(at), why));
    }

    /// Something worth a word.
    fn note(&mut self, at: &str, message: impl Into<String>) {
        self.notes.push(Note {
            path: self.origins.given(at),
            message: message.into(),
        });
    }
}

impl Document {
    /// Brings a document into our keys. Mistakes are kept for [`config`](Self::config), so that all are told at once.
    #[must_use]
    pub fn read(given: Value) -> Self {
        let mut work = Work {
            is_canonical: canonical::is(&given),
            ..Work::default()
        };
        let flat = if work.is_canonical {
            canonical::flat(given.clone(), &mut work)
        } else {
            given.clone()
        };
        let flat = rest::ours(flat, &mut work);
        Self { given, flat, work }
    }

    /// The document in our keys.
    #[must_use]
    pub fn flat(&self) -> &Value {
        &self.flat
    }

    /// The configuration, before its references and ranges are checked.
    ///
    /// # Errors
    /// Every key and type that is wrong, at its place in the file.
    pub fn config(&self) -> Result<Config, ConfigErrors> {
        let read = Config::from_value(self.flat.clone());
        let (config, found) = match read {
            Ok(config) => (Some(config), Vec::new()),
            Err(errors) => (None, errors.0),
        };
        let mut errors = self.work.errors.clone();
        errors.extend(self.located(found).0);
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(errors)),
        }
    }

    /// Mistakes at their places in the file.
    #[must_use]
    pub fn located(&self, errors: Vec<ConfigError>) -> ConfigErrors {
        let moved = |error: ConfigError| ConfigError {
            path: self.work.origins.given(&error.path),
            ..error
        };
        ConfigErrors(errors.into_iter().map(moved).collect())
    }

    /// What the translation and the configuration have to say.
    #[must_use]
    pub fn notes(&self, config: Option<&Config>) -> Vec<Note> {
        let moved = |note: Note| Note {
            path: self.work.origins.given(&note.path),
            ..note
        };
        let own = config.map(Config::notes).unwrap_or_default();
        let own = own.into_iter().map(moved);
        self.work.notes.iter().cloned().chain(own).collect()
    }

    /// Every key of the file with its state; `notes` and `errors` as they were told.
    #[must_use]
    pub fn keys<'k>(
        &self,
        notes: &'k [Note],
        errors: &'k [ConfigError],
    ) -> Vec<(String, KeyState<'k>)> {
        keys::list(&self.given, notes, errors)
    }
}
