//! What happens to an answer on its way to the client: guards read it, placeholders become what they stand for.
//!
//! 1. [`OutputPlan`] says what to do; routes are compiled into it.
//! 2. `stream` does it, callback by callback; `document` reads JSON answers, `events` event streams, both by `walk`.
//! 3. `windows` cuts texts into what the model in the proxy judges; `restore` finds placeholders; `splice` edits bytes that wait.
//!
//! Why windows, what waits for them and what an answer that cannot be read becomes: `docs/adr/0022-output-guards.md`.

mod document;
mod events;
mod judge;
mod plan;
mod reply;
mod restore;
mod splice;
mod stream;
mod texts;
mod walk;
mod windows;

pub(crate) use judge::OutputRules;
pub use plan::{Breach, OutputGuard, OutputPii, OutputPlan};
pub(crate) use stream::OutputStream;

/// Names what was found in an answer that passes all the same.
pub(crate) const WARNINGS_HEADER: &str = "x-vsr-response-warnings";

#[cfg(test)]
mod tests;
