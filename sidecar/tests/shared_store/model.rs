//! Both stores against a model that is a plain list.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;
use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{Embedded, Filter, Store};
use turnpike_sidecar::metrics::CacheMetrics;

use crate::entries::{DIMENSIONS, HOUR, aged, embedding, entry, limits, open, partition};
use crate::server::{Outcome, RedisServer};

#[derive(Debug, Clone)]
enum Step {
    Store {
        p: u8,
        text: u8,
        has_vector: bool,
        age_s: u64,
    },
    Exact {
        p: u8,
        text: u8,
    },
    Nearest {
        p: u8,
        text: u8,
        threshold: f32,
    },
    Invalidate {
        p: u8,
    },
    Forget {
        older_than_s: u64,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..3_u8, 0..8_u8);
    // Far from each other and from the time to live: while a case runs, time goes on.
    let age = || (0..30_u64).prop_map(|hundreds| hundreds * 100);
    prop_oneof![
        8 => (place(), prop::bool::weighted(0.9), age()).prop_map(|((p, text), has_vector, age_s)| Step::Store { p, text, has_vector, age_s }),
        5 => place().prop_map(|(p, text)| Step::Exact { p, text }),
        5 => (place(), 0.5_f32..1.0).prop_map(|((p, text), threshold)| Step::Nearest { p, text, threshold }),
        1 => (0..3_u8).prop_map(|p| Step::Invalidate { p }),
        1 => age().prop_map(|older_than_s| Step::Forget { older_than_s }),
        1 => Just(Step::Clear),
    ]
}

#[derive(Debug, Clone)]
struct Row {
    p: u8,
    text: u8,
    has_vector: bool,
    body: String,
    age_s: u64,
}

/// What a store must do.
#[derive(Debug, Default)]
struct Model(Vec<Row>);

impl Model {
    fn store(&mut self, new: Row) {
        self.0.retain(|row| (row.p, row.text) != (new.p, new.text));
        self.0.push(new);
    }

    fn body(&self, p: u8, text: u8) -> Option<&String> {
        let row = self.0.iter().find(|row| (row.p, row.text) == (p, text));
        row.map(|row| &row.body)
    }

    /// Similarities from the threshold on, best first.
    fn nearest(&self, p: u8, text: u8, threshold: f32) -> Vec<f32> {
        let rows = self.0.iter().filter(|row| row.p == p && row.has_vector);
        let similarities = rows.map(|row| embedding(row.text).similarity(&embedding(text)));
        let mut found: Vec<f32> = similarities.filter(|s| *s >= threshold).collect();
        found.sort_by(|a, b| b.total_cmp(a));
        found
    }

    fn remove(&mut self, named: impl Fn(&Row) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|row| !named(row));
        before - self.0.len()
    }
}

async fn same(store: &dyn Store, steps: &[Step]) -> Outcome<()> {
    let mut model = Model::default();
    for (at, step) in steps.iter().enumerate() {
        let at_step = format!("step {at}, {step:?}");
        match *step {
            Step::Store {
                p,
                text,
                has_vector,
                age_s,
            } => {
                let body = at.to_string();
                let new = entry(p, &text.to_string(), has_vector.then_some(text), &body);
                store.store(aged(new, Duration::from_secs(age_s))).await?;
                model.store(Row {
                    p,
                    text,
                    has_vector,
                    body,
                    age_s,
                });
            }
            Step::Exact { p, text } => {
                let found = store.exact(&partition(p), &text.to_string()).await?;
                let found = found.map(|found| found.answer.body.clone());
                if found.as_ref() != model.body(p, text) {
                    return Err(format!("{at_step}: {found:?}, {model:?}").into());
                }
            }
            Step::Nearest { p, text, threshold } => {
                let found = store
                    .nearest(&partition(p), &embedding(text), threshold, 4)
                    .await?;
                let expected = model.nearest(p, text, threshold);
                // On the threshold itself, rounding decides.
                let around = [-1e-3, 1e-3].map(|by| model.nearest(p, text, threshold + by).len());
                if around[0] == around[1] && found.len() != expected.len().min(4) {
                    return Err(format!("{at_step}: {found:?}, {model:?}").into());
                }
                for (found, expected) in found.iter().zip(expected) {
                    let is_there =
                        model.body(p, found.question.parse()?) == Some(&found.answer.body);
                    if !is_there || (found.similarity - expected).abs() > 1e-3 {
                        return Err(format!("{at_step}: {found:?}, {model:?}").into());
                    }
                }
            }
            Step::Invalidate { p } => {
                let filter = Filter {
                    partition: Some(partition(p)),
                    ..Filter::default()
                };
                let removed = store.invalidate(filter, false).await?.entries;
                assert_eq!(removed, model.remove(|row| row.p == p), "{at_step}");
            }
            Step::Forget { older_than_s } => {
                let age = Duration::from_secs(older_than_s + 50);
                let filter = Filter {
                    older_than: Some(age),
                    ..Filter::default()
                };
                let removed = store.invalidate(filter, false).await?.entries;
                assert_eq!(
                    removed,
                    model.remove(|row| row.age_s > older_than_s),
                    "{at_step}"
                );
            }
            Step::Clear => {
                assert_eq!(store.clear().await?.entries, model.0.len(), "{at_step}");
                model.0.clear();
            }
        }
    }
    let entries = store.stats().await?.entries;
    assert_eq!(entries, model.0.len());
    Ok(())
}

#[test]
fn both_stores_do_what_a_plain_list_does() -> Outcome<()> {
    let runtime = Runtime::new()?;
    let server = runtime.block_on(RedisServer::start())?;
    let case = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(step(), 0..60);
    runner.run(&steps, |steps| {
        case.set(case.get() + 1);
        let embedded = Embedded::in_memory(limits(HOUR), DIMENSIONS, CacheMetrics::default());
        let key_prefix = format!("case-{}", case.get());
        let config = RedisConfig {
            key_prefix,
            ..server.config()
        };
        let outcome = runtime.block_on(async {
            let redis = open(&config).await?;
            for (name, store) in [
                ("embedded", Arc::new(embedded) as Arc<dyn Store>),
                ("redis", Arc::new(redis)),
            ] {
                same(&*store, &steps)
                    .await
                    .map_err(|e| format!("{name}: {e}"))?;
            }
            Outcome::Ok(())
        });
        outcome.map_err(|e| TestCaseError::fail(e.to_string()))
    })?;
    Ok(())
}
