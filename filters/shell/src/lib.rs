//! The proxy-wasm side of [`turnpike_core::host::Host`], shared by both filters.
//!
//! Host calls go through the module `abi`, whose functions return a `Result` where the SDK's panic. A call that fails is counted in `turnpike_host_errors_total{reason=<call>}` and answered as "nothing there".

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

mod abi;
mod counters;
mod host;
mod outbox;

pub use counters::Counters;
pub use host::{SidecarRoute, WasmHost, call_answer};
pub use outbox::Outbox;

use std::time::Duration;

use turnpike_core::Config;
use turnpike_core::config::ConfigErrors;

/// Name of the Envoy cluster that leads to the sidecar.
pub const SIDECAR_CLUSTER: &str = "turnpike_sidecar";

/// Reads the plugin configuration by `read`; on a mistake logs every one and gives `None`, so that Envoy refuses to start.
#[must_use]
pub fn configuration(
    filter: &str,
    size: usize,
    read: impl FnOnce(&[u8]) -> Result<(Vec<String>, Config), ConfigErrors>,
) -> Option<(Vec<String>, Config)> {
    let bytes = abi::buffer(abi::Buffer::PluginConfiguration, 0, size);
    match read(&bytes.unwrap_or_default()) {
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

/// Runs `work` with the host calls of another context of this worker; `false` when the host does not know it.
pub fn within(context: u32, own: u32, work: impl FnOnce()) -> bool {
    if abi::set_effective_context(context).is_err() {
        return false;
    }
    work();
    abi::set_effective_context(own).is_ok()
}

/// Asks for ticks of the root context; `false` when the host gives none.
#[must_use]
pub fn tick_every(period: Duration) -> bool {
    let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    abi::set_tick_period(period).is_ok()
}
