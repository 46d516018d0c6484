//! Which rows share the next forward.
//!
//! 1. The first row is the most urgent: by priority, then by arrival. A row that has waited for half of its time moves up one
//!    priority, so that a flood of guards starves nobody.
//! 2. Others join in that order as long as the batch keeps its limits and at most [`MAX_PADDING`] of it is padding: on a CPU a
//!    forward costs what its padded tokens cost, and rows of other lengths do better in a forward of their own.

use tokio::time::Instant;

use super::{Limits, Priority};

/// Share of a batch that may be padding.
const MAX_PADDING: f64 = 0.25;

/// What the choice reads of a waiting row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) tokens: usize,
    pub(super) priority: Priority,
    pub(super) queued_at: Instant,
    pub(super) deadline: Instant,
}

impl Waiting {
    /// 0 is the most urgent.
    fn rank(&self, now: Instant) -> u8 {
        let rank = self.priority as u8;
        let half = self.deadline.saturating_duration_since(self.queued_at) / 2;
        if now.saturating_duration_since(self.queued_at) >= half {
            rank.saturating_sub(1)
        } else {
            rank
        }
    }
}

/// Places of the rows of the next batch, most urgent first; `waiting` is in order of arrival. Never empty when there are rows.
pub(super) fn next_batch(
    waiting: impl Iterator<Item = Waiting>,
    limits: &Limits,
    now: Instant,
) -> Vec<usize> {
    let mut order: Vec<(u8, usize, usize)> = waiting
        .enumerate()
        .map(|(at, row)| (row.rank(now), at, row.tokens.max(1)))
        .collect();
    order.sort_unstable();
    let mut batch = Vec::new();
    let (mut longest, mut real) = (0, 0);
    for (_, at, tokens) in order {
        if batch.len() == limits.max_batch_size.max(1) {
            break;
        }
        let padded = (batch.len() + 1) * longest.max(tokens);
        let padding = padded - (real + tokens);
        let fits = padded <= limits.max_tokens && padding as f64 <= MAX_PADDING * padded as f64;
        if fits || batch.is_empty() {
            batch.push(at);
            longest = longest.max(tokens);
            real += tokens;
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_batch_size: 4,
        max_tokens: 64,
        max_wait: Duration::ZERO,
        queue: 100,
    };

    fn rows(rows: &[(usize, Priority)]) -> Vec<Waiting> {
        let now = Instant::now();
        rows.iter()
            .map(|&(tokens, priority)| Waiting {
                tokens,
                priority,
                queued_at: now,
                deadline: now + Duration::from_secs(10),
            })
            .collect()
    }

    fn chosen(waiting: &[Waiting]) -> Vec<usize> {
        next_batch(waiting.iter().copied(), &LIMITS, Instant::now())
    }

    #[test]
    fn guards_go_first_and_arrival_decides_among_equals() {
        use Priority::{Bulk, Guard, Route};
        let waiting = rows(&[(8, Bulk), (8, Route), (8, Guard), (8, Guard), (8, Route)]);
        assert_eq!(chosen(&waiting), [2, 3, 1, 4]);
    }

    #[test]
    fn rows_of_other_lengths_wait_for_their_own_forward() {
        let waiting = rows(&[
            (10, Priority::Route),
            (40, Priority::Route),
            (12, Priority::Route),
        ]);
        assert_eq!(chosen(&waiting), [0, 2]);
    }

    #[test]
    fn the_token_budget_counts_padding_and_a_longer_row_goes_alone() {
        let waiting = rows(&[
            (30, Priority::Route),
            (32, Priority::Route),
            (31, Priority::Route),
        ]);
        assert_eq!(chosen(&waiting), [0, 1]);
        assert_eq!(chosen(&rows(&[(500, Priority::Route)])), [0]);
        assert_eq!(chosen(&[]), [0; 0]);
    }

    #[test]
    fn who_has_waited_half_of_its_time_moves_up() {
        let mut waiting = rows(&[(8, Priority::Route), (40, Priority::Bulk)]);
        waiting[1].queued_at -= Duration::from_secs(20);
        assert_eq!(chosen(&waiting), [0]);
        waiting.swap(0, 1);
        assert_eq!(chosen(&waiting), [0], "equal rank: the one that came first");
    }

    proptest! {
        #[test]
        fn limits_hold_and_something_runs(lengths in proptest::collection::vec(1_usize..100, 1..40)) {
            let waiting = rows(&lengths.iter().map(|n| (*n, Priority::Route)).collect::<Vec<_>>());
            let batch = chosen(&waiting);
            let longest = batch.iter().map(|at| lengths[*at]).max().unwrap();
            let real: usize = batch.iter().map(|at| lengths[*at]).sum();
            prop_assert!(!batch.is_empty() && batch.len() <= 4);
            prop_assert!(batch.len() == 1 || batch.len() * longest <= 64);
            prop_assert!(real as f64 >= 0.75 * (batch.len() * longest) as f64);
        }
    }
}
