//! The native service beside the proxy: embeddings, classification and the semantic cache.
//!
//! ```text
//! http ─▶ Service ─▶ cache (exact) ─▶ tokenizer ─▶ Inference ─▶ Encoder
//!                                                     │
//!             cache (semantic), heads, categories ◀──┘ one vector
//! ```
//!
//! - [`server`] owns sockets and shutdown, [`http`] the wire, [`service`] what happens to one text;
//! - [`inference`] is the queue before the model, [`encoder`] the model, [`heads`], [`categories`] and [`cache`] read its
//!   vectors;
//! - the wire types of `/v1/analyze` and `/v1/cache/entries` are [`turnpike_core::sidecar`].

pub mod cache;
pub mod categories;
pub mod cli;
pub mod encoder;
pub mod heads;
pub mod http;
pub mod inference;
pub mod metrics;
pub mod server;
pub mod service;
pub mod settings;

/// Version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit it was built from, `unknown` outside a repository.
pub const GIT_HASH: &str = env!("TURNPIKE_GIT_HASH");
