//! The thread of a model: which rows it takes out of the queue and when ([`Gathering`]), and its forwards.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::InferenceError;
use super::queue::Queue;
use super::request::Row;
use super::schedule::next_batch;
use crate::model::{ForwardError, Model, TokenizedText};

/// Whether a forward waits for more rows, and for how many.
///
/// Clients of a closed loop send again when they are answered: right after a forward as many rows may be had as it had, beside
/// those that waited meanwhile. A wait that brought nothing is not repeated for a while, the longer the more often it happens.
#[derive(Debug)]
struct Gathering {
    /// Rows that are worth waiting for.
    expected: usize,
    last_end: Instant,
    /// Forwards to come that wait for nobody.
    skipped: u32,
    /// How many they were after the last wait in vain.
    patience: u32,
}

/// Most forwards that wait for nobody after waits in vain.
const MAX_SKIPPED: u32 = 64;

impl Default for Gathering {
    fn default() -> Self {
        Self {
            expected: 0,
            last_end: Instant::now(),
            skipped: 0,
            patience: 0,
        }
    }
}

impl Gathering {
    /// Until when the next forward waits for the expected rows; an idle model's time is long over.
    fn until(&mut self, max_wait: Duration) -> Instant {
        if self.skipped > 0 {
            self.skipped -= 1;
            return self.last_end;
        }
        self.last_end + max_wait
    }

    fn waited(&mut self, brought_rows: bool) {
        self.patience = if brought_rows {
            0
        } else {
            (self.patience * 2 + 1).min(MAX_SKIPPED)
        };
        self.skipped = self.patience;
    }

    fn forward_ended(&mut self, expected: usize) {
        self.expected = expected;
        self.last_end = Instant::now();
    }
}

impl<O: Send + 'static> Queue<O> {
    pub(super) fn serve(&self, model: &dyn Model<Output = O>) {
        let mut gathering = Gathering::default();
        while let Some(batch) = self.take(&mut gathering) {
            let rows = batch.len();
            if rows > 0 {
                self.forward(model, batch);
            }
            let waiting = self.lock().rows.len();
            gathering.forward_ended((rows + waiting).min(self.limits.max_batch_size));
        }
    }

    /// Waits for rows and takes those of the next forward; `None` when the last handle is gone.
    fn take(&self, gathering: &mut Gathering) -> Option<Vec<Row<O>>> {
        let mut state = self.lock();
        let until = gathering.until(self.limits.max_wait);
        let rows_before = state.rows.len();
        let mut waited = false;
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let gathered = state.rows.len() >= gathering.expected;
            if !state.rows.is_empty() && (gathered || now >= until) {
                break;
            }
            waited |= !state.rows.is_empty();
            state = if state.rows.is_empty() {
                let woken = self.changed.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            } else {
                let woken = self.changed.wait_timeout(state, until - now);
                woken.unwrap_or_else(PoisonError::into_inner).0
            };
        }
        if waited {
            gathering.waited(state.rows.len() > rows_before.max(1));
        }
        let now = Instant::now();
        // What will not be done in time would be computed for nobody; but something always runs, so that a pace that was measured
        // in a bad moment corrects itself.
        let (pace, batch) = (state.pace, state.tokens.min(self.limits.max_tokens));
        // A row is done when its whole batch is.
        let done = |row: &Row<O>| now + pace.surely(row.waiting.tokens.max(batch));
        let hopeful = state
            .rows
            .iter()
            .any(|row| done(row) < row.waiting.deadline);
        let (late, waiting) = std::mem::take(&mut state.rows)
            .into_iter()
            .partition::<VecDeque<_>, _>(|row| {
                row.waiting.deadline <= now || (hopeful && row.waiting.deadline <= done(row))
            });
        state.rows = waiting;
        let mut chosen = next_batch(state.rows.iter().map(|row| row.waiting), &self.limits, now);
        chosen.sort_unstable();
        let mut batch = Vec::with_capacity(chosen.len());
        for at in chosen.into_iter().rev() {
            batch.extend(state.rows.remove(at));
        }
        batch.reverse();
        state.tokens = state.rows.iter().map(|row| row.waiting.tokens).sum();
        state.running = batch.iter().map(|row| row.waiting.tokens).sum();
        self.count(&state);
        drop(state);
        self.metrics.late(late.len());
        for row in late {
            row.request.fail(InferenceError::DeadlinePassed);
        }
        Some(batch)
    }

    fn forward(&self, model: &dyn Model<Output = O>, batch: Vec<Row<O>>) {
        let started_at = Instant::now();
        let texts: Vec<&TokenizedText> = batch.iter().map(|row| &row.text).collect();
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| model.forward(&texts)));
        let duration = started_at.elapsed();
        let longest = texts.iter().map(|text| text.input_ids.len()).max();
        let padded = longest.unwrap_or(0) * batch.len();
        let real = batch.iter().map(|row| row.waiting.tokens).sum();
        let mut state = self.lock();
        state.pace.measured(real, duration);
        state.running = 0;
        drop(state);
        self.metrics.forward(batch.len(), real, padded, duration);
        let outputs = outcome
            .unwrap_or_else(|_| Err(ForwardError::Runtime("the model panicked".into())))
            .map_err(|e| e.to_string())
            .and_then(|outputs| {
                if outputs.len() == batch.len() {
                    Ok(outputs)
                } else {
                    let (given, rows) = (outputs.len(), batch.len());
                    Err(format!("the model gave {given} answers for {rows} rows"))
                }
            });
        match outputs {
            Ok(outputs) => {
                for (row, output) in batch.into_iter().zip(outputs) {
                    let queued_at = row.waiting.queued_at;
                    self.metrics
                        .waited(started_at.saturating_duration_since(queued_at));
                    if !model.is_valid(&output) {
                        let why = "the model's answer is not a number";
                        row.request.fail(InferenceError::Failed(why.into()));
                        continue;
                    }
                    row.request.answer(row.index, output, queued_at, started_at);
                }
            }
            Err(why) => {
                for row in batch {
                    row.request.fail(InferenceError::Failed(why.clone()));
                }
            }
        }
    }
}
