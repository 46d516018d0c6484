//! The way to Redis, and what happens when it is gone.
//!
//! 1. One task connects, and then looks every second whether Redis answers.
//! 2. A connection that breaks, or [`LATE_IN_A_ROW`] commands in a row that are late, end the connections: from then on every call
//!    fails at once, until the task has new ones. It tries at once, then every second.
//! 3. Lookups and stores have connections of their own, so that a large answer that is stored holds up no lookup.
//!
//! Each change is logged and shown by `cache_store_up`; each call that failed is counted with its reason, and not logged.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{FromRedisValue, Pipeline, RedisError, cmd, pipe};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connector::{CONNECT_TIMEOUT, Connection, Connector};
use super::entry::FIELDS;
use super::keys::Keys;
use super::trouble::Trouble;
use crate::cache::fixed_point::{from_bytes, to_bytes};
use crate::cache::{Fingerprint, StoreError};
use crate::metrics::{CacheMetrics, StoreFailure};

/// Commands in a row that are late before nobody asks any more: one late answer may be a pause of Redis (a fork, a slow command).
const LATE_IN_A_ROW: u32 = 3;

/// Time between two looks at Redis, and between two attempts to connect.
const BEAT: Duration = Duration::from_secs(1);

/// Time for a store, which nobody waits for.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The first version of Redis with vector sets.
const NEEDED_VERSION: &str = "8.0";

/// Connections that work.
#[derive(Debug)]
pub(super) struct Live {
    lookups: Connection,
    stores: Connection,
    /// Name of this sidecar's encoder, part of every key.
    pub(super) encoder: String,
}

/// The way to Redis.
#[derive(Debug)]
pub(super) struct Link {
    connector: Connector,
    keys: Keys,
    fingerprint: Fingerprint,
    lookup_timeout: Duration,
    metrics: CacheMetrics,
    live: ArcSwapOption<Live>,
    late: AtomicU32,
    lost: Notify,
    /// Why there is no connection.
    trouble: Mutex<String>,
    closed: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Link {
    /// Starts to connect; returns when the first attempt has ended.
    pub(super) async fn open(
        connector: Connector,
        keys: Keys,
        fingerprint: Fingerprint,
        lookup_timeout: Duration,
        metrics: CacheMetrics,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            connector,
            keys,
            fingerprint,
            lookup_timeout,
            metrics,
            live: ArcSwapOption::empty(),
            late: AtomicU32::new(0),
            lost: Notify::new(),
            trouble: Mutex::default(),
            closed: AtomicBool::new(false),
            task: Mutex::default(),
        });
        link.metrics.store_is_up(false);
        let (tried, first_attempt) = oneshot::channel();
        let task = tokio::spawn(keep(Arc::clone(&link), tried));
        *lock(&link.task) = Some(task.abort_handle());
        // The task lives as long as the store.
        drop(first_attempt.await);
        link
    }

    /// The connections.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there are none.
    pub(super) fn live(&self) -> Result<Arc<Live>, StoreError> {
        self.live.load_full().ok_or_else(|| {
            self.metrics.store_failed(StoreFailure::Unavailable);
            StoreError::Unavailable
        })
    }

    /// Asks for what a request waits for.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        live: &Arc<Live>,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let answer = self.ask(&live.lookups, pipeline, self.lookup_timeout).await;
        answer.map_err(|trouble| self.settle(live, trouble))
    }

    /// Runs a transaction on `key`, and others of its partition, that nobody waits for.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        live: &Arc<Live>,
        key: &str,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let mut answer = self.ask(&live.stores, pipeline, STORE_TIMEOUT).await;
        if let Err(Trouble::Moved(_)) = answer {
            // The client follows single commands to another node, and learns from them, but no transactions.
            let mut single = pipe();
            single.cmd("HGET").arg(key).arg(FIELDS[0]).ignore();
            let _: Result<(), Trouble> = self.ask(&live.stores, &single, STORE_TIMEOUT).await;
            answer = self.ask(&live.stores, pipeline, STORE_TIMEOUT).await;
        }
        answer.map_err(|trouble| self.settle(live, trouble))
    }

    async fn ask<T: FromRedisValue>(
        &self,
        connection: &Connection,
        pipeline: &Pipeline,
        time: Duration,
    ) -> Result<T, Trouble> {
        let mut connection = connection.clone();
        match timeout(time, pipeline.query_async(&mut connection)).await {
            Ok(Ok(value)) => {
                self.late.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(error)) => Err(Trouble::of(error)),
            Err(_) => Err(Trouble::Late(time)),
        }
    }

    /// Counts a failure, and ends the connections where that is the cure.
    fn settle(&self, live: &Arc<Live>, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Late(time) => {
                self.metrics.store_failed(StoreFailure::Timeout);
                self.was_late(live, &format!("no answer within {} ms", time.as_millis()));
                StoreError::Unavailable
            }
            Trouble::Lost(why) => {
                self.metrics.store_failed(StoreFailure::ConnectionLost);
                // The client of a cluster mends the connection to one node by itself; the others serve meanwhile.
                if self.connector.is_cluster() {
                    self.was_late(live, &why);
                } else {
                    self.lose(live, &why);
                }
                StoreError::Unavailable
            }
            Trouble::Moved(why) | Trouble::Refused(why) => {
                self.metrics.store_failed(StoreFailure::Refused);
                StoreError::Failed(why)
            }
        }
    }

    fn was_late(&self, live: &Arc<Live>, why: &str) {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE_IN_A_ROW {
            self.lose(live, why);
        }
    }

    /// Ends these connections, unless that was done.
    fn lose(&self, live: &Arc<Live>, why: &str) {
        let expected = Some(Arc::clone(live));
        let before = self.live.compare_and_swap(&expected, None);
        let is_first = before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, live));
        if is_first {
            self.is_down(why);
            self.lost.notify_one();
        }
    }

    /// Says why Redis cannot be used, once.
    fn is_down(&self, why: &str) {
        let mut trouble = lock(&self.trouble);
        if *trouble != why {
            why.clone_into(&mut trouble);
            let redis = self.connector.place();
            tracing::error!(
                redis,
                why,
                "the cache's Redis cannot be used: requests go on without cache"
            );
        }
        self.metrics.store_is_up(false);
    }

    fn is_up(&self, live: Live) {
        lock(&self.trouble).clear();
        self.late.store(0, Ordering::Relaxed);
        let redis = self.connector.place();
        tracing::info!(redis, encoder = live.encoder, "the cache's Redis is there");
        self.live.store(Some(Arc::new(live)));
        self.metrics.store_is_up(true);
    }

    /// Whether Redis can be used, and why not.
    pub(super) fn health(&self) -> Result<(), String> {
        if self.live.load().is_some() {
            return Ok(());
        }
        Err(lock(&self.trouble).clone())
    }

    /// Ends connections and task; what comes after it fails.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(task) = lock(&self.task).take() {
            task.abort();
            self.metrics.store_is_gone();
        }
        self.live.store(None);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Connections to all nodes, for work on every entry.
    pub(super) async fn nodes(&self) -> Result<Vec<redis::aio::MultiplexedConnection>, StoreError> {
        self.connector.nodes().await.map_err(|why| {
            self.metrics.store_failed(StoreFailure::Unavailable);
            StoreError::Failed(why)
        })
    }

    async fn connect(&self) -> Result<Live, String> {
        let lookups = self.connector.connect().await?;
        let stores = self.connector.connect().await?;
        let mut connection = lookups.clone();
        self.check(&mut connection).await?;
        let encoder = self
            .encoder(&mut connection)
            .await
            .map_err(|e| e.to_string())?;
        Ok(Live {
            lookups,
            stores,
            encoder,
        })
    }

    /// Whether this Redis has vector sets, and this user may use them.
    async fn check(&self, connection: &mut Connection) -> Result<(), String> {
        let nothing = self.keys.nothing();
        let answer = cmd("VCARD").arg(nothing).query_async(connection).await;
        let error: RedisError = match answer {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !error.to_string().to_lowercase().contains("unknown command") {
            return Err(error.to_string());
        }
        let info: Result<String, _> = cmd("INFO").arg("server").query_async(connection).await;
        let info = info.unwrap_or_default();
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        Err(format!(
            "it has no vector sets: Redis {NEEDED_VERSION} or later is needed, this is {}",
            version.unwrap_or("of an unknown version")
        ))
    }

    /// The name under which vectors of this sidecar's encoder are stored: that of the first sidecar with the same. Writes, so
    /// that a replica is not taken for what it is not.
    async fn encoder(&self, connection: &mut Connection) -> redis::RedisResult<String> {
        let key = self.keys.encoders();
        let own = name_of(&self.fingerprint);
        let known = cmd("HGETALL").arg(&key).query_async(connection).await?;
        if let Some(name) = self.same_encoder(known, None) {
            // Writes nothing new: a Redis whose memory is full serves what it has.
            let _: usize = cmd("HDEL")
                .arg(&key)
                .arg("")
                .query_async(connection)
                .await?;
            return Ok(name);
        }
        let name = own.clone();
        let mut pipeline = pipe();
        pipeline.atomic();
        let vector = to_bytes(&self.fingerprint.0);
        pipeline
            .cmd("HSETNX")
            .arg(&key)
            .arg(&name)
            .arg(vector)
            .ignore();
        pipeline.cmd("HGETALL").arg(&key);
        let (known,) = pipeline.query_async(connection).await?;
        // Another sidecar may have come first, between the two.
        match self.same_encoder(known, Some(&own)) {
            Some(first) => {
                let () = cmd("HDEL")
                    .arg(&key)
                    .arg(&own)
                    .query_async(connection)
                    .await?;
                Ok(first)
            }
            None => Ok(name),
        }
    }

    fn same_encoder(&self, known: Vec<(String, Vec<u8>)>, but: Option<&str>) -> Option<String> {
        let same = known.into_iter().filter(|(name, vector)| {
            let is_same = Fingerprint(from_bytes(vector)).is_same_encoder(&self.fingerprint);
            is_same && but.is_none_or(|but| but != name)
        });
        same.map(|(name, _)| name).min()
    }

    /// Looks whether Redis answers, and keeps the encoder's name from being evicted.
    async fn beat(&self, live: &Arc<Live>) {
        let mut pipeline = pipe();
        pipeline
            .cmd("HSETNX")
            .arg(self.keys.encoders())
            .arg(&live.encoder)
            .arg(to_bytes(&self.fingerprint.0))
            .ignore();
        let answer: Result<(), StoreError> = self.read(live, &pipeline).await;
        if answer.is_ok() {
            // Said again: a store before this one may have taken it back.
            self.metrics.store_is_up(true);
        }
    }
}

/// Dimensions and the start of a digest.
fn name_of(fingerprint: &Fingerprint) -> String {
    let digest = Sha256::digest(to_bytes(&fingerprint.0));
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{digest}", fingerprint.dimensions())
}

/// Connects, again and again, at most once every [`BEAT`].
async fn keep(link: Arc<Link>, tried: oneshot::Sender<()>) {
    let mut tried = Some(tried);
    loop {
        let next_attempt = Instant::now() + BEAT;
        // Two connections and a few questions; a cluster asks each of its nodes.
        match timeout(CONNECT_TIMEOUT * 3, link.connect()).await {
            Ok(Ok(live)) => link.is_up(live),
            Ok(Err(why)) => link.is_down(&why),
            Err(_) => link.is_down("it does not answer"),
        }
        if let Some(tried) = tried.take() {
            // Nobody may wait any more.
            let _ = tried.send(());
        }
        while let Some(live) = link.live.load_full() {
            tokio::select! {
                () = link.lost.notified() => {}
                () = sleep(BEAT) => link.beat(&live).await,
            }
        }
        sleep_until(next_attempt).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
