//! Lookups that missed and whose answer is on its way: others that ask the same may wait for it.
//!
//! The first that misses leads until its answer is stored, the proxy says that none will come, or its time is up, whatever comes
//! first. So a proxy that dies costs those who wait that time at most. A lead has the number that the proxy gave it: nobody ends
//! another one's, unless with the answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::EntryKey;

/// Leaders above which those whose time is up are looked for.
const MIN_SWEEP: usize = 1024;

/// Of all that may wait, the share that may wait for one leader.
const FOLLOWERS_SHARE: usize = 4;

/// Lookups whose answer is on its way.
#[derive(Debug, Default)]
pub struct InFlight {
    leaders: Mutex<Leaders>,
    /// How many may wait.
    places: AtomicUsize,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Leaders {
    by_key: HashMap<EntryKey, Leader>,
    by_ticket: HashMap<u64, EntryKey>,
    /// Size at which those whose time is up are removed.
    sweep_at: usize,
}

#[derive(Debug)]
struct Leader {
    ticket: u64,
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
    Follows,
    /// One that goes its own way: too many wait.
    Alone,
}

/// Leads while the lookup is in work. Dropped, it leads no more: unless [`Lead::goes_upstream`] was called.
#[derive(Debug)]
pub struct Lead {
    in_flight: Arc<InFlight>,
    ticket: u64,
    is_upstream: bool,
}

/// Waits for a leader, in a place of its own.
#[derive(Debug)]
pub struct Follower {
    ended: watch::Receiver<()>,
    until: Instant,
    _place: Place,
}

#[derive(Debug)]
struct Place(Arc<InFlight>);

impl InFlight {
    /// How many may wait at the same time, from now on; those who do stay.
    pub fn set_places(&self, places: usize) {
        self.places.store(places, Ordering::Relaxed);
    }

    /// Joins those who ask the same; the first leads for at most `time`.
    pub fn join(self: &Arc<Self>, key: EntryKey, ticket: u64, time: Duration) -> Role {
        let now = Instant::now();
        let mut leaders = self.leaders();
        if let Some(leader) = leaders.by_key.get(&key)
            && leader.until > now
        {
            return match self.has_place_behind(leader) {
                true => Role::Follows,
                false => Role::Alone,
            };
        }
        leaders.sweep(now);
        leaders.remove(&key);
        let leader = Leader {
            ticket,
            until: now + time,
            ends: watch::Sender::new(()),
        };
        leaders.by_key.insert(key, leader);
        leaders.by_ticket.insert(ticket, key);
        Role::Leads(Lead {
            in_flight: Arc::clone(self),
            ticket,
            is_upstream: false,
        })
    }

    /// A place behind the leader of this question, for at most `time`; `None` without a leader or a place.
    pub fn follow(self: &Arc<Self>, key: &EntryKey, time: Duration) -> Option<Follower> {
        let now = Instant::now();
        let leaders = self.leaders();
        let leader = leaders.by_key.get(key).filter(|l| l.until > now)?;
        if !self.has_place_behind(leader) {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Follower {
            ended: leader.ends.subscribe(),
            until: leader.until.min(now + time),
            _place: Place(Arc::clone(self)),
        })
    }

    /// The answer is there: nobody waits any longer.
    pub fn answered(&self, key: &EntryKey) {
        self.leaders().remove(key);
    }

    /// The answer to this lookup will not come.
    pub fn release(&self, ticket: u64) {
        let mut leaders = self.leaders();
        if let Some(key) = leaders.by_ticket.get(&ticket).copied() {
            leaders.remove(&key);
        }
    }

    /// Nobody waits any longer, whatever for.
    pub fn release_all(&self) {
        *self.leaders() = Leaders::default();
    }

    fn has_place_behind(&self, leader: &Leader) -> bool {
        let places = self.places.load(Ordering::Relaxed);
        let behind_one = (places / FOLLOWERS_SHARE).max(1);
        self.waiting.load(Ordering::Relaxed) < places && leader.ends.receiver_count() < behind_one
    }

    fn leaders(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leaders {
    fn remove(&mut self, key: &EntryKey) {
        if let Some(leader) = self.by_key.remove(key) {
            self.by_ticket.remove(&leader.ticket);
        }
    }

    /// Removes those whose time is up, now and then.
    fn sweep(&mut self, now: Instant) {
        if self.by_key.len() < self.sweep_at.max(MIN_SWEEP) {
            return;
        }
        self.by_key.retain(|_, leader| leader.until > now);
        let by_key = &self.by_key;
        self.by_ticket.retain(|ticket, key| {
            let leader = by_key.get(key);
            leader.is_some_and(|leader| leader.ticket == *ticket)
        });
        self.sweep_at = 2 * self.by_key.len();
    }
}

impl Lead {
    /// The proxy has the answer made: the lead ends with [`InFlight::answered`], [`InFlight::release`] or its time.
    pub fn goes_upstream(mut self) {
        self.is_upstream = true;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.is_upstream {
            self.in_flight.release(self.ticket);
        }
    }
}

impl Follower {
    /// Waits until the leader ends or time is up.
    pub async fn wait(mut self) {
        let ended = self.ended.changed();
        drop(tokio::time::timeout_at(self.until, ended).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
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

    fn in_flight() -> Arc<InFlight> {
        let in_flight = Arc::new(InFlight::default());
        in_flight.set_places(8);
        in_flight
    }

    fn lead(in_flight: &Arc<InFlight>, text: &str, ticket: u64) -> Lead {
        match in_flight.join(key(text), ticket, TIME) {
            Role::Leads(lead) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn follow(in_flight: &Arc<InFlight>, text: &str) -> Follower {
        assert!(matches!(in_flight.join(key(text), 99, TIME), Role::Follows));
        in_flight.follow(&key(text), TIME).unwrap()
    }

    #[tokio::test]
    async fn the_second_waits_until_the_answer_is_there() {
        let in_flight = in_flight();
        lead(&in_flight, "a", 1).goes_upstream();
        let (first, second) = (follow(&in_flight, "a"), follow(&in_flight, "a"));
        drop(lead(&in_flight, "another text leads itself", 2));
        let began = Instant::now();
        let waiting = tokio::spawn(async { (first.wait().await, second.wait().await) });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        in_flight.answered(&key("a"));
        waiting.await.unwrap();
        assert!(began.elapsed() < TIME);
        drop(lead(&in_flight, "a", 3));
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_leader_may_lead_or_it_wants_itself() {
        let in_flight = in_flight();
        let short = Duration::from_millis(20);
        let began = Instant::now();
        lead(&in_flight, "a", 1).goes_upstream();
        let impatient = in_flight.follow(&key("a"), short).unwrap();
        assert!(impatient.until < began + TIME);
        impatient.wait().await;
        assert!(began.elapsed() >= short);
        let patient = in_flight.follow(&key("a"), 2 * TIME).unwrap();
        let until = in_flight.leaders().by_key[&key("a")].until;
        assert_eq!(patient.until, until);
        let Role::Leads(over) = in_flight.join(key("b"), 2, Duration::ZERO) else {
            panic!("there is a leader");
        };
        over.goes_upstream();
        assert!(in_flight.follow(&key("b"), TIME).is_none());
        drop(lead(&in_flight, "b", 3));
    }

    #[tokio::test]
    async fn nobody_ends_the_lead_of_another() {
        let in_flight = in_flight();
        let given_up = lead(&in_flight, "a", 1);
        let follower = follow(&in_flight, "a");
        let began = Instant::now();
        drop(given_up);
        follower.wait().await;
        assert!(began.elapsed() < TIME);
        // Given up late, it does not end the lead of the next; nor does a number that leads nothing.
        let late = lead(&in_flight, "a", 2);
        in_flight.answered(&key("a"));
        lead(&in_flight, "a", 3).goes_upstream();
        drop(late);
        in_flight.release(2);
        in_flight.release(77);
        drop(follow(&in_flight, "a"));
        in_flight.release(3);
        assert!(in_flight.follow(&key("a"), TIME).is_none());
    }

    #[tokio::test]
    async fn leaders_whose_time_is_up_are_forgotten() {
        let in_flight = in_flight();
        for number in 0..10_000 {
            let key = key(&number.to_string());
            let Role::Leads(lead) = in_flight.join(key, number, Duration::ZERO) else {
                panic!("there is a leader");
            };
            lead.goes_upstream();
        }
        let leaders = in_flight.leaders();
        assert!(leaders.by_key.len() < 2_000);
        assert_eq!(leaders.by_key.len(), leaders.by_ticket.len());
    }

    #[tokio::test]
    async fn places_are_bounded_in_all_and_behind_one_leader() {
        let in_flight = in_flight();
        for number in 0..5 {
            lead(&in_flight, &number.to_string(), number).goes_upstream();
        }
        let of_one = [follow(&in_flight, "0"), follow(&in_flight, "0")];
        assert!(matches!(in_flight.join(key("0"), 9, TIME), Role::Alone));
        assert!(in_flight.follow(&key("0"), TIME).is_none());
        let others: Vec<Follower> = (2..8)
            .map(|n| follow(&in_flight, &(n / 2).to_string()))
            .collect();
        assert!(in_flight.follow(&key("4"), TIME).is_none());
        drop(of_one);
        drop(follow(&in_flight, "4"));
        in_flight.set_places(0);
        assert!(in_flight.follow(&key("4"), TIME).is_none());
        in_flight.release_all();
        let began = Instant::now();
        for other in others {
            other.wait().await;
        }
        assert!(began.elapsed() < TIME);
    }
}
