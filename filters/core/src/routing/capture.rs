//! An answer that is kept for the cache while it passes.
//!
//! A JSON body of at most `limits.max_cached_body_bytes`, or an event stream that may have [`STREAM_BYTES`] times as many: each
//! token comes in an envelope. All streams of a worker together hold at most [`MAX_CAPTURED_BYTES`].

use std::cell::Cell;
use std::rc::Rc;

use super::lead::Lead;
use super::lookup::Lookup;
use crate::host::{Headers, Host, content_length};
use crate::metering::Form;
use crate::metrics::Metric;
use crate::sidecar::StoreRequest;

/// Bytes of a stream for a byte of its answer: a token of four letters comes in 200 to 300 bytes of JSON, 60 times as many; long
/// answers that come in such pieces are not kept.
const STREAM_BYTES: usize = 16;

/// Bytes of a stream; as JSON within JSON, it must fit into the body of a call to the sidecar.
const MAX_STREAM_BYTES: usize = 5 << 20;

/// Bytes that a worker holds for the cache.
const MAX_CAPTURED_BYTES: usize = 64 << 20;

/// Bytes that the streams of a worker hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured(Rc<Cell<usize>>);

impl Captured {
    /// How many.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.get()
    }
}

/// An answer that may be stored.
#[derive(Debug)]
pub(super) struct Capture {
    lookup: Lookup,
    model: String,
    decision: String,
    category: String,
    streamed: bool,
    limit: usize,
    body: Vec<u8>,
    captured: Captured,
    /// `None` when nobody waits for it.
    lead: Option<Lead>,
}

/// Whether more of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    NoMore,
}

impl Capture {
    /// Of the answer to a lookup that missed.
    pub(super) fn new(
        lookup: Lookup,
        model: &str,
        decision: &str,
        category: &str,
        lead: Option<Lead>,
    ) -> Self {
        Self {
            lookup,
            model: model.into(),
            decision: decision.into(),
            category: category.into(),
            streamed: false,
            limit: 0,
            body: Vec::new(),
            captured: Captured::default(),
            lead,
        }
    }

    /// The answer comes, in this form.
    pub(super) fn begin(&mut self, form: Form, limit: usize, captured: &Captured) {
        self.streamed = form == Form::Sse;
        self.limit = match form {
            Form::Sse => limit.saturating_mul(STREAM_BYTES).min(MAX_STREAM_BYTES),
            _ => limit,
        };
        self.captured = captured.clone();
    }

    /// The next chunk; [`Wanted::NoMore`] when the answer is too large.
    pub(super) fn push(&mut self, host: &mut impl Host, chunk: &[u8]) -> Wanted {
        let held = self.captured.0.get().saturating_add(chunk.len());
        if self.body.len().saturating_add(chunk.len()) > self.limit {
            return Wanted::NoMore;
        }
        if held > MAX_CAPTURED_BYTES {
            host.count(Metric::CacheSkipped, &["memory"], 1);
            return Wanted::NoMore;
        }
        self.captured.0.set(held);
        self.body.extend_from_slice(chunk);
        Wanted::More
    }

    /// The answer has passed: hands it to the cache, which keeps it if it is complete.
    pub(super) fn store(mut self, host: &mut impl Host) {
        let Ok(body) = String::from_utf8(self.take_body()) else {
            return;
        };
        let entry = StoreRequest {
            partition: std::mem::take(&mut self.lookup.partition),
            text: std::mem::take(&mut self.lookup.text),
            model: std::mem::take(&mut self.model),
            decision: std::mem::take(&mut self.decision),
            category: std::mem::take(&mut self.category),
            owner: std::mem::take(&mut self.lookup.owner),
            body,
            streamed: self.streamed,
            ticket: self.lead.as_ref().map(Lead::ticket),
        };
        if host.store(entry).is_err() {
            host.count(Metric::CacheStoreFailures, &["queue_full"], 1);
        } else if let Some(lead) = self.lead.take() {
            // Whoever stores it tells those who wait.
            lead.settle();
        }
    }

    fn take_body(&mut self) -> Vec<u8> {
        let body = std::mem::take(&mut self.body);
        let held = self.captured.0.get().saturating_sub(body.len());
        self.captured.0.set(held);
        body
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.take_body();
    }
}

/// The form of an answer that may be stored: 200, JSON or an event stream, not encoded, its length within `limit`, and not forbidden by the
/// server. `shared`: with others than who asked.
pub(super) fn form_to_store(headers: &Headers, limit: usize, shared: bool) -> Option<Form> {
    let any = |name: &str, test: fn(&[u8]) -> bool| {
        let mut values = headers.iter().filter(|h| h.name == name.as_bytes());
        values.any(|h| test(h.value))
    };
    let form = headers.get("content-type").map(Form::of_content_type)?;
    let may_be_stored = matches!(form, Form::Json | Form::Sse)
        && headers.get(":status") == Some(b"200")
        && !any("content-encoding", |v| !v.eq_ignore_ascii_case(b"identity"))
        && !any("cache-control", |v| has_directive(v, "no-store"))
        && !(shared && any("cache-control", |v| has_directive(v, "private")))
        && content_length(headers).is_none_or(|length| length <= limit);
    may_be_stored.then_some(form)
}

fn has_directive(value: &[u8], name: &str) -> bool {
    let value = String::from_utf8_lossy(value);
    let mut directives = value.split(',');
    directives.any(|directive| {
        let directive = directive.split('=').next().unwrap_or_default();
        directive.trim().eq_ignore_ascii_case(name)
    })
}
