//! Counting a share of the requests, scaled up so that sums stay right on average.
//!
//! Both steps are random: which requests are counted, and, where 1 / rate is no whole number, to which neighbour a scaled number is
//! rounded. Source of the numbers: SplitMix64 (Steele, Lea, Flood 2014), which is plenty for sampling.

use std::cell::Cell;

/// The sampler of one worker.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    rate: f64,
    state: Cell<u64>,
}

impl Sampler {
    /// `rate`: above 0 to 1. `seed`: differs between workers.
    #[must_use]
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        Self {
            rate,
            state: Cell::new(seed),
        }
    }

    /// Whether everything is counted.
    #[must_use]
    pub(super) fn is_exact(&self) -> bool {
        self.rate >= 1.0
    }

    /// Whether this request is counted.
    #[must_use]
    pub(super) fn takes(&self) -> bool {
        self.is_exact() || self.next() < self.rate
    }

    /// What to count for `number` of a request that is counted.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the casts saturate; above 2^53 the scaled number is an estimate anyway"
    )]
    pub(super) fn scale(&self, number: u64) -> u64 {
        if self.is_exact() || number == 0 {
            return number;
        }
        let scaled = number as f64 / self.rate;
        let whole = scaled.floor();
        let up = self.next() < scaled - whole;
        (whole as u64).saturating_add(up.into())
    }

    /// Uniform in 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn next(&self) -> f64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sampling_every_number_is_itself() {
        let sampler = Sampler::new(1.0, 7);
        assert!(sampler.takes());
        assert_eq!(sampler.scale(3), 3);
    }

    #[test]
    fn sums_stay_right() {
        for rate in [0.1, 0.3, 0.77] {
            let sampler = Sampler::new(rate, 42);
            let (mut requests, mut tokens) = (0, 0);
            for _ in 0..100_000 {
                if sampler.takes() {
                    requests += sampler.scale(1);
                    tokens += sampler.scale(17);
                }
            }
            // Standard error of the sums is below 1 % at these rates.
            assert!((97_000..103_000).contains(&requests), "{rate}: {requests}");
            assert!((1_649_000..1_751_000).contains(&tokens), "{rate}: {tokens}");
        }
    }
}
