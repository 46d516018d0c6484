//! Where a request goes: signals, rules, decisions.

mod config;
mod engine;
mod plugin;

pub use config::*;
pub use engine::{Category, Engine, Verdict};
pub use plugin::Plugin;
