//! The router: what a request wants, and where it goes.
//!
//! 1. Request headers of an LLM API are held until the body is there.
//! 2. The body is parsed once. A model that the client named is taken; `auto` is decided by [`crate::decision::Engine`].
//! 3. What guards and a decision by category need is read from the texts, in slices of time ([`Signals`]); of texts that were read
//!    a short while ago it is known.
//! 4. If that leaves the category open, or the cache may have the answer, the sidecar is asked, once.
//! 5. A stored answer becomes a local reply; anything else goes upstream with `x-selected-model` and a spliced body.
//! 6. A complete answer to a cacheable request is handed to the cache while it passes.
//!
//! `stream` takes the request in, `reading` reads its texts, `asking` hears the sidecar; from there the request goes `upstream`, or
//! `local_reply` answers it. `response` has the model's answer on its way back. `router`, `route` and `settle` are what they go by.
//!
//! A sidecar that fails or is late never loses a request silently: `sidecar.on_error` decides, filter state and a counter tell.

mod asking;
mod capture;
mod changes;
mod choice;
mod explain;
mod lead;
mod local_reply;
mod lookup;
mod mask;
mod models;
mod reading;
mod reasoning;
mod recent;
mod response;
mod route;
mod router;
mod settle;
mod signals;
mod stream;
mod topics;
mod upstream;
mod work;

pub use explain::{EXPLAIN_PATH, ExplainedDecision, ExplainedSignal, Explanation};
pub use models::models_list;
pub use route::Route;
pub use router::Router;
pub use signals::{Found, Part, Progress, Signals, TextRules, Wanted};
pub use stream::RouterStream;
pub use topics::Topics;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod words;
