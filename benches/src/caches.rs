//! Whether the processor's caches keep what was read: on a machine that others use, they empty them, and whatever runs after a pause
//! reads its code and data from memory again. A time behind a pause says little about a program without this one beside it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::report::percentile_us;

/// Within a second-level cache of any processor that is in use.
const BYTES: usize = 256 << 10;

/// Of a cache line.
const LINE: usize = 64;

const ROUNDS: usize = 41;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: usize,
}

/// Nanoseconds to read one cache line out of 256 KB, in an order that cannot be foreseen, at once and `pause` after all of them have
/// been read; nothing of this process runs on the core meanwhile. Medians.
#[must_use]
pub fn read_again_ns(pause: Duration) -> (f64, f64) {
    let lines = in_one_cycle(BYTES / LINE);
    (median_ns(&lines, Duration::ZERO), median_ns(&lines, pause))
}

/// Every line leads to another one, and all of them are met before the first comes again (Sattolo's shuffle).
fn in_one_cycle(count: usize) -> Vec<Line> {
    let mut order: Vec<usize> = (0..count).collect();
    // Of a linear congruential generator, by Knuth's constants: any order that no prefetcher knows will do.
    let mut state: u64 = 1;
    for at in (1..count).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "33 bits, below a count of thousands"
        )]
        order.swap(at, (state >> 31) as usize % at);
    }
    let mut lines = vec![Line { next: 0 }; count];
    for (at, next) in order.into_iter().enumerate() {
        lines[at].next = next;
    }
    lines
}

fn median_ns(lines: &[Line], pause: Duration) -> f64 {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            black_box(walk(lines));
            let paused_at = Instant::now();
            while paused_at.elapsed() < pause {
                std::hint::spin_loop();
            }
            let started_at = Instant::now();
            black_box(walk(lines));
            started_at.elapsed()
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    let count = lines.len() as f64;
    percentile_us(&mut times, 0.5) * 1e3 / count
}

fn walk(lines: &[Line]) -> usize {
    (0..lines.len()).fold(0, |at, _| lines[at].next)
}
