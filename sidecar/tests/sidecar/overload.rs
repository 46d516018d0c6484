//! More than the sidecar can do, with an encoder that waits for the test.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::json;
use turnpike_sidecar::encoder::{Embedding, Encoder};
use turnpike_sidecar::model::{ForwardError, Model, TokenizedText};

use crate::harness::{Outcome, Sidecar, config, send_tcp};

/// Passes batches until it is armed, then one for every permit.
pub(crate) struct Gated {
    permits: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Gated {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            permits: Mutex::new(None),
        })
    }

    pub(crate) fn arm(&self) -> mpsc::Sender<()> {
        let (permits, wait) = mpsc::channel();
        if let Ok(mut slot) = self.permits.lock() {
            *slot = Some(wait);
        }
        permits
    }
}

impl Encoder for Gated {
    fn dimensions(&self) -> usize {
        2
    }
}

impl Model for Gated {
    type Output = Embedding;

    fn forward(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, ForwardError> {
        if let Ok(Some(wait)) = self.permits.lock().as_deref() {
            let _ = wait.recv();
        }
        let unit = Embedding::normalized(vec![1.0, 0.0]);
        Ok(vec![unit; batch.len()])
    }
}

const ANALYZE: &str = "/v1/analyze";

pub(crate) fn question() -> String {
    json!({"text": "x", "heads": ["category"]}).to_string()
}

#[tokio::test]
async fn a_request_without_a_place_is_shed_at_the_door() -> Outcome<()> {
    let mut config = config()?;
    config.sidecar.max_concurrent_requests = 1;
    let encoder = Gated::new();
    let sidecar = Sidecar::start_with(&config, Arc::<Gated>::clone(&encoder)).await?;
    let permits = encoder.arm();
    let address = sidecar.address;
    let first = tokio::spawn(send_tcp(address, "POST", ANALYZE, question()));
    sidecar
        .until_metric("turnpike_sidecar_requests_in_progress", 1.0)
        .await?;

    let shed = sidecar.send("POST", ANALYZE, question()).await?;
    assert_eq!(
        (shed.status, shed.error_code()?.as_str()),
        (503, "overloaded")
    );
    assert_eq!(shed.headers["retry-after"], "1");
    assert_eq!(
        sidecar.get("/healthz").await?.status,
        200,
        "operators need no place"
    );
    let line = r#"turnpike_sidecar_requests_shed_total{reason="concurrency"}"#;
    sidecar.until_metric(line, 1.0).await?;

    permits.send(())?;
    assert_eq!(first.await??.status, 200);
    permits.send(())?;
    assert_eq!(
        sidecar.send("POST", ANALYZE, question()).await?.status,
        200,
        "the place is free again"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_past_its_deadline_is_answered_503() -> Outcome<()> {
    let mut config = config()?;
    config.sidecar.timeout_ms = 1;
    let encoder = Gated::new();
    let sidecar = Sidecar::start_with(&config, Arc::<Gated>::clone(&encoder)).await?;
    let _permits = encoder.arm();
    let late = sidecar.send("POST", ANALYZE, question()).await?;
    assert_eq!(
        (late.status, late.error_code()?.as_str()),
        (503, "overloaded")
    );
    let line = r#"turnpike_sidecar_requests_shed_total{reason="deadline"}"#;
    sidecar.until_metric(line, 1.0).await
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() -> Outcome<()> {
    let mut config = config()?;
    config.sidecar.max_concurrent_requests = 1;
    let encoder = Gated::new();
    let sidecar = Sidecar::start_with(&config, Arc::<Gated>::clone(&encoder)).await?;
    let permits = encoder.arm();
    let gone = tokio::spawn(send_tcp(sidecar.address, "POST", ANALYZE, question()));
    sidecar
        .until_metric("turnpike_sidecar_requests_in_progress", 1.0)
        .await?;
    gone.abort();
    sidecar
        .until_metric("turnpike_sidecar_requests_in_progress", 0.0)
        .await?;
    // One for the forward that had begun, one for this request.
    permits.send(())?;
    permits.send(())?;
    assert_eq!(sidecar.send("POST", ANALYZE, question()).await?.status, 200);
    Ok(())
}

/// Panics when told to.
struct Panicking(Mutex<bool>);

impl Encoder for Panicking {
    fn dimensions(&self) -> usize {
        1
    }
}

impl Model for Panicking {
    type Output = Embedding;

    fn forward(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, ForwardError> {
        let panics = self.0.lock().is_ok_and(|panics| *panics);
        assert!(!panics, "on purpose");
        Ok(vec![Embedding::normalized(vec![1.0]); batch.len()])
    }
}

#[tokio::test]
async fn a_panic_of_the_model_is_a_500_and_the_next_request_is_served() -> Outcome<()> {
    let encoder = Arc::new(Panicking(Mutex::new(false)));
    let sidecar = Sidecar::start_with(&config()?, Arc::<Panicking>::clone(&encoder)).await?;
    let set = |value| {
        if let Ok(mut panics) = encoder.0.lock() {
            *panics = value;
        }
    };
    set(true);
    let failed = sidecar.send("POST", ANALYZE, question()).await?;
    assert_eq!(
        (failed.status, failed.error_code()?.as_str()),
        (500, "internal_error")
    );
    set(false);
    assert_eq!(sidecar.send("POST", ANALYZE, question()).await?.status, 200);
    Ok(())
}

impl Sidecar {
    /// Polls `/metrics` until a line has this value.
    pub(crate) async fn until_metric(&self, line: &str, value: f64) -> Outcome<()> {
        let polled = tokio::time::timeout(Duration::from_secs(20), async {
            while (self.metric(line).await? - value).abs() > f64::EPSILON {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Outcome::Ok(())
        });
        match polled.await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "{line} never became {value}:\n{}",
                self.get("/metrics").await?.text()
            )
            .into()),
        }
    }
}
