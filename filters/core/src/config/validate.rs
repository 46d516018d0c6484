//! What types cannot check: ranges, and names that refer to other names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{AddressConfig, Config, ConfigError, Note};
use crate::cache::{EvictionPolicy, Scope, SemanticCacheConfig};
use crate::decision::{
    DecisionConfig, OnError, PluginConfig, RuleConfig, RuleOperator, SemanticCachePluginConfig,
    SignalKind, VllmEndpointConfig,
};

const EFFORTS: [&str; 3] = ["low", "medium", "high"];

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
            if rule.keywords.is_empty() {
                c.error(
                    format!("keyword_rules[{i}].keywords"),
                    "must name at least one keyword",
                );
            }
            for (k, keyword) in rule.keywords.iter().enumerate() {
                c.not_empty(format!("keyword_rules[{i}].keywords[{k}]"), keyword.trim());
            }
        }
        for (i, decision) in self.decisions.iter().enumerate() {
            self.check_decision(
                &mut c,
                &format!("decisions[{i}]"),
                decision,
                &keywords,
                &categories,
            );
        }
        if let Some(effort) = &self.default_reasoning_effort {
            check_effort(&mut c, "default_reasoning_effort".into(), effort);
        }
        check_cache(&mut c, &self.semantic_cache);
        c.unit_interval(
            "classifier.category_model.threshold",
            self.classifier.category_model.threshold,
        );
        self.check_guards(&mut c);
        self.check_maas(&mut c);
        self.check_numbers(&mut c);
        self.check_own_sections(&mut c);
        c.errors
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

    /// Prices, and which decisions may be slow.
    fn check_numbers(&self, c: &mut Checker) {
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

    fn model_names(&self) -> BTreeSet<&str> {
        self.model_config.keys().map(String::as_str).collect()
    }

    fn check_decision(
        &self,
        c: &mut Checker,
        at: &str,
        decision: &DecisionConfig,
        keywords: &BTreeSet<&str>,
        categories: &BTreeSet<&str>,
    ) {
        check_rule(
            c,
            &format!("{at}.rules"),
            &decision.rules,
            keywords,
            categories,
        );
        if decision.model_refs.is_empty() {
            c.error(format!("{at}.modelRefs"), "must name at least one model");
        }
        let models = self.model_names();
        for (i, model_ref) in decision.model_refs.iter().enumerate() {
            c.known(
                format!("{at}.modelRefs[{i}].model"),
                "model",
                &model_ref.model,
                &models,
            );
            if let Some(effort) = &model_ref.reasoning_effort {
                check_effort(c, format!("{at}.modelRefs[{i}].reasoning_effort"), effort);
            }
        }
        for (i, plugin) in decision.plugins.iter().enumerate() {
            if let Err(error) = plugin.semantic_cache(&format!("{at}.plugins[{i}]")) {
                c.errors.push(error);
            }
        }
    }

    fn check_guards(&self, c: &mut Checker) {
        if self.prompt_guard.enabled {
            c.error("prompt_guard.enabled", "this version has no jailbreak guard and refuses to run as if it had one; set it to false");
        }
        if self.classifier.pii_model.is_some() {
            c.error("classifier.pii_model", "this version has no personal-data guard and refuses to run as if it had one; remove the key");
        }
        for (name, model) in &self.model_config {
            if model.pii_policy.is_some() {
                c.error(format!("model_config.{name}.pii_policy"), "this version has no personal-data guard and refuses to run as if it had one; remove the key");
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
        let sidecar = &self.sidecar;
        if sidecar.timeout_ms == 0 {
            c.error("sidecar.timeout_ms", "must be at least 1, got 0");
        }
        if sidecar.max_concurrent_requests == 0 {
            c.error(
                "sidecar.max_concurrent_requests",
                "must be at least 1, got 0",
            );
        }
        if !(8..=8192).contains(&sidecar.encoder.max_tokens) {
            c.error(
                "sidecar.encoder.max_tokens",
                format!(
                    "must be between 8 and 8192, got {}",
                    sidecar.encoder.max_tokens
                ),
            );
        }
        // `sun_path` of Linux holds 108 bytes with the closing zero.
        if sidecar.unix_socket.len() > 107 {
            c.error(
                "sidecar.unix_socket",
                format!(
                    "must have at most 107 bytes, got {}",
                    sidecar.unix_socket.len()
                ),
            );
        }
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
        if !self.sidecar.enabled && self.semantic_cache.enabled {
            c.error(
                "semantic_cache.enabled",
                "needs the sidecar; set `sidecar.enabled: true`",
            );
        }
    }

    /// Keys that are accepted but change nothing, and surprises worth knowing.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |path: &str, message: &str| {
            notes.push(Note {
                path: path.into(),
                message: message.into(),
            });
        };
        const SIDECAR_MODEL: &str = "accepted, no effect: `sidecar.encoder` names the model";
        let category = &self.classifier.category_model;
        for (path, set) in [
            (
                "classifier.category_model.model_id",
                category.model_id.is_some(),
            ),
            (
                "classifier.category_model.use_cpu",
                category.use_cpu.is_some(),
            ),
            (
                "classifier.category_model.use_modernbert",
                category.use_modernbert.is_some(),
            ),
            (
                "classifier.category_model.category_mapping_path",
                category.category_mapping_path.is_some(),
            ),
            ("bert_model.model_id", self.bert_model.model_id.is_some()),
            ("bert_model.use_cpu", self.bert_model.use_cpu.is_some()),
        ] {
            if set {
                note(path, SIDECAR_MODEL);
            }
        }
        if self.bert_model.threshold.is_some() {
            note(
                "bert_model.threshold",
                "accepted, no effect: `semantic_cache.similarity_threshold` decides",
            );
        }
        if self.clear_route_cache.is_some() {
            note(
                "clear_route_cache",
                "accepted, no effect: Envoy clears its route cache when a filter changes request headers",
            );
        }
        let maas = self.maas_integration.as_ref();
        let identified = maas.is_some_and(|m| m.enabled);
        for (path, address, what) in [
            (
                "envoy.admin.address",
                &self.envoy.admin,
                "the admin interface asks for no key and can stop Envoy",
            ),
            (
                "sidecar.tcp.address",
                &self.sidecar.tcp,
                "the sidecar asks for no key and lets every caller read, store and clear cached answers",
            ),
        ] {
            let is_loopback = address
                .address
                .parse()
                .is_ok_and(|ip: IpAddr| ip.is_loopback());
            if !is_loopback {
                note(
                    path,
                    &format!("{what}; keep `{}` out of reach of others", address.address),
                );
            }
        }
        if self.semantic_cache.enabled && !identified && self.semantic_cache.scope != Scope::Global
        {
            note(
                "semantic_cache.scope",
                "nobody is identified without `maas_integration`, so nothing will be cached; set `scope: global` to share answers between all callers",
            );
        }
        notes
    }
}

impl PluginConfig {
    /// The settings of a `semantic-cache` plugin.
    ///
    /// # Errors
    /// Another type of plugin, or settings that are wrong; `at` is the path of the plugin.
    pub fn semantic_cache(&self, at: &str) -> Result<SemanticCachePluginConfig, ConfigError> {
        if self.kind != "semantic-cache" {
            return Err(ConfigError::new(
                format!("{at}.type"),
                format!(
                    "this version has no plugin `{}`; known: semantic-cache",
                    self.kind
                ),
            ));
        }
        let configuration = match &self.configuration {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            given => given.clone(),
        };
        let read: SemanticCachePluginConfig = serde_path_to_error::deserialize(configuration)
            .map_err(|e| {
                let inner = e.path().to_string();
                let path = if inner == "." {
                    String::new()
                } else {
                    format!(".{inner}")
                };
                ConfigError::new(format!("{at}.configuration{path}"), e.inner().to_string())
            })?;
        if let Some(threshold) = read.similarity_threshold
            && !(0.0..=1.0).contains(&threshold)
        {
            return Err(ConfigError::new(
                format!("{at}.configuration.similarity_threshold"),
                format!("must be between 0 and 1, got {threshold}"),
            ));
        }
        Ok(read)
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

fn check_effort(c: &mut Checker, path: String, effort: &str) {
    if !EFFORTS.contains(&effort) {
        c.error(
            path,
            format!("must be one of low, medium, high, got `{effort}`"),
        );
    }
}

fn check_cache(c: &mut Checker, cache: &SemanticCacheConfig) {
    c.unit_interval(
        "semantic_cache.similarity_threshold",
        cache.similarity_threshold,
    );
    if cache.max_entries == 0 {
        c.error("semantic_cache.max_entries", "must be at least 1, got 0");
    }
    if cache.ttl_seconds == 0 {
        c.error("semantic_cache.ttl_seconds", "must be at least 1, got 0");
    }
    match cache.eviction_policy {
        EvictionPolicy::Fifo | EvictionPolicy::Lru => {}
    }
}

fn check_rule(
    c: &mut Checker,
    at: &str,
    rule: &RuleConfig,
    keywords: &BTreeSet<&str>,
    categories: &BTreeSet<&str>,
) {
    match (rule.operator, rule.signal) {
        (Some(_), Some(_)) => c.error(
            at,
            "has both `operator` and `type`; a rule combines conditions or is one",
        ),
        (None, None) => c.error(
            at,
            "needs `operator` and `conditions`, or `type` and `name`",
        ),
        (Some(operator), None) => {
            if rule.conditions.is_empty() {
                c.error(
                    format!("{at}.conditions"),
                    "must hold at least one condition",
                );
            }
            if operator == RuleOperator::Not && rule.conditions.len() > 1 {
                c.error(
                    format!("{at}.conditions"),
                    format!("`NOT` takes one condition, got {}", rule.conditions.len()),
                );
            }
            if rule.name.is_some() {
                c.error(format!("{at}.name"), "belongs to a condition with `type`");
            }
            for (i, condition) in rule.conditions.iter().enumerate() {
                check_rule(
                    c,
                    &format!("{at}.conditions[{i}]"),
                    condition,
                    keywords,
                    categories,
                );
            }
        }
        (None, Some(signal)) => {
            if !rule.conditions.is_empty() {
                c.error(format!("{at}.conditions"), "needs an `operator`");
            }
            let Some(name) = &rule.name else {
                c.error(format!("{at}.name"), "is missing");
                return;
            };
            match signal {
                SignalKind::Keyword => {
                    c.known(format!("{at}.name"), "keyword rule", name, keywords)
                }
                SignalKind::Domain => c.known(format!("{at}.name"), "category", name, categories),
            }
        }
    }
}

/// Kept beside the checks that read it.
impl OnError {
    /// Name in messages and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Block => "block",
        }
    }
}
