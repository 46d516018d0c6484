//! Which of its models a decision takes.
//!
//! 1. Scores and prices are known when the configuration is read: those choices are made once.
//! 2. By weight: a number drawn from the conversation, so that one conversation stays with its model on every worker and nobody
//!    remembers anything; from the clock where it need not stay.
//! 3. By latency: each worker knows how long it waited for the first byte of each model of late. What workers should agree on, the model of
//!    a conversation, is in a table that they share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::route::Route;
use super::work::Work;
use crate::config::Config;
use crate::decision::{AlgorithmConfig, AlgorithmKind, DecisionConfig, ModelRefConfig};
use crate::host::Host;
use crate::request::Role;
use crate::state;

/// How much faster another model must be for a conversation to change, where nothing is configured.
const SWITCH_MARGIN: f32 = 0.2;

/// Weight of the last answer in the mean.
const LAST: f64 = 0.2;

/// A model that was not used for so long is tried again.
const FORGET_US: u64 = 60_000_000;

/// Places in the table of conversations, each of some 16 bytes.
const PLACES: u64 = 8_192;

/// Headers by which clients name a conversation.
const CONVERSATION_HEADERS: [&str; 2] = ["x-session-id", "x-conversation-id"];

/// The models of a decision, and how one is taken.
#[derive(Debug)]
pub(super) struct Choice {
    routes: Vec<Rc<Route>>,
    how: How,
    sticky: bool,
}

#[derive(Debug)]
enum How {
    /// The first.
    First,
    /// By these weights.
    Weighted(Vec<u64>),
    /// The fastest; another one only if it is faster by this share.
    Fastest(f64),
}

impl Choice {
    /// `route` makes the route of a model.
    pub(super) fn compile(
        config: &Config,
        decision: &DecisionConfig,
        route: &dyn Fn(&ModelRefConfig) -> Route,
    ) -> Self {
        let algorithm = decision.algorithm.clone().unwrap_or_default();
        let mut refs: Vec<&ModelRefConfig> = decision.model_refs.iter().collect();
        let quality = |r: &ModelRefConfig| {
            let of_model = || config.model_config.get(&r.model)?.quality_score;
            r.score.or_else(of_model).unwrap_or_default()
        };
        let price = |r: &ModelRefConfig| {
            let pricing = config
                .model_config
                .get(&r.model)
                .and_then(|m| m.pricing.as_ref());
            pricing.map_or(f64::MAX, |p| p.prompt_per_1m + p.completion_per_1m)
        };
        match algorithm.kind {
            // Stable: the first written among equals.
            AlgorithmKind::Score => refs.sort_by(|a, b| quality(b).total_cmp(&quality(a))),
            AlgorithmKind::CostAware => {
                let floor = algorithm.min_quality.unwrap_or_default();
                let best = refs
                    .iter()
                    .copied()
                    .max_by(|a, b| quality(a).total_cmp(&quality(b)));
                refs.retain(|r| quality(r) >= floor);
                refs.sort_by(|a, b| price(a).total_cmp(&price(b)));
                if refs.is_empty() {
                    refs.extend(best);
                }
            }
            _ => {}
        }
        let how = how(&algorithm, &refs);
        Self {
            routes: refs.into_iter().map(|r| Rc::new(route(r))).collect(),
            how,
            sticky: algorithm.sticky.unwrap_or(true),
        }
    }

    /// All that it may take.
    pub(super) fn routes(&self) -> &[Rc<Route>] {
        &self.routes
    }

    /// Takes one.
    pub(super) fn take(
        &self,
        host: &mut impl Host,
        work: &Work,
        latencies: &Latencies,
    ) -> Option<Rc<Route>> {
        let at = match &self.how {
            _ if self.routes.len() < 2 => 0,
            How::First => 0,
            How::Weighted(weights) => {
                let draw = if self.sticky {
                    conversation(host, work)
                } else {
                    mix(host.now_us())
                };
                weighted(weights, draw)
            }
            How::Fastest(margin) => {
                let now = host.now_us();
                let times = self.routes.iter();
                let times: Vec<Time> = times.map(|r| latencies.of(&r.model, now)).collect();
                let at = if self.sticky {
                    let key = conversation(host, work);
                    stay(host, key, &times, *margin)
                } else {
                    choose(&times)
                };
                if let (Some(Time::Unknown), Some(route)) = (times.get(at), self.routes.get(at)) {
                    latencies.asked(&route.model, now);
                }
                at
            }
        };
        self.routes.get(at).or(self.routes.first()).cloned()
    }
}

fn how(algorithm: &AlgorithmConfig, refs: &[&ModelRefConfig]) -> How {
    match algorithm.kind {
        AlgorithmKind::Static | AlgorithmKind::Score | AlgorithmKind::CostAware => How::First,
        AlgorithmKind::Weighted => {
            let weights = refs.iter().map(|r| u64::from(r.weight.unwrap_or(1)));
            How::Weighted(weights.collect())
        }
        AlgorithmKind::LatencyAware => {
            How::Fastest(f64::from(algorithm.switch_margin.unwrap_or(SWITCH_MARGIN)))
        }
    }
}

fn weighted(weights: &[u64], draw: u64) -> usize {
    let total = weights.iter().fold(0_u64, |sum, w| sum.saturating_add(*w));
    let Some(mut left) = draw.checked_rem(total) else {
        return 0;
    };
    for (at, weight) in weights.iter().enumerate() {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    0
}

/// What is known of a model's time to its first byte.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Time {
    /// Microseconds.
    Known(f64),
    /// One request is on its way to tell; others need not wait for a server that may hang.
    Asked,
    Unknown,
}

impl Time {
    fn micros(self) -> f64 {
        match self {
            Self::Known(micros) => micros,
            Self::Asked | Self::Unknown => f64::INFINITY,
        }
    }
}

/// The fastest; one request goes to each model that nobody knows.
fn choose(times: &[Time]) -> usize {
    let unknown = times.iter().position(|time| *time == Time::Unknown);
    unknown.unwrap_or_else(|| fastest(times))
}

fn fastest(times: &[Time]) -> usize {
    let times = times.iter().map(|time| time.micros()).enumerate();
    let best = times.min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(at, _)| at)
}

/// The model that the conversation has, unless another is faster by more than `margin`; remembers it for all workers.
fn stay(host: &mut impl Host, key: u64, times: &[Time], margin: f64) -> usize {
    let place = format!(
        "turnpike.conversation.{}",
        key.checked_rem(PLACES).unwrap_or_default()
    );
    let entry = |at: usize| {
        let mut bytes = key.to_le_bytes().to_vec();
        bytes.push(u8::try_from(at).unwrap_or(u8::MAX));
        bytes
    };
    let before = host.shared(&place).and_then(|(bytes, _)| {
        let (owner, at) = bytes.split_first_chunk::<8>()?;
        let is_ours = u64::from_le_bytes(*owner) == key;
        at.first().filter(|_| is_ours).map(|at| usize::from(*at))
    });
    let best = match before.and_then(|at| Some((at, times.get(at)?))) {
        Some((at, own)) => {
            let best = fastest(times);
            let gains = match (own, times.get(best)) {
                (Time::Known(own), Some(Time::Known(other))) => *other < own * (1.0 - margin),
                // Nobody knows what would be gained.
                _ => false,
            };
            if !gains {
                return at;
            }
            best
        }
        None => choose(times),
    };
    if before != Some(best) {
        // Another worker that was faster has chosen too; the next request settles it.
        let _ = host.set_shared(&place, &entry(best), 0);
    }
    best
}

/// A number that all requests of a conversation have: of its header, or else of who speaks and how it began.
fn conversation(host: &mut impl Host, work: &Work) -> u64 {
    let mut hash = Sha256::new();
    let mut push = |text: &[u8]| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(text);
    };
    let headers = host.request_headers();
    if let Some(user) = host.filter_state(state::USER) {
        push(&user);
    }
    let named = CONVERSATION_HEADERS
        .iter()
        .find_map(|name| headers.get(name));
    match named {
        Some(name) => push(name),
        None => {
            for message in &work.request.messages {
                push(message.text(&work.body).as_bytes());
                if message.role == Role::User {
                    break;
                }
            }
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest
        .first_chunk::<8>()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

/// A number drawn from the clock (splitmix64, Steele et al. 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How long models took to their first byte of late, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Latencies(RefCell<BTreeMap<String, Timing>>);

#[derive(Debug, Default)]
struct Timing {
    /// None until the request that asks is answered.
    mean: Option<f64>,
    /// When that was, or when it was asked.
    at: u64,
}

impl Latencies {
    /// The models that are worth to be timed.
    pub(super) fn of_models<'m>(models: impl Iterator<Item = &'m str>) -> Self {
        let none = models.map(|m| (m.to_owned(), Timing::default()));
        Self(RefCell::new(none.collect()))
    }

    /// Whether some decision asks for the time of `model`.
    pub(super) fn times(&self, model: &str) -> bool {
        self.0
            .try_borrow()
            .is_ok_and(|known| known.contains_key(model))
    }

    fn of(&self, model: &str, now: u64) -> Time {
        let Ok(known) = self.0.try_borrow() else {
            return Time::Asked;
        };
        match known.get(model) {
            Some(timing) if timing.is_fresh(now) => timing.mean.map_or(Time::Asked, Time::Known),
            _ => Time::Unknown,
        }
    }

    /// A request goes to a model of which nothing is known.
    fn asked(&self, model: &str, now: u64) {
        let Ok(mut known) = self.0.try_borrow_mut() else {
            return;
        };
        if let Some(timing) = known.get_mut(model) {
            *timing = Timing {
                mean: None,
                at: now,
            };
        }
    }

    /// An answer began, `took` microseconds after its request went upstream. What failed counts as ten seconds: a server that refuses is fast.
    pub(super) fn answered(&self, model: &str, took: u64, failed: bool, now: u64) {
        let took = if failed { took.max(10_000_000) } else { took };
        let took = f64::from(u32::try_from(took).unwrap_or(u32::MAX));
        let Ok(mut known) = self.0.try_borrow_mut() else {
            return;
        };
        if let Some(timing) = known.get_mut(model) {
            let mean = timing.mean.filter(|_| timing.is_fresh(now));
            *timing = Timing {
                mean: Some(mean.map_or(took, |mean| mean + LAST * (took - mean))),
                at: now,
            };
        }
    }
}

impl Timing {
    fn is_fresh(&self, now: u64) -> bool {
        self.at > 0 && now.abs_diff(self.at) < FORGET_US
    }
}

#[cfg(test)]
mod tests;
