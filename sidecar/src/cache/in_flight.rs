//! Lookups that missed and whose answer is on its way: others that ask the same may wait for it.
//!
//! The first that misses leads until its answer is stored, the proxy says that none will come, or its time is up, whatever comes
//! first. So a proxy that dies, or an answer that nobody may keep, costs those who wait that time at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::EntryKey;

/// Leaders above which those whose time is up are looked for.
const MIN_SWEEP: usize = 1024;

/// Lookups whose answer is on its way.
#[derive(Debug)]
pub struct InFlight {
    leaders: Mutex<Leaders>,
    places: Semaphore,
}

#[derive(Debug, Default)]
struct Leaders {
    by_key: HashMap<EntryKey, Leader>,
    /// Size at which those whose time is up are removed.
    sweep_at: usize,
    next_id: u64,
}

#[derive(Debug)]
struct Leader {
    id: u64,
    until: Instant,
    /// Dropped with the leader, which is what the others wait for.
    ends: watch::Sender<()>,
}

/// What a lookup that missed is to others of its question.
#[derive(Debug)]
pub enum Role {
    /// The first.
    Leads(Lead),
    /// One that may wait.
    Follows(Follower),
}

/// Leads while the lookup is in work. Dropped, it leads no more: unless [`Lead::goes_upstream`] was called.
#[derive(Debug)]
pub struct Lead {
    in_flight: Arc<InFlight>,
    key: EntryKey,
    id: u64,
    is_upstream: bool,
}

/// May wait for a leader.
#[derive(Debug)]
pub struct Follower {
    ended: watch::Receiver<()>,
    until: Instant,
}

impl InFlight {
    /// With places for so many to wait at the same time.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            leaders: Mutex::default(),
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
        })
    }

    /// Joins those who ask the same; the first leads for at most `time`.
    pub fn join(self: &Arc<Self>, key: EntryKey, time: Duration) -> Role {
        let now = Instant::now();
        let mut leaders = self.leaders();
        if let Some(leader) = leaders.by_key.get(&key)
            && leader.until > now
        {
            return Role::Follows(Follower {
                ended: leader.ends.subscribe(),
                until: leader.until,
            });
        }
        leaders.sweep(now);
        let id = leaders.next_id;
        leaders.next_id += 1;
        let leader = Leader {
            id,
            until: now + time,
            ends: watch::Sender::new(()),
        };
        leaders.by_key.insert(key, leader);
        Role::Leads(Lead {
            in_flight: Arc::clone(self),
            key,
            id,
            is_upstream: false,
        })
    }

    /// The answer is there, or will not come: nobody waits any longer.
    pub fn end(&self, key: &EntryKey) {
        self.leaders().by_key.remove(key);
    }

    /// A place to wait; `None` when all are taken.
    pub fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Whether there is one.
    pub fn has_place(&self) -> bool {
        self.places.available_permits() > 0
    }

    fn leaders(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leaders {
    /// Removes those whose time is up, now and then.
    fn sweep(&mut self, now: Instant) {
        if self.by_key.len() < self.sweep_at.max(MIN_SWEEP) {
            return;
        }
        self.by_key.retain(|_, leader| leader.until > now);
        self.sweep_at = 2 * self.by_key.len();
    }
}

impl Lead {
    /// The proxy has the answer made: the lead ends with [`InFlight::end`] or its time.
    pub fn goes_upstream(mut self) {
        self.is_upstream = true;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.is_upstream {
            return;
        }
        let mut leaders = self.in_flight.leaders();
        if leaders
            .by_key
            .get(&self.key)
            .is_some_and(|l| l.id == self.id)
        {
            leaders.by_key.remove(&self.key);
        }
    }
}

impl Follower {
    /// Waits until the leader ends or its time is up; `true` for the former.
    pub async fn wait(mut self) -> bool {
        let ended = self.ended.changed();
        tokio::time::timeout_at(self.until, ended).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Partition;

    const TIME: Duration = Duration::from_secs(5);

    fn key(text: &str) -> EntryKey {
        EntryKey::of(&Partition::default(), text)
    }

    fn lead(in_flight: &Arc<InFlight>, text: &str) -> Lead {
        match in_flight.join(key(text), TIME) {
            Role::Leads(lead) => lead,
            Role::Follows(_) => panic!("there is a leader"),
        }
    }

    fn follow(in_flight: &Arc<InFlight>, text: &str) -> Follower {
        match in_flight.join(key(text), TIME) {
            Role::Follows(follower) => follower,
            Role::Leads(_) => panic!("there is no leader"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_until_the_answer_is_there() {
        let in_flight = InFlight::new(1);
        lead(&in_flight, "a").goes_upstream();
        let (first, second) = (follow(&in_flight, "a"), follow(&in_flight, "a"));
        drop(lead(&in_flight, "another text leads itself"));
        let waiting = tokio::spawn(async { (first.wait().await, second.wait().await) });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        in_flight.end(&key("a"));
        assert_eq!(waiting.await.unwrap(), (true, true));
        drop(lead(&in_flight, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_leader_may_lead() {
        let in_flight = InFlight::new(1);
        lead(&in_flight, "a").goes_upstream();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (follower, began) = (follow(&in_flight, "a"), Instant::now());
        assert!(!follower.wait().await);
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        drop(lead(&in_flight, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_is_given_up_leads_no_more() {
        let in_flight = InFlight::new(1);
        let given_up = lead(&in_flight, "a");
        let follower = follow(&in_flight, "a");
        drop(given_up);
        assert!(follower.wait().await);
        // Given up late, it does not end the lead of the next.
        let late = lead(&in_flight, "a");
        in_flight.end(&key("a"));
        lead(&in_flight, "a").goes_upstream();
        drop(late);
        drop(follow(&in_flight, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn leaders_whose_time_is_up_are_forgotten() {
        let in_flight = InFlight::new(1);
        for number in 0..10_000 {
            lead(&in_flight, &number.to_string()).goes_upstream();
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(in_flight.leaders().by_key.len() < 2_000);
    }

    #[test]
    fn places_to_wait_are_bounded() {
        let in_flight = InFlight::new(1);
        let place = in_flight.place();
        assert!(place.is_some() && in_flight.place().is_none() && !in_flight.has_place());
        drop(place);
        assert!(in_flight.has_place());
    }
}
