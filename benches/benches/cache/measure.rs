//! Filling a store and looking up in it.

use std::fmt;
use std::time::{Duration, Instant};

use benches::report::percentile_us;
use rustix::time::{ClockId, clock_gettime};
use turnpike_sidecar::cache::{Embedded, NewEntry, Partition, StoredAnswer, Timestamp};

use crate::data::{Data, Truth};

/// Bytes of the question and answer of every entry; less than real ones have, so that the rest shows.
pub(crate) const TEXT_BYTES: usize = 256;

/// Entries asked for, as by the sidecar.
const MOST: usize = 4;

/// Below every cosine, so that a lookup never ends without the nearest.
const THRESHOLD: f32 = 0.0;

pub(crate) fn partition() -> Partition {
    Partition::default()
}

/// CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

pub(crate) fn new_entry(data: Data, number: u64) -> NewEntry {
    let question = number.to_string();
    NewEntry {
        partition: partition(),
        embedding: Some(data.entry(number)),
        answer: StoredAnswer {
            model: "m".into(),
            body: "x".repeat(TEXT_BYTES - 1 - question.len()),
            ..StoredAnswer::default()
        },
        question,
        stored_at: Timestamp::now(),
    }
}

/// What something took.
#[derive(Default)]
pub(crate) struct Took {
    pub(crate) clock: Duration,
    pub(crate) cpu: Duration,
}

/// Stores all entries; the time is of the stores alone.
pub(crate) fn fill(store: &Embedded, data: Data, truth: &mut Truth) -> Took {
    let mut took = Took::default();
    for number in 0..data.entries {
        let entry = new_entry(data, number);
        if let Some(embedding) = &entry.embedding {
            truth.see(number, embedding);
        }
        let (started_at, cpu) = (Instant::now(), cpu_time());
        store.store_at(entry, Timestamp::now());
        took.clock += started_at.elapsed();
        took.cpu += cpu_time() - cpu;
    }
    took
}

/// Times of lookups.
pub(crate) struct Lookups {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_p50_us: f64,
    pub(crate) cpu_p99_us: f64,
    pub(crate) recall: f64,
}

impl Lookups {
    pub(crate) const HEAD: &str = "  p50 µs   p99 µs  CPU p50  CPU p99   recall";

    pub(crate) fn new(clock: &mut [Duration], cpu: &mut [Duration], recall: f64) -> Self {
        Self {
            p50_us: percentile_us(clock, 0.5),
            p99_us: percentile_us(clock, 0.99),
            cpu_p50_us: percentile_us(cpu, 0.5),
            cpu_p99_us: percentile_us(cpu, 0.99),
            recall,
        }
    }
}

impl fmt::Display for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} {:>8.0} {:>8.0} {:>8.0}",
            self.p50_us, self.p99_us, self.cpu_p50_us, self.cpu_p99_us
        )?;
        match self.recall.is_nan() {
            true => write!(f, "{:>9}", "-"),
            false => write!(f, " {:>8.3}", self.recall),
        }
    }
}

/// Looks every query up, after one round that nobody measures.
pub(crate) fn look_up(store: &Embedded, truth: &Truth) -> Lookups {
    let (mut clock, mut cpu) = (Vec::new(), Vec::new());
    let mut right = 0;
    for round in 0..4 {
        for (query, nearest) in truth.pairs() {
            let (started_at, cpu_before) = (Instant::now(), cpu_time());
            let found = store.nearest_at(&partition(), query, THRESHOLD, MOST, Timestamp::now());
            let (cpu_took, took) = (cpu_time() - cpu_before, started_at.elapsed());
            if round == 0 {
                let is_right = found
                    .first()
                    .is_some_and(|f| *f.question == nearest.to_string());
                right += u32::from(is_right);
                continue;
            }
            clock.push(took);
            cpu.push(cpu_took);
        }
    }
    let recall = f64::from(right) / truth.queries.len() as f64;
    Lookups::new(&mut clock, &mut cpu, recall)
}
