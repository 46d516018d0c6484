//! Answers on their way to the cache.
//!
//! A call-out belongs to its stream and dies with it, so streams put their answers here and the root context, which lives
//! as long as the worker, sends them at its next tick.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proxy_wasm::hostcalls;
use serde::Serialize;
use turnpike_core::metrics::Metric;
use turnpike_core::sidecar::{
    CACHE_ENTRIES_PATH, CACHE_RELEASE_PATH, ReleaseRequest, StoreRequest,
};

use crate::host::sidecar_headers;
use crate::{Counters, SIDECAR_CLUSTER};

/// Entries that wait for the next tick; further ones are dropped and counted.
const MAX_WAITING: usize = 256;

/// Bytes of answers that wait; further ones are dropped and counted.
const MAX_WAITING_BYTES: usize = 32 << 20;

/// Calls in flight above which entries wait, so that a slow sidecar does not collect calls without end.
const MAX_IN_FLIGHT: usize = 32;

/// How long a store may take; nobody waits for it.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The queue of one worker.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: RefCell<VecDeque<StoreRequest>>,
    waiting_bytes: Cell<usize>,
    in_flight: Cell<usize>,
    /// What the calls under way are, by their tokens.
    calls: RefCell<BTreeMap<u32, Call>>,
    /// Tickets of lookups whose answers could not be stored.
    releases: RefCell<Vec<u64>>,
}

/// A call under way.
#[derive(Debug, Clone, Copy)]
enum Call {
    /// Stores an answer, for which others may wait.
    Store(Option<u64>),
    /// Tells that answers will not come.
    Release,
}

impl Outbox {
    /// Takes an entry; `false` when there is no room.
    #[must_use]
    pub fn put(&self, entry: StoreRequest) -> bool {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else {
            return false;
        };
        let bytes = self.waiting_bytes.get().saturating_add(entry.body.len());
        if waiting.len() >= MAX_WAITING || bytes > MAX_WAITING_BYTES {
            return false;
        }
        self.waiting_bytes.set(bytes);
        waiting.push_back(entry);
        true
    }

    /// Sends what waits. Call it in the root context.
    pub fn send(&self, counters: &Counters) {
        while self.in_flight.get() < MAX_IN_FLIGHT {
            let next = self
                .waiting
                .try_borrow_mut()
                .ok()
                .and_then(|mut w| w.pop_front());
            let Some(entry) = next else { return };
            let left = self.waiting_bytes.get().saturating_sub(entry.body.len());
            self.waiting_bytes.set(left);
            if self.post(CACHE_ENTRIES_PATH, &entry, Call::Store(entry.ticket)) {
                self.in_flight.set(self.in_flight.get().saturating_add(1));
            } else {
                self.failed(counters, "not_sent", entry.ticket);
            }
        }
    }

    /// Tells the sidecar, in one call, that the answers to these lookups will not come, nor those that could not be stored. What it
    /// does not hear costs those who wait some time, no more.
    pub fn release(&self, mut tickets: Vec<u64>) {
        if let Ok(mut failed) = self.releases.try_borrow_mut() {
            tickets.append(&mut failed);
        }
        if !tickets.is_empty() {
            self.post(
                CACHE_RELEASE_PATH,
                &ReleaseRequest { tickets },
                Call::Release,
            );
        }
    }

    /// The sidecar answered a call with `status`, or not at all.
    pub fn answered(&self, counters: &Counters, token: u32, status: Option<u16>) {
        let call = self.calls.try_borrow_mut();
        let call = call.ok().and_then(|mut calls| calls.remove(&token));
        let Some(Call::Store(ticket)) = call else {
            return;
        };
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        match status {
            // 200: it is none to keep.
            Some(200 | 201) => {}
            Some(_) => self.failed(counters, "refused", ticket),
            None => self.failed(counters, "unreachable", ticket),
        }
    }

    fn failed(&self, counters: &Counters, reason: &str, ticket: Option<u64>) {
        counters.add(Metric::CacheStoreFailures, &[reason], 1);
        if let (Some(ticket), Ok(mut releases)) = (ticket, self.releases.try_borrow_mut()) {
            releases.push(ticket);
        }
    }

    /// Whether it was sent.
    fn post(&self, path: &str, message: &impl Serialize, call: Call) -> bool {
        let token = post(path, message);
        if let (Some(token), Ok(mut calls)) = (token, self.calls.try_borrow_mut()) {
            calls.insert(token, call);
        }
        token.is_some()
    }
}

/// The token of the call.
fn post(path: &str, message: &impl Serialize) -> Option<u32> {
    let body = serde_json::to_vec(message).ok()?;
    let headers = sidecar_headers(path);
    let sent = hostcalls::dispatch_http_call(
        SIDECAR_CLUSTER,
        headers,
        Some(&body),
        Vec::new(),
        STORE_TIMEOUT,
    );
    sent.ok()
}
