//! Signals that are found in the text itself, without asking anybody.
//!
//! [`keywords`]: the keyword rules of the configuration, all in one pass. [`structure`]: counts and sequences. [`language`]: the language. [`pii`]: personal data and secrets that have a form.
//! [`model`]: topic, attack, toxicity, difficulty, need for news, by a small model. [`Classifier`]: all of them for one request.
//! No host, no I/O.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

mod classifier;
mod fuzzy;
pub mod keywords;
pub mod language;
pub mod model;
pub mod names;
pub mod pii;
pub mod route;
pub mod structure;

pub use classifier::{Classifier, ClassifierError};
