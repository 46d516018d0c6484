//! The router's view of one stream.

use super::asking::Question;
use super::capture::{Capture, Wanted, form_to_store};
use super::lead::Lead;
use super::lookup::{Lookup, plan_lookup};
use super::recent::{Key, MAX_REMEMBERED_BYTES};
use super::route::{Route, Router};
use super::signals::{Found, Progress, Signals};
use super::work::{Extent, Work};
use crate::cache::{Control, Partitioner, SIMILARITY_HEADER};
use crate::config::{BlockResponse, OnBudget};
use crate::decision::Category;
use crate::guard::{self, Block, Findings};
use crate::host::{
    Flow, Headers, Host, LocalReply, content_length, endpoint, hyphenated, refuse, replace_body,
};
use crate::metrics::Metric;
use crate::record::{Cache, Record};
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::state;

/// One stream.
#[derive(Debug)]
pub struct RouterStream<S: Signals> {
    pub(super) phase: Phase<S::Reading>,
    capture: Option<Capture>,
    control: Control,
    pub(super) record: Record,
}

impl<S: Signals> Default for RouterStream<S> {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            capture: None,
            control: Control::default(),
            record: Record::default(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) enum Phase<R> {
    /// Not an LLM request, or done with.
    #[default]
    Idle,
    /// Headers are held, the body is coming.
    Body(Endpoint),
    /// The texts are being read.
    Reading(Box<Reading<R>>),
    /// The sidecar was asked.
    Asked(Box<Question>),
}

/// Texts that are being read.
#[derive(Debug)]
pub(super) struct Reading<R> {
    work: Work,
    /// Route that does not depend on what is found.
    route: Option<Route>,
    reading: R,
    guarded: bool,
    took_us: u64,
    /// Under which what is found will be remembered.
    key: Option<Key>,
}

impl<S: Signals> RouterStream<S> {
    /// Request headers are here.
    pub fn on_request_headers(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        let headers = host.request_headers();
        for header in headers.iter().filter(|h| is_ours(h.name)) {
            if host.remove_request_header(header.name).is_err() {
                return refuse(host, &Fault::Internal("a header could not be removed"));
            }
        }
        if asks_for_models(&headers) {
            let body = router.models_list.clone();
            host.reply(LocalReply {
                status: 200,
                headers: Vec::new(),
                body,
            });
            return Flow::Pause;
        }
        let Some(endpoint) = endpoint(&headers) else {
            return Flow::Continue;
        };
        if content_length(&headers).is_some_and(|length| length > router.max_body_bytes) {
            return refuse(host, &Fault::TooLarge(router.max_body_bytes));
        }
        if router.cache_control {
            self.control = Control::read(&headers);
        }
        self.phase = Phase::Body(endpoint);
        if end_of_stream {
            self.on_request_body(router, host)
        } else {
            Flow::Pause
        }
    }

    /// More of the request body is held, `size` bytes in all.
    pub fn on_request_chunk(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        size: usize,
    ) -> Flow {
        if matches!(self.phase, Phase::Body(_)) && size > router.max_body_bytes {
            self.phase = Phase::Idle;
            return refuse(host, &Fault::TooLarge(router.max_body_bytes));
        }
        if matches!(self.phase, Phase::Idle) {
            Flow::Continue
        } else {
            Flow::Pause
        }
    }

    /// The request body is complete.
    pub fn on_request_body(&mut self, router: &Router<S>, host: &mut impl Host) -> Flow {
        let endpoint = match self.phase {
            Phase::Body(endpoint) => endpoint,
            Phase::Idle => return Flow::Continue,
            Phase::Reading(_) | Phase::Asked(_) => return Flow::Pause,
        };
        self.phase = Phase::Idle;
        let started = host.now_us();
        let body = host.request_body();
        let flow = match Request::parse(endpoint, &body) {
            Ok(request) => self.decide(router, host, Work::new(endpoint, request, body)),
            Err(error) => refuse(host, &Fault::BadRequest(error.to_string())),
        };
        self.computed(router, host, started);
        flow
    }

    /// A step of ours is over. Publishes what is known, unless the sidecar is to be heard first.
    pub(super) fn computed(&mut self, router: &Router<S>, host: &mut impl Host, started: u64) {
        let took = host.now_us().saturating_sub(started);
        self.record.router_us = self.record.router_us.saturating_add(took);
        if matches!(self.phase, Phase::Idle) {
            self.record.publish(host, router.has_meter);
        }
    }

    fn decide(&mut self, router: &Router<S>, host: &mut impl Host, mut work: Work) -> Flow {
        let request = &work.request;
        self.record.stream = request.stream;
        self.record.prompt_bytes = u64::try_from(request.text_bytes()).unwrap_or(u64::MAX);
        let is_auto = router.auto_names.contains(&request.model);
        let route = if is_auto {
            work.keywords = router.signals.keywords(&request.routing_text(&work.body));
            router.route(work.known(Category::Unasked, None)).cloned()
        } else {
            let Some(route) = router.named(&request.model) else {
                return refuse(host, &Fault::UnknownModel(request.model.clone()));
            };
            Some(route)
        };
        let wanted = router.wanted(route.as_ref());
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
                let Reading {
                    work,
                    route,
                    guarded,
                    ..
                } = reading;
                return self.over_budget(router, host, work, route, guarded, found);
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
        mut work: Work,
        route: Option<Route>,
        guarded: bool,
        found: Found,
    ) -> Flow {
        let reason = if guarded {
            "guard_budget"
        } else {
            "topic_budget"
        };
        host.count(Metric::Fallbacks, &[reason], 1);
        self.record.fallback = reason.into();
        if guarded && router.guards.on_budget == OnBudget::Block {
            self.note(&found.guards);
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
        route: Option<Route>,
        found: &Found,
    ) -> Flow {
        self.note(&found.guards);
        work.findings = found.guards.clone();
        work.labels.clone_from(&found.labels);
        if work.read == Extent::Nothing {
            work.read = Extent::All;
        }
        let read = router.read_category(found);
        let (route, category) = match route {
            Some(route) => (Some(route), state::NONE.to_owned()),
            None => {
                let category = read.map_or(Category::Unasked, Category::Is);
                let route = router.route(work.known(category, None));
                // Nobody else can be asked for what is still open.
                let last = || (!router.sidecar_may_settle).then(|| router.fallback());
                let route = route.or_else(last);
                (route.cloned(), read.unwrap_or(state::NONE).to_owned())
            }
        };
        // Blocked requests cost no call.
        if let Some(block) = route
            .as_ref()
            .and_then(|route| route.policy.judge(&work.findings))
        {
            return self.block(router, host, &work, block);
        }
        let lookup = plan_lookup(router, host, &work, route.as_ref(), self.control);
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
        let mut kinds: Vec<&str> = findings.pii.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        self.record.pii_types = kinds.join(",").into();
    }

    /// Answers in place of a model.
    pub(super) fn block(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        block: Block,
    ) -> Flow {
        self.record.blocked = true;
        self.record.jailbreak = block == Block::Jailbreak;
        let Work {
            endpoint, request, ..
        } = work;
        let now = host.now_us() / 1_000_000;
        let reply = match router.guards.block_response {
            BlockResponse::Completion => {
                guard::blocked(*endpoint, request.stream, &request.model, &block, now)
            }
            BlockResponse::Error => None,
        };
        match reply {
            Some(reply) => {
                host.count(Metric::Errors, &[block.code()], 1);
                host.set_filter_state(state::BLOCK, block.code().as_bytes());
                host.reply(reply);
                Flow::Pause
            }
            None => refuse(host, &Fault::Blocked(block)),
        }
    }

    /// Not answered from the cache: the answer that comes is kept.
    pub(super) fn keep(
        &mut self,
        lookup: Option<Lookup>,
        lead: Option<Lead>,
        route: &Route,
        category: &str,
    ) {
        if let Some(lookup) = lookup.filter(|_| route.cache.enabled) {
            self.record.cache = Cache::Miss;
            self.capture = Some(Capture::new(
                lookup,
                &route.model,
                &route.decision,
                category,
                lead,
            ));
        }
    }

    /// Sends the request upstream.
    pub(super) fn go(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
    ) -> Flow {
        let Work {
            endpoint,
            request,
            body,
            ..
        } = work;
        let mut edits = Edits::default();
        if request.model != route.model {
            edits.set_model(request, &route.model);
        }
        if let Some((key, value)) = &route.reasoning_member
            && *endpoint == Endpoint::ChatCompletions
            && request.member(key).is_none()
        {
            edits.add_member(request, key, value);
        }
        let usage_requested = router.has_meter && edits.ask_for_usage(*endpoint, request);
        if !edits.is_empty() && replace_body(host, &edits.apply(body)).is_err() {
            return refuse(host, &Fault::Internal("the body could not be replaced"));
        }
        if usage_requested {
            self.record.usage_requested = true;
        }
        if host
            .set_request_header("x-selected-model", route.model.as_bytes())
            .is_err()
        {
            return refuse(host, &Fault::Internal("the model header could not be set"));
        }
        self.record_route(route, category);
        Flow::Continue
    }

    pub(super) fn record_route(&mut self, route: &Route, category: &str) {
        self.record.model = route.model.clone().into();
        self.record.decision = route.decision.clone().into();
        self.record.category = category.to_owned().into();
        self.record.reasoning = route.reasoning;
    }

    /// Response headers are here.
    pub fn on_response_headers(&mut self, router: &Router<S>, host: &mut impl Host) {
        let Some(capture) = self.capture.as_mut() else {
            return;
        };
        let limit = router.max_cached_body_bytes;
        let shared = router.cache.as_ref().is_some_and(Partitioner::is_shared);
        let headers = host.response_headers();
        match form_to_store(&headers, limit, shared) {
            Some(form) => capture.begin(form, limit, &router.captured),
            None => {
                if headers.get("content-encoding").is_some() {
                    host.count(Metric::CacheSkipped, &["encoding"], 1);
                }
                self.capture = None;
            }
        }
    }

    /// A chunk of the response body passes.
    pub fn on_response_body(&mut self, host: &mut impl Host, size: usize, end_of_stream: bool) {
        let Some(capture) = self.capture.as_mut() else {
            return;
        };
        if capture.push(host, size) == Wanted::NoMore {
            self.capture = None;
        } else if end_of_stream && let Some(capture) = self.capture.take() {
            capture.store(host);
        }
    }
}

fn is_ours(header: &[u8]) -> bool {
    let header = hyphenated(header);
    header.starts_with(b"x-vsr-")
        || *header == *b"x-selected-model"
        || *header == *SIMILARITY_HEADER.as_bytes()
}

fn asks_for_models(headers: &Headers) -> bool {
    let path = headers.get(":path");
    let path = path.and_then(|path| path.split(|byte| *byte == b'?').next());
    headers.get(":method") == Some(b"GET") && path == Some(b"/v1/models")
}
