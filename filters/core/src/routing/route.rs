//! The compiled router, and the route of one request.

use std::collections::BTreeMap;

use super::capture::Captured;
use super::lead::Leads;
use super::recent::Recent;
use super::signals::{Found, Signals, Wanted};
use super::topics::Topics;
use crate::cache::Partitioner;
use crate::config::{Config, GuardsConfig};
use crate::decision::{
    Category, DecisionConfig, Engine, Known, LabelRef, Labels, ModelRefConfig, OnError, Plugin,
    ReasoningKind, SemanticCachePluginConfig, Verdict,
};
use crate::guard::Policy;
use crate::state;

/// The compiled router, one for a worker.
#[derive(Debug)]
pub struct Router<S> {
    pub(super) auto_names: Vec<String>,
    pub(super) models: Vec<String>,
    pub(super) models_list: Vec<u8>,
    pub(super) signals: S,
    topics: Option<Topics>,
    pub(super) guards: GuardsConfig,
    /// What some route asks for.
    wanted: Wanted,
    /// Labels that conditions name.
    labels: Vec<LabelRef>,
    engine: Engine,
    routes: Vec<Route>,
    /// By model, for requests whose client named it.
    named_policies: BTreeMap<String, Policy>,
    default_route: Route,
    fallback_route: Route,
    pub(super) sidecar_enabled: bool,
    /// Whether the sidecar may know what is open: it tells categories.
    pub(super) sidecar_may_settle: bool,
    /// Whether some condition names a category.
    pub(super) reads_category: bool,
    /// Heads of the sidecar that conditions name.
    pub(super) asked: Vec<String>,
    pub(super) on_error: OnError,
    category_threshold: f32,
    pub(super) cache: Option<Partitioner>,
    pub(super) default_cache: CachePolicy,
    pub(super) max_body_bytes: usize,
    pub(super) max_cached_body_bytes: usize,
    /// Whether clients may ask the cache for less.
    pub(super) cache_control: bool,
    /// How long a request waits for the answer to the same one; `None`: not at all.
    pub(super) coalesce_wait_ms: Option<u32>,
    /// Whether hits tell how similar the questions are.
    pub(super) export_similarity: bool,
    /// Lookups for whose answers others may wait.
    pub(super) leads: Leads,
    /// What was found in texts that were seen a short while ago.
    pub(super) recent: Recent,
    /// Bytes of answers that streams of this worker hold for the cache.
    pub(super) captured: Captured,
    /// Whether a meter is there to take a usage chunk out again.
    pub(super) has_meter: bool,
}

/// Where a request goes, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Model that serves.
    pub model: String,
    /// Decision that chose it.
    pub decision: String,
    /// Whether it shall reason.
    pub reasoning: bool,
    /// Top-level member that tells the model so: key and JSON value.
    pub(super) reasoning_member: Option<(String, String)>,
    pub(super) cache: CachePolicy,
    pub(super) policy: Policy,
}

/// What a route may take from the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CachePolicy {
    pub(super) enabled: bool,
    pub(super) similarity_threshold: f32,
}

/// What decides where a request goes.
fn rules(config: &Config) -> Vec<u8> {
    let sidecar = &config.sidecar;
    let rules = (
        (
            &config.decisions,
            &config.categories,
            &config.keyword_rules,
            &config.strategy,
        ),
        (
            &config.model_config,
            &config.default_model,
            &config.reasoning_families,
            &config.default_reasoning_effort,
        ),
        (&config.classifier, &config.prompt_guard, &config.guards),
        (
            &sidecar.heads,
            &sidecar.classifiers,
            &sidecar.llm_classifier,
        ),
    );
    // Writing to memory cannot fail.
    serde_json::to_vec(&rules).unwrap_or_default()
}

impl<S: Signals> Router<S> {
    /// Compiles a configuration that [`Config::validate`] accepts; `filters` are those in the chain.
    #[must_use]
    pub fn compile(config: &Config, filters: &[String], signals: S) -> Self {
        let rule_names: Vec<String> = config
            .keyword_rules
            .iter()
            .map(|r| r.name.clone())
            .collect();
        let default_cache = CachePolicy {
            enabled: config.semantic_cache.enabled,
            similarity_threshold: config.semantic_cache.similarity_threshold,
        };
        let threshold = signals.jailbreak_threshold();
        let policy = |model: &str, decision| Policy::compile(config, model, decision, threshold);
        let plain = |decision: &str| Route {
            model: config.default_model.clone(),
            decision: decision.into(),
            reasoning: false,
            reasoning_member: None,
            cache: default_cache,
            policy: policy(&config.default_model, None),
        };
        let routes: Vec<Route> = config
            .decisions
            .iter()
            .map(|d| route(config, d, default_cache, threshold))
            .collect();
        let policies: BTreeMap<String, Policy> = config
            .model_config
            .keys()
            .map(|model| (model.clone(), policy(model, None)))
            .collect();
        let every = || {
            let routed = routes.iter().map(|route| &route.policy);
            routed.chain(policies.values())
        };
        let asked = config.sidecar.asked_heads();
        let asked: Vec<(String, f32)> = asked.map(|(name, t)| (name.to_owned(), t)).collect();
        let label = |name: &str| signals.label(name);
        let engine = Engine::compile(&config.decisions, &rule_names, &label, &asked);
        let (labels, reads_category) = (engine.labels(), engine.reads_category());
        let asked = engine.asked();
        let wanted = Wanted {
            topics: false,
            labels: !labels.is_empty(),
            every_part: labels.iter().any(|label| label.every_part),
            jailbreak: every().any(Policy::wants_jailbreak),
            pii: every().any(Policy::wants_pii),
            names: every().any(Policy::wants_names),
        };
        let cache = config.semantic_cache.enabled.then(|| {
            Partitioner::compile(
                &config.semantic_cache,
                &config.sidecar.encoder.name,
                &rules(config),
            )
            .with_tenants(config.has_tenants())
        });
        Self {
            auto_names: vec!["auto".into(), config.auto_model_name().into()],
            models: config.model_config.keys().cloned().collect(),
            models_list: super::models_list(config),
            topics: Topics::compile(&config.categories, signals.topics()),
            guards: config.guards.clone(),
            wanted,
            named_policies: policies,
            signals,
            labels,
            engine,
            routes,
            default_route: plain("default"),
            fallback_route: plain("fallback"),
            sidecar_enabled: config.sidecar.enabled,
            sidecar_may_settle: config.sidecar.enabled && (reads_category || !asked.is_empty()),
            reads_category,
            asked,
            on_error: config.sidecar.on_error,
            category_threshold: config.classifier.category_model.threshold,
            cache,
            default_cache,
            max_body_bytes: usize::try_from(config.limits.max_body_bytes).unwrap_or(usize::MAX),
            cache_control: config.semantic_cache.enabled && config.semantic_cache.request_control,
            coalesce_wait_ms: Some(config.semantic_cache.coalesce_wait_ms).filter(|ms| *ms > 0),
            export_similarity: config.semantic_cache.export_similarity,
            leads: Leads::default(),
            recent: Recent::new(&config.routing_cache),
            captured: Captured::default(),
            max_cached_body_bytes: usize::try_from(config.limits.max_cached_body_bytes)
                .unwrap_or(usize::MAX),
            has_meter: filters.iter().any(|f| f == "meter"),
        }
    }

    /// Tickets of lookups whose answers will not come, since this was asked last: for the sidecar, where others may wait.
    #[must_use]
    pub fn take_releases(&self) -> Vec<u64> {
        self.leads.take_releases()
    }

    /// The route with what is known; `None` when that is not enough.
    pub(super) fn route(&self, mut known: Known<'_>) -> Option<&Route> {
        let unread = matches!(known.labels, Labels::Unread) && self.topics.is_some();
        if known.category == Category::Unasked && !self.sidecar_enabled && !unread {
            known.category = Category::None;
        }
        match self.engine.decide(&known) {
            Verdict::Decided(index) => self.routes.get(index).or(Some(&self.default_route)),
            Verdict::NoneHolds => Some(&self.default_route),
            Verdict::Open => None,
        }
    }

    /// The route of a decision.
    pub(super) fn of_decision(&self, name: &str) -> Option<&Route> {
        let all = self.routes.iter().chain([&self.default_route]);
        all.into_iter().find(|route| route.decision == name)
    }

    /// The route when the category was needed and could not be had.
    pub(super) fn fallback(&self) -> &Route {
        &self.fallback_route
    }

    /// The route of a request whose client named the model. It is never answered from the cache: who names a model wants that
    /// model's answer, and programs that do so send many texts that differ in a number.
    pub(super) fn named(&self, model: &str) -> Option<Route> {
        self.models.iter().any(|m| m == model).then(|| Route {
            model: model.into(),
            decision: state::NONE.into(),
            reasoning: false,
            reasoning_member: None,
            cache: CachePolicy {
                enabled: false,
                ..self.default_cache
            },
            policy: self.named_policies.get(model).cloned().unwrap_or_default(),
        })
    }

    /// What must be read for a request: what the guards of some route need, topics if they decide and the model knows them.
    pub(super) fn wanted(&self, route: Option<&Route>) -> Wanted {
        match route {
            Some(route) => Wanted {
                topics: false,
                labels: false,
                every_part: false,
                jailbreak: route.policy.wants_jailbreak(),
                pii: route.policy.wants_pii(),
                names: route.policy.wants_names(),
            },
            None => Wanted {
                topics: self.topics.is_some(),
                ..self.wanted
            },
        }
    }

    /// What a reading that was cut short says for certain: findings of heads that read every part. Anything else may change with
    /// what was not read.
    pub(super) fn certain(&self, mut labels: Vec<Option<usize>>) -> Vec<Option<usize>> {
        for (head, label) in labels.iter_mut().enumerate() {
            let finding = |l: &LabelRef| l.head == head && l.every_part && l.label > 0;
            *label =
                label.filter(|found| self.labels.iter().any(|l| finding(l) && l.label == *found));
        }
        labels
    }

    /// The category that the topics make up, if it is sure enough.
    pub(super) fn read_category(&self, found: &Found) -> Option<&str> {
        let (name, probability) = self.topics.as_ref()?.best(&found.topics)?;
        (probability >= self.category_threshold).then_some(name)
    }

    /// The category, if the head is sure enough.
    pub(super) fn category<'s>(&self, scored: Option<&'s crate::sidecar::Scored>) -> Category<'s> {
        match scored {
            Some(s) if s.confidence >= self.category_threshold => Category::Is(&s.label),
            _ => Category::None,
        }
    }

    /// The lowest threshold that any route may serve a hit at.
    pub(super) fn lowest_threshold(&self) -> f32 {
        self.routes
            .iter()
            .filter(|r| r.cache.enabled)
            .map(|r| r.cache.similarity_threshold)
            .fold(self.default_cache.similarity_threshold, f32::min)
    }
}

fn route(
    config: &Config,
    decision: &DecisionConfig,
    default_cache: CachePolicy,
    jailbreak_threshold: f32,
) -> Route {
    let default_ref = ModelRefConfig {
        model: config.default_model.clone(),
        ..Default::default()
    };
    let chosen = decision.model_refs.first().unwrap_or(&default_ref);
    let member = reasoning_member(config, chosen);
    Route {
        model: chosen.model.clone(),
        decision: decision.name.clone(),
        reasoning: chosen.use_reasoning && member.is_some(),
        reasoning_member: member,
        cache: cache_policy(decision, default_cache),
        policy: Policy::compile(config, &chosen.model, Some(decision), jailbreak_threshold),
    }
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

/// How the model is told to reason, or not to; `None` where nothing needs to be said.
///
/// Source: chat templates of Qwen3 and DeepSeek (`chat_template_kwargs` of vLLM), `reasoning_effort` of the OpenAI API.
fn reasoning_member(config: &Config, chosen: &ModelRefConfig) -> Option<(String, String)> {
    let family = config
        .model_config
        .get(&chosen.model)?
        .reasoning_family
        .as_ref()?;
    let family = config.reasoning_families.get(family)?;
    match family.kind {
        ReasoningKind::ChatTemplateKwargs => {
            let kwargs = serde_json::json!({ family.parameter.as_str(): chosen.use_reasoning });
            Some(("chat_template_kwargs".into(), kwargs.to_string()))
        }
        ReasoningKind::ReasoningEffort if chosen.use_reasoning => {
            let effort = chosen
                .reasoning_effort
                .as_deref()
                .or(config.default_reasoning_effort.as_deref())
                .unwrap_or("medium");
            Some((
                family.parameter.clone(),
                serde_json::json!(effort).to_string(),
            ))
        }
        ReasoningKind::ReasoningEffort => None,
    }
}
