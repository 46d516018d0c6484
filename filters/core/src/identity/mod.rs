//! Who is calling: user, tier, groups and tenant from the first source that names them.
//!
//! 1. Sources are request headers, Envoy filter state and dynamic metadata, in the configured order.
//! 2. A repeated identity header is refused: two readers could see two users.
//! 3. Unless headers are trusted, they are neither read nor passed on.
//! 4. Where no source names a user the fallback stands in, or the request is refused with 401; the caller counts as not
//!    identified.
//! 5. Any other value is the user, exactly: nothing is rejected or changed for how it looks. Bytes that are not UTF-8 are
//!    written as U+FFFD and two hex digits each, and U+FFFD itself twice, so that two users stay two.

mod config;
mod source;

pub use config::{
    AuthenticationConfig, CacheHitTokens, ExtraTokenType, MaasHeadersConfig, MaasIntegrationConfig,
    MaasMetricsConfig, MetadataConfig, OnMissing, Preset, SourceConfig, Trust,
};

use std::fmt::Write as _;

use crate::host::{Headers, Host};
use source::{Source, Sources};

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub user: Named,
    /// Tier.
    pub tier: Named,
    /// Groups, as their source writes them.
    pub groups: Option<String>,
    /// Tenant, if a source names one.
    pub tenant: Option<String>,
}

/// A name and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Whether a source said it, or it is the fallback.
    pub identified: bool,
}

/// Why a request has no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityError<'i> {
    /// This header came more than once.
    Repeated(&'i str),
    /// No source names a user, and there is no fallback.
    Missing,
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
    sources: Sources,
    fallback_user: String,
    fallback_tier: String,
    on_missing: OnMissing,
    trust: Trust,
}

impl Identifier {
    /// Compiles the configuration.
    #[must_use]
    pub fn compile(config: &AuthenticationConfig) -> Self {
        Self {
            sources: Sources::compile(config),
            fallback_user: config.fallback_user.clone(),
            fallback_tier: config.fallback_tier.clone(),
            on_missing: config.on_missing,
            trust: config.trust,
        }
    }

    /// Whether a client may not send this header, because nobody vouches for it.
    #[must_use]
    pub fn strips(&self, header: &[u8]) -> bool {
        self.trust == Trust::Nobody && self.sources.headers().any(|h| h.as_bytes() == header)
    }

    /// The caller behind `headers`.
    ///
    /// # Errors
    /// A repeated identity header, or no user where one is demanded.
    pub fn identify(
        &self,
        headers: &Headers,
        host: &mut impl Host,
    ) -> Result<Identity, IdentityError<'_>> {
        for header in self.sources.headers() {
            headers
                .unique(header)
                .map_err(|_| IdentityError::Repeated(header))?;
        }
        let headers = (self.trust == Trust::Gateway).then_some(headers);
        let user = first(&self.sources.user, headers, host);
        if user.is_none() && self.on_missing == OnMissing::Reject {
            return Err(IdentityError::Missing);
        }
        Ok(Identity {
            user: named(user, &self.fallback_user),
            tier: named(
                first(&self.sources.tier, headers, host),
                &self.fallback_tier,
            ),
            groups: first(&self.sources.groups, headers, host),
            tenant: first(&self.sources.tenant, headers, host),
        })
    }
}

fn first(sources: &[Source], headers: Option<&Headers>, host: &mut impl Host) -> Option<String> {
    sources.iter().find_map(|source| {
        let value = source.read(headers, host)?;
        let value = value.trim_ascii();
        (!value.is_empty()).then(|| name_of(value))
    })
}

fn named(name: Option<String>, fallback: &str) -> Named {
    Named {
        identified: name.is_some(),
        name: name.unwrap_or_else(|| fallback.into()),
    }
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
