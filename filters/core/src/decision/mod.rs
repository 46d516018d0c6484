//! Where a request goes: signals, rules, decisions.

mod config;
mod engine;
mod plugin;

pub use config::*;
pub use engine::{Category, Engine, Known, LabelRef, Labels, Verdict};
pub use plugin::Plugin;
