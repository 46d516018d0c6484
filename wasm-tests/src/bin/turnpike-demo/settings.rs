//! Ports and configuration of the demo.

use anyhow::{Context as _, Result, anyhow, bail};
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
    let [listener, admin, metrics, sidecar] = read(|variable| std::env::var(variable).ok())?;
    for (number, (variable, _, what)) in [listener, admin, metrics, sidecar].iter().zip(PORTS) {
        if !ports::is_free(*number) {
            bail!(
                "port {number} for {what} is taken; stop what listens there (`make down` stops an earlier `make up`) \
                 or choose another with {variable}=<port>"
            );
        }
    }
    Ok(Ports {
        listener,
        admin,
        metrics,
        sidecar,
    })
}

/// The four ports, all different: Envoy shares a port in silence.
fn read(variables: impl Fn(&str) -> Option<String>) -> Result<[u16; 4]> {
    let mut ports: Vec<u16> = Vec::new();
    for (variable, default, what) in PORTS {
        let port = match variables(variable).filter(|text| !text.is_empty()) {
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .with_context(|| {
                    format!("{variable} must be a port from 1 to 65535, got {text:?}")
                })?,
            None => default,
        };
        if let Some((_, (_, _, other))) = ports.iter().zip(PORTS).find(|(p, _)| **p == port) {
            bail!(
                "port {port} is for {other} and for {what}; choose another with {variable}=<port>"
            );
        }
        ports.push(port);
    }
    ports
        .try_into()
        .map_err(|_| anyhow!("four ports are needed"))
}

/// `envoy/config.yaml` of the repository.
///
/// # Errors
/// Its mistakes.
pub(crate) fn config() -> Result<Config> {
    Ok(turnpike::config::load(root().join("envoy/config.yaml"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &str, value: &str) -> Result<[u16; 4]> {
        read(|asked| (asked == variable).then(|| value.to_owned()))
    }

    #[test]
    fn a_port_that_no_variable_names_is_the_default() {
        assert_eq!(read(|_| None).unwrap(), [8801, 9901, 9190, 9191]);
        assert_eq!(with("TURNPIKE_ADMIN_PORT", "").unwrap()[1], 9901);
        assert_eq!(with("TURNPIKE_ADMIN_PORT", "7000").unwrap()[1], 7000);
    }

    #[test]
    fn what_is_no_port_is_refused_by_its_variable() {
        for wrong in ["0", "65536", "x"] {
            assert_eq!(
                with("TURNPIKE_PORT", wrong).unwrap_err().to_string(),
                format!("TURNPIKE_PORT must be a port from 1 to 65535, got {wrong:?}")
            );
        }
    }

    #[test]
    fn one_port_for_two_things_is_refused() {
        assert_eq!(
            with("TURNPIKE_PORT", "9191").unwrap_err().to_string(),
            "port 9191 is for the listener and for the sidecar; choose another with TURNPIKE_SIDECAR_PORT=<port>"
        );
    }
}
