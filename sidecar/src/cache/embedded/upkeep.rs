//! The thread beside a store: removes what has expired, moves the rows of partitions that have grown into their graphs, writes
//! snapshots. Each step is short, and others may change something between two.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::index::move_row;
use super::{EXPIRED_PER_STORE, Inner};
use crate::cache::Timestamp;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_millis(100);

/// Time of one round for a kind of work; what is left is for the next.
const BUDGET: Duration = Duration::from_millis(50);

/// The thread.
#[derive(Debug)]
pub(super) struct Upkeep {
    stop: Arc<Stop>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_asked: Mutex<bool>,
    asked: Condvar,
}

impl Upkeep {
    pub(super) fn start(inner: &Arc<Inner>) -> std::io::Result<Self> {
        let stop = Arc::<Stop>::default();
        let (inner, asked) = (Arc::downgrade(inner), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("cache-upkeep".into())
            .spawn(move || run(&inner, &asked))?;
        Ok(Self {
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Returns when the thread has ended.
    pub(super) fn stop(&self) {
        self.stop.ask();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the cache's upkeep panicked");
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

impl Stop {
    fn ask(&self) {
        *self.is_asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.asked.notify_all();
    }

    /// Waits for the next round; `false` when there is none.
    fn wait(&self) -> bool {
        let asked = self.is_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .asked
            .wait_timeout_while(asked, INTERVAL, |asked| !*asked);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn run(inner: &Weak<Inner>, stop: &Stop) {
    while stop.wait() {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.shrink();
        inner.move_rows();
        if let Some(journal) = inner.journal.as_ref().filter(|j| j.wants_snapshot()) {
            inner.write_snapshot(journal);
        }
    }
}

impl Inner {
    /// Removes what has expired, and what is too much since the limits have changed.
    fn shrink(&self) {
        let started_at = Instant::now();
        let mut removed = 0;
        while started_at.elapsed() < BUDGET {
            let limits = *self.limits.read();
            let mut writer = self.writer();
            let some = self.remove_expired(&mut writer, Timestamp::now(), EXPIRED_PER_STORE)
                + self.make_room(&mut writer, &limits, None, EXPIRED_PER_STORE);
            if some == 0 {
                break;
            }
            removed += some;
        }
        if removed > 0 {
            self.count();
        }
    }

    /// Moves rows of crowded partitions; `false` when there are no more.
    pub(super) fn move_rows(&self) -> bool {
        let started_at = Instant::now();
        while started_at.elapsed() < BUDGET {
            let mut writer = self.writer();
            let Some(partition) = writer.crowded.iter().next().copied() else {
                return false;
            };
            let index = self.partitions.get(&partition);
            if !index.is_some_and(|index| move_row(&index)) {
                writer.crowded.remove(&partition);
            }
        }
        true
    }
}
