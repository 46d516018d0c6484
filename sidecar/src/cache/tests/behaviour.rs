//! Single properties.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::StreamExt as _;

use super::*;

#[test]
fn an_entry_is_served_until_its_time_to_live_and_not_after() {
    let store = in_memory(limits(10, 10, EvictionPolicy::Fifo));
    let stored_at = Timestamp::now();
    let at = |seconds| stored_at.after(Duration::from_secs(seconds));
    store.store_at(
        entry(partition(1), "q", Some(embedding(1)), "a", stored_at),
        stored_at,
    );
    let found = store.exact_at(&partition(1), "q", at(9)).unwrap();
    assert_eq!(found.age.as_secs(), 9);
    assert!(store.exact_at(&partition(1), "q", at(10)).is_none());
    let nearest = store.nearest_at(&partition(1), &embedding(1), 0.0, 1, at(10));
    assert_eq!(nearest, []);
    store.store_at(entry(partition(2), "other", None, "b", at(10)), at(10));
    assert_eq!(
        store.stats_now().entries,
        1,
        "storing removes what has expired"
    );
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_older() {
    let now = Timestamp::now();
    let later = now.after(Duration::from_secs(5));
    assert_eq!(now.since(later), Duration::ZERO);
}

/// Which of these questions are left.
fn left<'q>(store: &Embedded, questions: &[&'q str], now: Timestamp) -> Vec<&'q str> {
    let is_there = |q: &&&str| store.exact_at(&partition(1), q, now).is_some();
    questions.iter().filter(is_there).copied().collect()
}

#[test]
fn each_policy_keeps_what_it_should() {
    for (eviction, kept) in [
        (EvictionPolicy::Fifo, ["twice", "once", "new"]),
        (EvictionPolicy::Lru, ["once", "never", "new"]),
        (EvictionPolicy::Lfu, ["twice", "once", "new"]),
    ] {
        let store = in_memory(limits(3, 10, eviction));
        let now = Timestamp::now();
        let questions = match eviction {
            // Stored first, goes first.
            EvictionPolicy::Fifo => ["never", "twice", "once"],
            EvictionPolicy::Lru | EvictionPolicy::Lfu => ["twice", "once", "never"],
        };
        for question in questions {
            store.store_at(entry(partition(1), question, None, "a", now), now);
        }
        let served: &[&str] = match eviction {
            // Often, but long ago.
            EvictionPolicy::Lru => &["twice", "twice", "once", "never"],
            EvictionPolicy::Fifo | EvictionPolicy::Lfu => &["twice", "once", "twice"],
        };
        for question in served {
            let found = store.exact_at(&partition(1), question, now).unwrap();
            store.served(&found);
        }
        store.store_at(entry(partition(1), "new", None, "a", now), now);
        let left = left(&store, &["twice", "once", "never", "new"], now);
        assert_eq!(left, kept, "{eviction:?}");
    }
}

#[test]
fn what_was_popular_once_goes_in_time() {
    let store = in_memory(limits(2, 1000, EvictionPolicy::Lfu));
    let now = Timestamp::now();
    store.store_at(entry(partition(1), "popular", None, "a", now), now);
    for _ in 0..5 {
        store.served(&store.exact_at(&partition(1), "popular", now).unwrap());
    }
    for number in 0..20 {
        let question = number.to_string();
        store.store_at(entry(partition(1), &question, None, "a", now), now);
        for _ in 0..2 {
            store.served(&store.exact_at(&partition(1), &question, now).unwrap());
        }
    }
    assert!(store.exact_at(&partition(1), "popular", now).is_none());
}

#[test]
fn an_entry_that_is_too_large_for_the_store_is_not_stored_and_moves_nothing() {
    let limits = CacheLimits {
        max_bytes: 100,
        ..limits(10, 10, EvictionPolicy::Lru)
    };
    let store = in_memory(limits);
    let now = Timestamp::now();
    store.store_at(entry(partition(1), "small", None, "a", now), now);
    store.store_at(
        entry(partition(1), "large", None, &"x".repeat(100), now),
        now,
    );
    assert_eq!(left(&store, &["small", "large"], now), ["small"]);
}

#[test]
fn the_threshold_itself_counts() {
    let store = in_memory(limits(2, 10, EvictionPolicy::Fifo));
    let now = Timestamp::now();
    let unit = Embedding::normalized(vec![1.0, 0.0, 0.0]);
    store.store_at(entry(partition(1), "q", Some(unit.clone()), "a", now), now);
    let nearest =
        |vector: &Embedding, threshold| store.nearest_at(&partition(1), vector, threshold, 1, now);
    assert_eq!(nearest(&unit, 1.0).len(), 1);
    let half = Embedding::normalized(vec![0.6, 0.8, 0.0]);
    assert_eq!(nearest(&half, 0.59).len(), 1);
    assert_eq!(nearest(&half, 0.61).len(), 0);
}

#[test]
fn candidates_come_with_their_questions_best_first() {
    let store = in_memory(limits(10, 10, EvictionPolicy::Fifo));
    let now = Timestamp::now();
    for number in [9, 1, 4] {
        let question = number.to_string();
        store.store_at(
            entry(partition(1), &question, Some(embedding(number)), "a", now),
            now,
        );
    }
    let found = store.nearest_at(&partition(1), &embedding(0), 0.0, 2, now);
    let questions: Vec<&str> = found.iter().map(|found| &*found.question).collect();
    assert_eq!(questions, ["1", "4"]);
}

#[test]
fn invalidation_takes_those_that_meet_every_condition() {
    let now = Timestamp::now();
    let later = now.after(Duration::from_secs(5));
    let filled = || {
        let store = in_memory(limits(10, 100, EvictionPolicy::Fifo));
        for (p, owner, decision, model, at) in [
            (1, "alice", "math", "qwen", now),
            (1, "alice", "law", "llama", later),
            (2, "bob", "math", "qwen", later),
        ] {
            let mut new = entry(partition(p), &format!("{owner} {decision}"), None, "a", at);
            (new.answer.owner, new.answer.decision, new.answer.model) =
                (owner.into(), decision.into(), model.into());
            store.store_at(new, at);
        }
        store
    };
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (
            Filter {
                owner: text("alice"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                decision: text("math"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                model: text("llama"),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                partition: Some(partition(2)),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                older_than: Some(Duration::from_secs(4)),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                owner: text("alice"),
                decision: text("math"),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                owner: text("bob"),
                model: text("llama"),
                ..Filter::default()
            },
            0,
        ),
        (Filter::default(), 3),
    ] {
        let store = filled();
        assert_eq!(
            store.invalidate_at(&filter, true, later).entries,
            expected,
            "{filter:?}"
        );
        assert_eq!(store.stats_now().entries, 3, "a dry run removes nothing");
        assert_eq!(store.invalidate_at(&filter, false, later).entries, expected);
        assert_eq!(store.stats_now().entries, 3 - expected);
    }
}

#[tokio::test]
async fn an_export_has_a_line_for_each_entry() {
    let store = in_memory(limits(10, 100, EvictionPolicy::Fifo));
    let now = Timestamp::now();
    store.store_at(
        entry(
            partition(7),
            "a\nb",
            Some(embedding(1)),
            "{\"x\":\"\n\"}",
            now,
        ),
        now,
    );
    let lines: Vec<String> = store.export().map(Result::unwrap).collect().await;
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(!line.contains('\n'));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["question"], "a\nb");
    assert_eq!(line["body"], "{\"x\":\"\n\"}");
    assert_eq!(line["partition"], partition(7).to_string());
    assert_eq!(line["stored_at_ms"], now.0);
}

/// Vectors of a large partition; a store of so many needs the graph.
fn many(numbers: &mut Numbers, rows: usize) -> Vec<Vec<f32>> {
    clustered(numbers, rows, 32)
}

fn vector(values: &[f32]) -> Option<Embedding> {
    Some(Embedding::normalized(values.to_vec()))
}

#[test]
fn a_large_partition_finds_what_a_scan_finds_while_it_turns_over() {
    let mut numbers = Numbers(11);
    let vectors = many(&mut numbers, 9_000);
    let store = Embedded::in_memory(
        limits(4_000, 100, EvictionPolicy::Fifo),
        32,
        CacheMetrics::default(),
    );
    let now = Timestamp::now();
    let (mut asked, mut found_nearest) = (0, 0);
    for (at, values) in vectors.iter().enumerate() {
        store.store_at(
            entry(partition(1), &at.to_string(), vector(values), "a", now),
            now,
        );
        if at % 50 != 49 {
            continue;
        }
        let stored = at.saturating_sub(3_999)..=at;
        let query = near_one_of(&mut numbers, &vectors[at - 49..=at], 0.3);
        let query = Embedding::normalized(query);
        let best = stored.clone().max_by(|a, b| {
            let similarity = |at: &usize| crate::encoder::dot(&vectors[*at], query.values());
            similarity(a).total_cmp(&similarity(b))
        });
        let found = store.nearest_at(&partition(1), &query, 0.0, 1, now);
        let nearest: usize = found[0].question.parse().unwrap();
        assert!(stored.contains(&nearest), "an evicted entry was served");
        asked += 1;
        found_nearest += usize::from(Some(nearest) == best);
    }
    assert!(
        found_nearest * 100 >= asked * 98,
        "{found_nearest} of {asked}"
    );
}

#[test]
fn lookups_beside_stores_evictions_and_invalidation_get_whole_answers_of_their_partition() {
    let mut numbers = Numbers(12);
    let vectors = many(&mut numbers, 3_000);
    let store = Embedded::in_memory(
        limits(2_500, 100, EvictionPolicy::Lru),
        32,
        CacheMetrics::default(),
    );
    let done = AtomicBool::new(false);
    let now = Timestamp::now();
    std::thread::scope(|scope| {
        for reader in 0..2_usize {
            let (store, vectors, done) = (&store, &vectors, &done);
            scope.spawn(move || {
                let mut numbers = Numbers(reader as u64);
                while !done.load(Ordering::Relaxed) {
                    let p = numbers.below(2) as u8;
                    let query = vectors[numbers.below(vectors.len())].clone();
                    let query = Embedding::normalized(query);
                    for found in store.nearest_at(&partition(p), &query, 0.5, 3, now) {
                        assert_eq!(*found.answer.body, format!("{p} {}", found.question));
                        store.served(&found);
                    }
                }
            });
        }
        for round in 0..2 {
            for (at, values) in vectors.iter().enumerate() {
                let p = (at % 2) as u8;
                let body = format!("{p} {at}");
                store.store_at(
                    entry(partition(p), &at.to_string(), vector(values), &body, now),
                    now,
                );
            }
            if round == 0 {
                let filter = Filter {
                    partition: Some(partition(0)),
                    ..Filter::default()
                };
                store.invalidate_at(&filter, false, now);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.stats_now().entries, 2_500);
}

#[test]
fn a_partition_is_64_hex_digits() {
    let written = Partition::parse(&"aB".repeat(32)).unwrap();
    assert_eq!(written.to_string(), "ab".repeat(32));
    assert_eq!(
        Partition::parse("abc").unwrap_err(),
        "must be 64 hex digits, got 3 bytes"
    );
    assert!(Partition::parse(&"g".repeat(64)).is_err());
    assert!(Partition::parse(&"é".repeat(32)).is_err());
}

/// A lock that wakes who wants to change something, and lets lookups in until that thread is awake, kept a store waiting for hundreds.
#[test]
fn a_store_waits_for_few_of_the_lookups_that_never_pause() {
    // A scan of as many is long beside the moment between two lookups.
    const ENTRIES: usize = 1_400;
    const STORES: usize = 100;
    const DIMENSIONS: usize = 1_024;
    let limits = limits(ENTRIES, 3_600, EvictionPolicy::Fifo);
    let store = Embedded::in_memory(limits, DIMENSIONS, CacheMetrics::default());
    let vector = || Embedding::normalized(vec![1.0; DIMENSIONS]);
    let now = Timestamp::now();
    let put = |number: usize| {
        let question = number.to_string();
        store.store_at(
            entry(partition(1), &question, Some(vector()), "a", now),
            now,
        );
    };
    (0..ENTRIES).for_each(put);
    let (done, lookups) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut beside = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let query = vector();
            while !done.load(Ordering::Relaxed) {
                std::hint::black_box(store.nearest_at(&partition(1), &query, 0.0, 4, now));
                lookups.fetch_add(1, Ordering::Relaxed);
            }
        });
        for number in ENTRIES..ENTRIES + STORES {
            // What else a thread that stores has to do.
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(300) {
                std::hint::spin_loop();
            }
            let before = lookups.load(Ordering::Relaxed);
            put(number);
            beside += lookups.load(Ordering::Relaxed) - before;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(lookups.into_inner() > 0);
    assert!(
        beside < 40 * STORES,
        "{beside} lookups beside {STORES} stores"
    );
}
