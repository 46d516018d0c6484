//! The queue before a model: texts of many requests share its forwards.
//!
//! 1. [`Batcher::run`] puts the rows of a request into a bounded queue, or refuses at once: when it is full, or when what is
//!    ahead of them will take longer than their deadline allows ([`Pace`]).
//! 2. One thread, the model's own, takes the rows that go well together (`schedule`). A row whose deadline has passed is
//!    dropped before it costs a forward; those of a client that has gone have left the queue already.
//! 3. Under load, the thread waits up to [`Limits::max_wait`] for more rows, as long as that brings some (`serving`). A model that
//!    was idle starts with the first row.
//! 4. A panic of the model ends that batch with an error, not the thread.

mod pace;
mod queue;
mod request;
mod schedule;
mod serving;

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use turnpike_core::config::BatchingConfig;

use crate::metrics::Metrics;
use crate::model::{Model, TokenizedText};
use pace::Pace;
use queue::{Leave, Queue, State};

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

#[cfg(test)]
mod tests;
