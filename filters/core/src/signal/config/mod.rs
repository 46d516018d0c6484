//! `*_rules`, `role_bindings` and `projections`: the named signals that conditions of decisions read.

mod caller;
mod context;
mod conversation;
mod guards;
mod predicate;
mod projections;
mod samples;
mod text;

pub use caller::*;
pub use context::*;
pub use conversation::*;
pub use guards::*;
pub use predicate::*;
pub use projections::*;
pub use samples::*;
pub use text::*;
