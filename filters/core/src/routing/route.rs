//! The route of one request, and how it is compiled from a decision.

use std::rc::Rc;

use super::changes::Changes;
use crate::config::Config;
use crate::decision::{DecisionConfig, ModelRefConfig, Plugin, SemanticCachePluginConfig};
use crate::guard::Policy;
use crate::output::OutputGuard;

/// Where a request goes, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Model that serves.
    pub model: String,
    /// Decision that chose it.
    pub decision: String,
    /// Whether it shall reason.
    pub reasoning: bool,
    /// What becomes of the request.
    pub(super) changes: Changes,
    pub(super) cache: CachePolicy,
    pub(super) policy: Policy,
    /// Where requests go that hold what this model may not see.
    pub(super) elsewhere: Option<Rc<Route>>,
    /// An answer in place of a model's.
    pub(super) answer: Option<String>,
    /// What answers must not hold.
    pub(super) output: Option<Rc<OutputGuard>>,
}

/// What a route may take from the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CachePolicy {
    pub(super) enabled: bool,
    pub(super) similarity_threshold: f32,
}

pub(super) fn ref_to(model: &str) -> ModelRefConfig {
    ModelRefConfig {
        model: model.to_owned(),
        ..Default::default()
    }
}

pub(super) fn route(
    config: &Config,
    decision: &DecisionConfig,
    chosen: &ModelRefConfig,
    default_cache: CachePolicy,
    jailbreak_threshold: f32,
) -> Route {
    let changes = Changes::compile(config, chosen, Some(decision));
    let mut route = Route {
        model: chosen.model.clone(),
        decision: decision.name.clone(),
        reasoning: changes.reasons(),
        changes,
        cache: cache_policy(decision, default_cache),
        policy: Policy::compile(config, &chosen.model, Some(decision), jailbreak_threshold),
        elsewhere: None,
        answer: None,
        output: None,
    };
    for plugin in &decision.plugins {
        match plugin.read("") {
            Ok(Plugin::Pii(pii)) if pii.enabled && pii.model.is_some() => {
                route.elsewhere = pii.model.map(|model| {
                    let policy =
                        Policy::compile(config, &model, Some(decision), jailbreak_threshold);
                    Rc::new(Route {
                        changes: Changes::compile(config, &ref_to(&model), Some(decision)),
                        model,
                        reasoning: false,
                        policy: policy.elsewhere(),
                        ..route.clone()
                    })
                });
            }
            Ok(Plugin::FastResponse(answer)) => route.answer = Some(answer.message),
            Ok(Plugin::ResponseJailbreak(guard)) if guard.enabled => {
                let threshold = config.prompt_guard.threshold.unwrap_or(jailbreak_threshold);
                route.output = Some(Rc::new(OutputGuard {
                    jailbreak: Some(guard.threshold.unwrap_or(threshold)),
                    action: guard.action,
                    ..OutputGuard::default()
                }));
            }
            _ => {}
        }
    }
    // A plugin that comes later counts for both.
    if let Some(elsewhere) = &route.elsewhere {
        let (answer, output) = (route.answer.clone(), route.output.clone());
        route.elsewhere = Some(Rc::new(Route {
            answer,
            output,
            ..Route::clone(elsewhere)
        }));
    }
    route
}

fn cache_policy(decision: &DecisionConfig, default: CachePolicy) -> CachePolicy {
    let plugin = decision.plugins.iter().find_map(|p| match p.read("") {
        Ok(Plugin::SemanticCache(plugin)) => Some(plugin),
        _ => None,
    });
    match plugin {
        None => default,
        Some(SemanticCachePluginConfig {
            enabled,
            similarity_threshold,
        }) => CachePolicy {
            enabled: default.enabled && enabled,
            similarity_threshold: similarity_threshold.unwrap_or(default.similarity_threshold),
        },
    }
}

impl Route {
    /// Takes the guards of another on, beside its own.
    pub(super) fn guard_as(&mut self, other: &Self) {
        self.policy.tighten(&other.policy);
        self.output = match (&self.output, &other.output) {
            (Some(own), Some(other)) => Some(Rc::new(own.tightened(other))),
            (own, other) => own.clone().or_else(|| other.clone()),
        };
    }
}

#[cfg(test)]
impl Route {
    /// A route that changes nothing.
    pub(super) fn to(model: &str) -> Self {
        Self {
            model: model.into(),
            decision: "d".into(),
            reasoning: false,
            changes: Changes::default(),
            cache: CachePolicy {
                enabled: false,
                similarity_threshold: 1.0,
            },
            policy: Policy::default(),
            elsewhere: None,
            answer: None,
            output: None,
        }
    }
}
