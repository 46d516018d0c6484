//! Parts of the benchmarks: a client that costs little, an Envoy of each kind and what `/proc` says about it, a host that counts.

pub mod client;
pub mod gateway;
pub mod host;
pub mod report;
pub mod usage;
