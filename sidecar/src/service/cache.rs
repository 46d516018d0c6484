//! Opening the cache's store, and keeping it over a reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;
use turnpike_core::Config;
use turnpike_core::cache::RedisConfig;

use super::{BULK_TIMEOUT, Engine, Ready, Service, StartError};
use crate::batching::Priority;
use crate::cache::{CacheLimits, Embedded, Fingerprint, RedisStore, Store};

/// Where the cache's entries are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// In memory alone; nothing is kept when the cache is off.
    Memory,
    /// In memory and in a folder.
    Folder(PathBuf),
    /// In Redis.
    Redis(RedisConfig),
}

impl Place {
    pub(super) fn of(config: &Config) -> Self {
        let config = &config.semantic_cache;
        match &config.redis {
            _ if !config.enabled => Self::Memory,
            Some(redis) => Self::Redis(redis.clone()),
            None if config.path.is_empty() => Self::Memory,
            None => Self::Folder(config.path.as_str().into()),
        }
    }
}

/// The limits of the cache, if it is on.
pub(super) fn cache_limits(config: &Config) -> Option<CacheLimits> {
    let config = &config.semantic_cache;
    config.enabled.then(|| CacheLimits::from(config))
}

/// Whether both are one store.
fn is_same(a: &Arc<dyn Store>, b: &Arc<dyn Store>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}

impl Service {
    /// The store of `config`: the one before, if it can be kept.
    pub(super) async fn open_cache(
        &self,
        before: Option<&Ready>,
        engine: &Engine,
        config: &Config,
    ) -> Result<Arc<dyn Store>, StartError> {
        let place = Place::of(config);
        if let (Some(before), Some(limits)) = (before, cache_limits(config))
            && before.cache_limits.is_some()
            && before.place == place
            && before.engine.embeds_as(engine)
            && before.cache.set_limits(limits)
        {
            return Ok(Arc::clone(&before.cache));
        }
        let limits = CacheLimits::from(&config.semantic_cache);
        let metrics = self.metrics.cache.clone();
        match &place {
            Place::Memory => {
                let limits = cache_limits(config).unwrap_or(CacheLimits {
                    max_entries: 0,
                    ..limits
                });
                metrics.holds(0, 0);
                let store = Embedded::in_memory(limits, engine.dimensions(), metrics);
                Ok(Arc::new(store.with_upkeep()?))
            }
            Place::Folder(path) => {
                // The folder is locked by the store that has it.
                if let Some(before) = before.filter(|before| before.place == place) {
                    before.cache.close().await;
                }
                self.open_folder(path.clone(), limits, engine).await
            }
            Place::Redis(redis) => {
                metrics.holds(0, 0);
                let fingerprint = fingerprint(engine).await?;
                let store = RedisStore::open(redis, limits, fingerprint, metrics).await?;
                Ok(Arc::new(store))
            }
        }
    }

    async fn open_folder(
        &self,
        path: PathBuf,
        limits: CacheLimits,
        engine: &Engine,
    ) -> Result<Arc<dyn Store>, StartError> {
        let fingerprint = fingerprint(engine).await?;
        let dimensions = engine.dimensions();
        let metrics = self.metrics.cache.clone();
        let opened = tokio::task::spawn_blocking(move || {
            Embedded::open(Path::new(&path), limits, dimensions, fingerprint, metrics)
        });
        let opened = opened
            .await
            .map_err(|e| StartError::WarmUp(e.to_string()))?;
        Ok(Arc::new(opened?))
    }

    /// Brings what is stored to safety. Requests that come after it are served from memory.
    pub async fn close(&self) {
        if let Some(ready) = self.ready.load_full() {
            ready.cache.close().await;
        }
    }

    /// Lets go of the store before; requests that still have it go on with what is in memory.
    pub(super) async fn close_unless_kept(&self, before: &Arc<dyn Store>) {
        let ready = self.ready.load_full();
        if ready.is_none_or(|ready| !is_same(&ready.cache, before)) {
            before.close().await;
        }
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
