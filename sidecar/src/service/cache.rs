//! Opening the cache's store, and keeping it over a reload.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;
use turnpike_core::Config;

use super::{BULK_TIMEOUT, Engine, Ready, Service, StartError};
use crate::batching::Priority;
use crate::cache::{CacheLimits, Embedded, Fingerprint};

/// The limits of the cache, if it is on.
pub(super) fn cache_limits(config: &Config) -> Option<CacheLimits> {
    let config = &config.semantic_cache;
    config.enabled.then(|| CacheLimits::from(config))
}

/// The folder of the cache; empty when it has none, or is off.
pub(super) fn cache_path(config: &Config) -> &str {
    let config = &config.semantic_cache;
    if config.enabled { &config.path } else { "" }
}

impl Service {
    /// The store of `config`: the one before, if it can be kept.
    pub(super) async fn open_cache(
        &self,
        before: Option<&Ready>,
        engine: &Engine,
        config: &Config,
    ) -> Result<Arc<Embedded>, StartError> {
        let path = cache_path(config);
        let limits = cache_limits(config);
        if let (Some(before), Some(limits)) = (before, limits)
            && before.cache_limits.is_some()
            && before.cache_path == path
            && before.engine.embeds_as(engine)
            && before.embedded.set_limits(limits)
        {
            return Ok(Arc::clone(&before.embedded));
        }
        let metrics = self.metrics.cache.clone();
        let dimensions = engine.dimensions();
        if path.is_empty() {
            let limits = limits.unwrap_or_else(|| CacheLimits {
                max_entries: 0,
                ..CacheLimits::from(&config.semantic_cache)
            });
            metrics.holds(0, 0);
            let store = Embedded::in_memory(limits, dimensions, metrics).with_upkeep()?;
            return Ok(Arc::new(store));
        }
        let fingerprint = fingerprint(engine).await?;
        let limits = CacheLimits::from(&config.semantic_cache);
        // The folder is locked by the store that has it.
        let closed = before
            .filter(|before| before.cache_path == path)
            .map(|before| Arc::clone(&before.embedded));
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            if let Some(closed) = closed {
                closed.close();
            }
            Embedded::open(Path::new(&path), limits, dimensions, fingerprint, metrics)
        });
        let opened = opened
            .await
            .map_err(|e| StartError::WarmUp(e.to_string()))?;
        Ok(Arc::new(opened?))
    }

    /// Brings what is stored to the disk. Requests that come after it are served from memory.
    pub async fn close(&self) {
        if let Some(ready) = self.ready.load_full() {
            close(&ready.embedded).await;
        }
    }

    /// Gives the folder of the store before free; requests that still have it go on in memory.
    pub(super) async fn close_unless_kept(&self, before: &Arc<Embedded>) {
        let ready = self.ready.load_full();
        if ready.is_none_or(|ready| !Arc::ptr_eq(&ready.embedded, before)) {
            close(before).await;
        }
    }
}

async fn close(store: &Arc<Embedded>) {
    let store = Arc::clone(store);
    let closed = tokio::task::spawn_blocking(move || store.close());
    if closed.await.is_err() {
        tracing::error!("closing the cache panicked");
    }
}

/// What tells the encoder's vectors from those of another.
async fn fingerprint(engine: &Engine) -> Result<Fingerprint, StartError> {
    let deadline = Instant::now() + BULK_TIMEOUT;
    let analyzed = engine.analyze(Fingerprint::TEXT, Priority::Bulk, deadline);
    let analyzed = analyzed
        .await
        .map_err(|e| StartError::WarmUp(e.to_string()))?;
    Ok(Fingerprint::new(&analyzed.embedding))
}
