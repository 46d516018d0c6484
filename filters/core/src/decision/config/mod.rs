//! Endpoints, models, categories, keyword rules and decisions, as vLLM Semantic Router writes them.

mod classifier;
mod decisions;
mod models;
mod plugins;
mod rules;

pub use classifier::*;
pub use decisions::*;
pub use models::*;
pub use plugins::*;
pub use rules::*;
