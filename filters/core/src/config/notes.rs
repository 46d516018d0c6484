//! What is accepted and worth a word.

use std::net::IpAddr;

use super::{Config, Note};
use crate::cache::{Scope, SemanticCacheConfig};
use crate::decision::{AlgorithmKind, DecisionConfig, OnError};

impl Config {
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
        let guards = |label: &Option<String>| label.is_some();
        let sidecar = &self.sidecar;
        if (sidecar
            .heads
            .iter()
            .any(|head| guards(&head.background_label))
            || sidecar
                .classifiers
                .iter()
                .any(|model| guards(&model.background_label)))
            && sidecar.on_error != OnError::Block
        {
            note(
                "sidecar.on_error",
                "a guard in the sidecar that is late or gone lets requests pass to the default model; `block` answers 503",
            );
        }
        if let Some(llm) = &self.sidecar.llm_classifier
            && llm.timeout_ms > self.sidecar.timeout_ms
        {
            note(
                "sidecar.llm_classifier.timeout_ms",
                &format!(
                    "the proxy waits for {} ms (`sidecar.timeout_ms`): what comes later gives the default label",
                    self.sidecar.timeout_ms
                ),
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
            let is_sidecar = path == "sidecar.tcp.address";
            let is_guarded = is_sidecar && self.sidecar.tcp_access.identifies();
            if !is_loopback && !is_guarded {
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
        for (i, decision) in self.decisions.iter().enumerate() {
            for (key, message) in self.decision_notes(decision) {
                note(&format!("decisions[{i}].{key}"), message);
            }
        }
        for (key, message) in redis_notes(&self.semantic_cache, self.sidecar.timeout_ms) {
            note(key, &message);
        }
        notes
    }

    /// What a decision says in vain.
    fn decision_notes(&self, decision: &DecisionConfig) -> Vec<(String, &'static str)> {
        let mut notes = Vec::new();
        for (i, model_ref) in decision.model_refs.iter().enumerate() {
            let model = self.model_config.get(&model_ref.model);
            if model_ref.use_reasoning == Some(true)
                && model.is_some_and(|model| model.reasoning_family.is_none())
            {
                notes.push((
                    format!("modelRefs[{i}].use_reasoning"),
                    "accepted, no effect: the model has no `reasoning_family`, so nobody knows how to tell it",
                ));
            }
        }
        let chooses_anew = [AlgorithmKind::Weighted, AlgorithmKind::LatencyAware];
        let algorithm = decision.algorithm.as_ref();
        if algorithm.is_some_and(|a| a.sticky.is_some() && !chooses_anew.contains(&a.kind)) {
            notes.push((
                "algorithm.sticky".to_owned(),
                "accepted, no effect: only `weighted` and `latency_aware` could give a conversation another model",
            ));
        }
        notes
    }
}

/// What `backend_type: redis` leaves without effect, and waits that do not fit.
fn redis_notes(cache: &SemanticCacheConfig, sidecar_ms: u32) -> Vec<(&'static str, String)> {
    let Some(redis) = &cache.redis else {
        return Vec::new();
    };
    let preset = SemanticCacheConfig::default();
    let mut notes = Vec::new();
    for (key, is_set) in [
        (
            "semantic_cache.max_entries",
            cache.max_entries != preset.max_entries,
        ),
        (
            "semantic_cache.max_bytes",
            cache.max_bytes != preset.max_bytes,
        ),
        (
            "semantic_cache.eviction_policy",
            cache.eviction_policy != preset.eviction_policy,
        ),
    ] {
        if is_set {
            notes.push((
                key,
                "accepted, no effect with `backend_type: redis`: Redis' `maxmemory` and `maxmemory-policy` decide".to_owned(),
            ));
        }
    }
    // The exact text is looked for before the encoder runs, similar ones after it.
    if redis.timeout_ms.saturating_mul(3) >= sidecar_ms {
        notes.push((
            "semantic_cache.redis.timeout_ms",
            format!("a request asks up to three times, and the proxy waits for {sidecar_ms} ms (`sidecar.timeout_ms`): a slow Redis leaves the rest little time"),
        ));
    }
    notes
}
