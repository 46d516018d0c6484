//! Why a request went where it went: for `POST /v1/explain`, for `x-vsr-debug` and for `turnpike explain`.

use serde::Serialize;

use super::route::Route;
use super::router::Router;
use super::signals::Signals;
use super::stream::RouterStream;
use super::work::Work;
use crate::decision::{Signal, SignalKind, Stages};
use crate::host::{Flow, Host, LocalReply};
use crate::record::{Record, pack_debug};

/// Path that answers with an [`Explanation`] in place of a model's answer.
pub const EXPLAIN_PATH: &str = "/v1/explain";

/// Why a request goes where it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The model, unless the request is blocked.
    pub model: Option<String>,
    /// The decision; `none` where the client named the model, `default` where no decision holds, `fallback` where one could not be made.
    pub decision: String,
    /// In a sentence.
    pub why: String,
    /// The category, or `none`.
    pub category: String,
    /// Whether the model is told to reason.
    pub reasoning: bool,
    /// Whether a system prompt is set.
    pub system_prompt: bool,
    /// Why the request is blocked: `jailbreak_detected` or `pii_detected`.
    pub blocked: Option<&'static str>,
    /// Whether a decision answers by itself.
    pub answered_here: bool,
    /// Why a step fell back, as in metrics.
    pub fallback: Option<String>,
    /// What guards found.
    pub guards: Guards,
    /// The steps that were taken to know signals.
    pub steps: Vec<&'static str>,
    /// What decisions read.
    pub signals: Vec<ExplainedSignal>,
    /// The decisions, in the order in which they were tried.
    pub decisions: Vec<ExplainedDecision>,
}

/// What guards found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Guards {
    /// Probability of an attack; `null` where nobody looked.
    pub jailbreak: Option<f32>,
    /// Kinds of personal data, each once.
    pub pii: Vec<&'static str>,
}

/// A signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedSignal {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: SignalKind,
    /// Its name.
    pub name: String,
    /// Whether it holds; `null` where nobody had to know.
    pub holds: Option<bool>,
    /// How sure that is, where it holds.
    pub confidence: Option<f32>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedDecision {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: i32,
    /// Whether it holds; `null` where nobody had to know.
    pub holds: Option<bool>,
    /// How sure that is, where it holds.
    pub confidence: Option<f32>,
}

/// What became of a request that is explained.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'o> {
    /// It would go upstream.
    Upstream(&'o Route),
    /// A decision answers.
    Answered(&'o Route),
    /// A guard of the route that the request would have taken answers, with this code.
    Blocked(&'static str, &'o Route),
}

impl<S: Signals> RouterStream<S> {
    /// Answers with what would become of the request.
    pub(super) fn explain(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        outcome: Outcome<'_>,
    ) -> Flow {
        let explanation = router.explain(work, &self.record, outcome);
        host.reply(LocalReply {
            status: 200,
            headers: Vec::new(),
            body: serde_json::to_vec(&explanation).unwrap_or_default(),
        });
        Flow::Pause
    }

    /// Response headers that are told: `always`, and what matched, if a trusted caller asked for that.
    pub(super) fn tell_why(
        &mut self,
        router: &Router<S>,
        work: &Work,
        route: &Route,
        always: Vec<(String, String)>,
    ) {
        let mut headers = always;
        if self.debug {
            headers.extend(router.debug_headers(work, &route.decision));
        }
        if router.has_meter {
            // It takes out what others write.
            self.record.debug = pack_debug(&headers).into();
        } else {
            self.debug_headers = headers;
        }
    }
}

impl<S: Signals> Router<S> {
    pub(super) fn explain(
        &self,
        work: &Work,
        record: &Record,
        outcome: Outcome<'_>,
    ) -> Explanation {
        let signals: Vec<ExplainedSignal> = self.explained_signals(work);
        let decisions: Vec<ExplainedDecision> = self.explained_decisions(work);
        let (route, blocked) = match outcome {
            Outcome::Upstream(route) | Outcome::Answered(route) => (Some(route), None),
            Outcome::Blocked(code, route) => (None, Some((code, route))),
        };
        let (Outcome::Upstream(taken) | Outcome::Answered(taken) | Outcome::Blocked(_, taken)) =
            outcome;
        let decision = taken.decision.clone();
        let fallback = Some(record.fallback.to_string()).filter(|f| !f.is_empty());
        let index = self
            .decision_names
            .iter()
            .position(|(name, _)| *name == decision);
        let read = index.into_iter().flat_map(|index| self.engine.reads(index));
        let mut read: Vec<usize> = read.collect();
        read.sort_unstable();
        read.dedup();
        let read: Vec<&ExplainedSignal> = read.iter().filter_map(|at| signals.get(*at)).collect();
        let why = why(&decision, blocked, fallback.as_deref(), &decisions, &read);
        Explanation {
            model: route.map(|route| route.model.clone()),
            why,
            category: record.category.to_string(),
            reasoning: record.reasoning,
            system_prompt: record.system_prompt,
            blocked: blocked.map(|(code, _)| code),
            answered_here: matches!(outcome, Outcome::Answered(_)),
            fallback,
            guards: Guards {
                jailbreak: work.findings.jailbreak,
                pii: work.findings.pii_kinds(),
            },
            steps: steps(work),
            decision,
            signals,
            decisions,
        }
    }

    fn explained_signals(&self, work: &Work) -> Vec<ExplainedSignal> {
        let known = self.engine.signals().iter().zip(&work.signals);
        known
            .map(|(about, signal)| {
                let (holds, confidence) = match signal {
                    Signal::Unknown => (None, None),
                    Signal::No => (Some(false), None),
                    Signal::Yes(confidence) => (Some(true), Some(*confidence)),
                };
                ExplainedSignal {
                    kind: about.kind,
                    name: about.name.clone(),
                    holds,
                    confidence,
                }
            })
            .collect()
    }

    fn explained_decisions(&self, work: &Work) -> Vec<ExplainedDecision> {
        let each = self.engine.each(&work.signals);
        each.filter_map(|(index, holds)| {
            let (name, priority) = self.decision_names.get(index)?;
            Some(ExplainedDecision {
                name: name.clone(),
                priority: *priority,
                holds: holds.map(|h| h.is_some()),
                confidence: holds.flatten(),
            })
        })
        .collect()
    }

    /// Response headers for `x-vsr-debug`: what matched, by kind, and how sure the decision is.
    ///
    /// Names: vLLM Semantic Router, "Headers"; those of kinds that it does not have follow the same form.
    pub(super) fn debug_headers(&self, work: &Work, decision: &str) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        let decided = self.explained_decisions(work).into_iter();
        let mut decided = decided.filter(|d| d.name == decision);
        if let Some(confidence) = decided.next().and_then(|d| d.confidence) {
            headers.push((
                "x-vsr-selected-confidence".into(),
                format!("{confidence:.4}"),
            ));
        }
        for signal in self.explained_signals(work) {
            if signal.holds != Some(true) {
                continue;
            }
            let name = format!("x-vsr-matched-{}", plural(signal.kind));
            match headers.iter_mut().find(|(known, _)| *known == name) {
                Some((_, names)) => {
                    names.push(',');
                    names.push_str(&signal.name);
                }
                None => headers.push((name, signal.name)),
            }
        }
        headers
    }
}

fn plural(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::Keyword => "keywords",
        SignalKind::Domain => "domains",
        SignalKind::Head => "heads",
        SignalKind::Llm => "llm",
        SignalKind::Embedding => "embeddings",
        SignalKind::Complexity => "complexity",
        SignalKind::Jailbreak => "jailbreak",
        SignalKind::Pii => "pii",
        SignalKind::Language => "language",
        SignalKind::Context => "context",
        SignalKind::Structure => "structure",
        SignalKind::Conversation => "conversation",
        SignalKind::Metadata => "metadata",
        SignalKind::Header => "headers",
        SignalKind::Authz => "authz",
        SignalKind::Projection => "projections",
    }
}

fn steps(work: &Work) -> Vec<&'static str> {
    // Guards read for themselves, whatever decides.
    let done = match work.was_read() {
        true => work.done.with(Stages::READING),
        false => work.done,
    };
    [
        (Stages::REQUEST, "request"),
        (Stages::TEXT, "text"),
        (Stages::LANGUAGE, "language"),
        (Stages::READING, "reading"),
        (Stages::SIDECAR, "sidecar"),
    ]
    .into_iter()
    .filter_map(|(stage, name)| done.has(stage).then_some(name))
    .collect()
}

/// In a sentence.
fn why(
    decision: &str,
    blocked: Option<(&str, &Route)>,
    fallback: Option<&str>,
    decisions: &[ExplainedDecision],
    read: &[&ExplainedSignal],
) -> String {
    if let Some((code, route)) = blocked {
        let Route {
            decision, model, ..
        } = route;
        return format!("A guard stopped it: {code} (decision `{decision}`, model `{model}`).");
    }
    match (decision, fallback) {
        ("none", _) => "The client named the model.".into(),
        ("fallback", Some(reason)) => {
            format!("The decision depends on what could not be known ({reason}).")
        }
        ("fallback", None) => "The decision depends on what nobody could tell.".into(),
        ("default", _) => "No decision holds.".into(),
        (name, _) => {
            let held: Vec<String> = read
                .iter()
                .filter(|s| s.holds == Some(true))
                .map(|s| {
                    let kind = serde_json::to_value(s.kind).unwrap_or_default();
                    let kind = kind.as_str().unwrap_or_default().to_owned();
                    format!(
                        "{kind} `{}` ({:.2})",
                        s.name,
                        s.confidence.unwrap_or_default()
                    )
                })
                .collect();
            let priority = decisions
                .iter()
                .find(|d| d.name == name)
                .map_or(0, |d| d.priority);
            let held = if held.is_empty() {
                "of what it must not have, it has nothing".to_owned()
            } else {
                format!("the request has {}", held.join(", "))
            };
            format!("Decision `{name}` (priority {priority}) holds: {held}.")
        }
    }
}
