//! What happens to one text: [`Service`], from the request types of the wire to their answers, without HTTP.
//!
//! An analysis: 1. exact cache tier; a hit is answered before any model runs. 2. tokenization. 3. one forward. 4. semantic
//! cache tier and categories, both from that one vector.
//!
//! A text longer than the encoder reads is never found or stored semantically: its vector says nothing about its end.

mod analyze;
mod engine;
mod store;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use turnpike_core::Config;
use turnpike_core::reply::Fault;

use crate::cache::{CacheLimits, MemoryCache};
use crate::inference::InferenceError;
use crate::metrics::{Metrics, Shed};

use store::RecentVectors;

pub use engine::{Engine, MAX_BATCH_TEXTS, StartError};

/// Time for a text whose caller is a client of `/v1/embeddings`, not the proxy with its short wait.
pub const EMBEDDINGS_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for the vector of an answer to store; nobody waits for it, but it must not outlive its use.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// One sidecar: model, cache, limits. Requests are served once [`Service::set_ready`] has given it the model.
#[derive(Debug)]
pub struct Service {
    /// What it counts.
    pub metrics: Arc<Metrics>,
    model_name: String,
    timeout: Duration,
    cache: Option<CacheLimits>,
    max_cached_body_bytes: usize,
    places: Arc<Semaphore>,
    started_at: Instant,
    ready: OnceLock<Ready>,
}

/// What exists once the model is loaded.
#[derive(Debug)]
struct Ready {
    engine: Arc<Engine>,
    cache: Arc<MemoryCache>,
    recent: RecentVectors,
}

impl Service {
    /// A service that is not ready yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let sidecar = &config.sidecar;
        let places = usize::try_from(sidecar.max_concurrent_requests).unwrap_or(usize::MAX);
        let cached = usize::try_from(config.limits.max_cached_body_bytes).unwrap_or(usize::MAX);
        Self {
            metrics: Arc::default(),
            model_name: sidecar.encoder.name.clone(),
            timeout: Duration::from_millis(sidecar.timeout_ms.into()),
            cache: Some(CacheLimits::from(&config.semantic_cache))
                .filter(|_| config.semantic_cache.enabled),
            max_cached_body_bytes: cached,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            started_at: Instant::now(),
            ready: OnceLock::new(),
        }
    }

    /// Gives the service its model; a second one is ignored.
    pub fn set_ready(&self, engine: Engine) {
        let limits = self.cache.unwrap_or(CacheLimits {
            max_entries: 0,
            time_to_live: Duration::ZERO,
            eviction: turnpike_core::cache::EvictionPolicy::Fifo,
        });
        self.ready.get_or_init(|| Ready {
            cache: Arc::new(MemoryCache::new(limits, engine.dimensions())),
            engine: Arc::new(engine),
            recent: RecentVectors::default(),
        });
        let startup = self.started_at.elapsed().as_secs_f64();
        self.metrics.startup_seconds.set(startup);
    }

    /// Whether the model is loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// Name under which `/v1/embeddings` serves the model.
    #[must_use]
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// The model.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] until it is loaded.
    pub fn engine(&self) -> Result<&Arc<Engine>, Fault> {
        self.ready().map(|ready| &ready.engine)
    }

    /// A place among the requests in progress, freed when dropped.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] when `sidecar.max_concurrent_requests` are taken.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            self.metrics.shed(Shed::Concurrency);
            Fault::Overloaded
        })
    }

    fn ready(&self) -> Result<&Ready, Fault> {
        self.ready.get().ok_or_else(|| {
            self.metrics.shed(Shed::NotReady);
            Fault::Overloaded
        })
    }

    /// The fault of a failed inference, counted and logged.
    pub fn inference_fault(&self, error: &InferenceError) -> Fault {
        match error {
            InferenceError::QueueFull => {
                self.metrics.shed(Shed::QueueFull);
                Fault::Overloaded
            }
            InferenceError::DeadlinePassed => {
                self.metrics.shed(Shed::Deadline);
                Fault::Overloaded
            }
            InferenceError::Failed(why) => {
                tracing::error!(why, "inference failed");
                Fault::Internal("inference failed")
            }
        }
    }
}
