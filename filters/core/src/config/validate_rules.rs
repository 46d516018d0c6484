//! Checks of `decisions`.

use std::collections::BTreeSet;

use super::Config;
use super::validate::Checker;
use crate::decision::{DecisionConfig, RuleConfig, RuleOperator, SignalKind};

/// What conditions may name.
pub(super) struct Names<'n> {
    pub(super) keywords: BTreeSet<&'n str>,
    pub(super) categories: BTreeSet<&'n str>,
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
        check_rule(c, &format!("{at}.rules"), &decision.rules, names);
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
            if let Err(error) = plugin.read(&format!("{at}.plugins[{i}]")) {
                c.errors.push(error);
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

fn check_rule(c: &mut Checker, at: &str, rule: &RuleConfig, names: &Names<'_>) {
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
                check_rule(c, &format!("{at}.conditions[{i}]"), condition, names);
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
                    c.known(format!("{at}.name"), "keyword rule", name, &names.keywords);
                }
                SignalKind::Domain => {
                    c.known(format!("{at}.name"), "category", name, &names.categories);
                }
                SignalKind::Llm => {
                    let what = "label of `sidecar.llm_classifier`";
                    c.known(format!("{at}.name"), what, name, &names.llm_labels);
                }
                SignalKind::Head => {
                    let head = name.split_once(':').map(|(head, _)| head);
                    let elsewhere = head.is_some_and(|head| names.sidecar_heads.contains(head));
                    if let Some(labels) = names.labels.as_ref().filter(|_| !elsewhere) {
                        let labels = labels.iter().map(String::as_str).collect();
                        c.known(format!("{at}.name"), "head and label", name, &labels);
                    }
                }
            }
        }
    }
}
