//! The meter's view of one stream.
//!
//! 1. Request headers: headers that are not the client's to set are stripped, the caller is identified and published.
//! 2. Request body, only when no router follows: model and stream flags are read, the usage of streams is asked for.
//! 3. Response headers: the facts that the router published become response headers.
//! 4. Response body: tokens are found while it passes.
//! 5. End of the stream, once, however it ended: everything is counted.

use super::account::{Mode, Settled, Times, Tokens};
use super::guards::Guards;
use super::meter::Meter;
use super::response::{Form, ResponseMeter, Seen};
use super::withheld::Withheld;
use crate::host::{Flow, Headers, Host, HostError, endpoint, refuse, replace_body};
use crate::identity::{Identity, IdentityError};
use crate::metrics::Metric;
use crate::record::{Cache, Record};
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::state;

/// Bytes of text that one token stands for where nobody reported usage; the usual rule of thumb for English.
const BYTES_PER_TOKEN: u64 = 4;

/// One stream.
#[derive(Debug, Default)]
pub struct MeterStream {
    /// Of an LLM request that is not counted yet.
    endpoint: Option<Endpoint>,
    /// The same, also when it is counted.
    api: Option<Endpoint>,
    identity: Option<Identity>,
    record: Record,
    guards: Guards,
    status: u16,
    response: Option<ResponseMeter>,
    times: Times,
    streamed: bool,
    /// Whether the end of the response was seen.
    complete: bool,
}

impl MeterStream {
    /// Request headers are here.
    pub fn on_request_headers(
        &mut self,
        meter: &Meter,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        let headers = host.request_headers();
        self.endpoint = endpoint(&headers);
        self.api = self.endpoint;
        if self.endpoint.is_some() {
            self.times.start_us = host.now_us();
        }
        if strip(meter, host, &headers).is_err() {
            return refuse(host, &Fault::Internal("a header could not be removed"));
        }
        if let Err(fault) = self.identify(meter, host, &headers) {
            return refuse(host, &fault);
        }
        self.publish_session(meter, host, &headers);
        let reads_body = self.endpoint.is_some() && !meter.has_router;
        if reads_body && !end_of_stream {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    fn identify(
        &mut self,
        meter: &Meter,
        host: &mut impl Host,
        headers: &Headers,
    ) -> Result<(), Fault> {
        let Mode::Maas(maas) = &meter.mode else {
            return Ok(());
        };
        let identity = match maas.identifier.identify(headers, host) {
            Ok(identity) => identity,
            Err(IdentityError::Repeated(name)) => return Err(Fault::RepeatedHeader(name.into())),
            Err(IdentityError::Missing) if self.endpoint.is_some() => {
                return Err(Fault::Unauthenticated);
            }
            // What is no LLM request is not ours to refuse.
            Err(IdentityError::Missing) => return Ok(()),
        };
        host.set_filter_state(state::USER, identity.user.name.as_bytes());
        host.set_filter_state(state::TIER, identity.tier.name.as_bytes());
        if meter.has_router {
            host.set_filter_state(state::IDENTIFIED, identity.identified().as_bytes());
        }
        if let Some(groups) = &identity.groups {
            host.set_filter_state(state::GROUPS, groups.as_bytes());
        }
        if let Some(tenant) = &identity.tenant {
            host.set_filter_state(state::TENANT, tenant.as_bytes());
        }
        if self.endpoint.is_some() {
            for (label, named) in [("user", &identity.user), ("tier", &identity.tier)] {
                if !named.identified {
                    host.count(Metric::IdentityMissing, &[label], 1);
                }
            }
            if meter.measures() {
                self.times.meter_us = host.now_us().saturating_sub(self.times.start_us);
            }
        }
        self.identity = Some(identity);
        Ok(())
    }

    fn publish_session(&self, meter: &Meter, host: &mut impl Host, headers: &Headers) {
        let Some(name) = meter.telemetry.session_header.as_ref() else {
            return;
        };
        if self.endpoint.is_some()
            && let Some(session) = headers.get(name)
        {
            host.set_filter_state(state::SESSION, session);
        }
    }

    /// More of the request body is there. Held only when the meter reads it.
    #[must_use]
    pub fn on_request_chunk(&self, meter: &Meter) -> Flow {
        if self.endpoint.is_some() && !meter.has_router {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    /// The request body is complete. Read only when the meter is alone.
    pub fn on_request_body(&mut self, meter: &Meter, host: &mut impl Host) -> Flow {
        let Some(endpoint) = self.endpoint.filter(|_| !meter.has_router) else {
            return Flow::Continue;
        };
        let body = host.request_body();
        // What cannot be read is the server's to refuse; it is counted without a model.
        let Ok(request) = Request::parse(endpoint, &body) else {
            return Flow::Continue;
        };
        self.record.model = meter.model_label(&request.model).to_owned().into();
        self.record.prompt_bytes = u64::try_from(request.text_bytes()).unwrap_or(u64::MAX);
        host.set_filter_state(state::MODEL, self.record.model.as_bytes());
        host.set_filter_state(state::STREAM, state::flag(request.stream));
        let mut edits = Edits::default();
        if edits.ask_for_usage(endpoint, &request) {
            if replace_body(host, &edits.apply(&request, &body)).is_err() {
                return refuse(host, &Fault::Internal("the body could not be replaced"));
            }
            self.record.usage_requested = true;
        }
        Flow::Continue
    }

    /// The trailers of the response are here: its body is complete.
    pub fn on_response_trailers(&mut self) {
        self.complete = true;
    }

    /// Response headers are here: of the upstream, of a cache hit, or of an error.
    pub fn on_response_headers(
        &mut self,
        meter: &Meter,
        host: &mut impl Host,
        end_of_stream: bool,
    ) {
        if self.endpoint.is_none() {
            return;
        }
        let started = host.now_us();
        self.read_published(meter, host);
        let headers = host.response_headers();
        self.complete = end_of_stream;
        // A server's own words under our names would be read as ours.
        for header in headers.iter().filter(|h| meter.is_our_name(h.name)) {
            // What cannot be removed is mostly replaced below; the shell counts the failure.
            let _ = host.remove_response_header(header.name);
        }
        self.read_response_headers(host, &headers);
        meter.names.tell(&self.record, &self.guards, host);
        if meter.telemetry.response_time_header {
            let took = started.saturating_sub(self.times.start_us);
            host.set_response_header("x-response-time", format!("{}ms", millis(took)).as_bytes());
        }
        if meter.measures() {
            let took = host.now_us().saturating_sub(started);
            self.times.meter_us = self.times.meter_us.saturating_add(took);
        }
    }

    /// Alone, the meter knows what it read itself.
    fn read_published(&mut self, meter: &Meter, host: &mut impl Host) {
        if meter.has_router {
            self.record = Record::published(host);
        }
        if meter.reads_security() {
            self.guards = Guards::published(host);
        }
        self.guards.add(&self.record);
    }

    fn read_response_headers(&mut self, host: &mut impl Host, headers: &Headers) {
        self.status = headers
            .get(":status")
            .and_then(|s| std::str::from_utf8(s).ok())
            .and_then(|s| s.parse().ok())
            .unwrap_or_default();
        let mut form = Form::of_content_type(headers.get("content-type").unwrap_or_default());
        self.streamed = form == Form::Sse;
        let encoded = headers
            .get("content-encoding")
            .is_some_and(|v| !v.eq_ignore_ascii_case(b"identity"));
        if encoded {
            host.count(Metric::ResponsesUnreadable, &["content_encoding"], 1);
            form = Form::Other;
        }
        let strip = self.record.usage_requested
            && form == Form::Sse
            && (headers.get("content-length").is_none() || take_back_length(host));
        self.response = Some(ResponseMeter::new(form, strip));
    }

    /// A chunk of the response body passes.
    pub fn on_response_body(&mut self, host: &mut impl Host, size: usize, end_of_stream: bool) {
        let Some(response) = &mut self.response else {
            return;
        };
        self.complete |= end_of_stream;
        if size > 0 && self.times.first_bytes_us.is_none() && self.streamed {
            self.times.first_bytes_us = Some(host.now_us());
        }
        let chunk = if size > 0 {
            host.response_chunk(0, size)
        } else {
            Vec::new()
        };
        if let Some(other) = response.push(&chunk, end_of_stream) {
            host.replace_response_chunk(size, &other);
        }
    }

    /// The stream is over, however it ended: counts it.
    pub fn on_log(&mut self, meter: &Meter, host: &mut impl Host) {
        if self.endpoint.take().is_none() {
            return;
        }
        if self.response.is_none() {
            // The client left before there was a response.
            self.read_published(meter, host);
        }
        self.times.end_us = host.now_us();
        // A guard that cut the stream let it end well; only this API would then be charged what its first event says.
        if self.streamed && self.api == Some(Endpoint::Messages) {
            self.complete &= host.filter_state(state::BLOCK).is_none();
        }
        let is_error = self.status != 0 && !self.is_answer();
        let withheld = (is_error && meter.has_router).then(|| Withheld::published(host));
        let withheld = withheld.flatten();
        let settled = Settled {
            identity: self.identity.as_ref(),
            record: &self.record,
            guards: &self.guards,
            tokens: self.tokens(meter, withheld),
            times: self.times,
        };
        settled.publish(meter, host);
        settled.count(meter, host);
    }

    /// What is charged: usage as reported; each half that was not, for an answer of a model, as what its text amounts to.
    ///
    /// An answer that broke off is charged what was seen and marked as estimated, also where the server reported usage on the
    /// way. Anthropic's `message_start` reports one completion token before any: there the text counts, if it is more.
    ///
    /// An answer that the router withheld is charged like one that the client got, by what the router saw of it.
    fn tokens(&self, meter: &Meter, withheld: Option<Seen>) -> Tokens {
        let Some(response) = &self.response else {
            return Tokens::default();
        };
        if self.record.blocked {
            return Tokens::default();
        }
        let Seen { usage, text_bytes } = withheld.unwrap_or_else(|| response.seen());
        if self.record.cache == Cache::Hit && !meter.mode.counts_cached_tokens() {
            // Costs may have a price for hits, so the numbers are kept apart from what is counted.
            return Tokens {
                stored: Some(usage),
                ..Tokens::default()
            };
        }
        if !self.is_answer() && withheld.is_none() {
            return Tokens::reported(usage);
        }
        let mut tokens = Tokens::reported(usage);
        tokens.estimated = !self.complete && self.status != 0;
        let text_tokens = text_bytes.div_ceil(BYTES_PER_TOKEN);
        if usage.prompt_tokens.is_none() {
            tokens.prompt = tokens
                .prompt
                .max(self.record.prompt_bytes.div_ceil(BYTES_PER_TOKEN));
            tokens.estimated = true;
        }
        let placeholder = self.api == Some(Endpoint::Messages) && !self.complete;
        if usage.completion_tokens.is_none() || placeholder {
            tokens.estimated |= text_tokens > tokens.completion;
            tokens.completion = tokens.completion.max(text_tokens);
        }
        tokens
    }

    /// Whether the client got an answer of a model.
    fn is_answer(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

fn strip(meter: &Meter, host: &mut impl Host, headers: &Headers) -> Result<(), HostError> {
    headers
        .iter()
        .filter(|h| meter.strips(h.name))
        .try_for_each(|h| host.remove_request_header(h.name))
}

/// Takes back the length that a response announced, for what is taken out of its body; tells whether it did.
fn take_back_length(host: &mut impl Host) -> bool {
    host.remove_response_header(b"content-length").is_ok()
}

/// Milliseconds with two decimals.
pub(crate) fn millis(us: u64) -> String {
    format!("{}.{:02}", us / 1000, us % 1000 / 10)
}

#[cfg(test)]
mod tests;
