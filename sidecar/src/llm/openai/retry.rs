//! How long to wait before asking a server again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest wait before the first retry; it doubles with each.
const FIRST: Duration = Duration::from_millis(50);

/// The pause before retry `attempt`, counted from 0: evenly spread from nothing to 50 ms · 2^attempt, so that those who failed
/// together do not come back together. `random`: any number.
pub(super) fn backoff(attempt: u32, random: u64) -> Duration {
    let most = FIRST.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
    // 53 bits are what an f64 holds: 0 ≤ share < 1.
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

/// A number that nobody can guess; not for keys.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// What the server asks for: `retry-after-ms` (OpenAI), or `retry-after` in seconds. A date is not understood.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0);
    let seconds = seconds.or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_spread_and_doubles() {
        assert_eq!(backoff(0, 0), Duration::ZERO);
        assert_eq!(backoff(0, 1 << 63), Duration::from_millis(25));
        assert_eq!(backoff(2, 1 << 63), Duration::from_millis(100));
        assert!(backoff(2, u64::MAX) <= Duration::from_millis(200));
        assert!(
            backoff(200, u64::MAX) > Duration::from_secs(3600),
            "no overflow"
        );
        assert_ne!(random(), random());
    }

    #[test]
    fn what_the_server_asks_for_is_read_in_seconds_and_milliseconds() {
        let asked = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            asked_for(&headers)
        };
        assert_eq!(asked("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(
            asked("retry-after-ms", "50"),
            Some(Duration::from_millis(50))
        );
        assert_eq!(asked("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(asked("retry-after", "-1"), None);
        assert_eq!(asked("retry-after", "inf"), None);
        assert_eq!(
            asked("retry-after", "1e300"),
            None,
            "no duration is so long"
        );
        assert_eq!(asked("other", "1"), None);
    }
}
