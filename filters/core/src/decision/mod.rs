//! Where a request goes: signals, rules, decisions.

mod config;
mod engine;
mod plugin;

pub use config::*;
pub use engine::{Category, Engine, Known, LabelRef, Verdict};
pub use plugin::Plugin;
