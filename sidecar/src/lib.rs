//! The native service beside the proxy: embeddings, classification and the semantic cache.
//!
//! ```text
//! http ─▶ Service ─▶ cache (exact) ─▶ tokenizer ─▶ Batcher ─▶ Encoder
//!                                                     │
//!             cache (semantic), heads, categories ◀──┘ one vector
//! ```
//!
//! - [`server`] owns sockets and shutdown, [`access`] who may call over TCP, [`http`] the wire, [`service`] what happens to one text;
//! - [`batching`] is the queue before a [`model`], [`onnx`] how one is loaded, [`tokenizer`] how texts become its rows;
//! - [`encoder`] gives vectors; [`heads`], [`categories`] and [`cache`] read them; a [`classifier`] is a whole model beside it;
//! - [`llm`] asks a language model, here or on a server, for one of a few labels.
//! - the wire types of `/v1/analyze` and `/v1/cache/entries` are [`turnpike_core::sidecar`].

pub mod access;
pub mod answer;
pub mod batching;
mod blocking;
pub mod cache;
pub mod categories;
pub mod classifier;
pub mod cli;
pub mod encoder;
pub mod heads;
pub mod http;
pub mod llm;
pub mod metrics;
pub mod model;
pub mod onnx;
pub mod samples;
pub mod server;
pub mod service;
pub mod settings;
pub mod tokenizer;
pub mod windows;

/// Version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit it was built from, `unknown` outside a repository.
pub const GIT_HASH: &str = env!("TURNPIKE_GIT_HASH");
