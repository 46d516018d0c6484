//! What a stream that is over adds to metrics and log.

use super::cardinality::Admission;
use super::cost::Billed;
use super::guards::Guards;
use super::meter::Meter;
use super::usage::Usage;
use crate::host::Host;
use crate::identity::{CacheHitTokens, ExtraTokenType, Identifier, Identity, MaasMetricsConfig};
use crate::metrics::Metric;
use crate::record::{Cache, Record};
use crate::state;

/// DESIGN "Modes": standalone, or MaaS; hybrid is MaaS with prices.
#[derive(Debug)]
pub(super) enum Mode {
    Standalone,
    Maas(Box<Maas>),
}

/// MaaS mode.
#[derive(Debug)]
pub(super) struct Maas {
    pub(super) identifier: Identifier,
    pub(super) export: MaasMetricsConfig,
    pub(super) reads_security: bool,
    pub(super) users: Admission,
    pub(super) tiers: Admission,
}

impl Mode {
    /// Whether the tokens of a stored answer count.
    pub(super) fn counts_cached_tokens(&self) -> bool {
        matches!(self, Self::Maas(maas) if maas.export.cache_hit_tokens == CacheHitTokens::Full)
    }
}

/// What a request is charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    /// Part of `prompt`.
    pub(super) cached: u64,
    /// Part of `completion`.
    pub(super) reasoning: u64,
    pub(super) estimated: bool,
    /// Usage of a stored answer that is not counted as tokens.
    pub(super) stored: Option<Usage>,
}

impl Tokens {
    pub(super) fn reported(usage: Usage) -> Self {
        Self {
            prompt: usage.prompt(),
            completion: usage.completion(),
            cached: usage.cached(),
            reasoning: usage.reasoning(),
            ..Self::default()
        }
    }

    fn billed(&self, cache_hit: bool) -> Billed {
        let tokens = self.stored.map_or(*self, Self::reported);
        Billed {
            prompt: tokens.prompt,
            cached: tokens.cached,
            completion: tokens.completion,
            cache_hit,
        }
    }
}

/// Moments of a stream, in microseconds of the host's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) start_us: u64,
    /// First bytes of a streamed answer.
    pub(super) first_bytes_us: Option<u64>,
    pub(super) end_us: u64,
    /// Time that the meter itself took with headers.
    pub(super) meter_us: u64,
}

impl Times {
    fn total_us(&self) -> u64 {
        self.end_us.saturating_sub(self.start_us)
    }

    fn first_token_us(&self) -> Option<u64> {
        Some(self.first_bytes_us?.saturating_sub(self.start_us))
    }

    /// Time between two of so many tokens.
    fn per_token_us(&self, completion: u64) -> Option<u64> {
        let gaps = completion.checked_sub(1).filter(|gaps| *gaps > 0)?;
        self.end_us
            .saturating_sub(self.first_bytes_us?)
            .checked_div(gaps)
    }
}

/// A stream that is over.
#[derive(Debug)]
pub(super) struct Settled<'s> {
    pub(super) identity: Option<&'s Identity>,
    pub(super) record: &'s Record,
    pub(super) guards: &'s Guards,
    pub(super) tokens: Tokens,
    pub(super) times: Times,
}

impl Settled<'_> {
    /// Tells the access log, and warns of a slow request.
    pub(super) fn publish(&self, meter: &Meter, host: &mut impl Host) {
        let Tokens {
            prompt,
            completion,
            estimated,
            ..
        } = self.tokens;
        host.set_filter_state(state::PROMPT_TOKENS, prompt.to_string().as_bytes());
        host.set_filter_state(state::COMPLETION_TOKENS, completion.to_string().as_bytes());
        if estimated {
            host.set_filter_state(state::ESTIMATED, b"true");
        }
        let (decision, took) = (&*self.record.decision, self.times.total_us() / 1000);
        if meter.telemetry.is_slow(decision, took) {
            host.set_filter_state(state::SLOW, b"true");
            host.count(Metric::SlowRequests, &[decision], 1);
            let model = &self.record.model;
            host.warn(&format!(
                "SLOW_REQUEST route={decision} model={model} total_ms={took}"
            ));
        }
    }

    /// Adds to the metrics of the mode.
    pub(super) fn count(&self, meter: &Meter, host: &mut impl Host) {
        if meter.measures() {
            self.measure_stages(host);
        }
        match &meter.mode {
            Mode::Standalone => self.count_standalone(host),
            Mode::Maas(maas) => self.count_maas(meter, maas, host),
        }
        self.count_cost(meter, host);
    }

    fn is_cache_hit(&self) -> bool {
        self.record.cache == Cache::Hit
    }

    fn measure_stages(&self, host: &mut impl Host) {
        let Record {
            router_us,
            sidecar_us,
            ..
        } = *self.record;
        for (stage, took) in [
            ("meter", self.times.meter_us),
            ("router", router_us),
            ("sidecar", sidecar_us),
        ] {
            if took > 0 {
                host.record(Metric::Processing, &[stage], took);
            }
        }
    }

    fn count_standalone(&self, host: &mut impl Host) {
        let model = [&*self.record.model];
        let Tokens {
            prompt, completion, ..
        } = self.tokens;
        host.count(Metric::ModelRequests, &model, 1);
        count_some(
            host,
            Metric::ModelTokens,
            &model,
            prompt.saturating_add(completion),
        );
        count_some(host, Metric::ModelPromptTokens, &model, prompt);
        count_some(host, Metric::ModelCompletionTokens, &model, completion);
        host.record(Metric::ModelLatency, &model, self.times.total_us() / 1000);
        if let Some(took) = self.times.first_token_us() {
            host.record(Metric::ModelTimeToFirstToken, &model, took / 1000);
        }
        if let Some(took) = self.times.per_token_us(completion) {
            host.record(Metric::ModelTimePerOutputToken, &model, took);
        }
    }

    fn count_maas(&self, meter: &Meter, maas: &Maas, host: &mut impl Host) {
        let (user, tier) = match self.identity {
            Some(identity) => (identity.user.name.as_str(), identity.tier.name.as_str()),
            None => (state::UNKNOWN, state::UNKNOWN),
        };
        let tier = maas.tiers.admit(tier, host);
        if maas.export.export_latency_metrics {
            self.measure_maas(tier, host);
        }
        if !meter.sampler.takes() {
            return;
        }
        let user = maas.users.admit(user, host);
        let mut counter = Counter {
            meter,
            host,
            user,
            tier,
            model: &self.record.model,
        };
        self.count_routing(&maas.export, &mut counter);
        self.count_security(&maas.export, &mut counter);
        self.count_tokens(&maas.export, &mut counter);
    }

    fn measure_maas(&self, tier: &str, host: &mut impl Host) {
        let labels = [tier, &*self.record.model];
        host.record(
            Metric::RequestDuration,
            &labels,
            self.times.total_us() / 1000,
        );
        if let Some(took) = self.times.first_token_us() {
            host.record(Metric::TimeToFirstToken, &labels, took / 1000);
        }
        if let Some(took) = self.times.per_token_us(self.tokens.completion) {
            host.record(Metric::TimePerOutputToken, &labels, took);
        }
    }

    fn count_routing<H: Host>(&self, export: &MaasMetricsConfig, counter: &mut Counter<'_, H>) {
        if export.export_routing_metrics {
            counter.add(Metric::Requests, Some(&self.record.decision), 1);
            if self.record.reasoning && !self.is_cache_hit() {
                counter.add(Metric::ReasoningRequests, None, 1);
            }
        }
        if export.export_cache_metrics {
            match self.record.cache {
                Cache::Hit => counter.add(Metric::CacheHits, None, 1),
                Cache::Miss => counter.add(Metric::CacheMisses, None, 1),
                Cache::Skip => {}
            }
        }
    }

    fn count_security<H: Host>(&self, export: &MaasMetricsConfig, counter: &mut Counter<'_, H>) {
        if !export.export_security_metrics {
            return;
        }
        for kind in self
            .guards
            .pii_types
            .split(',')
            .map(str::trim)
            .filter(|kind| !kind.is_empty())
        {
            counter.add_without_model(Metric::PiiDetections, Some(kind));
        }
        if self.guards.jailbreak {
            counter.add_without_model(Metric::JailbreakDetections, None);
        }
    }

    fn count_tokens<H: Host>(&self, export: &MaasMetricsConfig, counter: &mut Counter<'_, H>) {
        if !export.export_token_metrics {
            return;
        }
        let tokens = &self.tokens;
        for (kind, number) in [("prompt", tokens.prompt), ("completion", tokens.completion)] {
            counter.add(Metric::Tokens, Some(kind), number);
            if tokens.estimated {
                counter.add(Metric::TokensEstimated, Some(kind), number);
            }
        }
        for extra in &export.extra_token_types {
            match extra {
                ExtraTokenType::Cached => {
                    counter.add(Metric::Tokens, Some("cached"), tokens.cached)
                }
                ExtraTokenType::Reasoning => {
                    counter.add(Metric::Tokens, Some("reasoning"), tokens.reasoning);
                }
            }
        }
    }

    /// Costs are never sampled: what is carried over needs every request.
    fn count_cost(&self, meter: &Meter, host: &mut impl Host) {
        let Some(prices) = &meter.prices else { return };
        let billed = self.tokens.billed(self.is_cache_hit());
        if let Some((currency, micro)) = prices.charge(&self.record.model, billed) {
            count_some(
                host,
                Metric::ModelCost,
                &[&self.record.model, currency],
                micro,
            );
        }
    }
}

/// Adds to counters of one caller and model, scaled where requests are sampled.
struct Counter<'c, H> {
    meter: &'c Meter,
    host: &'c mut H,
    user: &'c str,
    tier: &'c str,
    model: &'c str,
}

impl<H: Host> Counter<'_, H> {
    fn add(&mut self, metric: Metric, last: Option<&str>, number: u64) {
        let number = self.meter.sampler.scale(number);
        let labels: [&str; 4] = [self.user, self.tier, self.model, last.unwrap_or_default()];
        let used = if last.is_some() { 4 } else { 3 };
        count_some(
            self.host,
            metric,
            labels.get(..used).unwrap_or_default(),
            number,
        );
    }

    fn add_without_model(&mut self, metric: Metric, last: Option<&str>) {
        let number = self.meter.sampler.scale(1);
        let labels: [&str; 3] = [self.user, self.tier, last.unwrap_or_default()];
        let used = if last.is_some() { 3 } else { 2 };
        count_some(
            self.host,
            metric,
            labels.get(..used).unwrap_or_default(),
            number,
        );
    }
}

fn count_some(host: &mut impl Host, metric: Metric, labels: &[&str], by: u64) {
    if by > 0 {
        host.count(metric, labels, by);
    }
}
