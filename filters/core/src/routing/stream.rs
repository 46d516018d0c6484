//! The router's view of one stream.

use super::capture::{Capture, Wanted, may_be_stored};
use super::lookup::{Lookup, plan_lookup, reply_from_cache, serves};
use super::route::{KeywordMatcher, Route, Router};
use crate::decision::{Category, OnError};
use crate::host::{
    Flow, Headers, Host, HostError, LocalReply, content_length, endpoint, hyphenated, refuse,
    replace_body,
};
use crate::metrics::Metric;
use crate::record::{Cache, Record};
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::sidecar::{
    ANALYZE_PATH, AnalyzeRequest, AnalyzeResponse, CacheAnswer, CacheLookup, Head,
};
use crate::state;

/// One stream.
#[derive(Debug, Default)]
pub struct RouterStream {
    phase: Phase,
    capture: Option<Capture>,
    record: Record,
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
pub(super) struct Work {
    pub(super) endpoint: Endpoint,
    pub(super) request: Request,
    pub(super) body: Vec<u8>,
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
        self.computed(router, host, started);
        flow
    }

    /// A step of ours is over. Publishes what is known, unless the sidecar is to be heard first.
    fn computed<K>(&mut self, router: &Router<K>, host: &mut impl Host, started: u64) {
        let took = host.now_us().saturating_sub(started);
        self.record.router_us = self.record.router_us.saturating_add(took);
        if matches!(self.phase, Phase::Idle) {
            self.record.publish(host, router.has_meter);
        }
    }

    fn decide<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
        work: Work,
    ) -> Flow {
        let request = &work.request;
        self.record.stream = request.stream;
        self.record.prompt_bytes = u64::try_from(request.text_bytes()).unwrap_or(u64::MAX);
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
        self.record.sidecar_us = started.saturating_sub(question.asked_us);
        let flow = match answer(status, body) {
            Ok(answer) => self.with_answer(router, host, *question, answer),
            Err(fault) => self.without_sidecar(router, host, *question, fault),
        };
        self.computed(router, host, started);
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
                self.record.cache = Cache::Hit;
                self.record_route(&route, &category_name);
                reply_from_cache(host, hit)
            }
            _ => {
                if let Some(lookup) = lookup.filter(|_| route.cache.enabled) {
                    self.record.cache = Cache::Miss;
                    self.capture = Some(Capture::new(
                        lookup,
                        &route.model,
                        &route.decision,
                        &category_name,
                    ));
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
        self.record.fallback = fault.reason().into();
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

    fn record_route(&mut self, route: &Route, category: &str) {
        self.record.model = route.model.clone().into();
        self.record.decision = route.decision.clone().into();
        self.record.category = category.to_owned().into();
        self.record.reasoning = route.reasoning;
    }

    /// Response headers are here.
    pub fn on_response_headers<K: KeywordMatcher>(
        &mut self,
        router: &Router<K>,
        host: &mut impl Host,
    ) {
        if self.capture.is_some()
            && !may_be_stored(&host.response_headers(), router.max_cached_body_bytes)
        {
            self.capture = None;
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
        let Some(capture) = self.capture.as_mut() else {
            return;
        };
        if capture.push(host, size, router.max_cached_body_bytes) == Wanted::NoMore {
            self.capture = None;
        } else if end_of_stream && let Some(capture) = self.capture.take() {
            capture.store(host);
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

fn is_ours(header: &[u8]) -> bool {
    let header = hyphenated(header);
    header.starts_with(b"x-vsr-") || *header == *b"x-selected-model"
}

fn asks_for_models(headers: &Headers) -> bool {
    let path = headers.get(":path");
    let path = path.and_then(|path| path.split(|byte| *byte == b'?').next());
    headers.get(":method") == Some(b"GET") && path == Some(b"/v1/models")
}
