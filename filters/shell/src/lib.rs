//! The proxy-wasm side of [`turnpike_core::host::Host`], shared by both filters.
//!
//! Host calls go through `proxy_wasm::hostcalls`, whose functions return a `Result`; the SDK's trait methods unwrap.
//! A call that fails is counted in `turnpike_host_errors_total{reason=<call>}` and answered as "nothing there".

#![deny(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod counters;
mod host;
mod outbox;

pub use counters::Counters;
pub use host::{SidecarRoute, WasmHost, call_answer};
pub use outbox::Outbox;

use proxy_wasm::hostcalls;
use proxy_wasm::types::BufferType;
use turnpike_core::Config;
use turnpike_core::config::FilterConfig;

/// Name of the Envoy cluster that leads to the sidecar.
pub const SIDECAR_CLUSTER: &str = "turnpike_sidecar";

/// Reads the plugin configuration; on a mistake logs every one and gives `None`, so that Envoy refuses to start.
#[must_use]
pub fn configuration(filter: &str, size: usize) -> Option<(Vec<String>, Config)> {
    let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size)
        .ok()
        .flatten();
    match FilterConfig::read(&bytes.unwrap_or_default()) {
        Ok(read) => {
            let version = env!("CARGO_PKG_VERSION");
            let hash = option_env!("TURNPIKE_GIT_HASH").unwrap_or("unknown");
            log::info!("filter={filter} version={version} git={hash} configured");
            Some(read)
        }
        Err(errors) => {
            for error in errors.0 {
                log::error!("filter={filter} config error: {error}");
            }
            None
        }
    }
}
