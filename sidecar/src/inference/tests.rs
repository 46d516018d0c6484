//! Failure paths of the queue, with encoders that fail on purpose.

use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;

use super::*;

/// Waits for a permit before every forward and reports the first token of every text that it sees.
struct Gated {
    permits: Mutex<std_mpsc::Receiver<()>>,
    seen: mpsc::UnboundedSender<u32>,
}

impl Encoder for Gated {
    fn dimensions(&self) -> usize {
        1
    }

    fn embed(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, EmbedError> {
        for text in batch {
            let _ = self.seen.send(text.input_ids[0]);
        }
        let _ = self.permits.lock().unwrap().recv();
        Ok(batch
            .iter()
            .map(|_| Embedding::normalized(vec![1.0]))
            .collect())
    }
}

struct Gate {
    inference: Inference,
    metrics: Arc<Metrics>,
    permits: std_mpsc::Sender<()>,
    seen: mpsc::UnboundedReceiver<u32>,
}

fn gate() -> Gate {
    let (permits, wait) = std_mpsc::channel();
    let (seen_sender, seen) = mpsc::unbounded_channel();
    let encoder = Gated {
        permits: Mutex::new(wait),
        seen: seen_sender,
    };
    let metrics = Arc::new(Metrics::default());
    let inference = Inference::start(Arc::new(encoder), Arc::clone(&metrics)).unwrap();
    Gate {
        inference,
        metrics,
        permits,
        seen,
    }
}

fn text(token: u32) -> Vec<TokenizedText> {
    vec![TokenizedText {
        input_ids: vec![token],
        truncated: false,
    }]
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn spawn(
    inference: &Inference,
    token: u32,
    deadline: Instant,
) -> tokio::task::JoinHandle<Result<Embedded, InferenceError>> {
    let inference = inference.clone();
    tokio::spawn(async move { inference.embed(text(token), deadline).await })
}

#[tokio::test]
async fn a_job_whose_client_has_gone_never_reaches_the_model() {
    let mut gate = gate();
    let first = spawn(&gate.inference, 1, far());
    assert_eq!(gate.seen.recv().await, Some(1));
    let gone = spawn(&gate.inference, 2, far());
    while gate.inference.jobs.capacity() == MAX_QUEUED_JOBS {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    let last = spawn(&gate.inference, 3, far());
    gate.permits.send(()).unwrap();
    gate.permits.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    assert!(last.await.unwrap().is_ok());
    assert_eq!(gate.seen.recv().await, Some(3));
    assert_eq!(gate.metrics.jobs_abandoned.get(), 1);
}

#[tokio::test]
async fn a_job_past_its_deadline_is_refused_and_never_runs() {
    let mut gate = gate();
    let first = spawn(&gate.inference, 1, far());
    assert_eq!(gate.seen.recv().await, Some(1));
    let late = spawn(&gate.inference, 2, Instant::now());
    assert_eq!(late.await.unwrap(), Err(InferenceError::DeadlinePassed));
    gate.permits.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    let last = spawn(&gate.inference, 3, far());
    assert_eq!(gate.seen.recv().await, Some(3));
    gate.permits.send(()).unwrap();
    assert!(last.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let mut gate = gate();
    let mut jobs = vec![spawn(&gate.inference, 1, far())];
    assert_eq!(gate.seen.recv().await, Some(1));
    for _ in 0..MAX_QUEUED_JOBS {
        jobs.push(spawn(&gate.inference, 2, far()));
    }
    while gate.inference.jobs.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = gate.inference.embed(text(3), far()).await;
    assert_eq!(refused, Err(InferenceError::QueueFull));
    for _ in 0..jobs.len() {
        gate.permits.send(()).unwrap();
    }
    for job in jobs {
        assert!(job.await.unwrap().is_ok());
    }
}

/// Panics for token 0, fails for token 1, gives no vector for token 2.
struct Faulty;

impl Encoder for Faulty {
    fn dimensions(&self) -> usize {
        1
    }

    fn embed(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, EmbedError> {
        match batch[0].input_ids[0] {
            0 => panic!("on purpose"),
            1 => Err(EmbedError::Runtime("no memory".into())),
            2 => Ok(vec![]),
            _ => Ok(vec![Embedding::normalized(vec![1.0])]),
        }
    }
}

#[tokio::test]
async fn a_faulty_encoder_fails_its_job_and_not_the_next_one() {
    let metrics = Arc::new(Metrics::default());
    let inference = Inference::start(Arc::new(Faulty), metrics).unwrap();
    for (token, message) in [
        (0, "the encoder panicked"),
        (1, "no memory"),
        (2, "the encoder gave 0 vectors for 1 texts"),
    ] {
        let result = inference.embed(text(token), far()).await;
        assert_eq!(result, Err(InferenceError::Failed(message.into())));
    }
    assert!(inference.embed(text(3), far()).await.is_ok());
}
