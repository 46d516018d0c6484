//! The queue itself: how the rows of a request get in, and out again when its client leaves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pace::Pace;
use super::request::{Progress, Request, Row};
use super::schedule::Waiting;
use super::{Answers, InferenceError, Limits, Priority};
use crate::metrics::QueueMetrics;
use crate::model::TokenizedText;

pub(super) struct Queue<O> {
    pub(super) state: Mutex<State<O>>,
    pub(super) changed: Condvar,
    pub(super) limits: Limits,
    pub(super) ids: AtomicU64,
    pub(super) metrics: QueueMetrics,
}

pub(super) struct State<O> {
    pub(super) rows: VecDeque<Row<O>>,
    /// Tokens of those rows.
    pub(super) tokens: usize,
    /// Tokens of the forward that runs.
    pub(super) running: usize,
    pub(super) pace: Pace,
    pub(super) closed: bool,
}

/// Takes the rows of a request out of the queue when its future is dropped.
pub(super) struct Leave<'q, O: Send + 'static> {
    pub(super) queue: &'q Queue<O>,
    pub(super) id: u64,
    pub(super) answered: bool,
}

impl<O: Send + 'static> Drop for Leave<'_, O> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut state = self.queue.lock();
        let before = state.rows.len();
        state.rows.retain(|row| row.request.id != self.id);
        let left = before - state.rows.len();
        state.tokens = state.rows.iter().map(|row| row.waiting.tokens).sum();
        self.queue.metrics.abandoned(left);
        self.queue.count(&state);
    }
}

impl<O: Send + 'static> Queue<O> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, state: &State<O>) {
        self.metrics.waiting(state.rows.len(), state.tokens);
    }

    /// Places in the queue for a priority; those of lower ones do not count, so that nobody is kept out by what can wait.
    fn places(&self, priority: Priority) -> usize {
        match priority {
            Priority::Guard | Priority::Route => self.limits.queue,
            Priority::Bulk => (self.limits.queue / 2).max(1),
        }
    }

    /// Queues `rows` and gives the request's id; `None` when there are none.
    pub(super) fn enter(
        &self,
        rows: Vec<TokenizedText>,
        priority: Priority,
        deadline: Instant,
        reply: oneshot::Sender<Result<Answers<O>, InferenceError>>,
    ) -> Result<Option<u64>, InferenceError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let queued_at = Instant::now();
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
        let request = Arc::new(Request {
            id,
            progress: Mutex::new(Progress {
                outputs: rows.iter().map(|_| None).collect(),
                missing: rows.len(),
                started_at: None,
                reply: Some(reply),
            }),
        });
        let mut state = self.lock();
        let more_urgent = |row: &&Row<O>| row.waiting.priority <= priority;
        let waiting = state.rows.iter().filter(more_urgent).count();
        if waiting > 0 && waiting + rows.len() > self.places(priority) {
            return Err(InferenceError::QueueFull);
        }
        // An idle model is always asked: a pace that was measured in a bad moment corrects itself.
        let ahead = state
            .rows
            .iter()
            .filter(|row| row.waiting.priority <= priority);
        let ahead: usize = ahead.map(|row| row.waiting.tokens).sum();
        let time = state.pace.surely(state.running + ahead + tokens);
        if ahead > 0 && time > deadline.saturating_duration_since(queued_at) {
            return Err(InferenceError::QueueFull);
        }
        for (index, text) in rows.into_iter().enumerate() {
            state.rows.push_back(Row {
                waiting: Waiting {
                    tokens: text.input_ids.len(),
                    priority,
                    queued_at,
                    deadline,
                },
                index,
                text,
                request: Arc::clone(&request),
            });
        }
        state.tokens += tokens;
        self.count(&state);
        drop(state);
        self.changed.notify_one();
        Ok(Some(id))
    }
}
