//! A request in the queue: its rows, and its answers as they come.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::schedule::Waiting;
use super::{Answers, InferenceError};
use crate::model::TokenizedText;

pub(super) struct Row<O> {
    pub(super) waiting: Waiting,
    pub(super) index: usize,
    pub(super) text: TokenizedText,
    pub(super) request: Arc<Request<O>>,
}

/// What the rows of one request share.
pub(super) struct Request<O> {
    pub(super) id: u64,
    pub(super) progress: Mutex<Progress<O>>,
}

pub(super) struct Progress<O> {
    pub(super) outputs: Vec<Option<O>>,
    pub(super) missing: usize,
    pub(super) started_at: Option<Instant>,
    /// Taken by the first of: the last answer, an error.
    pub(super) reply: Option<oneshot::Sender<Result<Answers<O>, InferenceError>>>,
}

impl<O> Request<O> {
    pub(super) fn fail(&self, error: InferenceError) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = progress.reply.take() {
            // Nobody waits any more: nothing to do.
            let _ = reply.send(Err(error));
        }
    }

    pub(super) fn answer(&self, index: usize, output: O, queued_at: Instant, started_at: Instant) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *progress.started_at.get_or_insert(started_at);
        let Some(place @ None) = progress.outputs.get_mut(index) else {
            return;
        };
        *place = Some(output);
        progress.missing -= 1;
        if progress.missing > 0 {
            return;
        }
        if let Some(reply) = progress.reply.take() {
            let outputs = std::mem::take(&mut progress.outputs);
            let _ = reply.send(Ok(Answers {
                outputs: outputs.into_iter().flatten().collect(),
                queue_duration: first.saturating_duration_since(queued_at),
                inference_duration: first.elapsed(),
            }));
        }
    }
}
