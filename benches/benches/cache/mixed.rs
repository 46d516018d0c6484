//! Lookups beside stores at capacity.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use turnpike_sidecar::cache::Timestamp;

use crate::data::{Data, Truth};
use crate::measure::{Lookups, cpu_time, fill, look_up, new_entry, partition};
use crate::{QUERIES, in_memory};

/// Share of the entries that are replaced while it is measured.
const REPLACED: u64 = 4;

pub(crate) fn run(entries: u64) {
    let data = Data { entries };
    let store = in_memory(entries);
    let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, 0)).collect());
    fill(&store, data, &mut truth);
    store.settle();
    println!(
        "mixed: {entries} entries, full; one thread looks up, another stores, and each store evicts an entry"
    );
    println!("  {:>8} {}", "", Lookups::HEAD);
    println!("  {:>8} {}", "alone", look_up(&store, &truth));
    let queries = &truth.queries;
    let done = AtomicBool::new(false);
    let (beside, stored) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut clock, mut cpu) = (Vec::new(), Vec::new());
            for query in queries.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let (started_at, before) = (Instant::now(), cpu_time());
                let now = Timestamp::now();
                std::hint::black_box(store.nearest_at(&partition(), query, 0.0, 4, now));
                cpu.push(cpu_time() - before);
                clock.push(started_at.elapsed());
            }
            Lookups::new(&mut clock, &mut cpu, f64::NAN)
        });
        let started_at = Instant::now();
        for number in entries..entries + entries / REPLACED {
            store.store_at(new_entry(data, number), Timestamp::now());
        }
        let stored = started_at.elapsed();
        done.store(true, Ordering::Relaxed);
        (reader.join(), stored)
    });
    if let Ok(beside) = beside {
        println!("  {:>8} {beside}", "beside");
    }
    let per_second = (entries / REPLACED) as f64 / stored.as_secs_f64();
    println!("  {per_second:.0} stores and evictions a second beside the lookups");
    store.settle();
    let first = entries / REPLACED;
    let mut truth = Truth::new((0..QUERIES).map(|q| data.query(q, first)).collect());
    for number in first..first + entries {
        truth.see(number, &data.entry(number));
    }
    println!("  {:>8} {}", "behind", look_up(&store, &truth));
}
