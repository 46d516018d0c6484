//! [`Router`]: the compiled configuration, and which route it has for a request.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::capture::Captured;
use super::changes::Changes;
use super::choice::{Choice, Latencies};
use super::lead::Leads;
use super::recent::Recent;
use super::route::{CachePolicy, Route, ref_to, route};
use super::settle::Rules;
use super::signals::{Found, Signals, Wanted};
use super::topics::{Topics, entropy};
use super::work::Work;
use crate::cache::Partitioner;
use crate::config::{Config, GuardsConfig};
use crate::decision::{AlgorithmKind, Engine, LabelRef, OnError, Source, Verdict};
use crate::guard::{NAME_KINDS, Policy};
use crate::host::Host;
use crate::output::OutputRules;
use crate::signal::SubjectConfig;
use crate::state;

/// The compiled router, one for a worker.
#[derive(Debug)]
pub struct Router<S> {
    pub(super) auto_names: Vec<String>,
    pub(super) models_list: Vec<u8>,
    pub(super) signals: S,
    topics: Option<Topics>,
    pub(super) guards: GuardsConfig,
    /// What some route asks for.
    wanted: Wanted,
    /// Labels that conditions name.
    labels: Vec<LabelRef>,
    pub(super) engine: Engine,
    /// Name and priority of each decision, in the order of the configuration.
    pub(super) decision_names: Vec<(String, i32)>,
    /// Who may ask why.
    pub(super) trusted: Vec<SubjectConfig>,
    pub(super) rules: Rules,
    choices: Vec<Choice>,
    pub(super) latencies: Latencies,
    /// By model, for requests whose client named it.
    named: BTreeMap<String, Rc<Route>>,
    default_route: Rc<Route>,
    fallback_route: Rc<Route>,
    /// Whether the sidecar may know what is open: it tells categories.
    pub(super) sidecar_may_settle: bool,
    /// Whether some condition names a category.
    pub(super) reads_category: bool,
    /// Heads of the sidecar that conditions name.
    pub(super) asked: Vec<String>,
    pub(super) on_error: OnError,
    /// Decisions that answer by themselves where guards found something, and nothing else matters.
    refusing: Vec<usize>,
    /// What must be read for them.
    refusals: Wanted,
    category_threshold: f32,
    /// Entropy of topics from which nobody knows.
    uncertain_from: Option<f32>,
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
    /// Bytes of an answer that are held for a guard: not more than the proxy keeps.
    held_bytes: usize,
    /// Whether latency is measured.
    measures: bool,
    /// Whether a meter is there to take a usage chunk out again.
    pub(super) has_meter: bool,
}

/// What decides where a request goes.
fn deciding(config: &Config) -> Vec<u8> {
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
            &config.embedding_rules,
            &config.complexity_rules,
            &config.language_rules,
            &config.context_rules,
            &config.structure_rules,
            &config.conversation_rules,
        ),
        (
            &config.jailbreak_rules,
            &config.pii_rules,
            &config.role_bindings,
            &config.metadata_rules,
            &config.header_rules,
            &config.projections,
        ),
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
        let default_cache = CachePolicy {
            enabled: config.semantic_cache.enabled,
            similarity_threshold: config.semantic_cache.similarity_threshold,
        };
        let threshold = signals.jailbreak_threshold();
        let policy = |model: &str, decision| Policy::compile(config, model, decision, threshold);
        let plain = |model: &str, decision: &str, cache| {
            Rc::new(Route {
                model: model.into(),
                decision: decision.into(),
                reasoning: false,
                changes: Changes::compile(config, &ref_to(model), None),
                cache,
                policy: policy(model, None),
                elsewhere: None,
                answer: None,
                output: None,
            })
        };
        let choices: Vec<Choice> = config
            .decisions
            .iter()
            .map(|d| {
                Choice::compile(config, d, &|r| {
                    route(config, d, r, default_cache, threshold)
                })
            })
            .collect();
        let timed = config.decisions.iter().filter(|d| {
            let algorithm = d.algorithm.as_ref();
            algorithm.is_some_and(|a| a.kind == AlgorithmKind::LatencyAware)
        });
        let timed = timed.flat_map(|d| d.model_refs.iter().map(|r| r.model.as_str()));
        let latencies = Latencies::of_models(timed);
        // Never answered from the cache: who names a model wants that model's answer, and programs that do so send many texts
        // that differ in a number.
        let no_cache = CachePolicy {
            enabled: false,
            ..default_cache
        };
        // Who names a model skips the decisions, but none of the guards that some decision has for it.
        let named: BTreeMap<String, Rc<Route>> = config
            .model_config
            .keys()
            .map(|model| {
                let mut route = Route::clone(&plain(model, state::NONE, no_cache));
                let decided = choices.iter().flat_map(Choice::routes);
                for guarded in decided.filter(|r| r.model == *model) {
                    route.guard_as(guarded);
                }
                (model.clone(), Rc::new(route))
            })
            .collect();
        let every = || {
            let routes = choices.iter().flat_map(Choice::routes);
            let elsewhere = routes.clone().filter_map(|r| r.elsewhere.as_ref());
            let all = routes.chain(elsewhere).chain(named.values());
            all.map(|route| &route.policy)
        };
        let engine = Engine::compile(config, &|name| signals.label(name));
        let (labels, reads_category) = (engine.labels(), engine.reads_category());
        let asked = engine.asked();
        let rules = Rules::compile(config, threshold);
        let reads_attacks = engine
            .signals()
            .iter()
            .any(|s| matches!(s.source, Source::Jailbreak(_)));
        let refusing: Vec<usize> = engine
            .of_guards()
            .filter(|at| {
                let choice = choices.get(*at);
                choice.is_some_and(|c| c.routes().iter().any(|r| r.answer.is_some()))
            })
            .collect();
        let looks_for_names = |allowed: &[String]| {
            NAME_KINDS
                .iter()
                .any(|kind| !allowed.iter().any(|a| a == kind))
        };
        let wanted = Wanted {
            topics: false,
            labels: !labels.is_empty(),
            every_part: labels.iter().any(|label| label.every_part),
            jailbreak: reads_attacks || every().any(Policy::wants_jailbreak),
            toxicity: false,
            pii: rules.pii_rules(&engine).next().is_some() || every().any(Policy::wants_pii),
            names: rules.pii_rules(&engine).any(looks_for_names)
                || every().any(Policy::wants_names),
        };
        let refusals = Wanted {
            jailbreak: reads_attacks && !refusing.is_empty(),
            pii: rules.pii_rules(&engine).next().is_some() && !refusing.is_empty(),
            names: rules.pii_rules(&engine).any(looks_for_names) && !refusing.is_empty(),
            ..Wanted::default()
        };
        let cache = config.semantic_cache.enabled.then(|| {
            Partitioner::compile(
                &config.semantic_cache,
                &config.sidecar.encoder.name,
                &deciding(config),
            )
            .with_tenants(config.has_tenants())
        });
        let limits = &config.limits;
        let maas = config.maas_integration.as_ref().filter(|m| m.enabled);
        Self {
            auto_names: config.auto_names().into_iter().map(String::from).collect(),
            models_list: super::models_list(config),
            topics: Topics::compile(&config.categories, signals.topics()),
            guards: config.guards.clone(),
            wanted,
            refusing,
            refusals,
            named,
            rules,
            signals,
            labels,
            engine,
            decision_names: config
                .decisions
                .iter()
                .map(|d| (d.name.clone(), d.priority))
                .collect(),
            trusted: config.explain.trusted.clone(),
            choices,
            latencies,
            default_route: plain(&config.default_model, "default", default_cache),
            fallback_route: plain(&config.default_model, "fallback", default_cache),
            sidecar_may_settle: config.sidecar.enabled && (reads_category || !asked.is_empty()),
            reads_category,
            asked,
            on_error: config.sidecar.on_error,
            category_threshold: config.classifier.category_model.threshold,
            uncertain_from: config
                .classifier
                .category_model
                .uncertain
                .map(|u| u.entropy),
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
            held_bytes: usize::try_from(
                limits.max_cached_body_bytes.min(limits.max_body_bytes / 2),
            )
            .unwrap_or(usize::MAX),
            measures: maas.is_none_or(|m| m.metrics.export_latency_metrics),
            has_meter: filters.iter().any(|f| f == "meter"),
        }
    }

    /// What output guards go by.
    pub(super) fn output_rules(&self) -> OutputRules<'_, S> {
        OutputRules {
            signals: &self.signals,
            budget_us: u64::from(self.guards.budget_ms).saturating_mul(1000),
            on_budget: self.guards.on_budget,
            held_bytes: self.held_bytes,
            measures: self.measures,
        }
    }

    /// Tickets of lookups whose answers will not come, since this was asked last: for the sidecar, where others may wait.
    #[must_use]
    pub fn take_releases(&self) -> Vec<u64> {
        self.leads.take_releases()
    }

    /// The route of what was decided; `None` where that is open.
    pub(super) fn route(
        &self,
        host: &mut impl Host,
        work: &Work,
        verdict: Verdict,
    ) -> Option<Rc<Route>> {
        match verdict {
            Verdict::Decided(index, _) => {
                let choice = self.choices.get(index);
                let taken = choice.and_then(|c| c.take(host, work, &self.latencies));
                taken.or_else(|| Some(Rc::clone(&self.default_route)))
            }
            Verdict::NoneHolds => Some(Rc::clone(&self.default_route)),
            Verdict::Open(_) => None,
        }
    }

    /// The route of a stored answer: decision and model.
    pub(super) fn of_decision(&self, name: &str, model: &str) -> Option<Rc<Route>> {
        let all = self.choices.iter().flat_map(Choice::routes);
        let mut all = all.chain([&self.default_route]);
        all.find(|r| r.decision == name && r.model == model)
            .cloned()
    }

    /// The route when what decides could not be had. It has the guards of each decision that is still open: one of them would have had
    /// the request.
    pub(super) fn fallback(&self, work: &Work) -> Rc<Route> {
        let each = self.engine.each(&work.signals);
        let open = each.filter(|(_, holds)| holds.is_none());
        let open = open.filter_map(|(index, _)| self.choices.get(index));
        let mut route = Route::clone(&self.fallback_route);
        for guarded in open.flat_map(Choice::routes) {
            route.guard_as(guarded);
        }
        Rc::new(route)
    }

    /// The answer of a decision that depends on nothing but what guards find, to a request whose client named the model.
    pub(super) fn refusal(&self, work: &mut Work, found: &Found) -> Option<Rc<Route>> {
        if self.refusing.is_empty() || self.auto_names.contains(&work.request.model) {
            return None;
        }
        self.see_found(work, found);
        let each = self.engine.each(&work.signals);
        let mut holding =
            each.filter(|(at, holds)| self.refusing.contains(at) && matches!(holds, Some(Some(_))));
        let (index, _) = holding.next()?;
        let mut routes = self.choices.get(index)?.routes().iter();
        routes.find(|r| r.answer.is_some()).cloned()
    }

    /// The route of a request whose client named the model.
    pub(super) fn named(&self, model: &str) -> Option<Rc<Route>> {
        self.named.get(model).cloned()
    }

    /// What must be read for a request: what the guards of some route need, topics if they decide and the model knows them.
    pub(super) fn wanted(&self, route: Option<&Route>, is_auto: bool) -> Wanted {
        let refusals = if is_auto {
            Wanted::default()
        } else {
            self.refusals
        };
        match route {
            Some(route) => Wanted {
                topics: false,
                labels: false,
                every_part: false,
                jailbreak: refusals.jailbreak || route.policy.wants_jailbreak(),
                toxicity: false,
                pii: refusals.pii || route.policy.wants_pii(),
                names: refusals.names || route.policy.wants_names(),
            },
            None => Wanted {
                topics: self.topics.is_some(),
                ..self.wanted
            },
        }
    }

    /// What a reading that was cut short says for certain: findings of heads that read every part. Anything else may change with
    /// what was not read.
    pub(super) fn certain(
        &self,
        mut labels: Vec<Option<(usize, f32)>>,
    ) -> Vec<Option<(usize, f32)>> {
        for (head, label) in labels.iter_mut().enumerate() {
            let finding = |l: &LabelRef| l.head == head && l.every_part && l.label > 0;
            *label = label.filter(|(found, _)| {
                let mut wanted = self.labels.iter();
                wanted.any(|l| finding(l) && l.label == *found)
            });
        }
        labels
    }

    /// The category that the topics make up, if it is sure enough.
    pub(super) fn read_category(&self, found: &Found) -> Option<(&str, f32)> {
        let (name, probability) = self.topics.as_ref()?.best(&found.topics)?;
        (probability >= self.category_threshold).then_some((name, probability))
    }

    /// Whether the topics that were read are too many to tell one.
    pub(super) fn is_uncertain(&self, found: &Found) -> bool {
        let most = self.uncertain_from;
        most.is_some_and(|from| !found.topics.is_empty() && entropy(&found.topics) >= from)
    }

    /// The category, if the head is sure enough.
    pub(super) fn category<'s>(
        &self,
        scored: Option<&'s crate::sidecar::Scored>,
    ) -> Option<(&'s str, f32)> {
        let scored = scored.filter(|s| s.confidence >= self.category_threshold)?;
        Some((&scored.label, scored.confidence))
    }

    /// The lowest threshold that any route may serve a hit at.
    pub(super) fn lowest_threshold(&self) -> f32 {
        self.choices
            .iter()
            .flat_map(Choice::routes)
            .filter(|r| r.cache.enabled)
            .map(|r| r.cache.similarity_threshold)
            .fold(self.default_cache.similarity_threshold, f32::min)
    }
}
