//! What the stand-in received and what became of it, for tests to look at.
//!
//! Requests are found by their `x-standin-tag`. A test waits for the end of its request instead of sleeping, and releases the
//! answers that its script holds back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::HeaderMap;
use serde::Serialize;
use tokio::sync::watch;

use super::script::Usage;

/// Requests kept; older ones are forgotten, so that a load test does not fill the memory.
const MAX_RECORDS: usize = 20_000;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer is being written, or held back.
    Open,
    /// The whole answer was written.
    Complete,
    /// The script cut the connection.
    Aborted,
    /// The client left before the end.
    ClientLeft,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its place in the order of arrival.
    pub number: u64,
    /// Name of the stand-in that received it.
    pub server: String,
    /// `x-standin-tag`; empty when there was none.
    pub tag: String,
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All headers, repeated ones repeated, values as bytes.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// What became of it.
    pub outcome: Outcome,
    /// What the answer said it cost.
    pub usage: Usage,
}

impl Received {
    /// All values of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .collect()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The record as `GET /standin/requests` shows it.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        let headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect();
        serde_json::json!({
            "number": self.number, "server": self.server, "tag": self.tag, "method": self.method, "path": self.path, "headers": headers,
            "body": String::from_utf8_lossy(&self.body), "outcome": self.outcome, "usage": self.usage,
        })
    }
}

/// Tokens served, by model and user.
pub type Served = BTreeMap<(String, String), Usage>;

#[derive(Debug, Default)]
struct State {
    next: u64,
    requests: BTreeMap<u64, Received>,
    released: BTreeSet<String>,
    served: Served,
}

/// All records of one stand-in.
#[derive(Debug, Clone)]
pub struct Records {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<()>,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl Records {
    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a request; the ticket settles it, as [`Outcome::ClientLeft`] when it is dropped before.
    pub(super) fn open(&self, mut received: Received) -> Ticket {
        let number = self.with(|state| {
            let number = state.next;
            state.next += 1;
            received.number = number;
            state.requests.insert(number, received);
            if state.requests.len() > MAX_RECORDS {
                state.requests.pop_first();
            }
            number
        });
        self.changes.send_replace(());
        Ticket {
            records: self.clone(),
            number,
            settled: false,
        }
    }

    fn settle(&self, number: u64, outcome: Outcome) {
        self.with(|state| {
            if let Some(request) = state.requests.get_mut(&number) {
                request.outcome = outcome;
            }
        });
        self.changes.send_replace(());
    }

    /// Adds to what was served.
    pub(super) fn serve(&self, model: &str, user: &str, usage: Usage) {
        self.with(|state| {
            let sum = state
                .served
                .entry((model.to_owned(), user.to_owned()))
                .or_default();
            sum.prompt_tokens += usage.prompt_tokens;
            sum.completion_tokens += usage.completion_tokens;
            sum.cached_tokens += usage.cached_tokens;
        });
    }

    /// Tokens of complete answers, and of cut ones as far as they said it themselves, by model and user.
    #[must_use]
    pub fn served(&self) -> Served {
        self.with(|state| state.served.clone())
    }

    /// All requests, in order of arrival.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        self.with(|state| state.requests.values().cloned().collect())
    }

    /// Requests with this tag, in order of arrival.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Vec<Received> {
        self.with(|state| {
            let tagged = state.requests.values().filter(|r| r.tag == tag);
            tagged.cloned().collect()
        })
    }

    /// Waits until a request with this tag satisfies `is`; the caller bounds the wait.
    pub async fn wait(&self, tag: &str, is: impl Fn(&Received) -> bool) -> Received {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = self.tagged(tag).into_iter().find(&is) {
                return found;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changes.changed().await;
        }
    }

    /// Lets the held answers of this tag go on, now and later.
    pub fn release(&self, tag: &str) {
        self.with(|state| state.released.insert(tag.to_owned()));
        self.changes.send_replace(());
    }

    /// Waits until [`Self::release`] was called for this tag.
    pub(super) async fn released(&self, tag: &str) {
        let mut changes = self.changes.subscribe();
        while !self.with(|state| state.released.contains(tag)) {
            let _ = changes.changed().await;
        }
    }
}

/// Settles one request.
#[derive(Debug)]
pub(super) struct Ticket {
    records: Records,
    number: u64,
    settled: bool,
}

impl Ticket {
    /// Notes what became of the request.
    pub(super) fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.records.settle(self.number, outcome);
    }

    /// Notes what the answer costs.
    pub(super) fn cost(&self, usage: Usage) {
        self.records.with(|state| {
            if let Some(request) = state.requests.get_mut(&self.number) {
                request.usage = usage;
            }
        });
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            self.records.settle(self.number, Outcome::ClientLeft);
        }
    }
}
