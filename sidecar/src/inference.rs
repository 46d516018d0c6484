//! The queue before the model: bounded, with a deadline per job, served by one thread of its own.
//!
//! 1. [`Inference::embed`] puts a job into a channel of [`MAX_QUEUED_JOBS`]; a full one refuses at once.
//! 2. The thread takes a job. One whose client has gone or whose deadline has passed is dropped before it costs a forward.
//! 3. A panic of the encoder ends that job with an error, not the thread.
//!
//! One job is one forward today. Dynamic batching replaces this module: jobs carry tokenized texts, so their lengths are
//! known, and callers see [`Inference::embed`] alone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::encoder::{EmbedError, Embedding, Encoder, TokenizedText};
use crate::metrics::{Metrics, Stage};

/// Jobs that may wait; one more is refused. Twice what a model of 1 ms serves in the default deadline of 250 ms.
const MAX_QUEUED_JOBS: usize = 512;

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// The queue is full.
    #[error("the inference queue is full")]
    QueueFull,
    /// The deadline passed first.
    #[error("the deadline passed")]
    DeadlinePassed,
    /// The encoder failed; the text is for the log.
    #[error("{0}")]
    Failed(String),
}

/// Vectors of one job and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One for each text.
    pub embeddings: Vec<Embedding>,
    /// From the queue to the model.
    pub queue_duration: Duration,
    /// The forward.
    pub inference_duration: Duration,
}

struct Job {
    texts: Vec<TokenizedText>,
    queued_at: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Embedded, InferenceError>>,
}

/// Handle to the queue. The thread ends when the last handle is gone.
#[derive(Debug, Clone)]
pub struct Inference {
    jobs: mpsc::Sender<Job>,
}

impl Inference {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(encoder: Arc<dyn Encoder>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_JOBS);
        std::thread::Builder::new()
            .name("inference".into())
            .spawn(move || serve(queue, &*encoder, &metrics))?;
        Ok(Self { jobs })
    }

    /// Embeds `texts` in one forward, unless it would start after `deadline`.
    ///
    /// Dropping the future takes the job out of the queue.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn embed(
        &self,
        texts: Vec<TokenizedText>,
        deadline: Instant,
    ) -> Result<Embedded, InferenceError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            texts,
            queued_at: Instant::now(),
            deadline,
            reply,
        };
        self.jobs.try_send(job).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => InferenceError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(InferenceError::DeadlinePassed),
        }
    }
}

fn stopped() -> InferenceError {
    InferenceError::Failed("the inference thread has stopped".into())
}

fn serve(mut queue: mpsc::Receiver<Job>, encoder: &dyn Encoder, metrics: &Metrics) {
    while let Some(job) = queue.blocking_recv() {
        metrics.jobs_queued.set(queue.len() as i64);
        if job.reply.is_closed() {
            metrics.jobs_abandoned.inc();
            continue;
        }
        let started_at = Instant::now();
        let result = if started_at >= job.deadline {
            Err(InferenceError::DeadlinePassed)
        } else {
            forward(encoder, &job, started_at, metrics)
        };
        // Nobody waits any more: nothing to do.
        let _ = job.reply.send(result);
    }
}

fn forward(
    encoder: &dyn Encoder,
    job: &Job,
    started_at: Instant,
    metrics: &Metrics,
) -> Result<Embedded, InferenceError> {
    let queue_duration = started_at - job.queued_at;
    metrics.observe(Stage::Queue, queue_duration);
    let batch: Vec<&TokenizedText> = job.texts.iter().collect();
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| encoder.embed(&batch)));
    let inference_duration = started_at.elapsed();
    metrics.observe(Stage::Inference, inference_duration);
    let embeddings = outcome
        .unwrap_or_else(|_| Err(EmbedError::Runtime("the encoder panicked".into())))
        .map_err(|e| InferenceError::Failed(e.to_string()))?;
    if embeddings.len() != batch.len() {
        return Err(InferenceError::Failed(format!(
            "the encoder gave {} vectors for {} texts",
            embeddings.len(),
            batch.len()
        )));
    }
    Ok(Embedded {
        embeddings,
        queue_duration,
        inference_duration,
    })
}

#[cfg(test)]
mod tests;
