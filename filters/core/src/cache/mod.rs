//! The semantic cache, seen from the proxy: who shares answers, what may be stored.

mod canonical;
mod config;
mod control;
mod key;

pub use config::{
    BackendType, EvictionPolicy, RedisAddress, RedisConfig, Scope, SecondOpinionConfig,
    SemanticCacheConfig,
};
pub use control::{Control, SIMILARITY_HEADER};
pub use key::{Caller, Partitioner, Skip};
