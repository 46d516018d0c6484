//! The semantic cache, seen from the proxy: who shares answers, what may be stored.

mod answer;
mod config;
mod key;

pub use answer::is_storable;
pub use config::{BackendType, EvictionPolicy, Scope, SemanticCacheConfig};
pub use key::{Partitioner, Skip};
