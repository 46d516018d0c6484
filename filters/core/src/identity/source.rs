//! Where user, tier, groups and tenant are looked for.

use std::borrow::Cow;

use super::config::{AuthenticationConfig, Preset, SourceConfig};
use crate::host::{Headers, Host};

/// One place to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Header(String),
    /// Path of a host property.
    Property(Vec<String>),
}

/// All places, each list in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) user: Vec<Source>,
    pub(super) tier: Vec<Source>,
    pub(super) groups: Vec<Source>,
    pub(super) tenant: Vec<Source>,
}

impl Source {
    fn compile(config: &SourceConfig) -> Option<Self> {
        if let Some(header) = &config.header {
            return Some(Self::Header(header.to_ascii_lowercase()));
        }
        if let Some(key) = &config.filter_state {
            return Some(Self::filter_state(key));
        }
        let metadata = config.metadata.as_ref()?;
        let mut path = vec![
            "metadata".into(),
            "filter_metadata".into(),
            metadata.namespace.clone(),
        ];
        path.extend(metadata.path.iter().cloned());
        Some(Self::Property(path))
    }

    fn header(name: &str) -> Self {
        Self::Header(name.into())
    }

    fn filter_state(key: &str) -> Self {
        Self::Property(vec!["filter_state".into(), key.into()])
    }

    fn claim(name: &str) -> Self {
        let path = [
            "metadata",
            "filter_metadata",
            "envoy.filters.http.jwt_authn",
            "jwt_payload",
            name,
        ];
        Self::Property(path.map(String::from).into())
    }

    /// The value there, as it is.
    pub(super) fn read<'h>(
        &self,
        headers: Option<&'h Headers>,
        host: &mut impl Host,
    ) -> Option<Cow<'h, [u8]>> {
        match self {
            Self::Header(name) => headers?.get(name).map(Cow::Borrowed),
            Self::Property(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                host.property(&path).map(Cow::Owned)
            }
        }
    }
}

impl Sources {
    pub(super) fn compile(config: &AuthenticationConfig) -> Self {
        let preset = Self::preset(config.preset);
        let choose = |header: &Option<String>, sources: &[SourceConfig], preset: Vec<Source>| {
            if let Some(header) = header {
                vec![Source::Header(header.to_ascii_lowercase())]
            } else if sources.is_empty() {
                preset
            } else {
                sources.iter().filter_map(Source::compile).collect()
            }
        };
        Self {
            user: choose(&config.user_header, &config.user_sources, preset.user),
            tier: choose(&config.tier_header, &config.tier_sources, preset.tier),
            groups: choose(&None, &config.group_sources, preset.groups),
            tenant: choose(&None, &config.tenant_sources, preset.tenant),
        }
    }

    /// Headers among the sources.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        [&self.user, &self.tier, &self.groups, &self.tenant]
            .into_iter()
            .flatten()
            .filter_map(|s| match s {
                Source::Header(name) => Some(name.as_str()),
                Source::Property(_) => None,
            })
    }

    /// Names as their projects write them: seed 001; opendatahub-io/models-as-a-service, `maasauthpolicy_controller.go`;
    /// RFC 7519 `sub`.
    fn preset(preset: Preset) -> Self {
        let kuadrant =
            |key: &str| Source::filter_state(&format!("wasm.kuadrant.auth.identity.{key}"));
        match preset {
            Preset::Seed => Self {
                user: vec![Source::header("x-auth-request-user")],
                tier: vec![Source::header("x-auth-request-tier")],
                ..Self::default()
            },
            // The subscription header may be a client's wish; filter state says which one was granted.
            Preset::ModelsAsAService => Self {
                user: vec![kuadrant("userid"), Source::header("x-maas-username")],
                tier: vec![
                    kuadrant("selected_subscription"),
                    Source::header("x-maas-subscription"),
                ],
                groups: vec![kuadrant("groups_str"), Source::header("x-maas-group")],
                ..Self::default()
            },
            Preset::Jwt => Self {
                user: vec![Source::claim("sub")],
                tier: vec![Source::claim("tier")],
                groups: vec![Source::claim("groups")],
                ..Self::default()
            },
        }
    }
}
