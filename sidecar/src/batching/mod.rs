//! The queue before a model: texts of many requests share its forwards.
//!
//! 1. [`Batcher::run`] puts the rows of a request into a bounded queue, or refuses at once: when it is full, or when what is
//!    ahead of them will take longer than their deadline allows ([`Pace`]).
//! 2. One thread, the model's own, takes the rows that go well together (`schedule`). A row whose deadline has passed is
//!    dropped before it costs a forward; those of a client that has gone have left the queue already.
//! 3. Under load, the thread waits up to [`Limits::max_wait`] for more rows, as long as that brings some ([`Gathering`]). A model
//!    that was idle starts with the first row.
//! 4. A panic of the model ends that batch with an error, not the thread.

mod pace;
mod schedule;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use turnpike_core::config::BatchingConfig;

use crate::metrics::{Metrics, QueueMetrics};
use crate::model::{ForwardError, Model, TokenizedText};
use pace::Pace;
use schedule::{Waiting, next_batch};

/// How often a large request looks for room in a full queue.
const ROOM_CHECK: Duration = Duration::from_millis(5);

/// Chunks of a large request that are queued at a time.
const CHUNKS: usize = 2;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// The queue is full, or too long for the deadline.
    #[error("the inference queue is full")]
    QueueFull,
    /// The deadline passed first.
    #[error("the deadline passed")]
    DeadlinePassed,
    /// The model failed; the text is for the log.
    #[error("{0}")]
    Failed(String),
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// What a request may be blocked for.
    Guard,
    /// What the proxy waits for.
    Route,
    /// What nobody waits for at the proxy: cache fills, `/v1/embeddings`.
    Bulk,
}

/// Limits of a queue and its forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of one forward.
    pub max_batch_size: usize,
    /// Tokens of one forward, padding included; a longer row runs alone.
    pub max_tokens: usize,
    /// How long a forward waits under load for more rows.
    pub max_wait: Duration,
    /// Rows that may wait.
    pub queue: usize,
}

impl Limits {
    /// Rows of a large request that are queued together: one forward's, and never more than half of the queue.
    #[must_use]
    pub fn chunk(&self) -> usize {
        self.max_batch_size.min(self.queue / 8).max(1)
    }

    /// Those of `config`, or what suits the device. On a CPU a forward of more than a few hundred tokens makes no text faster
    /// (`benches/RESULTS.md`), and the next one waits longer; a GPU is not filled by less than some thousands.
    #[must_use]
    pub fn new(config: &BatchingConfig, on_gpu: bool) -> Self {
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let or = |value: u32, suits: usize| if value == 0 { suits } else { size(value) };
        let (rows, tokens) = if on_gpu { (64, 16_384) } else { (16, 512) };
        Self {
            max_batch_size: or(config.max_batch_size, rows),
            max_tokens: or(config.max_tokens, tokens),
            max_wait: Duration::from_millis(config.max_wait_ms.into()),
            queue: size(config.queue),
        }
    }
}

/// Answers to the rows of one request and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers<O> {
    /// One for each row.
    pub outputs: Vec<O>,
    /// From the queue to the first forward.
    pub queue_duration: Duration,
    /// From there to the last answer.
    pub inference_duration: Duration,
}

/// Handle to the queue of one model. The thread ends when the last handle is gone.
pub struct Batcher<O: Send + 'static>(Arc<Handle<O>>);

impl<O: Send + 'static> Clone for Batcher<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O: Send + 'static> std::fmt::Debug for Batcher<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

/// Closes the queue when dropped.
struct Handle<O: Send + 'static>(Arc<Queue<O>>);

impl<O: Send + 'static> Drop for Handle<O> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

struct Queue<O> {
    state: Mutex<State<O>>,
    changed: Condvar,
    limits: Limits,
    ids: AtomicU64,
    metrics: QueueMetrics,
}

struct State<O> {
    rows: VecDeque<Row<O>>,
    /// Tokens of those rows.
    tokens: usize,
    /// Tokens of the forward that runs.
    running: usize,
    pace: Pace,
    closed: bool,
}

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

struct Row<O> {
    waiting: Waiting,
    index: usize,
    text: TokenizedText,
    request: Arc<Request<O>>,
}

/// What the rows of one request share.
struct Request<O> {
    id: u64,
    progress: Mutex<Progress<O>>,
}

struct Progress<O> {
    outputs: Vec<Option<O>>,
    missing: usize,
    started_at: Option<Instant>,
    /// Taken by the first of: the last answer, an error.
    reply: Option<oneshot::Sender<Result<Answers<O>, InferenceError>>>,
}

impl<O> Request<O> {
    fn fail(&self, error: InferenceError) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = progress.reply.take() {
            // Nobody waits any more: nothing to do.
            let _ = reply.send(Err(error));
        }
    }

    fn answer(&self, index: usize, output: O, queued_at: Instant, started_at: Instant) {
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

/// Takes the rows of a request out of the queue when its future is dropped.
struct Leave<'q, O: Send + 'static> {
    queue: &'q Queue<O>,
    id: u64,
    answered: bool,
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

impl<O: Send + 'static> Batcher<O> {
    /// Starts the thread of `model`, whose metrics go under `name`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &str,
        model: Arc<dyn Model<Output = O>>,
        limits: Limits,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                rows: VecDeque::new(),
                tokens: 0,
                running: 0,
                pace: Pace::default(),
                closed: false,
            }),
            changed: Condvar::new(),
            limits,
            ids: AtomicU64::new(0),
            metrics: metrics.queue(name),
        });
        let served = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("inference".into())
            .spawn(move || served.serve(&*model))?;
        Ok(Self(Arc::new(Handle(queue))))
    }

    /// Answers `rows`, unless the deadline passes first. None of them: at once, nothing.
    ///
    /// Dropping the future takes the rows out of the queue.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run(
        &self,
        rows: Vec<TokenizedText>,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Answers<O>, InferenceError> {
        let queue = &*self.0.0;
        let (reply, answer) = oneshot::channel();
        let Some(id) = queue.enter(rows, priority, deadline, reply)? else {
            return Ok(Answers {
                outputs: Vec::new(),
                queue_duration: Duration::ZERO,
                inference_duration: Duration::ZERO,
            });
        };
        let mut leave = Leave {
            queue,
            id,
            answered: false,
        };
        let answer = tokio::time::timeout_at(deadline, answer).await;
        // After a failure, the rows that have not run yet go as well.
        leave.answered = matches!(answer, Ok(Ok(Ok(_))));
        match answer {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(InferenceError::Failed(
                "the inference thread has stopped".into(),
            )),
            Err(_) => Err(InferenceError::DeadlinePassed),
        }
    }
}

impl<O: Send + 'static> Batcher<O> {
    /// Answers any number of rows, `chunk` of them after the other, so that other requests run in between. Two chunks are on
    /// their way at a time: the model need not wait for the next.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run_all(
        &self,
        rows: Vec<TokenizedText>,
        chunk: usize,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Answers<O>, InferenceError> {
        self.check_total(&rows, deadline)?;
        let mut rows = rows.into_iter();
        let chunks = std::iter::from_fn(move || {
            let chunk: Vec<TokenizedText> = rows.by_ref().take(chunk).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let runs = chunks
            .enumerate()
            .map(|(at, rows)| self.run_chunk(at, rows, priority, deadline));
        let mut runs = std::pin::pin!(futures_util::stream::iter(runs).buffered(CHUNKS));
        let mut all = Answers {
            outputs: Vec::new(),
            queue_duration: Duration::ZERO,
            inference_duration: Duration::ZERO,
        };
        while let Some(answers) = runs.next().await {
            let answers = answers?;
            all.outputs.extend(answers.outputs);
            all.queue_duration += answers.queue_duration;
            all.inference_duration += answers.inference_duration;
        }
        Ok(all)
    }

    /// Refuses what could not be done before `deadline` if it were alone.
    fn check_total(&self, rows: &[TokenizedText], deadline: Instant) -> Result<(), InferenceError> {
        let queue = &*self.0.0;
        let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
        let large = tokens > 4 * queue.limits.max_tokens;
        let time = queue.lock().pace.time_for(tokens);
        if large && time > deadline.saturating_duration_since(Instant::now()) {
            return Err(InferenceError::QueueFull);
        }
        Ok(())
    }

    /// The first chunk is refused when the queue is full; the others, whose request is begun, wait for room.
    async fn run_chunk(
        &self,
        at: usize,
        rows: Vec<TokenizedText>,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Answers<O>, InferenceError> {
        if at == 0 {
            return self.run(rows, priority, deadline).await;
        }
        loop {
            match self.run(rows.clone(), priority, deadline).await {
                Err(InferenceError::QueueFull) if Instant::now() < deadline => {
                    tokio::time::sleep(ROOM_CHECK).await;
                }
                answered => return answered,
            }
        }
    }
}

impl<O: Send + 'static> Queue<O> {
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, state: &State<O>) {
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
    fn enter(
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

    fn serve(&self, model: &dyn Model<Output = O>) {
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

#[cfg(test)]
mod tests;
