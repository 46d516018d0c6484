//! Who is calling: user and tier from the headers that the gateway's authentication sets.
//!
//! 1. A repeated identity header is refused: two readers could see two users.
//! 2. A missing or empty one gives the fallback, and the caller counts as not identified.
//! 3. Any other value is the user, exactly: nothing is rejected or changed for how it looks. Bytes that are not UTF-8 are
//!    written as U+FFFD and two hex digits each, and U+FFFD itself twice, so that two users stay two.

mod config;

pub use config::{
    AuthenticationConfig, MaasHeadersConfig, MaasIntegrationConfig, MaasMetricsConfig,
};

use std::fmt::Write as _;

use crate::host::{Header, Repeated, unique_header};

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub user: Named,
    /// Tier.
    pub tier: Named,
}

/// A name and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Whether the gateway said it, or it is the fallback.
    pub identified: bool,
}

impl Identity {
    /// Which parts were identified, as [`crate::state::IDENTIFIED`] has it.
    #[must_use]
    pub fn identified(&self) -> &'static str {
        match (self.user.identified, self.tier.identified) {
            (true, true) => "user,tier",
            (true, false) => "user",
            (false, true) => "tier",
            (false, false) => "",
        }
    }
}

/// Reads the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    user_header: String,
    tier_header: String,
    fallback_user: String,
    fallback_tier: String,
}

impl Identifier {
    /// Compiles the configuration.
    #[must_use]
    pub fn compile(config: &AuthenticationConfig) -> Self {
        Self {
            user_header: config.user_header.to_ascii_lowercase(),
            tier_header: config.tier_header.to_ascii_lowercase(),
            fallback_user: config.fallback_user.clone(),
            fallback_tier: config.fallback_tier.clone(),
        }
    }

    /// The caller behind `headers`.
    ///
    /// # Errors
    /// The name of the header that is repeated.
    pub fn identify(&self, headers: &[Header]) -> Result<Identity, &str> {
        Ok(Identity {
            user: named(headers, &self.user_header, &self.fallback_user)
                .map_err(|Repeated| self.user_header.as_str())?,
            tier: named(headers, &self.tier_header, &self.fallback_tier)
                .map_err(|Repeated| self.tier_header.as_str())?,
        })
    }
}

fn named(headers: &[Header], header: &str, fallback: &str) -> Result<Named, Repeated> {
    let value = unique_header(headers, header)?
        .map(<[u8]>::trim_ascii)
        .unwrap_or_default();
    Ok(if value.is_empty() {
        Named {
            name: fallback.into(),
            identified: false,
        }
    } else {
        Named {
            name: name_of(value),
            identified: true,
        }
    })
}

fn name_of(value: &[u8]) -> String {
    let mut name = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            name.push(c);
            if c == char::REPLACEMENT_CHARACTER {
                name.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(name, "\u{FFFD}{byte:02x}");
        }
    }
    name
}

#[cfg(test)]
mod tests;
