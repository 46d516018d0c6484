//! Starts a whole gateway, sends requests as a client would, and reads what it says about them.
//!
//! 1. [`Paths`] finds Envoy, the filters, the sidecar, ONNX Runtime and the encoder.
//! 2. [`Plan`] adapts a configuration to a folder and free ports, and renders the files.
//! 3. [`Stack`] starts stand-ins, sidecar and Envoy and waits until they are ready.
//! 4. [`Client`], [`raw`], [`metrics`] and [`access_log`] are what tests ask it with.
//!
//! Nothing sleeps for a fixed time: every wait looks again until a deadline and fails with what it saw last.

pub mod access_log;
mod client;
mod folder;
pub mod metrics;
mod paths;
mod plan;
pub mod ports;
pub mod process;
pub mod raw;
pub mod ready;
mod stack;

pub use client::{Call, Client, Reply, Streaming};
pub use paths::{Paths, built, clients_python, root};
pub use plan::{Plan, Ports};
pub use stack::{Stack, StackOptions};
