//! The one question that a stream asks the sidecar: category, heads, a stored answer; and what becomes of its answer.
//!
//! Where the same text is being answered for another request, and `semantic_cache.coalesce_wait_ms` allows it, the question is
//! asked a second time, and the sidecar holds its answer back until that other one is there.

use std::rc::Rc;

use super::lead::Lead;
use super::lookup::Lookup;
use super::recent::{Key, Said};
use super::route::Route;
use super::router::Router;
use super::signals::Signals;
use super::stream::{Phase, RouterStream};
use super::work::Work;
use crate::decision::{OnError, Stages};
use crate::host::{Flow, Host, HostError, refuse};
use crate::metrics::Metric;
use crate::record::Cache;
use crate::reply::Fault;
use crate::sidecar::{
    ANALYZE_PATH, AnalyzeRequest, AnalyzeResponse, CATEGORY_HEAD, CacheAnswer, Coalescing,
};
use crate::state;

/// What was asked of the sidecar, and what to do with the answer.
#[derive(Debug)]
pub(super) struct Question {
    work: Work,
    /// Route that does not depend on the answer.
    route: Option<Rc<Route>>,
    /// Category that chose that route.
    category: String,
    lookup: Option<Lookup>,
    /// What the sidecar said of the same text a short while ago: it need not be asked for that.
    said: Option<Rc<Said>>,
    /// Under which it will be remembered otherwise.
    key: Option<Key>,
    /// Whether it waits for the answer to another request.
    waits: bool,
    /// For others that may wait for the answer to this one.
    lead: Option<Lead>,
    asked_us: u64,
}

impl Question {
    pub(super) fn new(
        work: Work,
        route: Option<Rc<Route>>,
        category: String,
        lookup: Option<Lookup>,
    ) -> Self {
        Self {
            work,
            route,
            category,
            lookup,
            said: None,
            key: None,
            waits: false,
            lead: None,
            asked_us: 0,
        }
    }
}

/// Why the sidecar's answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SidecarFault {
    Unavailable,
    Timeout,
    BadAnswer,
}

impl SidecarFault {
    fn reason(self) -> &'static str {
        match self {
            Self::Unavailable => "sidecar_unavailable",
            Self::Timeout => "sidecar_timeout",
            Self::BadAnswer => "sidecar_bad_answer",
        }
    }
}

impl<S: Signals> RouterStream<S> {
    pub(super) fn ask(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        mut question: Question,
    ) -> Flow {
        let is_open = question.route.is_none();
        let needs_category = is_open && router.reads_category && question.category == state::NONE;
        let text = match &question.lookup {
            Some(lookup) if !is_open => lookup.text.clone(),
            _ => question.work.request.routing_text(&question.work.body),
        };
        let threshold = match &question.route {
            Some(route) => route.cache.similarity_threshold,
            None => router.lowest_threshold(),
        };
        let mut heads: Vec<String> = needs_category
            .then(|| CATEGORY_HEAD.to_owned())
            .into_iter()
            .chain(router.asked.iter().filter(|_| is_open).cloned())
            .collect();
        question.asked_us = host.now_us();
        if !heads.is_empty() && router.recent.is_on() && question.said.is_none() {
            let key = Key::of_question(&heads, &text);
            question.said = router.recent.said(&key, question.asked_us);
            question.key = Some(key);
            if question.said.is_some() {
                host.count(Metric::RoutingCacheHits, &[], 1);
            }
        }
        if question.said.is_some() {
            heads.clear();
        }
        let lookup = question.lookup.as_ref();
        let lookup = lookup.filter(|lookup| !lookup.control.no_cache);
        // Who wants no stored answer at all need not wait for one.
        let wait_ms = router
            .coalesce_wait_ms
            .filter(|_| lookup.is_some_and(|lookup| lookup.control.max_age != Some(0)));
        let coalescing = wait_ms.map(|wait_ms| {
            let lead = (!question.waits).then(|| router.leads.begin(question.asked_us));
            let ticket = lead.as_ref().map(Lead::ticket).unwrap_or_default();
            question.lead = lead;
            Coalescing {
                wait_ms,
                wait: question.waits,
                ticket,
            }
        });
        let cache = lookup.map(|lookup| lookup.ask(threshold, coalescing));
        if heads.is_empty() && cache.is_none() {
            return self.with_answer(router, host, question, AnalyzeResponse::default());
        }
        let wait_ms = coalescing.filter(|c| c.wait).map_or(0, |c| c.wait_ms);
        let ask = AnalyzeRequest { text, heads, cache };
        let sent = serde_json::to_vec(&ask)
            .map_err(|_| HostError)
            .and_then(|body| host.ask_sidecar(ANALYZE_PATH, &body, wait_ms));
        host.count(Metric::SidecarCalls, &[], 1);
        match sent {
            Ok(()) => {
                self.phase = Phase::Asked(Box::new(question));
                Flow::Pause
            }
            Err(HostError) => {
                self.without_sidecar(router, host, question, SidecarFault::Unavailable)
            }
        }
    }

    /// The sidecar answered with `status` and `body`; `None` = it could not be reached.
    pub fn on_sidecar_answer(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        status: Option<u16>,
        body: &[u8],
    ) {
        let Phase::Asked(question) = std::mem::take(&mut self.phase) else {
            return;
        };
        let started = host.now_us();
        let answer = answer(status, body);
        let took = match &answer {
            // Waiting for a model is no work of the sidecar's.
            Ok(answer) if question.waits => answer.timing.total_us(),
            _ => started.saturating_sub(question.asked_us),
        };
        self.record.sidecar_us = self.record.sidecar_us.saturating_add(took);
        let flow = match answer {
            Ok(answer) => self.with_answer(router, host, *question, answer),
            Err(fault) => self.without_sidecar(router, host, *question, fault),
        };
        self.computed(router, host, started);
        if flow == Flow::Continue {
            host.resume_request();
        }
    }

    fn with_answer(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        mut question: Question,
        mut answer: AnalyzeResponse,
    ) -> Flow {
        if !answer.leads
            && let Some(lead) = question.lead.take()
        {
            lead.settle();
        }
        if answer.cache == Some(CacheAnswer::InFlight) {
            if question.waits {
                return self.without_sidecar(router, host, question, SidecarFault::BadAnswer);
            }
            question.waits = true;
            return self.ask(router, host, question);
        }
        if let Some(said) = &question.said {
            answer.category.clone_from(&said.category);
            answer.heads.clone_from(&said.heads);
        } else if let Some(key) = question.key
            && !answer.defaulted
            && (answer.category.is_some() || !answer.heads.is_empty())
        {
            let said = Said {
                category: answer.category.clone(),
                heads: answer.heads.clone(),
            };
            router.recent.remember_said(key, host.now_us(), said);
        }
        let Question {
            mut work,
            route,
            category: read_category,
            lookup,
            lead,
            ..
        } = question;
        let hit = match answer.cache {
            Some(CacheAnswer::Hit(hit)) if lookup.is_some() => Some(hit),
            _ => None,
        };
        // An exact hit is answered before the model runs: the category is the stored one, of the same text.
        let stored_category = hit
            .as_ref()
            .map(|h| h.category.as_str())
            .filter(|c| !c.is_empty());
        let category = match (&answer.category, stored_category) {
            _ if read_category != state::NONE => None,
            (None, Some(stored)) if stored != state::NONE => Some((stored, 1.0)),
            (scored, _) => router.category(scored.as_ref()),
        };
        let category_name = match category {
            Some((name, _)) if route.is_none() => name.to_owned(),
            _ => read_category.clone(),
        };
        let route = match route {
            Some(route) => route,
            None => {
                if read_category == state::NONE {
                    router.see_category(&mut work, category);
                }
                // So are heads: the decision that they made of the same text is the stored one.
                let unread = answer.heads.is_empty() && !router.asked.is_empty();
                let stored = hit.as_ref().filter(|_| unread);
                if stored.is_none() {
                    router.see_asked(&mut work, &answer.heads);
                }
                work.done = work.done.with(Stages::SIDECAR);
                let verdict = router.settle(host, &mut work);
                router
                    .route(host, &work, verdict)
                    .or_else(|| router.of_decision(&stored?.decision, &stored?.model))
                    .unwrap_or_else(|| router.fallback(&work))
            }
        };
        let route = match self.admit(router, host, &work, route, &category_name) {
            Ok(route) => route,
            Err(flow) => return flow,
        };
        match (hit, lookup) {
            (Some(hit), Some(lookup)) if lookup.accepts(&hit, &route) => {
                self.record.cache = Cache::Hit;
                // The client's stream has no usage that it did not ask for: the meter takes it out.
                let request = &work.request;
                self.record.usage_requested =
                    router.has_meter && request.stream && !request.asks_for_usage();
                self.record_route(&route, &category_name);
                self.tell_why(router, &work, &route, Vec::new());
                let similarity = match router.export_similarity {
                    true => format!("{:.4}", hit.similarity),
                    false => String::new(),
                };
                if router.has_meter {
                    // It knows the header's name, and takes out what others write.
                    self.record.similarity = similarity.into();
                    return lookup.reply(host, hit, "");
                }
                lookup.reply(host, hit, &similarity)
            }
            (_, lookup) => {
                self.keep(lookup, lead, &route, &category_name);
                self.go(router, host, &work, &route, &category_name)
            }
        }
    }

    /// The sidecar gave nothing usable. A route that did not need it goes on; otherwise `on_error` decides.
    fn without_sidecar(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        question: Question,
        fault: SidecarFault,
    ) -> Flow {
        host.count(Metric::Fallbacks, &[fault.reason()], 1);
        self.record.fallback = fault.reason().into();
        if question.said.is_some() {
            // Only the lookup is missing.
            let lookup = None;
            let question = Question { lookup, ..question };
            return self.with_answer(router, host, question, AnalyzeResponse::default());
        }
        match (question.route, router.on_error) {
            (Some(route), _) => self.go(router, host, &question.work, &route, &question.category),
            (None, OnError::Default) => {
                let fallback = router.fallback(&question.work);
                match self.admit(router, host, &question.work, fallback, state::NONE) {
                    Ok(route) => self.go(router, host, &question.work, &route, state::NONE),
                    Err(flow) => flow,
                }
            }
            (None, OnError::Block) => refuse(host, &Fault::SidecarUnavailable),
        }
    }
}

fn answer(status: Option<u16>, body: &[u8]) -> Result<AnalyzeResponse, SidecarFault> {
    match status {
        Some(200) => serde_json::from_slice(body).map_err(|_| SidecarFault::BadAnswer),
        Some(504) => Err(SidecarFault::Timeout),
        Some(_) | None => Err(SidecarFault::Unavailable),
    }
}
