//! Where a request goes: signals, rules, decisions.

mod config;
mod engine;
mod plugin;
mod signals;

pub use config::*;
pub use engine::{Engine, Verdict};
pub use plugin::{PLUGINS, Plugin};
pub use signals::{AskedLabel, LabelRef, Signal, SignalRef, Source, Stages};
