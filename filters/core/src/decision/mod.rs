//! Where a request goes.

mod config;

pub use config::*;
