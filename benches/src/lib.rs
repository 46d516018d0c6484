//! Parts of the benchmarks: a client that costs little, load and texts for the sidecar, an Envoy of each kind and what `/proc` says
//! about a process, a host that counts, what the processor's caches keep.

pub mod caches;
pub mod client;
pub mod gateway;
pub mod host;
pub mod load;
pub mod report;
pub mod sidecar;
pub mod texts;
pub mod usage;
