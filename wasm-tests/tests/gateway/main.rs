//! The whole gateway as its clients, its LLM servers and its operators see it.
//!
//! Tests of one configuration share one Envoy ([`gateways`]) and run in parallel; each is a user of its own, so that what
//! Envoy counts for that user is what the test did. A test that takes something down has a gateway of its own kind.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails; clippy spares only the test functions themselves"
)]

mod apis;
mod asking;
mod billing;
mod cache;
mod cache_chaos;
mod cache_control;
mod cache_gateways;
mod cache_keys;
mod cache_shared;
mod cache_tenants;
mod cap;
mod classifier;
mod cost;
mod errors;
mod families;
mod faults;
mod gateways;
mod golden;
mod guards;
mod headers;
mod identity;
mod identity_sources;
mod metering;
mod metering_gateways;
mod one_filter;
mod openai_client;
mod output_guard;
mod parity;
mod probes;
mod reload;
mod routing;
mod sidecar_failure;
mod standalone;
mod streaming;
mod telemetry;
