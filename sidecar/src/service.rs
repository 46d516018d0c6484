//! What happens to one text: [`Service`], from the request types of the wire to their answers, without HTTP.
//!
//! An analysis: 1. exact cache tier; a hit is answered before any model runs. 2. tokenization. 3. one forward. 4. semantic
//! cache tier and categories, both from that one vector. 5. where one is configured, the second opinion on what the cache found.
//!
//! A text longer than the encoder reads is never found or stored semantically: its vector says nothing about its end.

mod analyze;
mod cache;
mod engine;
mod load;
mod second_opinion;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use turnpike_core::Config;
use turnpike_core::reply::Fault;

use crate::batching::InferenceError;
use crate::cache::{CacheLimits, InFlight, Store, agreement};
use crate::metrics::{Metrics, Shed};
use crate::tokenizer::MAX_WINDOWED_BYTES;

use cache::{Place, cache_limits};
use store::RecentVectors;

pub use engine::{Analyzed, AnswersByName, Engine, Wanted};
pub use load::{LoadedEncoder, StartError};

/// Time for a request of `/v1/embeddings` or `/v1/classify`, whose caller is not the proxy with its short wait.
pub const BULK_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for the vector of an answer to store; nobody waits for it, but it must not outlive its use.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// One sidecar: models, cache, limits. Requests are served once [`Service::set_ready`] has given it its models; a second call
/// replaces them, and requests in progress end with those that they began with.
#[derive(Debug)]
pub struct Service {
    /// What it counts.
    pub metrics: Arc<Metrics>,
    places: ArcSwap<Semaphore>,
    /// Lookups whose answers are on their way.
    in_flight: Arc<InFlight>,
    started_at: Instant,
    ready: ArcSwapOption<Ready>,
}

/// What exists once the models are loaded.
#[derive(Debug)]
struct Ready {
    engine: Arc<Engine>,
    timeout: Duration,
    max_cached_body_bytes: usize,
    /// How the choices of an answer that is kept may have ended.
    finish_reasons: Vec<String>,
    /// `None` when the cache is off.
    cache_limits: Option<CacheLimits>,
    cache: Arc<dyn Store>,
    /// Where its entries are.
    place: Place,
    recent: RecentVectors,
}

impl Ready {
    /// When what may be left out must be done, so that the rest is there before the proxy stops waiting at `deadline`.
    fn before(&self, deadline: tokio::time::Instant) -> tokio::time::Instant {
        deadline - self.timeout / 10
    }
}

impl Service {
    /// A service that is not ready yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            metrics: Arc::default(),
            places: ArcSwap::from_pointee(places(config)),
            in_flight: Arc::default(),
            started_at: Instant::now(),
            ready: ArcSwapOption::empty(),
        }
    }

    /// Gives the service its models, and the limits of `config`. The cache stays when both encoders embed alike and its place
    /// and policy are as they were.
    ///
    /// # Errors
    /// [`StartError::Cache`] and [`StartError::Redis`] when the cache's files cannot be used, [`StartError::WarmUp`] when the
    /// encoder fails. A Redis that does not answer is none: the cache comes with it.
    pub async fn set_ready(&self, engine: Engine, config: &Config) -> Result<(), StartError> {
        if config.semantic_cache.enabled {
            // The first comparison would wait for the word lists.
            drop(tokio::task::spawn_blocking(agreement::prepare).await);
        }
        let before = self.ready.load_full();
        let cache = self.open_cache(before.as_deref(), &engine, config).await?;
        if let Some(before) = &before {
            let loaded = engine.models();
            for name in before.engine.models() {
                if !loaded.contains(&name) {
                    self.metrics.forget(&name);
                }
            }
        }
        let sidecar = &config.sidecar;
        // Those who wait hold a place each, and must leave some.
        let most = sidecar.max_concurrent_requests as usize;
        self.in_flight
            .set_places((most / 4).max(1).min(most.saturating_sub(1)));
        if before.is_some() {
            self.places.store(Arc::new(places(config)));
        } else {
            self.metrics
                .startup_seconds
                .set(self.started_at.elapsed().as_secs_f64());
        }
        self.ready.store(Some(Arc::new(Ready {
            engine: Arc::new(engine),
            timeout: Duration::from_millis(sidecar.timeout_ms.into()),
            max_cached_body_bytes: usize::try_from(config.limits.max_cached_body_bytes)
                .unwrap_or(usize::MAX),
            finish_reasons: config.semantic_cache.finish_reasons.clone(),
            cache_limits: cache_limits(config),
            cache,
            place: Place::of(config),
            recent: RecentVectors::default(),
        })));
        if let Some(before) = before {
            self.close_unless_kept(&before.cache).await;
        }
        Ok(())
    }

    /// Lets those go on who wait for an answer that others are given: the sidecar stops.
    pub fn stop_waiting(&self) {
        self.in_flight.set_places(0);
        self.in_flight.release_all();
    }

    /// Whether the models are loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load().is_some()
    }

    /// The models.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] until they are loaded.
    pub fn engine(&self) -> Result<Arc<Engine>, Fault> {
        self.ready().map(|ready| Arc::clone(&ready.engine))
    }

    /// What the service depends on, by name, and what is wrong with each, asked side by side within `timeout`; `None` until it is
    /// ready.
    pub async fn dependencies(
        &self,
        timeout: Duration,
    ) -> Option<BTreeMap<String, Result<(), String>>> {
        let ready = self.ready.load_full()?;
        let mut found = ready.engine.dependencies(timeout).await;
        if let Some(health) = ready.cache.health() {
            found.insert("semantic_cache".into(), health);
        }
        Some(found)
    }

    /// The models, if they are loaded.
    #[must_use]
    pub fn engine_in_use(&self) -> Option<Arc<Engine>> {
        let ready = self.ready.load();
        ready.as_ref().map(|ready| Arc::clone(&ready.engine))
    }

    /// A place among the requests in progress, freed when dropped.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] when `sidecar.max_concurrent_requests` are taken.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.places.load_full().try_acquire_owned().map_err(|_| {
            self.metrics.shed(Shed::Concurrency);
            Fault::Overloaded
        })
    }

    fn ready(&self) -> Result<Arc<Ready>, Fault> {
        self.ready.load_full().ok_or_else(|| {
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

/// Whether heads and classifiers can read all of a text.
///
/// # Errors
/// Why not: part of a text that a guard has not read must not pass as read.
pub fn readable(text: &str) -> Result<(), String> {
    if text.len() > MAX_WINDOWED_BYTES {
        let bytes = text.len();
        return Err(format!(
            "has {bytes} bytes; heads and classifiers read at most {MAX_WINDOWED_BYTES}"
        ));
    }
    Ok(())
}

fn places(config: &Config) -> Semaphore {
    let places = usize::try_from(config.sidecar.max_concurrent_requests).unwrap_or(usize::MAX);
    Semaphore::new(places.min(Semaphore::MAX_PERMITS))
}
