//! What a render may change without touching `config.yaml`.

use std::fmt;
use std::str::FromStr;

use turnpike_core::Config;
use turnpike_core::config::AddressConfig;

/// Settings of one render; `None` takes the value of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Turnpike's filters in the chain.
    pub filters: Filters,
    /// Folder that holds the two modules.
    pub wasm_folder: Option<String>,
    /// Where clients connect.
    pub listener: Option<AddressConfig>,
    /// Envoy's admin interface.
    pub admin: Option<AddressConfig>,
    /// Prometheus scrape address.
    pub metrics: Option<AddressConfig>,
    /// Where Envoy finds the sidecar.
    pub sidecar: Option<SidecarAddress>,
    /// File that receives the access log.
    pub access_log: Option<String>,
}

/// Which of Turnpike's filters are in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters {
    /// `turnpike_meter.wasm`.
    pub meter: bool,
    /// `turnpike_router.wasm`.
    pub router: bool,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            meter: true,
            router: true,
        }
    }
}

impl Filters {
    /// Neither: a plain proxy to the default model, the baseline of every measurement.
    pub const NONE: Self = Self {
        meter: false,
        router: false,
    };

    /// Their names, in the order of the chain.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.meter {
            names.push("meter");
        }
        if self.router {
            names.push("router");
        }
        names
    }
}

impl FromStr for Filters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let mut filters = Self::NONE;
        for name in text.split(',') {
            match name {
                "meter" => filters.meter = true,
                "router" => filters.router = true,
                _ => {
                    return Err(format!(
                        "unknown filter `{name}`; known: meter, router (or `none` alone)"
                    ));
                }
            }
        }
        Ok(filters)
    }
}

/// Where Envoy finds the sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarAddress {
    /// Path of a unix socket.
    Unix(String),
    /// TCP address.
    Tcp(AddressConfig),
}

impl SidecarAddress {
    /// The unix socket of the configuration, or its TCP address where there is none.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let sidecar = &config.sidecar;
        if sidecar.unix_socket.is_empty() {
            Self::Tcp(sidecar.tcp.clone())
        } else {
            Self::Unix(sidecar.unix_socket.clone())
        }
    }
}

impl FromStr for SidecarAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("`unix:` needs a path, as `unix:/run/turnpike/sidecar.sock`".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => address(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for SidecarAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(tcp) => write!(f, "{}:{}", tcp.address, tcp.port),
        }
    }
}

/// Reads `ADDRESS:PORT`; an IPv6 address stands in brackets.
///
/// # Errors
/// A sentence that names what was given.
pub fn address(text: &str) -> Result<AddressConfig, String> {
    let wrong = || format!("must be ADDRESS:PORT, as 127.0.0.1:8801, got `{text}`");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare.is_empty() || (bare == address && address.contains(':')) {
        return Err(wrong());
    }
    Ok(AddressConfig {
        address: bare.into(),
        port: port.parse().map_err(|_| wrong())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_from_their_names() {
        assert_eq!("meter,router".parse(), Ok(Filters::default()));
        assert_eq!("none".parse(), Ok(Filters::NONE));
        assert_eq!("router".parse::<Filters>().unwrap().names(), ["router"]);
        assert_eq!(
            "meter,none".parse::<Filters>().unwrap_err(),
            "unknown filter `none`; known: meter, router (or `none` alone)"
        );
    }

    #[test]
    fn addresses_are_read_and_shown() {
        for text in ["127.0.0.1:80", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<SidecarAddress>().unwrap().to_string(), text);
        }
        assert_eq!(address("[::1]:80").unwrap().address, "::1");
        for wrong in ["80", ":80", "::1:80", "127.0.0.1:", "127.0.0.1:70000"] {
            assert_eq!(
                address(wrong).unwrap_err(),
                format!("must be ADDRESS:PORT, as 127.0.0.1:8801, got `{wrong}`")
            );
        }
    }
}
