//! Properties of the cache, against a model that is a plain list.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use turnpike_core::cache::EvictionPolicy;

use super::{CacheLimits, MemoryCache, Partition, StoredAnswer};
use crate::encoder::Embedding;

fn partition(number: u8) -> Partition {
    Partition::parse(&format!("{number:064x}")).unwrap()
}

fn answer(body: &str) -> StoredAnswer {
    StoredAnswer {
        model: "m".into(),
        decision: String::new(),
        category: String::new(),
        body: body.into(),
    }
}

/// One unit vector per number: neighbours are similar, 0.998 at most; distant ones are not.
fn embedding(number: u8) -> Embedding {
    let angle = f32::from(number) * 0.07;
    Embedding::normalized(vec![angle.cos(), angle.sin(), 0.0])
}

fn cache(max_entries: usize, ttl_seconds: u64, eviction: EvictionPolicy) -> MemoryCache {
    let limits = CacheLimits {
        max_entries,
        time_to_live: Duration::from_secs(ttl_seconds),
        eviction,
    };
    MemoryCache::new(limits, 3)
}

#[derive(Debug, Clone)]
enum Step {
    Store {
        partition: u8,
        text: u8,
        vector: bool,
    },
    Exact {
        partition: u8,
        text: u8,
    },
    Nearest {
        partition: u8,
        text: u8,
        threshold: f32,
    },
    Wait {
        seconds: u64,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..3_u8, 0..8_u8);
    prop_oneof![
        8 => (place(), prop::bool::weighted(0.9)).prop_map(|((partition, text), vector)| Step::Store { partition, text, vector }),
        4 => place().prop_map(|(partition, text)| Step::Exact { partition, text }),
        4 => (place(), 0.5_f32..1.0).prop_map(|((partition, text), threshold)| Step::Nearest { partition, text, threshold }),
        2 => (0..6_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Clear),
    ]
}

/// What the cache must do, slowly.
struct Model {
    max_entries: usize,
    ttl: Duration,
    eviction: EvictionPolicy,
    /// In the order of eviction, the first goes first: partition, text, has a vector, body, stored at.
    entries: Vec<(u8, u8, bool, String, Instant)>,
}

impl Model {
    fn store(&mut self, partition: u8, text: u8, vector: bool, body: String, now: Instant) {
        let ttl = self.ttl;
        self.entries
            .retain(|e| (e.0, e.1) != (partition, text) && now.duration_since(e.4) < ttl);
        if self.entries.len() == self.max_entries {
            self.entries.remove(0);
        }
        self.entries.push((partition, text, vector, body, now));
    }

    fn use_at(&mut self, at: usize) -> String {
        let body = self.entries[at].3.clone();
        if self.eviction == EvictionPolicy::Lru {
            let entry = self.entries.remove(at);
            self.entries.push(entry);
        }
        body
    }

    fn exact(&mut self, partition: u8, text: u8, now: Instant) -> Option<String> {
        let at = self
            .entries
            .iter()
            .position(|e| (e.0, e.1) == (partition, text) && now.duration_since(e.4) < self.ttl)?;
        Some(self.use_at(at))
    }

    fn nearest(&mut self, partition: u8, text: u8, threshold: f32, now: Instant) -> Option<String> {
        let wanted = embedding(text);
        let mut candidates: Vec<(usize, f32)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, e)| e.0 == partition && e.2 && now.duration_since(e.4) < self.ttl)
            .map(|(at, e)| (at, embedding(e.1).similarity(&wanted)))
            .filter(|(_, similarity)| *similarity >= threshold)
            .collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        let best = candidates.first()?;
        // Two at the same distance: either may be served, so the model cannot say which.
        if candidates
            .get(1)
            .is_some_and(|second| (second.1 - best.1).abs() < 1e-6)
        {
            return Some(String::from("either"));
        }
        Some(self.use_at(best.0))
    }
}

proptest! {
    #[test]
    fn the_cache_does_what_a_plain_list_does(
        steps in prop::collection::vec(step(), 0..60),
        max_entries in 1..6_usize,
        lru in any::<bool>(),
    ) {
        let eviction = if lru { EvictionPolicy::Lru } else { EvictionPolicy::Fifo };
        let cache = cache(max_entries, 10, eviction);
        let mut model = Model { max_entries, ttl: Duration::from_secs(10), eviction, entries: Vec::new() };
        let mut now = Instant::now();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Store { partition: p, text, vector } => {
                    let body = format!("{p}/{text}/{at}");
                    let vector = vector.then(|| embedding(text));
                    cache.store(partition(p), &text.to_string(), vector.as_ref(), answer(&body), now);
                    model.store(p, text, vector.is_some(), body, now);
                }
                Step::Exact { partition: p, text } => {
                    let found = cache.exact(&partition(p), &text.to_string(), now);
                    prop_assert_eq!(found.map(|f| f.answer.body.clone()), model.exact(p, text, now));
                }
                Step::Nearest { partition: p, text, threshold } => {
                    let found = cache.nearest(&partition(p), &embedding(text), threshold, now);
                    let expected = model.nearest(p, text, threshold, now);
                    if expected.as_deref() == Some("either") {
                        let body = found.map(|f| f.answer.body.clone()).unwrap_or_default();
                        prop_assert!(body.starts_with(&format!("{p}/")), "{body}");
                        // The orders of use may differ from here on.
                        return Ok(());
                    }
                    prop_assert_eq!(found.map(|f| f.answer.body.clone()), expected);
                }
                Step::Wait { seconds } => now += Duration::from_secs(seconds),
                Step::Clear => { cache.clear(); model.entries.clear(); }
            }
            prop_assert!(cache.len() <= max_entries);
        }
    }

    #[test]
    fn no_partition_sees_an_entry_of_another(
        stored in prop::collection::vec((0..4_u8, 0..40_u8), 1..80),
        wanted in (0..5_u8, 0..40_u8),
    ) {
        let cache = cache(1000, 10, EvictionPolicy::Fifo);
        let now = Instant::now();
        for (p, text) in &stored {
            cache.store(partition(*p), &text.to_string(), Some(&embedding(*text)), answer(&p.to_string()), now);
        }
        let (p, text) = wanted;
        let exact = cache.exact(&partition(p), &text.to_string(), now);
        let nearest = cache.nearest(&partition(p), &embedding(text), -1.0, now);
        prop_assert_eq!(exact.is_some(), stored.contains(&wanted));
        prop_assert_eq!(nearest.is_some(), stored.iter().any(|s| s.0 == p));
        for found in exact.into_iter().chain(nearest) {
            prop_assert_eq!(&found.answer.body, &p.to_string());
        }
    }
}

#[test]
fn an_entry_is_served_until_its_time_to_live_and_not_after() {
    let cache = cache(10, 10, EvictionPolicy::Fifo);
    let stored_at = Instant::now();
    cache.store(
        partition(1),
        "q",
        Some(&embedding(1)),
        answer("a"),
        stored_at,
    );
    let at = |seconds| stored_at + Duration::from_secs(seconds);
    assert_eq!(
        cache
            .exact(&partition(1), "q", at(9))
            .unwrap()
            .age
            .as_secs(),
        9
    );
    assert!(cache.exact(&partition(1), "q", at(10)).is_none());
    assert!(
        cache
            .nearest(&partition(1), &embedding(1), 0.0, at(10))
            .is_none()
    );
    cache.store(partition(2), "other", None, answer("b"), at(10));
    assert_eq!(cache.len(), 1, "storing removes what has expired");
}

#[test]
fn lru_keeps_what_is_used_and_fifo_does_not() {
    for (eviction, kept) in [
        (EvictionPolicy::Lru, "first"),
        (EvictionPolicy::Fifo, "second"),
    ] {
        let cache = cache(2, 10, eviction);
        let now = Instant::now();
        cache.store(partition(1), "first", None, answer("1"), now);
        cache.store(partition(1), "second", None, answer("2"), now);
        assert!(cache.exact(&partition(1), "first", now).is_some());
        cache.store(partition(1), "third", None, answer("3"), now);
        let left: Vec<&str> = ["first", "second", "third"]
            .into_iter()
            .filter(|text| cache.exact(&partition(1), text, now).is_some())
            .collect();
        assert_eq!(left, [kept, "third"], "{eviction:?}");
    }
}

#[test]
fn the_threshold_itself_counts() {
    let cache = cache(2, 10, EvictionPolicy::Fifo);
    let now = Instant::now();
    let unit = Embedding::normalized(vec![1.0, 0.0, 0.0]);
    cache.store(partition(1), "q", Some(&unit), answer("a"), now);
    assert!(cache.nearest(&partition(1), &unit, 1.0, now).is_some());
    let half = Embedding::normalized(vec![0.6, 0.8, 0.0]);
    assert!(cache.nearest(&partition(1), &half, 0.61, now).is_none());
}

#[test]
fn a_partition_is_64_hex_digits() {
    assert!(Partition::parse(&"aB".repeat(32)).is_ok());
    assert_eq!(
        Partition::parse("abc").unwrap_err(),
        "must be 64 hex digits, got 3 bytes"
    );
    assert!(Partition::parse(&"g".repeat(64)).is_err());
}
