//! The compiled meter, one for a worker.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::account::Mode;
use super::cardinality::Admission;
use super::cost::Prices;
use super::headers::HeaderNames;
use super::sample::Sampler;
use crate::config::{Config, TelemetryConfig};
use crate::host::{Host, hyphenated};
use crate::identity::{Identifier, MaasIntegrationConfig};
use crate::metrics::Label;
use crate::state;

/// The compiled meter, one for a worker.
#[derive(Debug)]
pub struct Meter {
    pub(super) mode: Mode,
    pub(super) names: HeaderNames,
    /// Models that may stand in a label.
    models: Vec<String>,
    /// Whether the router reads the request body.
    pub(super) has_router: bool,
    /// Prices, where costs are calculated here.
    pub(super) prices: Option<Prices>,
    pub(super) sampler: Sampler,
    pub(super) telemetry: Telemetry,
}

/// `telemetry`, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Telemetry {
    pub(super) response_time_header: bool,
    pub(super) session_header: Option<String>,
    slow_ms: u64,
    slow_ms_by_decision: BTreeMap<String, u64>,
}

impl Telemetry {
    fn compile(config: &TelemetryConfig) -> Self {
        Self {
            response_time_header: config.response_time_header,
            session_header: config
                .session_header
                .as_deref()
                .map(str::to_ascii_lowercase),
            slow_ms: config.slow_request_ms,
            slow_ms_by_decision: config.slow_request_ms_by_decision.clone(),
        }
    }

    /// Whether a request of this decision took too long.
    pub(super) fn is_slow(&self, decision: &str, took_ms: u64) -> bool {
        let limit = self
            .slow_ms_by_decision
            .get(decision)
            .copied()
            .unwrap_or(self.slow_ms);
        limit > 0 && took_ms > limit
    }
}

impl Meter {
    /// Compiles the configuration; `filters` are those in the chain.
    pub fn compile(config: &Config, filters: &[String], host: &mut impl Host) -> Self {
        let maas = config.maas_integration.as_ref().filter(|m| m.enabled);
        let prices = maas.is_none_or(|m| m.metrics.internal_cost_calculation);
        let rate = maas.map_or(1.0, |m| m.metrics.sample_rate);
        Self {
            mode: maas.map_or(Mode::Standalone, |maas| mode(maas, host)),
            names: maas.map_or_else(HeaderNames::standalone, |m| HeaderNames::maas(&m.headers)),
            models: config.model_config.keys().cloned().collect(),
            has_router: filters.iter().any(|f| f == "router"),
            prices: prices.then(|| Prices::compile(&config.model_config)),
            sampler: Sampler::new(rate, host.now_us()),
            telemetry: Telemetry::compile(&config.telemetry),
        }
    }

    /// Whether a client may not send a header of this name, because others read it as somebody else's word. An underscore
    /// counts as a hyphen: some servers make no difference.
    pub(super) fn strips(&self, header: &[u8]) -> bool {
        self.strips_exactly(header)
            || match hyphenated(header) {
                Cow::Owned(name) => self.strips_exactly(&name),
                Cow::Borrowed(_) => false,
            }
    }

    fn strips_exactly(&self, header: &[u8]) -> bool {
        let untrusted = match &self.mode {
            Mode::Standalone => false,
            Mode::Maas(maas) => maas.identifier.strips(header),
        };
        // The router reads whom it may answer that, and takes the header out.
        let for_router = self.has_router && header == b"x-vsr-debug";
        untrusted || (self.is_our_name(header) && !for_router) || header == b"x-selected-model"
    }

    /// Whether a header of this name is ours to set.
    pub(super) fn is_our_name(&self, header: &[u8]) -> bool {
        header.starts_with(b"x-vsr-") || header.starts_with(self.names.prefix.as_bytes())
    }

    /// The label for a model that a client named.
    pub(super) fn model_label<'m>(&self, model: &'m str) -> &'m str {
        if self.models.iter().any(|m| m == model) {
            model
        } else {
            state::UNKNOWN
        }
    }

    /// Whether there are guards whose words are counted or told.
    pub(super) fn reads_security(&self) -> bool {
        matches!(&self.mode, Mode::Maas(maas) if maas.reads_security)
    }

    /// Whether latency is measured.
    pub(super) fn measures(&self) -> bool {
        match &self.mode {
            Mode::Standalone => true,
            Mode::Maas(maas) => maas.export.export_latency_metrics,
        }
    }
}

fn mode(config: &MaasIntegrationConfig, host: &mut impl Host) -> Mode {
    let (metrics, authentication) = (&config.metrics, &config.authentication);
    let mut pinned: Vec<&str> = metrics.pinned_users.iter().map(String::as_str).collect();
    pinned.push(&authentication.fallback_user);
    // The fallbacks have a place of their own above the cap.
    let users = Admission::new(Label::User, metrics.max_users.saturating_add(1), &pinned);
    let tiers = Admission::new(
        Label::Tier,
        metrics.max_tiers.saturating_add(1),
        &[&authentication.fallback_tier],
    );
    users.prepare(host);
    tiers.prepare(host);
    Mode::Maas(Box::new(super::account::Maas {
        identifier: Identifier::compile(authentication),
        export: metrics.clone(),
        reads_security: config.external_guards
            && (metrics.export_security_metrics || config.headers.export_security),
        users,
        tiers,
    }))
}
