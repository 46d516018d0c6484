//! Checks of `maas_integration`.

use super::Config;
use super::validate::Checker;
use crate::identity::{
    AuthenticationConfig, MaasIntegrationConfig, MaasMetricsConfig, SourceConfig,
};

impl Config {
    pub(super) fn check_maas(&self, c: &mut Checker) {
        let Some(maas) = &self.maas_integration else {
            return;
        };
        check_authentication(c, &maas.authentication);
        check_metrics(c, &maas.metrics);
        check_prefix(c, maas);
    }
}

/// Headers that requests need; a prefix that covers one would have it stripped.
const NEEDED: [&str; 16] = [
    "accept",
    "anthropic-version",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "openai-organization",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "x-api-key",
    "x-envoy-attempt-count",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

fn check_prefix(c: &mut Checker, maas: &MaasIntegrationConfig) {
    header_name(c, "headers.prefix", &maas.headers.prefix);
    let prefix = maas.headers.prefix.to_ascii_lowercase();
    let authentication = &maas.authentication;
    let sources = authentication
        .user_sources
        .iter()
        .chain(&authentication.tier_sources)
        .chain(&authentication.tenant_sources);
    let identity = [
        authentication.user_header.as_deref(),
        authentication.tier_header.as_deref(),
    ]
    .into_iter()
    .chain(sources.map(|s| s.header.as_deref()))
    .flatten();
    let presets = ["x-auth-request-user", "x-maas-username"];
    let covered = NEEDED.into_iter().chain(presets).chain(identity);
    let covered = covered
        .map(str::to_ascii_lowercase)
        .find(|name| name.starts_with(&prefix));
    if let Some(name) = covered.filter(|_| !prefix.is_empty()) {
        c.error(
            at("headers.prefix"),
            format!("requests with headers of this start lose them, and `{name}` is needed; got `{prefix}`"),
        );
    }
}

fn at(key: &str) -> String {
    format!("maas_integration.{key}")
}

fn header_name(c: &mut Checker, key: &str, name: &str) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        c.error(
            at(key),
            format!("must be a header name of letters, digits, `-`, `_` and `.`, got `{name}`"),
        );
    }
}

fn check_authentication(c: &mut Checker, config: &AuthenticationConfig) {
    for (key, header, sources) in [
        ("user", &config.user_header, &config.user_sources),
        ("tier", &config.tier_header, &config.tier_sources),
    ] {
        if let Some(header) = header {
            header_name(c, &format!("authentication.{key}_header"), header);
            if !sources.is_empty() {
                c.error(
                    at(&format!("authentication.{key}_sources")),
                    format!(
                        "stands beside `{key}_header`; list the header among the sources instead"
                    ),
                );
            }
        }
        check_sources(c, key, sources);
    }
    let header = |key: &Option<String>, preset: &str| key.clone().unwrap_or_else(|| preset.into());
    let user = header(&config.user_header, "x-auth-request-user");
    let tier = header(&config.tier_header, "x-auth-request-tier");
    if user.eq_ignore_ascii_case(&tier) {
        c.error(
            at("authentication.tier_header"),
            format!("must be another header than `user_header`, got `{tier}` for both"),
        );
    }
    check_sources(c, "group", &config.group_sources);
    check_sources(c, "tenant", &config.tenant_sources);
    c.not_empty(at("authentication.fallback_user"), &config.fallback_user);
    c.not_empty(at("authentication.fallback_tier"), &config.fallback_tier);
}

fn check_sources(c: &mut Checker, what: &str, sources: &[SourceConfig]) {
    for (i, source) in sources.iter().enumerate() {
        let key = format!("authentication.{what}_sources[{i}]");
        let kinds = [
            source.header.is_some(),
            source.filter_state.is_some(),
            source.metadata.is_some(),
        ];
        if kinds.iter().filter(|set| **set).count() != 1 {
            c.error(
                at(&key),
                "needs exactly one of `header`, `filter_state`, `metadata`",
            );
        }
        if let Some(header) = &source.header {
            header_name(c, &format!("{key}.header"), header);
        }
        if let Some(name) = &source.filter_state {
            c.not_empty(at(&format!("{key}.filter_state")), name);
        }
        if let Some(metadata) = &source.metadata {
            c.not_empty(
                at(&format!("{key}.metadata.namespace")),
                &metadata.namespace,
            );
            if metadata.path.is_empty() {
                c.error(
                    at(&format!("{key}.metadata.path")),
                    "must hold at least one key",
                );
            }
        }
    }
}

fn check_metrics(c: &mut Checker, metrics: &MaasMetricsConfig) {
    let rate = metrics.sample_rate;
    if !(rate > 0.0 && rate <= 1.0) {
        c.error(
            at("metrics.sample_rate"),
            format!("must be above 0 and at most 1, got {rate}"),
        );
    }
    if metrics.require_exact && rate < 1.0 {
        c.error(
            at("metrics.sample_rate"),
            format!("is {rate}, but `require_exact` promises that every request is counted"),
        );
    }
    for (key, cap) in [
        ("max_users", metrics.max_users),
        ("max_tiers", metrics.max_tiers),
    ] {
        if !(1..=100_000).contains(&cap) {
            c.error(
                at(&format!("metrics.{key}")),
                format!("must be between 1 and 100000, got {cap}"),
            );
        }
    }
    if usize::try_from(metrics.max_users).unwrap_or(usize::MAX) < metrics.pinned_users.len() {
        c.error(
            at("metrics.pinned_users"),
            format!(
                "names {} users, more than `max_users` {}",
                metrics.pinned_users.len(),
                metrics.max_users
            ),
        );
    }
}
