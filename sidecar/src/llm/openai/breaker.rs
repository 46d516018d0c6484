//! When a server is left alone. Time is given, never asked for.
//!
//! 1. After [`FAILURES`] calls in a row that failed, the circuit opens: for [`FIRST_PAUSE`] nobody calls.
//! 2. Then one call goes through. If it succeeds, the circuit closes; if it fails, the pause doubles, up to [`LONGEST_PAUSE`].
//!
//! A call fails when there is no answer in time, or one that says that the server cannot serve: 429, 5xx, no JSON of the API.
//! Other answers, refusals with 4xx included, are those of a server that works.

use std::time::Duration;

use tokio::time::Instant;

/// Calls in a row that open the circuit.
const FAILURES: u32 = 5;

/// How long it stays open at first: a restarting process is back by then, a loading model is asked rarely enough.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest time until the next try.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One call is on its way to see.
    Trying {
        pause: Duration,
    },
}

/// The circuit to one server.
#[derive(Debug)]
pub(super) struct Breaker(State);

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

impl Breaker {
    /// Whether a call may go out now. One that may must end in [`succeeded`](Self::succeeded), [`failed`](Self::failed) or
    /// [`abandoned`](Self::abandoned).
    pub(super) fn enter(&mut self, now: Instant) -> bool {
        match self.0 {
            State::Closed { .. } => true,
            State::Open { until, pause } if now >= until => {
                self.0 = State::Trying { pause };
                true
            }
            State::Open { .. } | State::Trying { .. } => false,
        }
    }

    /// Whether [`enter`](Self::enter) would say no.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        match self.0 {
            State::Closed { .. } => false,
            State::Open { until, .. } => now < until,
            State::Trying { .. } => true,
        }
    }

    /// Whether the server is thought to be down.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.0, State::Closed { .. })
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) {
        self.0 = State::Closed { failures: 0 };
    }

    /// The server did not.
    pub(super) fn failed(&mut self, now: Instant) {
        self.0 = match self.0 {
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => open(now, FIRST_PAUSE),
            State::Trying { pause } => open(now, (pause * 2).min(LONGEST_PAUSE)),
            // A call from before the circuit opened.
            open @ State::Open { .. } => open,
        };
    }

    /// The caller left before the server could answer: nothing is known, the next one may try.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if let State::Trying { pause } = self.0 {
            self.0 = State::Open { until: now, pause };
        }
    }
}

fn open(now: Instant, pause: Duration) -> State {
    State::Open {
        until: now + pause,
        pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.enter(now));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.failed(now);
        }
        breaker.succeeded();
        for _ in 0..FAILURES - 1 {
            breaker.failed(now);
        }
        assert!(!breaker.is_open() && breaker.enter(now));
        breaker.failed(now);
        assert!(breaker.is_open() && breaker.refuses(now) && !breaker.enter(now));
    }

    #[test]
    fn one_call_tries_and_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.enter(after(now, 4)));
        let later = after(now, 5);
        assert!(
            !breaker.refuses(later) && breaker.enter(later),
            "one may try"
        );
        assert!(!breaker.enter(later), "and only one");
        assert!(breaker.is_open());
        breaker.succeeded();
        assert!(!breaker.is_open() && breaker.enter(later));
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [5, 10, 20, 40, 60, 60] {
            assert!(!breaker.enter(after(now, pause - 1)), "{pause}");
            now = after(now, pause);
            assert!(breaker.enter(now), "{pause}");
            breaker.failed(now);
        }
    }

    #[test]
    fn a_try_whose_caller_left_is_tried_again_at_once() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = after(now, 5);
        assert!(breaker.enter(later));
        breaker.abandoned(later);
        assert!(breaker.enter(later));
        breaker.failed(later);
        assert!(
            !breaker.enter(after(now, 14)),
            "the pause was not forgotten"
        );
    }

    #[test]
    fn late_failures_do_not_prolong_the_pause() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.failed(after(now, 4));
        assert!(breaker.enter(after(now, 5)));
    }
}
