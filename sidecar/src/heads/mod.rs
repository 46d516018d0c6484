//! Heads: small classifiers over the encoder's vector.
//!
//! - [`shipped`]: those of `models/classifier`, joined with the proxy's small model;
//! - [`OwnHead`]: those that users train with `turnpike train-head --sidecar`, the same file and regression as for the proxy's model.

pub mod shipped;

pub use shipped::{Heads, HeadsError, Read, SHIPPED, Verdict};
pub use turnpike_classify::model::{OwnHead, OwnHeadError};

/// What an own head says that it was trained on: the encoder that goes by `name`.
#[must_use]
pub fn encoder_id(name: &str) -> String {
    format!("encoder:{name}")
}
