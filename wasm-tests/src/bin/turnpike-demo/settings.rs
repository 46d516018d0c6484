//! Ports and configuration of the demo.

use anyhow::{Context as _, Result, bail};
use turnpike_core::Config;
use wasm_tests::harness::{Ports, ports, root};

/// Variable, its default, what listens there.
const PORTS: [(&str, u16, &str); 4] = [
    ("TURNPIKE_PORT", 8801, "the listener"),
    ("TURNPIKE_ADMIN_PORT", 9901, "Envoy's admin interface"),
    ("TURNPIKE_METRICS_PORT", 9190, "the metrics page"),
    ("TURNPIKE_SIDECAR_PORT", 9191, "the sidecar"),
];

/// The ports that the environment names, each of them free.
///
/// # Errors
/// Which variable is no port, or which port is taken and how to choose another.
pub(crate) fn free_ports() -> Result<Ports> {
    let mut numbers = [0; 4];
    for (number, (variable, default, what)) in numbers.iter_mut().zip(PORTS) {
        *number = match std::env::var(variable) {
            Ok(text) if !text.is_empty() => text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .with_context(|| {
                    format!("{variable} must be a port from 1 to 65535, got {text:?}")
                })?,
            _ => default,
        };
        if !ports::is_free(*number) {
            bail!(
                "port {number} for {what} is taken; stop what listens there (`make down` stops an earlier `make up`) \
                 or choose another with {variable}=<port>"
            );
        }
    }
    let [listener, admin, metrics, sidecar] = numbers;
    Ok(Ports {
        listener,
        admin,
        metrics,
        sidecar,
    })
}

/// `envoy/config.yaml` of the repository.
///
/// # Errors
/// Its mistakes.
pub(crate) fn config() -> Result<Config> {
    Ok(turnpike::config::load(root().join("envoy/config.yaml"))?)
}
