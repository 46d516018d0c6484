//! What is read of a request whose way its own words do not settle, and what follows from what was found.

use std::rc::Rc;

use super::asking::Question;
use super::lookup::plan_lookup;
use super::recent::{Key, MAX_REMEMBERED_BYTES};
use super::route::Route;
use super::router::Router;
use super::signals::{Found, Progress, Signals};
use super::stream::{Phase, RouterStream};
use super::work::{Extent, Work};
use crate::config::OnBudget;
use crate::decision::{Stages, Verdict};
use crate::guard::Findings;
use crate::host::{Flow, Host, refuse};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::state;

/// Texts that are being read.
#[derive(Debug)]
pub(super) struct Reading<R> {
    work: Work,
    /// Route that does not depend on what is found.
    route: Option<Rc<Route>>,
    reading: R,
    guarded: bool,
    took_us: u64,
    /// Under which what is found will be remembered.
    key: Option<Key>,
}

impl<S: Signals> RouterStream<S> {
    /// Decides by the request itself, or begins to read it.
    pub(super) fn decide(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        mut work: Work,
    ) -> Flow {
        let request = &work.request;
        self.record.stream = request.stream;
        self.record.prompt_bytes = u64::try_from(request.text_bytes()).unwrap_or(u64::MAX);
        let is_auto = router.auto_names.contains(&request.model);
        let route = if is_auto {
            let verdict = router.settle(host, &mut work);
            router.route(host, &work, verdict)
        } else {
            let Some(route) = router.named(&request.model) else {
                return refuse(host, &Fault::UnknownModel(request.model.clone()));
            };
            Some(route)
        };
        let wanted = router.wanted(route.as_deref(), is_auto);
        if wanted.guards()
            && let Some(member) = work.request.unread
        {
            return refuse(host, &Fault::Unreadable(member));
        }
        if !wanted.any() {
            return self.with_found(router, host, work, route, &Found::default());
        }
        let parts = work.parts(wanted.guards() || wanted.every_part);
        // To hash a long text takes as long as a slice: it is read in slices instead.
        let bytes = parts.iter().map(|part| part.text.len());
        let is_remembered = router.recent.is_on() && bytes.sum::<usize>() <= MAX_REMEMBERED_BYTES;
        let key = is_remembered.then(|| Key::of_reading(wanted, &parts));
        if let Some(found) = key.and_then(|key| router.recent.found(&key, host.now_us())) {
            host.count(Metric::RoutingCacheHits, &[], 1);
            return self.with_found(router, host, work, route, &found);
        }
        self.read(
            router,
            host,
            Reading {
                work,
                route,
                reading: router.signals.begin(wanted, parts),
                guarded: wanted.guards(),
                took_us: 0,
                key,
            },
        )
    }

    /// Other work had its turn: reads on.
    pub fn on_slice(&mut self, router: &Router<S>, host: &mut impl Host) {
        let Phase::Reading(reading) = std::mem::take(&mut self.phase) else {
            return;
        };
        let started = host.now_us();
        let flow = self.read(router, host, *reading);
        self.computed(router, host, started);
        if flow == Flow::Continue {
            host.resume_request();
        }
    }

    /// Reads for a slice of time, or to the end where nobody would call again.
    fn read(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        mut reading: Reading<S::Reading>,
    ) -> Flow {
        let micros = |ms: u32| u64::from(ms).saturating_mul(1000);
        let (slice, budget) = (
            micros(router.guards.slice_ms),
            micros(router.guards.budget_ms),
        );
        loop {
            let started = host.now_us();
            let left = slice.min(budget.saturating_sub(reading.took_us));
            let mut took = 0;
            let progress = router.signals.read(&mut reading.reading, &mut || {
                took = host.now_us().saturating_sub(started);
                took < left
            });
            reading.took_us = reading.took_us.saturating_add(took);
            let found = router.signals.found(&reading.reading);
            if progress == Progress::Done {
                let Reading {
                    work, route, key, ..
                } = reading;
                if let Some(key) = key {
                    router.recent.remember_found(key, host.now_us(), &found);
                }
                return self.with_found(router, host, work, route, &found);
            }
            if reading.took_us >= budget {
                return self.over_budget(router, host, reading, found);
            }
            if host.call_later().is_ok() {
                self.phase = Phase::Reading(Box::new(reading));
                return Flow::Pause;
            }
        }
    }

    /// Reading took longer than it may. What was found counts; whether the rest may pass unread is configured.
    fn over_budget(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        reading: Reading<S::Reading>,
        found: Found,
    ) -> Flow {
        let Reading {
            mut work,
            route,
            guarded,
            ..
        } = reading;
        let reason = if guarded {
            "guard_budget"
        } else {
            "topic_budget"
        };
        host.count(Metric::Fallbacks, &[reason], 1);
        self.record.fallback = reason.into();
        if guarded && router.guards.on_budget == OnBudget::Block {
            self.note(&found.guards);
            if let Some(route) = &route {
                self.record.decision = route.decision.clone().into();
                self.tell_why(router, &work, route, Vec::new());
            }
            return refuse(host, &Fault::NotJudged);
        }
        // A topic of a part of the text is none.
        work.read = Extent::Part;
        let found = Found {
            topics: Vec::new(),
            labels: router.certain(found.labels),
            guards: found.guards,
        };
        self.with_found(router, host, work, route, &found)
    }

    /// The texts were read, or need not be.
    fn with_found(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        mut work: Work,
        route: Option<Rc<Route>>,
        found: &Found,
    ) -> Flow {
        self.note(&found.guards);
        work.findings = found.guards.clone();
        if work.read == Extent::Nothing {
            work.read = Extent::All;
        }
        let (route, category) = match route {
            Some(route) => {
                let refusal = router.refusal(&mut work, found);
                (Some(refusal.unwrap_or(route)), state::NONE.to_owned())
            }
            None => {
                let read = router.read_category(found).map(|(name, _)| name);
                router.see_found(&mut work, found);
                work.is_uncertain = router.is_uncertain(found);
                let verdict = router.settle(host, &mut work);
                let route = router.route(host, &work, verdict);
                let may_ask =
                    matches!(verdict, Verdict::Open(stages) if stages.has(Stages::SIDECAR));
                // Nobody else can be asked for what is still open.
                let last = || {
                    let nobody = !(may_ask && router.sidecar_may_settle);
                    nobody.then(|| router.fallback(&work))
                };
                let category = read.unwrap_or(state::NONE).to_owned();
                (route.or_else(last), category)
            }
        };
        // What is answered here costs no call.
        let admitted = route.map(|route| self.admit(router, host, &work, route, &category));
        let route = match admitted {
            Some(Err(flow)) => return flow,
            Some(Ok(route)) => Some(route),
            None => None,
        };
        let lookup = if self.explains {
            None
        } else {
            plan_lookup(router, host, &mut work, route.as_deref(), self.control)
        };
        match route {
            Some(route) if lookup.as_ref().is_none_or(|l| l.control.no_cache) => {
                self.keep(lookup, None, &route, &category);
                self.go(router, host, &work, &route, &category)
            }
            route => self.ask(router, host, Question::new(work, route, category, lookup)),
        }
    }

    /// Remembers what guards found, for the meter.
    fn note(&mut self, findings: &Findings) {
        self.record.pii_types = findings.pii_kinds().join(",").into();
    }
}
