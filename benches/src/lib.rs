//! Parts of the gateway benchmark: a client that costs little, an Envoy of each kind, and what `/proc` says about it.

pub mod client;
pub mod gateway;
pub mod report;
