//! The answer of a model on its way back: timed, kept for the cache, read by guards.

use super::capture::{Wanted, form_to_store};
use super::router::Router;
use super::signals::Signals;
use super::stream::RouterStream;
use crate::cache::Partitioner;
use crate::host::{Flow, Host};
use crate::metrics::Metric;
use crate::output::WARNINGS_HEADER;

impl<S: Signals> RouterStream<S> {
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
