//! What tokens cost, in integers.
//!
//! A price of 0.5 per million tokens is 0.5 millionths of the currency for one token. Prices are kept in millionths of that
//! (10⁻¹² of the currency per token), so what a configuration can say in six decimals is exact. Counters take whole
//! millionths: what is left over of each model is carried to its next request, so that nothing is lost to rounding but the last
//! fraction of a millionth on each worker.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::decision::{Models, PricingConfig};

/// 10⁻¹² of the currency in one millionth.
const PICO_PER_MICRO: u128 = 1_000_000;

/// The prices of all models, and what is carried over on this worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Prices {
    by_model: BTreeMap<String, Price>,
    carried: RefCell<BTreeMap<String, u128>>,
}

/// Price of one model, in 10⁻¹² of the currency per token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Price {
    currency: String,
    prompt: u64,
    cached_input: u64,
    completion: u64,
    cache_hit: u64,
}

/// What is to be paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Billed {
    /// Prompt tokens, cached ones included.
    pub(super) prompt: u64,
    /// Part of them that the server had cached.
    pub(super) cached: u64,
    /// Completion tokens.
    pub(super) completion: u64,
    /// Whether the semantic cache served the answer.
    pub(super) cache_hit: bool,
}

impl Prices {
    /// Compiles the prices of a configuration.
    #[must_use]
    pub(super) fn compile(models: &Models) -> Self {
        let priced = models.iter().filter_map(|(name, model)| {
            Some((name.clone(), Price::compile(model.pricing.as_ref()?)))
        });
        Self {
            by_model: priced.collect(),
            carried: RefCell::default(),
        }
    }

    /// Currency and whole millionths of it to count now; nothing for a model without a price.
    #[must_use]
    pub(super) fn charge(&self, model: &str, billed: Billed) -> Option<(&str, u64)> {
        let price = self.by_model.get(model)?;
        let mut carried = self.carried.try_borrow_mut().ok()?;
        let owed = carried.entry(model.to_owned()).or_default();
        *owed = owed.saturating_add(price.of(billed));
        let micro = owed.checked_div(PICO_PER_MICRO).unwrap_or_default();
        *owed = owed.checked_rem(PICO_PER_MICRO).unwrap_or_default();
        Some((&price.currency, u64::try_from(micro).unwrap_or(u64::MAX)))
    }
}

impl Price {
    fn compile(config: &PricingConfig) -> Self {
        let prompt = pico(config.prompt_per_1m);
        Self {
            currency: if config.currency.is_empty() {
                "USD".into()
            } else {
                config.currency.clone()
            },
            prompt,
            cached_input: config.cached_input_per_1m.map_or(prompt, pico),
            completion: pico(config.completion_per_1m),
            cache_hit: config.cache_hit_per_1m.map_or(0, pico),
        }
    }

    fn of(&self, billed: Billed) -> u128 {
        let times = |tokens: u64, price: u64| u128::from(tokens).saturating_mul(price.into());
        if billed.cache_hit {
            return times(
                billed.prompt.saturating_add(billed.completion),
                self.cache_hit,
            );
        }
        let fresh = billed.prompt.saturating_sub(billed.cached);
        times(fresh, self.prompt)
            .saturating_add(times(billed.cached, self.cached_input))
            .saturating_add(times(billed.completion, self.completion))
    }
}

/// A price per million tokens in 10⁻¹² of the currency per token.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "validation keeps prices between 0 and 10^6; the cast saturates"
)]
fn pico(per_1m: f64) -> u64 {
    (per_1m * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let yaml = "{m: {pricing: {currency: EUR, prompt_per_1m: 0.5, completion_per_1m: 1.5, cached_input_per_1m: 0.05, cache_hit_per_1m: 0.01}}, free: {}}";
        Prices::compile(&serde_saphyr::from_str(yaml).unwrap())
    }

    #[test]
    fn tokens_cost_what_the_price_list_says() {
        let billed = Billed {
            prompt: 1000,
            cached: 400,
            completion: 200,
            cache_hit: false,
        };
        // 600 × 0.5 + 400 × 0.05 + 200 × 1.5 millionths
        assert_eq!(prices().charge("m", billed), Some(("EUR", 620)));
        assert_eq!(prices().charge("free", billed), None);
        assert_eq!(prices().charge("unheard", billed), None);
    }

    #[test]
    fn a_cache_hit_has_its_own_price() {
        let billed = Billed {
            prompt: 1000,
            cached: 0,
            completion: 1000,
            cache_hit: true,
        };
        assert_eq!(prices().charge("m", billed), Some(("EUR", 20)));
    }

    #[test]
    fn fractions_are_carried_not_lost() {
        let prices = prices();
        let one = Billed {
            prompt: 1,
            ..Billed::default()
        };
        let counted: u64 = (0..1001)
            .filter_map(|_| prices.charge("m", one))
            .map(|c| c.1)
            .sum();
        assert_eq!(counted, 500);
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let huge = Billed {
            prompt: u64::MAX,
            completion: u64::MAX,
            ..Billed::default()
        };
        assert_eq!(prices().charge("m", huge), Some(("EUR", u64::MAX)));
    }
}
