//! Users who ask as long as things break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use wasm_tests::harness::ready::until;

use super::asking::{DEADLINE, User, ask};
use crate::cache::is_hit;
use crate::gateways::Case;

/// Users of a load, who ask at the same time.
pub(super) const USERS: usize = 6;

/// An entry that was seen in the cache.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) user: User,
    pub(super) number: usize,
    pub(super) at: Instant,
}

/// Users who ask one thing after the other, each question a second time later, until they are told to stop.
pub(super) struct Load {
    asking: JoinSet<Result<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    pub(super) answered: Arc<AtomicUsize>,
    hits: Arc<AtomicUsize>,
}

impl Load {
    pub(super) fn start(gateway: &Case, name: &str) -> Self {
        let mut load = Self {
            asking: JoinSet::new(),
            stop: Arc::default(),
            answered: Arc::default(),
            hits: Arc::default(),
        };
        for number in 0..USERS {
            let user = User {
                client: gateway.stack.client(&format!("{name}-{number}"), name),
                bytes: 0,
            };
            let (stop, answered, hits) = (
                Arc::clone(&load.stop),
                Arc::clone(&load.answered),
                Arc::clone(&load.hits),
            );
            load.asking.spawn(async move {
                let mut seen = Vec::new();
                for at in 0.. {
                    for number in [at, at / 2] {
                        let reply = ask(&user, number, at % 2 == 1).await?;
                        answered.fetch_add(1, Ordering::Relaxed);
                        if is_hit(&reply) {
                            hits.fetch_add(1, Ordering::Relaxed);
                            let (user, at) = (user.clone(), Instant::now());
                            seen.push(Seen { user, number, at });
                        }
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Ok(seen)
            });
        }
        load
    }

    /// Waits for so many more of what `counter` counts.
    async fn more(&self, counter: &AtomicUsize, number: usize) {
        let wanted = counter.load(Ordering::Relaxed) + number;
        let grown = until(DEADLINE, async || {
            let now = counter.load(Ordering::Relaxed);
            ensure!(now >= wanted, "{now}, wanted {wanted}");
            Ok(())
        });
        grown.await.unwrap();
    }

    pub(super) async fn more_answers(&self, number: usize) {
        self.more(&self.answered, number).await;
    }

    pub(super) async fn more_hits(&self, number: usize) {
        self.more(&self.hits, number).await;
    }

    /// What was seen in the cache, once everybody has their last answer; fails when one was lost or wrong.
    pub(super) async fn end(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.asking.join_all().await;
        seen.into_iter().flat_map(|seen| seen.unwrap()).collect()
    }
}
