//! The store against a model that is a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Store {
        partition: u8,
        text: u8,
        vector: bool,
        bytes: usize,
    },
    Exact {
        partition: u8,
        text: u8,
        serve: bool,
    },
    Nearest {
        partition: u8,
        text: u8,
        threshold: f32,
    },
    Invalidate {
        partition: u8,
    },
    Wait {
        seconds: u64,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..3_u8, 0..8_u8);
    let bytes = prop_oneof![4 => 1..4_usize, 1 => 4..40_usize];
    prop_oneof![
        8 => (place(), prop::bool::weighted(0.9), bytes).prop_map(|((partition, text), vector, bytes)| Step::Store { partition, text, vector, bytes }),
        5 => (place(), prop::bool::weighted(0.8)).prop_map(|((partition, text), serve)| Step::Exact { partition, text, serve }),
        4 => (place(), 0.5_f32..1.0).prop_map(|((partition, text), threshold)| Step::Nearest { partition, text, threshold }),
        1 => (0..3_u8).prop_map(|partition| Step::Invalidate { partition }),
        2 => (0..6_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Clear),
    ]
}

#[derive(Debug, Clone)]
struct Row {
    partition: u8,
    text: u8,
    vector: bool,
    body: String,
    stored_at: Timestamp,
    uses: u64,
    /// What `lfu` compares first.
    count: u64,
    /// Later is higher; unique.
    used: u64,
}

impl Row {
    fn bytes(&self) -> usize {
        let vector = if self.vector { 6 } else { 0 };
        // Question, model `m`, body.
        1 + 1 + self.body.len() + vector
    }
}

/// What the store must do, slowly.
struct Model {
    limits: CacheLimits,
    rows: Vec<Row>,
    steps: u64,
    age: u64,
}

impl Model {
    fn is_alive(&self, row: &Row, now: Timestamp) -> bool {
        now.since(row.stored_at) < self.limits.time_to_live
    }

    fn victim(&self) -> Option<usize> {
        let by = |row: &Row| match self.limits.eviction {
            EvictionPolicy::Lfu => (row.count, row.used),
            EvictionPolicy::Lru | EvictionPolicy::Fifo => (0, row.used),
        };
        (0..self.rows.len()).min_by_key(|at| by(&self.rows[*at]))
    }

    fn store(&mut self, mut new: Row, now: Timestamp) {
        if new.bytes() > self.limits.max_bytes {
            return;
        }
        let ttl = self.limits.time_to_live;
        self.rows.retain(|row| {
            (row.partition, row.text) != (new.partition, new.text) && now.since(row.stored_at) < ttl
        });
        while self.rows.len() + 1 > self.limits.max_entries
            || self.rows.iter().map(Row::bytes).sum::<usize>() + new.bytes() > self.limits.max_bytes
        {
            let Some(victim) = self.victim() else { break };
            self.age = self.rows.remove(victim).count;
        }
        self.steps += 1;
        new.used = self.steps;
        new.count = self.age;
        self.rows.push(new);
    }

    fn serve(&mut self, at: usize) {
        self.steps += 1;
        let row = &mut self.rows[at];
        row.uses += 1;
        if self.limits.eviction != EvictionPolicy::Fifo {
            row.used = self.steps;
            row.count = self.age + row.uses;
        }
    }

    fn exact(&self, partition: u8, text: u8, now: Timestamp) -> Option<usize> {
        self.rows.iter().position(|row| {
            (row.partition, row.text) == (partition, text) && self.is_alive(row, now)
        })
    }

    /// Rows from the threshold on, best first.
    fn nearest(
        &self,
        partition: u8,
        text: u8,
        threshold: f32,
        now: Timestamp,
    ) -> Vec<(f32, usize)> {
        let wanted = embedding(text);
        let mut found: Vec<(f32, usize)> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.partition == partition && row.vector && self.is_alive(row, now))
            .map(|(at, row)| (embedding(row.text).similarity(&wanted), at))
            .filter(|(similarity, _)| *similarity >= threshold)
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found
    }
}

fn policy() -> impl Strategy<Value = EvictionPolicy> {
    prop_oneof![
        Just(EvictionPolicy::Fifo),
        Just(EvictionPolicy::Lru),
        Just(EvictionPolicy::Lfu)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn the_store_does_what_a_plain_list_does(
        steps in prop::collection::vec(step(), 0..80),
        max_entries in 1..6_usize,
        max_bytes in prop_oneof![Just(usize::MAX), 12..80_usize],
        eviction in policy(),
    ) {
        let limits = CacheLimits { max_bytes, ..limits(max_entries, 10, eviction) };
        let store = in_memory(limits);
        let mut model = Model { limits, rows: Vec::new(), steps: 0, age: 0 };
        let mut now = Timestamp::now();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Store { partition: p, text, vector, bytes } => {
                    let body = format!("{at:0bytes$}");
                    let vector = vector.then(|| embedding(text));
                    let row = Row { partition: p, text, vector: vector.is_some(), body: body.clone(), stored_at: now, uses: 0, count: 0, used: 0 };
                    store.store_at(entry(partition(p), &text.to_string(), vector, &body, now), now);
                    model.store(row, now);
                }
                Step::Exact { partition: p, text, serve } => {
                    let found = store.exact_at(&partition(p), &text.to_string(), now);
                    let expected = model.exact(p, text, now);
                    prop_assert_eq!(found.as_ref().map(|f| &f.answer.body), expected.map(|at| &model.rows[at].body));
                    if let (Some(found), Some(at), true) = (found, expected, serve) {
                        store.served(&found);
                        model.serve(at);
                    }
                }
                Step::Nearest { partition: p, text, threshold } => {
                    let found = store.nearest_at(&partition(p), &embedding(text), threshold, 3, now);
                    let expected = model.nearest(p, text, threshold, now);
                    // On the threshold itself, rounding decides.
                    let is_close = model.nearest(p, text, threshold - 1e-3, now).len() != model.nearest(p, text, threshold + 1e-3, now).len();
                    if !is_close {
                        prop_assert_eq!(found.len(), expected.len().min(3));
                    }
                    for (found, (similarity, _)) in found.iter().zip(&expected) {
                        prop_assert!((found.similarity - similarity).abs() < 1e-3);
                    }
                    if let Some(best) = found.first() {
                        let key = best.question.parse::<u8>().ok().and_then(|text| model.exact(p, text, now));
                        let at = key.ok_or_else(|| TestCaseError::fail("served what is not there"))?;
                        prop_assert_eq!(&best.answer.body, &model.rows[at].body);
                        store.served(best);
                        model.serve(at);
                    }
                }
                Step::Invalidate { partition: p } => {
                    let filter = Filter { partition: Some(partition(p)), ..Filter::default() };
                    let planned = store.invalidate_at(&filter, true, now);
                    let removed = store.invalidate_at(&filter, false, now);
                    prop_assert_eq!(planned, removed);
                    let before = model.rows.len();
                    model.rows.retain(|row| row.partition != p);
                    prop_assert_eq!(removed.entries, before - model.rows.len());
                }
                Step::Wait { seconds } => now = now.after(Duration::from_secs(seconds)),
                Step::Clear => { store.clear_all(); model.rows.clear(); }
            }
            let stats = store.stats_now();
            prop_assert_eq!(stats.entries, model.rows.len());
            prop_assert_eq!(stats.bytes, model.rows.iter().map(Row::bytes).sum::<usize>());
        }
    }

    #[test]
    fn no_partition_sees_an_entry_of_another(
        steps in prop::collection::vec((0..4_u8, 0..40_u8, prop::bool::weighted(0.9)), 1..120),
        eviction in policy(),
        wanted in (0..5_u8, 0..40_u8),
    ) {
        let store = in_memory(limits(50, 10, eviction));
        let now = Timestamp::now();
        for (p, text, vector) in &steps {
            let vector = vector.then(|| embedding(*text));
            store.store_at(entry(partition(*p), &text.to_string(), vector, &p.to_string(), now), now);
        }
        let (p, text) = wanted;
        let exact = store.exact_at(&partition(p), &text.to_string(), now);
        let nearest = store.nearest_at(&partition(p), &embedding(text), -1.0, 50, now);
        for found in exact.into_iter().chain(nearest) {
            prop_assert_eq!(&found.answer.body, &p.to_string());
        }
    }
}
