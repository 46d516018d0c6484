//! What is done to the answer of one stream, callback by callback.
//!
//! 1. Without a plan nothing happens, and the body is not looked at.
//! 2. A JSON answer that may be blocked, or told of in a header, is held in the proxy with its headers, at most
//!    [`OutputRules::held_bytes`], until it was judged. One that is blocked becomes an error, with the server's `usage` beside it, since a
//!    model worked; the meter is told what was seen of it ([`Withheld`]).
//! 3. Of an event stream, what was judged passes; where a text may not, an error event ends it, and what the server still sends is
//!    dropped.
//! 4. Placeholders are put back on the way out: what guards read is what the model wrote.
//! 5. What cannot be read is what `guards.on_budget` says of requests: blocked, or counted and let through. An answer that would not
//!    be blocked anyhow always passes.
//!
//! Not done here: answers of other status than 2xx are no answers of a model, and pass. Trailers cannot release what a stream still
//! holds, so nothing is held behind the event that ends it.

use super::document::Document;
use super::events::{Events, Wishes};
use super::judge::{Judge as _, Judging, OutputRules, Seen, Unread};
use super::plan::{Breach, OutputGuard, OutputPlan};
use super::reply::{error_event, error_with_usage};
use super::restore::Placeholders;
use crate::decision::ResponseAction;
use crate::host::{Flow, Headers, Host};
use crate::metering::{Form, Withheld};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::request::Endpoint;
use crate::routing::Signals;
use crate::state;

/// What is done to the answer of one stream.
#[derive(Debug, Default)]
pub(crate) struct OutputStream {
    work: Work,
    guard: Option<std::rc::Rc<OutputGuard>>,
    endpoint: Option<Endpoint>,
    seen: Seen,
    /// Bytes that may not pass could not be read.
    is_lost: bool,
}

#[derive(Debug, Default)]
enum Work {
    /// Nothing, or nothing more.
    #[default]
    Pass,
    /// The answer has not begun.
    Planned(Placeholders),
    Document(Box<Held>),
    Events(Box<Events>, Restores),
    /// This instead of the body.
    Instead(Vec<u8>),
    /// Nothing of the rest; where an error stands for all of it, what it costs.
    Drop(Option<Box<Withheld>>),
}

/// Whether bytes of a stream may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restores {
    Yes,
    No,
}

/// A document, and what the proxy holds of it.
#[derive(Debug)]
struct Held {
    document: Document,
    holds: bool,
    size: usize,
    /// What is to be sent instead of it, where placeholders are put back.
    out: Option<Vec<u8>>,
}

impl OutputStream {
    /// For an answer of this API.
    pub(crate) fn new(endpoint: Endpoint, plan: OutputPlan) -> Self {
        Self {
            work: if plan.is_empty() {
                Work::Pass
            } else {
                Work::Planned(Placeholders::compile(&plan.restore))
            },
            guard: plan.guard,
            endpoint: Some(endpoint),
            seen: Seen::default(),
            is_lost: false,
        }
    }

    /// Whether the body need not be looked at.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.work, Work::Pass)
    }

    /// What was found.
    pub(crate) fn found(&self) -> Option<Breach> {
        self.seen.breach
    }

    /// What the headers of an answer that passes say of it.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        let guard = self.guard.as_ref()?;
        let breach = self
            .seen
            .breach
            .filter(|_| guard.action == ResponseAction::Header);
        breach.map(Breach::code)
    }

    /// Whether the answer is not what the server sent.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.work, Work::Instead(_) | Work::Drop(_))
    }

    /// Bytes of the body that were read before and are still held, while the headers are.
    pub(crate) fn held(&self) -> Option<usize> {
        match &self.work {
            Work::Document(held) if held.holds => Some(held.size),
            _ => None,
        }
    }

    /// The headers of the answer are here.
    pub(crate) fn on_headers<S: Signals>(
        &mut self,
        rules: &OutputRules<'_, S>,
        host: &mut impl Host,
        headers: &Headers,
        end_of_stream: bool,
    ) -> Flow {
        let Work::Planned(placeholders) = std::mem::take(&mut self.work) else {
            return Flow::Continue;
        };
        let is_answer = headers.get(":status").is_some_and(|s| s.starts_with(b"2"));
        if end_of_stream || !is_answer {
            return Flow::Continue;
        }
        let form = match form(headers) {
            Ok(form) => form,
            Err(why) => {
                if !self.judging(rules, host).may_pass_unread(why) {
                    let instead = self.instead(host, None);
                    self.work = Work::Instead(instead);
                }
                return Flow::Continue;
            }
        };
        let action = self.guard.as_ref().map(|guard| guard.action);
        let restores = !placeholders.is_empty();
        let holds = match form {
            Form::Sse => action == Some(ResponseAction::Block),
            _ => matches!(action, Some(ResponseAction::Block | ResponseAction::Header)),
        };
        // What is held gets its length when it goes.
        if restores || (holds && form == Form::Sse) {
            // Without its length gone, a changed body would break the connection; the client then sees that it is broken.
            let _ = host.remove_response_header(b"content-length");
        }
        if form == Form::Sse {
            let wishes = Wishes {
                placeholders,
                guarded: action.is_some(),
                holds,
                limit: u64::try_from(rules.held_bytes).unwrap_or(u64::MAX),
            };
            let changes = if restores {
                Restores::Yes
            } else {
                Restores::No
            };
            self.work = Work::Events(Box::new(Events::new(wishes)), changes);
            return Flow::Continue;
        }
        self.work = Work::Document(Box::new(Held {
            document: Document::new(placeholders, action.is_some()),
            holds,
            size: 0,
            out: restores.then(Vec::new),
        }));
        if holds { Flow::Pause } else { Flow::Continue }
    }

    fn judging<'j, S, H>(
        &'j mut self,
        rules: &'j OutputRules<'j, S>,
        host: &'j mut H,
    ) -> Judging<'j, S, H> {
        Judging {
            rules,
            host,
            guard: self.guard.as_deref(),
            seen: &mut self.seen,
        }
    }

    /// More of the body is here: `chunk`, behind what is held; `size` bytes in all. `None` when the proxy does not show it.
    pub(crate) fn on_body<S: Signals>(
        &mut self,
        rules: &OutputRules<'_, S>,
        host: &mut impl Host,
        (chunk, size): (Option<&[u8]>, usize),
        end_of_stream: bool,
    ) -> Flow {
        let chunk = chunk.unwrap_or_else(|| {
            self.is_lost = !self.judging(rules, host).may_pass_unread(Unread::Host);
            &[]
        });
        let flow = match std::mem::take(&mut self.work) {
            Work::Pass | Work::Planned(_) => Flow::Continue,
            Work::Instead(body) => {
                self.withhold(host, Withheld::default(), size, &body);
                Flow::Continue
            }
            Work::Drop(mut withheld) => {
                if let Some(withheld) = &mut withheld {
                    withheld.push(host, size);
                }
                if size > 0 {
                    host.replace_response_chunk(size, b"");
                }
                self.work = Work::Drop(withheld);
                Flow::Continue
            }
            Work::Document(held) => self.document(rules, host, held, (chunk, size), end_of_stream),
            Work::Events(events, restores) => self.events(
                rules,
                host,
                (events, restores),
                (chunk, size),
                end_of_stream,
            ),
        };
        if end_of_stream && rules.measures && self.seen.took_us > 0 {
            host.record(Metric::Processing, &["output"], self.seen.took_us);
        }
        flow
    }

    fn document<S: Signals>(
        &mut self,
        rules: &OutputRules<'_, S>,
        host: &mut impl Host,
        mut held: Box<Held>,
        (chunk, size): (&[u8], usize),
        end_of_stream: bool,
    ) -> Flow {
        let mut judging = self.judging(rules, host);
        let out = held.document.push(chunk, end_of_stream, &mut judging);
        if !held.holds {
            if let Some(out) = out {
                host.replace_response_chunk(size, &out);
            }
            self.work = Work::Document(held);
            return Flow::Continue;
        }
        held.size = size;
        if let (Some(all), Some(out)) = (&mut held.out, out) {
            all.extend_from_slice(&out);
        }
        let is_too_large = size > rules.held_bytes;
        let may_pass = !is_too_large || judging.may_pass_unread(Unread::Size);
        let is_stopped = self.is_lost || !may_pass || held.document.is_stopped();
        // The usage of an answer stands at its end.
        let waits_for_usage = self.seen.breach.is_some() && !is_too_large;
        if !end_of_stream && !is_too_large && (!is_stopped || waits_for_usage) {
            self.work = Work::Document(held);
            return Flow::Pause;
        }
        if is_stopped {
            self.stop_document(host, &held, size);
        } else {
            if let Some(all) = held.out.as_mut().map(std::mem::take) {
                host.replace_response_chunk(size, &all);
            }
            held.holds = false;
            held.size = 0;
            self.work = Work::Document(held);
        }
        Flow::Continue
    }

    fn stop_document(&mut self, host: &mut impl Host, held: &Held, size: usize) {
        let usage = held.document.usage().and_then(|span| {
            let start = usize::try_from(span.start).ok()?;
            let end = usize::try_from(span.end).ok()?;
            host.response_chunk(0, size)
                .get(start..end)
                .map(<[u8]>::to_vec)
        });
        let error = self.instead(host, usage.as_deref());
        self.withhold(host, Withheld::json(), size, &error);
    }

    /// Sends this instead of the server's first `size` bytes, and of all that follow.
    fn withhold(
        &mut self,
        host: &mut impl Host,
        mut withheld: Withheld,
        size: usize,
        error: &[u8],
    ) {
        withheld.push(host, size);
        host.replace_response_chunk(size, error);
        self.work = Work::Drop(Some(Box::new(withheld)));
    }

    fn events<S: Signals>(
        &mut self,
        rules: &OutputRules<'_, S>,
        host: &mut impl Host,
        (mut events, restores): (Box<Events>, Restores),
        (chunk, size): (&[u8], usize),
        end_of_stream: bool,
    ) -> Flow {
        let mut out = events.push(chunk, end_of_stream, &mut self.judging(rules, host));
        let blocks = self
            .guard
            .as_ref()
            .is_some_and(|guard| guard.action == ResponseAction::Block);
        if events.is_cut() || self.is_lost {
            let fault = self.seen.fault();
            tell(host, &fault);
            let endpoint = self.endpoint.unwrap_or(Endpoint::ChatCompletions);
            out.extend(error_event(endpoint, &fault, events.sequence()));
            host.replace_response_chunk(size, &out);
            self.work = Work::Drop(None);
            return Flow::Continue;
        }
        if (blocks || restores == Restores::Yes) && out != chunk {
            host.replace_response_chunk(size, &out);
        }
        self.work = Work::Events(events, restores);
        Flow::Continue
    }

    /// Turns the held headers into those of an error; gives its body.
    fn instead(&mut self, host: &mut impl Host, usage: Option<&[u8]>) -> Vec<u8> {
        let fault = self.seen.fault();
        tell(host, &fault);
        let body = error_with_usage(&fault, usage);
        for name in ["content-encoding", "content-md5", "etag", "digest"] {
            // What cannot be removed is counted by the shell.
            let _ = host.remove_response_header(name.as_bytes());
        }
        host.set_response_header(":status", fault.status().to_string().as_bytes());
        host.set_response_header("content-type", b"application/json");
        host.set_response_header("content-length", body.len().to_string().as_bytes());
        body
    }
}

/// Counts an error, and shows it to the log.
fn tell(host: &mut impl Host, fault: &Fault) {
    host.count(Metric::Errors, &[fault.code()], 1);
    host.set_filter_state(state::BLOCK, fault.code().as_bytes());
}

/// The form of an answer that can be read.
fn form(headers: &Headers) -> Result<Form, Unread> {
    let mut encodings = headers.iter().filter(|h| h.name == b"content-encoding");
    if encodings.any(|h| !h.value.eq_ignore_ascii_case(b"identity")) {
        return Err(Unread::Encoding);
    }
    match Form::of_content_type(headers.get("content-type").unwrap_or_default()) {
        Form::Other => Err(Unread::Form),
        form => Ok(form),
    }
}
