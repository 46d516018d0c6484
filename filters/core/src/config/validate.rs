//! What types cannot check: ranges, and names that refer to other names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::validate_cache::check_cache;
use super::validate_rules::{Names, check_effort};
use super::{AddressConfig, Config, ConfigError};
use crate::cache::Scope;
use crate::decision::{HEADS, VllmEndpointConfig};
use crate::guard::pii_kind_problem;

/// Each worker has so much: a filter whose memory is at its end takes every stream of its worker with it.
const MAX_ROUTING_CACHE_BYTES: u32 = 64 << 20;

/// Collects mistakes under their paths.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) errors: Vec<ConfigError>,
}

impl Checker {
    pub(super) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path, message));
    }

    pub(super) fn unit_interval(&mut self, path: &str, value: f32) {
        if !(0.0..=1.0).contains(&value) {
            self.error(path, format!("must be between 0 and 1, got {value}"));
        }
    }

    pub(super) fn not_empty(&mut self, path: String, value: &str) {
        if value.is_empty() {
            self.error(path, "must not be empty");
        }
    }

    pub(super) fn known(&mut self, path: String, what: &str, name: &str, names: &BTreeSet<&str>) {
        if !names.contains(name) {
            let known: Vec<&str> = names.iter().copied().collect();
            let known = if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            };
            self.error(path, format!("unknown {what} `{name}`; known: {known}"));
        }
    }

    pub(super) fn unique<'a>(
        &mut self,
        list: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        for (i, name) in names.enumerate() {
            self.not_empty(format!("{list}[{i}].name"), name);
            if name.chars().any(char::is_control) {
                self.error(
                    format!("{list}[{i}].name"),
                    "must not hold control characters",
                );
            }
            if !seen.insert(name) {
                self.error(
                    format!("{list}[{i}].name"),
                    format!("`{name}` is defined twice"),
                );
            }
        }
        seen
    }
}

impl Config {
    /// Checks ranges and references; empty when the configuration can run.
    #[must_use]
    pub fn validate(&self) -> Vec<ConfigError> {
        let mut c = Checker::default();
        let endpoints = c.unique(
            "vllm_endpoints",
            self.vllm_endpoints.iter().map(|e| e.name.as_str()),
        );
        let keywords = c.unique(
            "keyword_rules",
            self.keyword_rules.iter().map(|r| r.name.as_str()),
        );
        let categories = c.unique(
            "categories",
            self.categories.iter().map(|x| x.name.as_str()),
        );
        c.unique("decisions", self.decisions.iter().map(|d| d.name.as_str()));
        self.check_endpoints(&mut c);
        self.check_models(&mut c, &endpoints);
        for (i, rule) in self.keyword_rules.iter().enumerate() {
            if rule.keywords.is_empty() && rule.patterns.is_empty() {
                c.error(
                    format!("keyword_rules[{i}].keywords"),
                    "must name at least one keyword, or `patterns` one pattern",
                );
            }
            for (k, pattern) in rule.patterns.iter().enumerate() {
                c.not_empty(format!("keyword_rules[{i}].patterns[{k}]"), pattern);
            }
            for (k, keyword) in rule.keywords.iter().enumerate() {
                c.not_empty(format!("keyword_rules[{i}].keywords[{k}]"), keyword.trim());
            }
        }
        let mut names = Names {
            keywords,
            categories,
            labels: self.check_heads(&mut c),
            sidecar_heads: self.sidecar.asked_heads().map(|(name, _)| name).collect(),
            llm_labels: self.sidecar.llm_labels().collect(),
            ..Names::default()
        };
        self.check_signals(&mut c, &mut names);
        for (i, decision) in self.decisions.iter().enumerate() {
            self.check_decision(&mut c, &format!("decisions[{i}]"), decision, &names);
        }
        if let Some(effort) = &self.default_reasoning_effort {
            check_effort(&mut c, "default_reasoning_effort".into(), effort);
        }
        check_cache(&mut c, &self.semantic_cache);
        c.unit_interval(
            "classifier.category_model.threshold",
            self.classifier.category_model.threshold,
        );
        if let Some(uncertain) = &self.classifier.category_model.uncertain {
            let path = "classifier.category_model.uncertain.entropy";
            c.unit_interval(path, uncertain.entropy);
        }
        self.check_guards(&mut c);
        self.check_maas(&mut c);
        self.check_numbers(&mut c);
        self.check_own_sections(&mut c);
        c.errors
    }

    /// Checks what the meter reads, as [`Self::validate`] does.
    #[must_use]
    pub(super) fn validate_for_meter(&self) -> Vec<ConfigError> {
        let mut c = Checker::default();
        self.check_maas(&mut c);
        self.check_prices(&mut c);
        c.errors
    }

    /// The labels that conditions may name, as `head:label`; `None` when a head's file was not read here.
    fn check_heads(&self, c: &mut Checker) -> Option<BTreeSet<String>> {
        let known = HEADS
            .iter()
            .flat_map(|(head, labels)| labels.map(|label| format!("{head}:{label}")));
        let mut labels: Option<BTreeSet<String>> = Some(known.collect());
        for (i, head) in self.classifier.heads.iter().enumerate() {
            c.not_empty(format!("classifier.heads[{i}].path"), &head.path);
            if let Some(threshold) = head.threshold {
                c.unit_interval(&format!("classifier.heads[{i}].threshold"), threshold);
            }
            match head.about() {
                Some((name, own)) => {
                    if let Some(all) = &mut labels {
                        all.extend(own.iter().map(|label| format!("{name}:{label}")));
                    }
                }
                None => labels = None,
            }
        }
        labels
    }

    fn check_endpoints(&self, c: &mut Checker) {
        for (i, endpoint) in self.vllm_endpoints.iter().enumerate() {
            let at = |key: &str| format!("vllm_endpoints[{i}].{key}");
            c.not_empty(at("address"), &endpoint.address);
            if !endpoint.address.is_empty() && !is_host(&endpoint.address) {
                c.error(
                    at("address"),
                    format!(
                        "must be an IP address or a DNS name without scheme, port or path, got `{}`",
                        endpoint.address
                    ),
                );
            }
            if endpoint.port == 0 {
                c.error(at("port"), "must be between 1 and 65535, got 0");
            }
            if !(1..=128).contains(&endpoint.weight) {
                c.error(
                    at("weight"),
                    format!("must be between 1 and 128, got {}", endpoint.weight),
                );
            }
            if !endpoint.health_check_path.is_empty()
                && !endpoint.health_check_path.starts_with('/')
            {
                c.error(at("health_check_path"), "must start with `/` or be empty");
            }
        }
    }

    fn check_models(&self, c: &mut Checker, endpoints: &BTreeSet<&str>) {
        let families: BTreeSet<&str> = self.reasoning_families.keys().map(String::as_str).collect();
        for (name, model) in &self.model_config {
            let at = format!("model_config.{name}");
            if name.is_empty() || name.chars().any(char::is_control) {
                c.error(at.clone(), "must not be empty or hold control characters");
            }
            if self.is_auto(name) {
                c.error(
                    at.clone(),
                    format!("`{name}` asks for routing and cannot be a model"),
                );
            }
            if let Some(family) = &model.reasoning_family {
                c.known(
                    format!("{at}.reasoning_family"),
                    "reasoning family",
                    family,
                    &families,
                );
            }
            for (i, endpoint) in model.preferred_endpoints.iter().enumerate() {
                c.known(
                    format!("{at}.preferred_endpoints[{i}]"),
                    "endpoint",
                    endpoint,
                    endpoints,
                );
            }
            self.check_health_check_paths(c, name);
            if self.endpoints_of(name).is_empty() && model.preferred_endpoints.is_empty() {
                c.error(at.clone(), "has no endpoint: `vllm_endpoints` is empty");
            }
        }
        if self.model_config.is_empty() {
            c.error("model_config", "must name at least one model");
        }
        let models = self.model_names();
        if self.default_model.is_empty() {
            c.error("default_model", "must name a model");
        } else {
            c.known(
                "default_model".into(),
                "model",
                &self.default_model,
                &models,
            );
        }
    }

    /// Envoy checks all endpoints of a cluster, here a model, on one path.
    fn check_health_check_paths(&self, c: &mut Checker, model: &str) {
        let checked: Vec<_> = self
            .endpoints_of(model)
            .into_iter()
            .filter(|e| !e.health_check_path.is_empty())
            .collect();
        let Some((first, others)) = checked.split_first() else {
            return;
        };
        let differs = |e: &&&VllmEndpointConfig| e.health_check_path != first.health_check_path;
        if let Some(other) = others.iter().find(differs) {
            c.error(
                format!("model_config.{model}.preferred_endpoints"),
                format!(
                    "endpoints of one model must share one `health_check_path` (or have an empty one), got `{}` of `{}` and `{}` of `{}`",
                    first.health_check_path, first.name, other.health_check_path, other.name
                ),
            );
        }
    }

    /// Prices, how good models are, and which decisions may be slow.
    fn check_numbers(&self, c: &mut Checker) {
        self.check_prices(c);
        for (name, model) in &self.model_config {
            if let Some(quality) = model.quality_score {
                c.unit_interval(&format!("model_config.{name}.quality_score"), quality);
            }
            if let Some(id) = &model.provider_model_id {
                c.not_empty(format!("model_config.{name}.provider_model_id"), id);
            }
        }
        let mut decisions: BTreeSet<&str> =
            self.decisions.iter().map(|d| d.name.as_str()).collect();
        decisions.extend(["default", "fallback", "none"]);
        for name in self.telemetry.slow_request_ms_by_decision.keys() {
            c.known(
                format!("telemetry.slow_request_ms_by_decision.{name}"),
                "decision",
                name,
                &decisions,
            );
        }
    }

    fn check_prices(&self, c: &mut Checker) {
        for (name, model) in &self.model_config {
            let Some(pricing) = &model.pricing else {
                continue;
            };
            for (key, price) in [
                ("prompt_per_1m", Some(pricing.prompt_per_1m)),
                ("completion_per_1m", Some(pricing.completion_per_1m)),
                ("cached_input_per_1m", pricing.cached_input_per_1m),
                ("cache_hit_per_1m", pricing.cache_hit_per_1m),
            ] {
                if let Some(price) = price
                    && !(0.0..=1e6).contains(&price)
                {
                    c.error(
                        format!("model_config.{name}.pricing.{key}"),
                        format!("must be between 0 and 1000000, got {price}"),
                    );
                }
            }
        }
    }

    pub(super) fn model_names(&self) -> BTreeSet<&str> {
        self.model_config.keys().map(String::as_str).collect()
    }

    fn check_guards(&self, c: &mut Checker) {
        for (path, threshold) in [
            ("prompt_guard.threshold", self.prompt_guard.threshold),
            (
                "classifier.pii_model.threshold",
                self.classifier.pii_model.threshold,
            ),
        ] {
            if let Some(threshold) = threshold {
                c.unit_interval(path, threshold);
            }
        }
        for (name, model) in &self.model_config {
            let allowed = model
                .pii_policy
                .iter()
                .flat_map(|policy| &policy.pii_types_allowed);
            for (i, kind) in allowed.enumerate() {
                if let Some(problem) = pii_kind_problem(kind) {
                    c.error(
                        format!("model_config.{name}.pii_policy.pii_types_allowed[{i}]"),
                        problem,
                    );
                }
            }
        }
        let guards = &self.guards;
        for (path, ms) in [
            ("guards.slice_ms", guards.slice_ms),
            ("guards.budget_ms", guards.budget_ms),
        ] {
            if !(1..=60_000).contains(&ms) {
                c.error(path, format!("must be between 1 and 60000, got {ms}"));
            }
        }
    }

    /// Envoy and the sidecar listen on IP addresses; names are not resolved. Envoy would share a port that is named twice.
    fn check_addresses(&self, c: &mut Checker) {
        let envoy = [
            ("envoy.listener", &self.envoy.listener),
            ("envoy.admin", &self.envoy.admin),
            ("envoy.metrics", &self.envoy.metrics),
        ];
        let sidecar = ("sidecar.tcp", &self.sidecar.tcp);
        for (path, address) in envoy.into_iter().chain([sidecar]) {
            if address.address.parse::<IpAddr>().is_err() {
                c.error(
                    format!("{path}.address"),
                    format!("must be an IP address, got `{}`", address.address),
                );
            }
        }
        for (i, (path, address)) in envoy.iter().enumerate() {
            if address.port == 0 {
                c.error(format!("{path}.port"), "must be between 1 and 65535, got 0");
                continue;
            }
            let mut earlier = envoy.iter().take(i);
            if let Some((other, _)) = earlier.find(|(_, other)| collide(address, other)) {
                c.error(
                    format!("{path}.port"),
                    format!("{} is taken by `{other}`", address.port),
                );
            }
        }
    }

    fn check_own_sections(&self, c: &mut Checker) {
        self.check_addresses(c);
        self.check_sidecar(c);
        let range = 1024..=(64 << 20);
        if !range.contains(&self.limits.max_body_bytes) {
            c.error(
                "limits.max_body_bytes",
                format!(
                    "must be between 1024 and 67108864, got {}",
                    self.limits.max_body_bytes
                ),
            );
        }
        if self.limits.max_cached_body_bytes > 1 << 20 {
            c.error(
                "limits.max_cached_body_bytes",
                format!(
                    "must be at most 1048576, got {}",
                    self.limits.max_cached_body_bytes
                ),
            );
        }
        if self.semantic_cache.scope == Scope::Tenant && !self.has_tenants() {
            c.error(
                "semantic_cache.scope",
                "`tenant` needs `maas_integration`, enabled, with `authentication.tenant_sources`, which says where the tenant is found",
            );
        }
        let waits = self.semantic_cache.coalesce_wait_ms;
        let longest = waits.saturating_add(self.sidecar.timeout_ms);
        if waits > 0 && longest >= self.envoy.stream_idle_timeout_ms {
            c.error(
                "semantic_cache.coalesce_wait_ms",
                format!(
                    "must be, with `sidecar.timeout_ms`, below `envoy.stream_idle_timeout_ms` {}, got {longest}",
                    self.envoy.stream_idle_timeout_ms
                ),
            );
        }
        if self.routing_cache.max_bytes > MAX_ROUTING_CACHE_BYTES {
            c.error(
                "routing_cache.max_bytes",
                format!(
                    "must be at most {MAX_ROUTING_CACHE_BYTES}, got {}",
                    self.routing_cache.max_bytes
                ),
            );
        }
        if !self.sidecar.enabled && self.semantic_cache.enabled {
            c.error(
                "semantic_cache.enabled",
                "needs the sidecar; set `sidecar.enabled: true`",
            );
        }
    }
}

/// An IP address, or what may be a DNS name.
fn is_host(address: &str) -> bool {
    let of_a_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    address.parse::<IpAddr>().is_ok() || address.bytes().all(of_a_name)
}

/// Whether two listeners cannot stand beside each other.
fn collide(a: &AddressConfig, b: &AddressConfig) -> bool {
    let everywhere = |x: &AddressConfig| {
        x.address
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_unspecified())
    };
    a.port == b.port && (a.address == b.address || everywhere(a) || everywhere(b))
}
