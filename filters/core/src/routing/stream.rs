//! The router's view of one stream.

use super::route::{KeywordMatcher, Route, Router};
use crate::cache::{Skip, is_storable};
use crate::decision::{Category, OnError};
use crate::host::{Flow, Header, Host, HostError, LocalReply, endpoint, refuse, replace_body};
use crate::metering::{Form, millis};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::sidecar::{
    ANALYZE_PATH, AnalyzeRequest, AnalyzeResponse, CacheAnswer, CacheHit, CacheLookup, Head,
    StoreRequest,
};
use crate::state;

/// One stream.
#[derive(Debug, Default)]
pub struct RouterStream {
    phase: Phase,
    capture: Option<Capture>,
    computed_us: u64,
    waited_us: u64,
}

#[derive(Debug, Default)]
enum Phase {
    /// Not an LLM request, or done with.
    #[default]
    Idle,
    /// Headers are held, the body is coming.
    Body(Endpoint),
    /// The sidecar was asked.
    Asked(Box<Question>),
}

/// What was asked of the sidecar, and what to do with the answer.
#[derive(Debug)]
struct Question {
    work: Work,
    /// Route that does not depend on the answer.
    route: Option<Route>,
    keywords: Vec<bool>,
    lookup: Option<Lookup>,
    asked_us: u64,
}

/// A request in work.
#[derive(Debug)]
struct Work {
    endpoint: Endpoint,
    request: Request,
    body: Vec<u8>,
}

/// A cache lookup.
#[derive(Debug, Clone)]
struct Lookup {
    partition: String,
    text: String,
}

/// An answer that is kept for the cache while it passes.
#[derive(Debug)]
struct Capture {
    lookup: Lookup,
    model: String,
    decision: String,
    category: String,
    body: Vec<u8>,
    started: bool,
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

impl RouterStream {
    /// Request headers are here.
    pub fn on_request_headers<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        let headers = host.request_headers();
        for header in headers.iter().filter(|h| is_ours(&h.name)) {
            if host.remove_request_header(&header.name).is_err() {
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
        self.phase = Phase::Body(endpoint);
        if end_of_stream {
            self.on_request_body(router, host)
        } else {
            Flow::Pause
        }
    }

    /// More of the request body is held, `size` bytes in all.
    pub fn on_request_chunk<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
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
    pub fn on_request_body<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
    ) -> Flow {
        let endpoint = match self.phase {
            Phase::Body(endpoint) => endpoint,
            Phase::Idle => return Flow::Continue,
            Phase::Asked(_) => return Flow::Pause,
        };
        self.phase = Phase::Idle;
        let started = host.now_us();
        let body = host.request_body();
        let flow = match Request::parse(endpoint, &body) {
            Ok(request) => self.decide(
                router,
                host,
                Work {
                    endpoint,
                    request,
                    body,
                },
            ),
            Err(error) => refuse(host, &Fault::BadRequest(error.to_string())),
        };
        self.computed(host, started);
        flow
    }

    fn computed(&mut self, host: &mut impl Host, started: u64) {
        self.computed_us = self
            .computed_us
            .saturating_add(host.now_us().saturating_sub(started));
        host.set_filter_state(
            state::TIMING_ROUTER,
            self.computed_us.to_string().as_bytes(),
        );
        let classified = millis(self.computed_us.saturating_add(self.waited_us));
        host.set_filter_state(state::TIMING_CLASSIFICATION, classified.as_bytes());
    }

    fn decide<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        work: Work,
    ) -> Flow {
        let request = &work.request;
        host.set_filter_state(state::STREAM, request.stream.to_string().as_bytes());
        host.set_filter_state(
            state::PROMPT_BYTES,
            request.text_bytes().to_string().as_bytes(),
        );
        let is_auto = router.auto_names.contains(&request.model);
        let (keywords, route) = if is_auto {
            let keywords = router.keywords.matches(&request.routing_text(&work.body));
            let route = router.route(&keywords, Category::Unasked).cloned();
            (keywords, route)
        } else {
            let Some(route) = router.named(&request.model) else {
                return refuse(host, &Fault::UnknownModel(request.model.clone()));
            };
            (Vec::new(), Some(route))
        };
        let lookup = plan_lookup(router, host, &work, route.as_ref());
        match route {
            Some(route) if lookup.is_none() => self.go(router, host, &work, &route, state::NONE),
            route => self.ask(
                router,
                host,
                Question {
                    work,
                    route,
                    keywords,
                    lookup,
                    asked_us: 0,
                },
            ),
        }
    }

    fn ask<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        mut question: Question,
    ) -> Flow {
        let needs_category = question.route.is_none();
        let text = match &question.lookup {
            Some(lookup) if !needs_category => lookup.text.clone(),
            _ => question.work.request.routing_text(&question.work.body),
        };
        let threshold = match &question.route {
            Some(route) => route.cache.similarity_threshold,
            None => router.lowest_threshold(),
        };
        let ask = AnalyzeRequest {
            text,
            heads: if needs_category {
                vec![Head::Category]
            } else {
                Vec::new()
            },
            cache: question.lookup.as_ref().map(|lookup| CacheLookup {
                partition: lookup.partition.clone(),
                similarity_threshold: threshold,
            }),
        };
        question.asked_us = host.now_us();
        let sent = serde_json::to_vec(&ask)
            .map_err(|_| HostError)
            .and_then(|body| host.ask_sidecar(ANALYZE_PATH, &body));
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
    pub fn on_sidecar_answer<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        status: Option<u16>,
        body: &[u8],
    ) {
        let Phase::Asked(question) = std::mem::take(&mut self.phase) else {
            return;
        };
        let started = host.now_us();
        self.waited_us = started.saturating_sub(question.asked_us);
        host.set_filter_state(state::TIMING_SIDECAR, self.waited_us.to_string().as_bytes());
        let flow = match answer(status, body) {
            Ok(answer) => self.with_answer(router, host, *question, answer),
            Err(fault) => self.without_sidecar(router, host, *question, fault),
        };
        self.computed(host, started);
        if flow == Flow::Continue {
            host.resume_request();
        }
    }

    fn with_answer<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        question: Question,
        answer: AnalyzeResponse,
    ) -> Flow {
        let Question {
            work,
            route,
            keywords,
            lookup,
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
            (None, Some(stored)) if stored != state::NONE => Category::Is(stored),
            (scored, _) => router.category(scored.as_ref()),
        };
        let category_name = match category {
            Category::Is(name) if route.is_none() => name.to_owned(),
            _ => state::NONE.to_owned(),
        };
        let route = match route {
            Some(route) => route,
            None => router
                .route(&keywords, category)
                .unwrap_or(router.fallback())
                .clone(),
        };
        match hit {
            Some(hit) if serves(&hit, &route) => {
                reply_from_cache(host, &route, &category_name, hit)
            }
            _ => {
                if let Some(lookup) = lookup.filter(|_| route.cache.enabled) {
                    host.set_filter_state(state::CACHE, b"miss");
                    self.capture = Some(Capture {
                        lookup,
                        model: route.model.clone(),
                        decision: route.decision.clone(),
                        category: category_name.clone(),
                        body: Vec::new(),
                        started: false,
                    });
                }
                self.go(router, host, &work, &route, &category_name)
            }
        }
    }

    /// The sidecar gave nothing usable. A route that did not need it goes on; otherwise `on_error` decides.
    fn without_sidecar<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        question: Question,
        fault: SidecarFault,
    ) -> Flow {
        host.count(Metric::Fallbacks, &[fault.reason()], 1);
        host.set_filter_state(state::FALLBACK, fault.reason().as_bytes());
        match (question.route, router.on_error) {
            (Some(route), _) => self.go(router, host, &question.work, &route, state::NONE),
            (None, OnError::Default) => {
                self.go(router, host, &question.work, router.fallback(), state::NONE)
            }
            (None, OnError::Block) => refuse(host, &Fault::SidecarUnavailable),
        }
    }

    /// Sends the request upstream.
    fn go<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
    ) -> Flow {
        let Work {
            endpoint,
            request,
            body,
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
            host.set_filter_state(state::USAGE_REQUESTED, b"1");
        }
        if host
            .set_request_header("x-selected-model", route.model.as_bytes())
            .is_err()
        {
            return refuse(host, &Fault::Internal("the model header could not be set"));
        }
        publish(host, route, category);
        Flow::Continue
    }

    /// Response headers are here.
    pub fn on_response_headers<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
    ) {
        if self.capture.is_none() {
            return;
        }
        let headers = host.response_headers();
        let is = |name: &str, test: &dyn Fn(&[u8]) -> bool| {
            headers
                .iter()
                .find(|h| h.name == name)
                .is_some_and(|h| test(&h.value))
        };
        let too_large =
            content_length(&headers).is_some_and(|length| length > router.max_cached_body_bytes);
        let storable = is(":status", &|v| v == b"200")
            && is("content-type", &|v| Form::of_content_type(v) == Form::Json)
            && !is("content-encoding", &|v| {
                !v.eq_ignore_ascii_case(b"identity")
            })
            && !too_large;
        match &mut self.capture {
            Some(capture) if storable => capture.started = true,
            _ => self.capture = None,
        }
    }

    /// A chunk of the response body passes.
    pub fn on_response_body<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        size: usize,
        end_of_stream: bool,
    ) {
        let Some(capture) = self.capture.as_mut().filter(|c| c.started) else {
            return;
        };
        if capture.body.len().saturating_add(size) > router.max_cached_body_bytes {
            self.capture = None;
            return;
        }
        if size > 0 {
            capture.body.extend_from_slice(&host.response_chunk(size));
        }
        if end_of_stream && let Some(capture) = self.capture.take() {
            store(host, capture);
        }
    }
}

fn store(host: &mut impl Host, capture: Capture) {
    if !is_storable(&capture.body) {
        return;
    }
    let Ok(body) = String::from_utf8(capture.body) else {
        return;
    };
    let entry = StoreRequest {
        partition: capture.lookup.partition,
        text: capture.lookup.text,
        model: capture.model,
        decision: capture.decision,
        category: capture.category,
        body,
    };
    if host.store(entry).is_err() {
        host.count(Metric::CacheStoreFailures, &["queue_full"], 1);
    }
}

/// Whether the cache is asked, and under which key.
fn plan_lookup<K: KeywordMatcher>(
    router: &Router<K>,
    host: &mut impl Host,
    work: &Work,
    route: Option<&Route>,
) -> Option<Lookup> {
    let planned = lookup(router, host, work, route);
    match planned {
        Ok(lookup) => Some(lookup),
        Err(skip) => {
            if let Some(reason) = skip.reason() {
                host.count(Metric::CacheSkipped, &[reason], 1);
            }
            None
        }
    }
}

fn lookup<K: KeywordMatcher>(
    router: &Router<K>,
    host: &mut impl Host,
    work: &Work,
    route: Option<&Route>,
) -> Result<Lookup, Skip> {
    let partitioner = router.cache.as_ref().ok_or(Skip::Off)?;
    if route.is_some_and(|r| !r.cache.enabled) {
        return Err(Skip::Off);
    }
    let identified = text_state(host, state::IDENTIFIED).unwrap_or_default();
    let named = |host: &mut _, part: &str, key: &str| {
        identified
            .split(',')
            .any(|p| p == part)
            .then(|| text_state(host, key))
            .flatten()
    };
    let (user, tier) = (
        named(host, "user", state::USER),
        named(host, "tier", state::TIER),
    );
    let Work {
        endpoint,
        request,
        body,
    } = work;
    let partition =
        partitioner.partition(*endpoint, request, body, user.as_deref(), tier.as_deref())?;
    Ok(Lookup {
        partition,
        text: request.last_user_text(body),
    })
}

fn text_state<H: Host>(host: &mut H, key: &str) -> Option<String> {
    host.filter_state(key)
        .and_then(|value| String::from_utf8(value).ok())
}

/// Whether a stored answer may stand for what `route` would give.
fn serves(hit: &CacheHit, route: &Route) -> bool {
    route.cache.enabled
        && hit.similarity >= route.cache.similarity_threshold
        && hit.model == route.model
        && hit.decision == route.decision
}

fn reply_from_cache(host: &mut impl Host, route: &Route, category: &str, hit: CacheHit) -> Flow {
    host.set_filter_state(state::CACHE, b"hit");
    publish(host, route, category);
    host.reply(LocalReply {
        status: 200,
        headers: vec![("age", hit.age_seconds.to_string())],
        body: hit.body.into_bytes(),
    });
    Flow::Pause
}

fn publish(host: &mut impl Host, route: &Route, category: &str) {
    host.set_filter_state(state::MODEL, route.model.as_bytes());
    host.set_filter_state(state::DECISION, route.decision.as_bytes());
    host.set_filter_state(state::CATEGORY, category.as_bytes());
    host.set_filter_state(
        state::REASONING,
        if route.reasoning { b"on" } else { b"off" },
    );
}

fn answer(status: Option<u16>, body: &[u8]) -> Result<AnalyzeResponse, SidecarFault> {
    match status {
        Some(200) => serde_json::from_slice(body).map_err(|_| SidecarFault::BadAnswer),
        Some(504) => Err(SidecarFault::Timeout),
        Some(_) | None => Err(SidecarFault::Unavailable),
    }
}

fn is_ours(header: &str) -> bool {
    let header = header.replace('_', "-");
    header.starts_with("x-vsr-") || header == "x-selected-model"
}

fn asks_for_models(headers: &[Header]) -> bool {
    let value = |name: &str| headers.iter().find(|h| h.name == name).map(|h| &*h.value);
    let path = value(":path").and_then(|path| path.split(|byte| *byte == b'?').next());
    value(":method") == Some(b"GET") && path == Some(b"/v1/models")
}

fn content_length(headers: &[Header]) -> Option<usize> {
    let header = headers.iter().find(|h| h.name == "content-length")?;
    std::str::from_utf8(&header.value).ok()?.trim().parse().ok()
}
