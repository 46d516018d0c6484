//! Checks of `decisions`.

use std::collections::BTreeSet;

use super::Config;
use super::validate::Checker;
use crate::decision::{AlgorithmKind, DecisionConfig, Plugin, RuleConfig, RuleOperator};

/// Rules within rules, at most: whoever reads them calls itself.
const MAX_DEPTH: usize = 32;

/// What conditions may name.
#[derive(Default)]
pub(super) struct Names<'n> {
    pub(super) keywords: BTreeSet<&'n str>,
    pub(super) categories: BTreeSet<&'n str>,
    pub(super) embeddings: BTreeSet<&'n str>,
    /// `rule:level`
    pub(super) complexities: BTreeSet<String>,
    pub(super) languages: BTreeSet<&'n str>,
    pub(super) contexts: BTreeSet<&'n str>,
    pub(super) structures: BTreeSet<&'n str>,
    pub(super) conversations: BTreeSet<&'n str>,
    pub(super) jailbreaks: BTreeSet<&'n str>,
    pub(super) pii: BTreeSet<&'n str>,
    pub(super) metadata: BTreeSet<&'n str>,
    pub(super) headers: BTreeSet<&'n str>,
    /// Bindings and their roles.
    pub(super) roles: BTreeSet<&'n str>,
    /// Of projections.
    pub(super) bands: BTreeSet<&'n str>,
    /// `head:label`; `None` when not all are known here.
    pub(super) labels: Option<BTreeSet<String>>,
    /// Heads of the sidecar, whose labels it knows.
    pub(super) sidecar_heads: BTreeSet<&'n str>,
    /// Labels of the language model.
    pub(super) llm_labels: BTreeSet<&'n str>,
}

const EFFORTS: [&str; 3] = ["low", "medium", "high"];

impl Config {
    pub(super) fn check_decision(
        &self,
        c: &mut Checker,
        at: &str,
        decision: &DecisionConfig,
        names: &Names<'_>,
    ) {
        check_rule(c, &format!("{at}.rules"), &decision.rules, names, MAX_DEPTH);
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
        let mut elsewhere: Option<String> = None;
        for (i, plugin) in decision.plugins.iter().enumerate() {
            let mut before = decision.plugins.iter().take(i);
            // Several of these add up; of others, one alone could count.
            let adds_up = matches!(plugin.kind.as_str(), "pii" | "header_mutation");
            if !adds_up && before.any(|other| other.kind == plugin.kind) {
                c.error(
                    format!("{at}.plugins[{i}].type"),
                    format!("`{}` stands twice in this decision", plugin.kind),
                );
            }
            match plugin.read(&format!("{at}.plugins[{i}]")) {
                Ok(Plugin::Pii(pii)) => {
                    if let Some(model) = &pii.model {
                        let path = format!("{at}.plugins[{i}].configuration.model");
                        if let Some(other) = elsewhere.replace(model.clone()).filter(|m| m != model)
                        {
                            c.error(&path, format!("personal data already goes to `{other}`"));
                        }
                        c.known(path, "model", model, &models);
                    }
                }
                Ok(_) => {}
                Err(error) => c.errors.push(error),
            }
        }
        self.check_choice(c, at, decision);
    }
}

impl Config {
    /// How a decision chooses among its models.
    fn check_choice(&self, c: &mut Checker, at: &str, decision: &DecisionConfig) {
        for (i, model_ref) in decision.model_refs.iter().enumerate() {
            let at = format!("{at}.modelRefs[{i}]");
            if let Some(score) = model_ref.score {
                c.unit_interval(&format!("{at}.score"), score);
            }
            if let Some(weight) = model_ref.weight.filter(|w| !(0..=10_000).contains(w)) {
                c.error(
                    format!("{at}.weight"),
                    format!("must be between 0 and 10000, got {weight}"),
                );
            }
            if let Some(lora) = &model_ref.lora_name {
                c.not_empty(format!("{at}.lora_name"), lora);
            }
        }
        let Some(algorithm) = &decision.algorithm else {
            return;
        };
        let parent = at;
        let at = format!("{at}.algorithm");
        for (key, value) in [
            ("min_quality", algorithm.min_quality),
            ("switch_margin", algorithm.switch_margin),
        ] {
            if let Some(value) = value {
                c.unit_interval(&format!("{at}.{key}"), value);
            }
        }
        let quality = |model: &str| self.model_config.get(model).and_then(|m| m.quality_score);
        let refs = || decision.model_refs.iter();
        let needs_score = match algorithm.kind {
            AlgorithmKind::Score => true,
            AlgorithmKind::CostAware => algorithm.min_quality.is_some(),
            _ => false,
        };
        for (i, model_ref) in refs().enumerate() {
            if needs_score
                && model_ref
                    .score
                    .or_else(|| quality(&model_ref.model))
                    .is_none()
            {
                c.error(
                    format!("{parent}.modelRefs[{i}].score"),
                    format!(
                        "`{}` has neither `score` nor `model_config.*.quality_score`",
                        model_ref.model
                    ),
                );
            }
        }
        let priced = |model: &str| {
            let config = self.model_config.get(model);
            config.is_some_and(|m| m.pricing.is_some())
        };
        if algorithm.kind == AlgorithmKind::CostAware {
            for model_ref in refs().filter(|r| !priced(&r.model)) {
                c.error(
                    format!("{at}.type"),
                    format!(
                        "`cost_aware` needs a price: `{}` has no `pricing`",
                        model_ref.model
                    ),
                );
            }
        }
        if algorithm.kind == AlgorithmKind::Weighted && refs().all(|r| r.weight == Some(0)) {
            c.error(format!("{at}.type"), "all weights are 0");
        }
        for (key, is_set, kinds) in [
            (
                "min_quality",
                algorithm.min_quality.is_some(),
                &[AlgorithmKind::CostAware][..],
            ),
            (
                "switch_margin",
                algorithm.switch_margin.is_some(),
                &[AlgorithmKind::LatencyAware][..],
            ),
        ] {
            if is_set && !kinds.contains(&algorithm.kind) {
                c.error(
                    format!("{at}.{key}"),
                    "belongs to another `type` of algorithm",
                );
            }
        }
    }
}

pub(super) fn check_effort(c: &mut Checker, path: String, effort: &str) {
    if !EFFORTS.contains(&effort) {
        c.error(
            path,
            format!("must be one of low, medium, high, got `{effort}`"),
        );
    }
}

fn check_rule(c: &mut Checker, at: &str, rule: &RuleConfig, names: &Names<'_>, depth: usize) {
    let Some(deeper) = depth.checked_sub(1) else {
        c.error(at, format!("rules are nested deeper than {MAX_DEPTH}"));
        return;
    };
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
            // `AND` of nothing takes every request, as in vLLM Semantic Router.
            if rule.conditions.is_empty() && operator != RuleOperator::And {
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
                    names,
                    deeper,
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
            names.check(c, &format!("{at}.name"), signal, name);
        }
    }
}
