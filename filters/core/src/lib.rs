//! All policy of Turnpike, without a host.
//!
//! The filters translate host calls into calls of this crate and back; the sidecar and the `turnpike` command share
//! its configuration, wire types and error objects. Nothing here does I/O.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

pub mod cache;
pub mod clock;
pub mod config;
pub mod decision;
pub mod guard;
pub mod host;
pub mod identity;
pub mod json;
pub mod metering;
pub mod metrics;
pub mod output;
mod record;
pub mod reply;
pub mod request;
pub mod routing;
pub mod sidecar;
pub mod signal;
pub mod sse;
pub mod state;

pub use config::Config;
