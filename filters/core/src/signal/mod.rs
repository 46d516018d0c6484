//! The named signals that decisions read: what a request is like.

mod config;

pub use config::*;
