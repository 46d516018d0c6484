//! What the `turnpike` command does, as functions that tests and the harness call too.
//!
//! - [`config`]: reads and checks `config.yaml`.
//! - [`convert`]: writes a configuration of vLLM Semantic Router in our keys.
//! - [`render`]: writes the Envoy bootstrap for it, or the resources of an Istio gateway.
//! - [`image`]: packs a filter as an OCI image.
//! - [`classify`]: runs the router's classifier on lines of JSON, trains heads for it.
//! - [`explain`]: tells what would become of a request, by the router's own code.
//! - [`docs`]: generates reference pages from the code.
//!
//! Policy is not here: what a configuration means is decided in `turnpike-core`.

pub mod classify;
pub mod config;
pub mod convert;
pub mod docs;
pub mod explain;
pub mod image;
pub mod render;
pub mod sidecar_client;
pub mod train_head;

/// Version and git hash, as `turnpike --version` shows them.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("TURNPIKE_GIT_HASH"),
    ")"
);
