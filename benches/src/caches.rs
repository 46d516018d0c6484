//! Whether the processor's caches keep what was read. Where others share the processor they empty them, and whatever runs after a
//! pause reads its code and data from memory again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::report::percentile_us;

/// Of a cache line.
const LINE: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: usize,
}

/// Memory that is read line by line, in an order that no prefetcher knows.
#[derive(Debug)]
pub struct Probe {
    lines: Vec<Line>,
    at_once: Vec<Duration>,
    paused: Vec<Duration>,
}

impl Probe {
    /// Of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            lines: in_one_cycle(bytes / LINE),
            at_once: Vec::new(),
            paused: Vec::new(),
        }
    }

    /// Times reading all of it again, at once and after a pause in which this thread spins.
    pub fn sample(&mut self, pause: Duration) {
        self.read();
        let at_once = self.read();
        self.at_once.push(at_once);
        spin(pause);
        let paused = self.read();
        self.paused.push(paused);
    }

    /// Median nanoseconds of a line of all samples: at once, after the pause.
    #[must_use]
    pub fn median_ns(&mut self) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        let count = self.lines.len() as f64;
        let median = |times| percentile_us(times, 0.5) * 1e3 / count;
        (median(&mut self.at_once), median(&mut self.paused))
    }

    fn read(&self) -> Duration {
        let lines = black_box(&self.lines);
        let started_at = Instant::now();
        black_box((0..lines.len()).fold(0, |at, _| lines[at].next));
        started_at.elapsed()
    }
}

/// Keeps the core for so long, and touches nothing.
pub fn spin(time: Duration) {
    let started_at = Instant::now();
    while started_at.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Every line leads to another one, and all of them are met before the first comes again (Sattolo's shuffle).
fn in_one_cycle(count: usize) -> Vec<Line> {
    let mut order: Vec<usize> = (0..count).collect();
    // Of a linear congruential generator, by Knuth's constants: any order without a pattern will do.
    let mut state: u64 = 1;
    for at in (1..count).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = ((state >> 31) % at as u64) as usize;
        order.swap(at, other);
    }
    let mut lines = vec![Line { next: 0 }; count];
    for (at, next) in order.into_iter().enumerate() {
        lines[at].next = next;
    }
    lines
}
