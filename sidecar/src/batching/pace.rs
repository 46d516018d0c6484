//! How long tokens take, learnt from the forwards that ran.

use std::time::Duration;

/// Weight of the newest forward.
const NEWEST: f64 = 0.1;

/// Seconds for a token, its share of the padding included: an exponentially weighted mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pace {
    seconds_per_token: f64,
}

impl Pace {
    pub(super) fn measured(&mut self, tokens: usize, duration: Duration) {
        if tokens == 0 {
            return;
        }
        let newest = duration.as_secs_f64() / tokens as f64;
        if self.seconds_per_token == 0.0 {
            self.seconds_per_token = newest;
        } else {
            self.seconds_per_token += NEWEST * (newest - self.seconds_per_token);
        }
    }

    /// A time within which nearly all forwards of so many tokens end.
    pub(super) fn surely(&self, tokens: usize) -> Duration {
        let time = self.time_for(tokens);
        time.saturating_add(time / 10)
    }

    /// Zero until something ran.
    pub(super) fn time_for(&self, tokens: usize) -> Duration {
        Duration::try_from_secs_f64(self.seconds_per_token * tokens as f64).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_is_measured() {
        let mut pace = Pace::default();
        assert_eq!(pace.time_for(1000), Duration::ZERO);
        pace.measured(100, Duration::from_millis(10));
        assert_eq!(pace.time_for(1000), Duration::from_millis(100));
        for _ in 0..100 {
            pace.measured(100, Duration::from_millis(20));
        }
        let time = pace.time_for(1000);
        assert!((time.as_secs_f64() - 0.2).abs() < 1e-3, "{time:?}");
        pace.measured(0, Duration::from_secs(1));
        assert_eq!(pace.time_for(1000), time);
    }
}
