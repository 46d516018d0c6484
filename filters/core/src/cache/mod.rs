//! The semantic cache, seen from the proxy: who shares answers, what may be stored.

mod config;

pub use config::{BackendType, EvictionPolicy, Scope, SemanticCacheConfig};
