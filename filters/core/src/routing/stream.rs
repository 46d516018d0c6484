//! The router's view of one stream: its state, and its request as it arrives.

use super::asking::Question;
use super::capture::Capture;
use super::explain::EXPLAIN_PATH;
use super::reading::Reading;
use super::router::Router;
use super::signals::Signals;
use super::work::Work;
use crate::cache::{Control, SIMILARITY_HEADER};
use crate::host::{Flow, Headers, Host, LocalReply, content_length, endpoint, hyphenated, refuse};
use crate::output::OutputStream;
use crate::record::Record;
use crate::reply::Fault;
use crate::request::{Endpoint, Request};

/// One stream.
#[derive(Debug)]
pub struct RouterStream<S: Signals> {
    pub(super) phase: Phase<S::Reading>,
    pub(super) capture: Option<Capture>,
    /// What is done to the answer.
    pub(super) output: OutputStream,
    /// Whether the request asks what would become of it.
    pub(super) explains: bool,
    /// Whether the answer shall say what matched.
    pub(super) debug: bool,
    /// Headers that say it, where no meter writes them.
    pub(super) debug_headers: Vec<(String, String)>,
    /// When the request went upstream, where that is worth to be timed.
    pub(super) sent_us: Option<u64>,
    pub(super) control: Control,
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

impl<S: Signals> RouterStream<S> {
    /// A stream whose request is explained, whoever asks.
    #[must_use]
    pub fn explaining() -> Self {
        Self {
            explains: true,
            ..Self::default()
        }
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
        if asks(&headers, b"GET", "/v1/models") {
            let body = router.models_list.clone();
            host.reply(LocalReply {
                status: 200,
                headers: Vec::new(),
                body,
            });
            return Flow::Pause;
        }
        if asks(&headers, b"POST", EXPLAIN_PATH) {
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
}

fn is_ours(header: &[u8]) -> bool {
    let header = hyphenated(header);
    header.starts_with(b"x-vsr-")
        || *header == *b"x-selected-model"
        || *header == *SIMILARITY_HEADER.as_bytes()
}

/// By which trusted callers ask for response headers that say what matched.
const DEBUG_HEADER: &str = "x-vsr-debug";

/// Whether the request has this method and path, a query string aside.
fn asks(headers: &Headers, method: &[u8], path: &str) -> bool {
    let asked = headers.get(":path");
    let asked = asked.and_then(|asked| asked.split(|byte| *byte == b'?').next());
    headers.get(":method") == Some(method) && asked == Some(path.as_bytes())
}
