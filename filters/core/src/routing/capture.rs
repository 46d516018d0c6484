//! An answer that is kept for the cache while it passes, at most `limits.max_cached_body_bytes` of it.

use super::lookup::Lookup;
use crate::cache::is_storable;
use crate::host::{Headers, Host, content_length};
use crate::metering::Form;
use crate::metrics::Metric;
use crate::sidecar::StoreRequest;

/// An answer that may be stored.
#[derive(Debug)]
pub(super) struct Capture {
    lookup: Lookup,
    model: String,
    decision: String,
    category: String,
    body: Vec<u8>,
}

/// Whether more of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    NoMore,
}

impl Capture {
    /// Of the answer to a lookup that missed.
    pub(super) fn new(lookup: Lookup, model: &str, decision: &str, category: &str) -> Self {
        Self {
            lookup,
            model: model.into(),
            decision: decision.into(),
            category: category.into(),
            body: Vec::new(),
        }
    }

    /// The next chunk; [`Wanted::NoMore`] when the answer is too large.
    pub(super) fn push(&mut self, host: &mut impl Host, size: usize, limit: usize) -> Wanted {
        if self.body.len().saturating_add(size) > limit {
            return Wanted::NoMore;
        }
        if size > 0 {
            self.body.extend_from_slice(&host.response_chunk(size));
        }
        Wanted::More
    }

    /// The answer is complete: hands it to the cache, if it may be stored.
    pub(super) fn store(self, host: &mut impl Host) {
        if !is_storable(&self.body) {
            return;
        }
        let Ok(body) = String::from_utf8(self.body) else {
            return;
        };
        let entry = StoreRequest {
            partition: self.lookup.partition,
            text: self.lookup.text,
            model: self.model,
            decision: self.decision,
            category: self.category,
            body,
        };
        if host.store(entry).is_err() {
            host.count(Metric::CacheStoreFailures, &["queue_full"], 1);
        }
    }
}

/// Whether an answer with these headers may be stored: 200, JSON, not encoded, not larger than `limit`.
pub(super) fn may_be_stored(headers: &Headers, limit: usize) -> bool {
    let is = |name: &str, test: fn(&[u8]) -> bool| headers.get(name).is_some_and(test);
    is(":status", |v| v == b"200")
        && is("content-type", |v| Form::of_content_type(v) == Form::Json)
        && !is("content-encoding", |v| !v.eq_ignore_ascii_case(b"identity"))
        && content_length(headers).is_none_or(|length| length <= limit)
}
