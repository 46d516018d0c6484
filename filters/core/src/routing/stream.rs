//! The router's view of one stream.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::asking::Question;
use super::capture::{Capture, Wanted, form_to_store};
use super::explain::{EXPLAIN_PATH, Outcome};
use super::lead::Lead;
use super::lookup::{Lookup, plan_lookup};
use super::recent::{Key, MAX_REMEMBERED_BYTES};
use super::route::{Route, Router};
use super::signals::{Found, Progress, Signals};
use super::work::{Extent, Work};
use crate::cache::{Control, Partitioner, SIMILARITY_HEADER};
use crate::config::{BlockResponse, OnBudget};
use crate::decision::{Stages, Verdict};
use crate::guard::{self, Block, Findings, Finish};
use crate::host::{
    Flow, Headers, Host, HostError, LocalReply, content_length, endpoint, hyphenated, refuse,
    replace_body,
};
use crate::metrics::Metric;
use crate::output::{OutputPlan, OutputStream, WARNINGS_HEADER};
use crate::record::{Cache, Record, pack_debug};
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::state;

/// One stream.
#[derive(Debug)]
pub struct RouterStream<S: Signals> {
    pub(super) phase: Phase<S::Reading>,
    capture: Option<Capture>,
    /// What is done to the answer.
    output: OutputStream,
    /// Whether the request asks what would become of it.
    explains: bool,
    /// Whether the answer shall say what matched.
    debug: bool,
    /// Headers that say it, where no meter writes them.
    debug_headers: Vec<(String, String)>,
    /// When the request went upstream, where that is worth to be timed.
    sent_us: Option<u64>,
    control: Control,
    pub(super) record: Record,
}

impl<S: Signals> Default for RouterStream<S> {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            capture: None,
            output: OutputStream::default(),
            explains: false,
            debug: false,
            debug_headers: Vec::new(),
            sent_us: None,
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
    route: Option<Rc<Route>>,
    reading: R,
    guarded: bool,
    took_us: u64,
    /// Under which what is found will be remembered.
    key: Option<Key>,
}

impl<S: Signals> RouterStream<S> {
    /// A stream whose request is explained, whoever asks.
    #[must_use]
    pub fn explaining() -> Self {
        Self {
            explains: true,
            ..Self::default()
        }
    }

    /// Answers with what would become of the request.
    fn explain(
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

    /// Request headers are here.
    pub fn on_request_headers(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        let headers = host.request_headers();
        let wants_debug = headers.get(DEBUG_HEADER) == Some(b"true");
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
        if asks_why(&headers) {
            if !self.explains && !router.trusts(host) {
                return refuse(host, &Fault::NotTrusted);
            }
            self.explains = true;
        } else if wants_debug {
            self.debug = router.trusts(host);
        }
        let endpoint = match endpoint(&headers) {
            _ if self.explains => Endpoint::ChatCompletions,
            Some(endpoint) => endpoint,
            None => return Flow::Continue,
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
            Ok(request) => {
                let signals = router.engine.signals().len();
                self.decide(router, host, Work::new(endpoint, request, body, signals))
            }
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
            let verdict = router.settle(host, &mut work);
            router.route(host, &work, verdict)
        } else {
            let Some(route) = router.named(&request.model) else {
                return refuse(host, &Fault::UnknownModel(request.model.clone()));
            };
            Some(route)
        };
        let wanted = router.wanted(route.as_deref());
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
        route: Option<Rc<Route>>,
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
        route: Option<Rc<Route>>,
        found: &Found,
    ) -> Flow {
        self.note(&found.guards);
        work.findings = found.guards.clone();
        if work.read == Extent::Nothing {
            work.read = Extent::All;
        }
        let (route, category) = match route {
            Some(route) => (Some(route), state::NONE.to_owned()),
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
                    nobody.then(|| router.fallback())
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

    /// The route by which a request may go that guards have read; what was done where it may not go, or need not.
    pub(super) fn admit(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: Rc<Route>,
        category: &str,
    ) -> Result<Rc<Route>, Flow> {
        let route = match &route.elsewhere {
            Some(elsewhere) if route.policy.moves(&work.findings) => Rc::clone(elsewhere),
            _ => route,
        };
        if let Some(block) = route.policy.judge(&work.findings) {
            return Err(self.block(router, host, work, block));
        }
        if let Some(text) = &route.answer {
            return Err(self.answer(router, host, work, &route, category, text));
        }
        Ok(route)
    }

    /// Answers with the text of a decision.
    fn answer(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
        text: &str,
    ) -> Flow {
        let Work {
            endpoint, request, ..
        } = work;
        let now = host.now_us() / 1_000_000;
        let model = &route.model;
        let Some(mut reply) =
            guard::answered(*endpoint, request.stream, model, text, Finish::Stop, now)
        else {
            return refuse(host, &Fault::NoAnswer);
        };
        self.record_route(route, category);
        self.record.reasoning = false;
        if self.explains {
            return self.explain(router, host, work, Outcome::Answered(route));
        }
        // No model worked.
        self.record.blocked = true;
        if router.has_meter {
            // It takes out what others write.
            let header = ("x-vsr-fast-response".to_owned(), "true".to_owned());
            self.record.debug = pack_debug(&[header]).into();
        } else {
            reply.headers.push(("x-vsr-fast-response", "true".into()));
        }
        host.reply(reply);
        Flow::Pause
    }

    /// Remembers what guards found, for the meter.
    fn note(&mut self, findings: &Findings) {
        let mut kinds: Vec<&str> = findings.pii.iter().map(|found| found.kind).collect();
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
        if self.explains {
            return self.explain(router, host, work, Outcome::Blocked(block.code()));
        }
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
        let now = host.now_us() / 1_000_000;
        let edited =
            route
                .changes
                .edit(&mut edits, *endpoint, request, body, now, work.is_uncertain);
        if self.explains {
            self.record_route(route, category);
            self.record.reasoning = edited.reasoning;
            self.record.system_prompt = edited.system_prompt;
            return self.explain(router, host, work, Outcome::Upstream(route));
        }
        let restore = mask(&mut edits, work, route);
        let usage_requested = router.has_meter && edits.ask_for_usage(*endpoint, request);
        if !edits.is_empty() && replace_body(host, &edits.apply(request, body)).is_err() {
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
        let plan = OutputPlan {
            guard: route.output.clone(),
            restore,
        };
        let headers = route.changes.set_headers(host);
        if headers
            .and_then(|()| self.plan_output(host, *endpoint, plan))
            .is_err()
        {
            return refuse(host, &Fault::Internal("a header could not be set"));
        }
        self.record_route(route, category);
        self.record.reasoning = edited.reasoning;
        self.record.system_prompt = edited.system_prompt;
        if self.debug {
            let headers = router.debug_headers(work, &route.decision);
            self.record.debug = pack_debug(&headers).into();
            if !router.has_meter {
                self.debug_headers = headers;
            }
        }
        if router.latencies.times(&route.model) {
            self.sent_us = Some(host.now_us());
        }
        Flow::Continue
    }

    /// Says what is to be done to the answer of the model, before the request goes upstream: an answer that is read must not come
    /// compressed, and one in which placeholders are put back is nobody else's.
    ///
    /// # Errors
    /// The request must then not go upstream.
    pub(super) fn plan_output(
        &mut self,
        host: &mut impl Host,
        endpoint: Endpoint,
        plan: OutputPlan,
    ) -> Result<(), HostError> {
        if !plan.is_empty() {
            host.set_request_header("accept-encoding", b"identity")?;
        }
        if !plan.restore.is_empty() {
            self.capture = None;
        }
        self.output = OutputStream::new(endpoint, plan);
        Ok(())
    }

    pub(super) fn record_route(&mut self, route: &Route, category: &str) {
        self.record.model = route.model.clone().into();
        self.record.decision = route.decision.clone().into();
        self.record.category = category.to_owned().into();
        self.record.reasoning = route.reasoning;
    }

    /// Response headers are here. Held while a guard reads the answer.
    pub fn on_response_headers(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        for (name, value) in std::mem::take(&mut self.debug_headers) {
            host.set_response_header(&name, value.as_bytes());
        }
        if self.sent_us.is_none() && self.capture.is_none() && self.output.is_done() {
            return Flow::Continue;
        }
        let headers = host.response_headers();
        if let Some(sent) = self.sent_us.take() {
            let now = host.now_us();
            let failed = headers.get(":status").is_none_or(|s| s.starts_with(b"5"));
            let took = now.saturating_sub(sent);
            router
                .latencies
                .answered(&self.record.model, took, failed, now);
        }
        if let Some(capture) = self.capture.as_mut() {
            let limit = router.max_cached_body_bytes;
            let shared = router.cache.as_ref().is_some_and(Partitioner::is_shared);
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
        let rules = router.output_rules();
        self.output
            .on_headers(&rules, host, &headers, end_of_stream)
    }

    /// More of the response body is here: `size` bytes with what is held. It passes, or is held on.
    pub fn on_response_body(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        size: usize,
        end_of_stream: bool,
    ) -> Flow {
        if self.capture.is_none() && self.output.is_done() {
            return Flow::Continue;
        }
        let held = self.output.held();
        let from = held.unwrap_or_default();
        let new = match self.output.is_stopped() {
            true => 0,
            false => size.saturating_sub(from),
        };
        let chunk = if new > 0 {
            host.response_chunk(from, new)
        } else {
            Vec::new()
        };
        let is_lost = chunk.len() != new;
        if let Some(capture) = self.capture.as_mut()
            && (is_lost || capture.push(host, &chunk) == Wanted::NoMore)
        {
            self.capture = None;
        }
        let rules = router.output_rules();
        let chunk = (!is_lost).then_some(chunk.as_slice());
        let flow = self
            .output
            .on_body(&rules, host, (chunk, size), end_of_stream);
        if held.is_some() && flow == Flow::Continue {
            self.warn(router, host);
        }
        // What a guard objects to is nobody's answer but this one's.
        if self.output.found().is_some() || self.output.is_stopped() {
            self.capture = None;
        }
        if end_of_stream && let Some(capture) = self.capture.take() {
            capture.store(host);
        }
        flow
    }

    /// The trailers of the response are here: its body is complete.
    pub fn on_response_trailers(&mut self, router: &Router<S>, host: &mut impl Host) {
        if let Some(held) = self.output.held() {
            self.on_response_body(router, host, held, true);
        }
    }

    /// Names what was found in an answer whose headers go now: the meter does, where there is one.
    fn warn(&mut self, router: &Router<S>, host: &mut impl Host) {
        let Some(warning) = self.output.warning() else {
            return;
        };
        if router.has_meter {
            self.record.response_warnings = warning.into();
            self.record.publish_again(host);
        } else {
            host.set_response_header(WARNINGS_HEADER, warning.as_bytes());
        }
    }
}

/// Puts masks in place of personal data that may only pass so; gives what to put back, if that is wanted. The same data has the same mask.
fn mask(edits: &mut Edits, work: &Work, route: &Route) -> Vec<(String, String)> {
    let (found, restores) = route.policy.masked(&work.findings);
    let mut masks: Vec<(String, String)> = Vec::new();
    let mut parts: BTreeMap<usize, Vec<(Range<usize>, String)>> = BTreeMap::new();
    for finding in found {
        let Some(message) = work.message(finding.part) else {
            continue;
        };
        let text = message.text(&work.body);
        let range = finding.start..finding.end;
        let original = text.get(range.clone()).unwrap_or_default();
        let known = masks.iter().find(|(mask, known)| {
            known == original && mask.trim_start_matches('[').starts_with(finding.kind)
        });
        let mask = match known {
            Some((mask, _)) => mask.clone(),
            None => {
                let same = |(mask, _): &&(String, String)| {
                    mask.trim_start_matches('[').starts_with(finding.kind)
                };
                let number = masks.iter().filter(same).count().saturating_add(1);
                let mask = format!("[{}_{number}]", finding.kind);
                masks.push((mask.clone(), original.to_owned()));
                mask
            }
        };
        parts.entry(finding.part).or_default().push((range, mask));
    }
    for (part, replacements) in &parts {
        if let Some(message) = work.message(*part) {
            let replacements: Vec<(Range<usize>, &str)> = replacements
                .iter()
                .map(|(range, mask)| (range.clone(), mask.as_str()))
                .collect();
            edits.replace_in_text(&work.body, message, &replacements);
        }
    }
    if restores { masks } else { Vec::new() }
}

fn is_ours(header: &[u8]) -> bool {
    let header = hyphenated(header);
    header.starts_with(b"x-vsr-")
        || *header == *b"x-selected-model"
        || *header == *SIMILARITY_HEADER.as_bytes()
}

/// By which trusted callers ask for response headers that say what matched.
const DEBUG_HEADER: &str = "x-vsr-debug";

fn asks_why(headers: &Headers) -> bool {
    let path = headers.get(":path");
    let path = path.and_then(|path| path.split(|byte| *byte == b'?').next());
    headers.get(":method") == Some(b"POST") && path == Some(EXPLAIN_PATH.as_bytes())
}

fn asks_for_models(headers: &Headers) -> bool {
    let path = headers.get(":path");
    let path = path.and_then(|path| path.split(|byte| *byte == b'?').next());
    headers.get(":method") == Some(b"GET") && path == Some(b"/v1/models")
}
