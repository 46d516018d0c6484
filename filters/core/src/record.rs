//! What is known about the route of a request: written by the router, read by the meter, shown by the access log.
//!
//! Filters meet in Envoy's filter state, and each entry costs a host call. So the router hands the meter one packed entry,
//! [`state::ROUTE`], and publishes singly only what the access log prints.
//!
//! # Format
//! Fields in the order of [`Record`]'s, as text, each ended by a line feed. Names hold no control characters (validation).

use std::borrow::Cow;

use crate::host::Host;
use crate::metering::millis;
use crate::state;

/// What became of the cache lookup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Cache {
    /// The cache was not asked.
    #[default]
    Skip,
    Hit,
    Miss,
}

impl Cache {
    fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

/// The route of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Model that serves; [`state::UNKNOWN`] while none was chosen.
    pub(crate) model: Cow<'static, str>,
    pub(crate) decision: Cow<'static, str>,
    pub(crate) category: Cow<'static, str>,
    pub(crate) reasoning: bool,
    pub(crate) cache: Cache,
    pub(crate) system_prompt: bool,
    /// Why a step fell back; empty when none did.
    pub(crate) fallback: Cow<'static, str>,
    /// Kinds of personal data found, separated by commas.
    pub(crate) pii_types: Cow<'static, str>,
    /// Whether an attack was found.
    pub(crate) jailbreak: bool,
    /// Whether a guard of ours answered: no model worked.
    pub(crate) blocked: bool,
    /// Whether the client asked for a stream.
    pub(crate) stream: bool,
    /// Whether Turnpike asked for a usage chunk that the client did not ask for.
    pub(crate) usage_requested: bool,
    /// Bytes of text in the request.
    pub(crate) prompt_bytes: u64,
    /// Microseconds that the router computed; 0 without a router.
    pub(crate) router_us: u64,
    /// Microseconds that it waited for the sidecar; 0 when it did not ask.
    pub(crate) sidecar_us: u64,
    /// How similar the questions of a hit are, as it shall be told; empty when not.
    pub(crate) similarity: Cow<'static, str>,
    /// What an output guard found in an answer whose headers have not gone; empty when nothing.
    pub(crate) response_warnings: Cow<'static, str>,
    /// Headers that say what matched, as [`pack_debug`] writes them; empty when nobody asked.
    pub(crate) debug: Cow<'static, str>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            model: state::UNKNOWN.into(),
            decision: state::NONE.into(),
            category: state::NONE.into(),
            reasoning: false,
            cache: Cache::Skip,
            similarity: "".into(),
            response_warnings: "".into(),
            debug: "".into(),
            system_prompt: false,
            fallback: "".into(),
            pii_types: "".into(),
            jailbreak: false,
            blocked: false,
            stream: false,
            usage_requested: false,
            prompt_bytes: 0,
            router_us: 0,
            sidecar_us: 0,
        }
    }
}

fn text(field: &str) -> Cow<'static, str> {
    Cow::Owned(field.to_owned())
}

/// Headers in one field of a record: name and value by a tab, one behind the other by another. What would break a header, or a record, is
/// left out.
pub(crate) fn pack_debug(headers: &[(String, String)]) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut packed = String::new();
    for (name, value) in headers {
        packed.push_str(&plain(name));
        packed.push('\t');
        packed.push_str(&plain(value));
        packed.push('\t');
    }
    packed
}

/// The headers that [`pack_debug`] packed.
pub(crate) fn debug_headers(packed: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut fields = packed.split_terminator('\t');
    std::iter::from_fn(move || Some((fields.next()?, fields.next()?)))
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Record {
    /// Whether a model was chosen.
    fn is_routed(&self) -> bool {
        self.model != state::UNKNOWN
    }

    /// `on` or `off`.
    pub(crate) fn reasoning(&self) -> &'static str {
        on_off(self.reasoning)
    }

    /// Tells the access log, and, where `for_meter`, the meter.
    pub(crate) fn publish(&self, host: &mut impl Host, for_meter: bool) {
        if for_meter {
            host.set_filter_state(state::ROUTE, self.pack().as_bytes());
        }
        if self.is_routed() {
            host.set_filter_state(state::MODEL, self.model.as_bytes());
            host.set_filter_state(state::REASONING, self.reasoning().as_bytes());
        }
        // What a guard stopped was decided, and has no model.
        if self.is_routed() || self.decision != state::NONE {
            host.set_filter_state(state::DECISION, self.decision.as_bytes());
            host.set_filter_state(state::CATEGORY, self.category.as_bytes());
        }
        if self.cache != Cache::Skip {
            host.set_filter_state(state::CACHE, self.cache.name().as_bytes());
        }
        if !self.fallback.is_empty() {
            host.set_filter_state(state::FALLBACK, self.fallback.as_bytes());
        }
        if !self.pii_types.is_empty() {
            host.set_filter_state(state::PII_TYPES, self.pii_types.as_bytes());
        }
        if self.jailbreak {
            host.set_filter_state(state::JAILBREAK, state::flag(true));
        }
        host.set_filter_state(state::STREAM, state::flag(self.stream));
        host.set_filter_state(state::TIMING_ROUTER, self.router_us.to_string().as_bytes());
        let classified = millis(self.router_us.saturating_add(self.sidecar_us));
        host.set_filter_state(state::TIMING_CLASSIFICATION, classified.as_bytes());
        if self.sidecar_us > 0 {
            host.set_filter_state(
                state::TIMING_SIDECAR,
                self.sidecar_us.to_string().as_bytes(),
            );
        }
    }

    /// Tells the meter what has changed since.
    pub(crate) fn publish_again(&self, host: &mut impl Host) {
        host.set_filter_state(state::ROUTE, self.pack().as_bytes());
    }

    /// What was published for the meter.
    pub(crate) fn published(host: &mut impl Host) -> Self {
        let packed = host.filter_state(state::ROUTE);
        packed
            .as_deref()
            .and_then(|packed| Self::unpack(std::str::from_utf8(packed).ok()?))
            .unwrap_or_default()
    }

    fn pack(&self) -> String {
        let Self {
            model,
            decision,
            category,
            similarity,
            response_warnings,
            debug,
            fallback,
            pii_types,
            prompt_bytes,
            router_us,
            sidecar_us,
            ..
        } = self;
        let (reasoning, system_prompt) = (on_off(self.reasoning), on_off(self.system_prompt));
        let (stream, usage) = (on_off(self.stream), on_off(self.usage_requested));
        let (jailbreak, blocked) = (on_off(self.jailbreak), on_off(self.blocked));
        let cache = self.cache.name();
        format!(
            "{model}\n{decision}\n{category}\n{reasoning}\n{cache}\n{system_prompt}\n{fallback}\n{pii_types}\n{jailbreak}\n{blocked}\n{stream}\n{usage}\n{prompt_bytes}\n{router_us}\n{sidecar_us}\n{similarity}\n{response_warnings}\n{debug}\n"
        )
    }

    fn unpack(packed: &str) -> Option<Self> {
        let mut fields = packed.split_terminator('\n');
        let mut next = || fields.next();
        Some(Self {
            model: text(next()?),
            decision: text(next()?),
            category: text(next()?),
            reasoning: next()? == "on",
            cache: match next()? {
                "hit" => Cache::Hit,
                "miss" => Cache::Miss,
                _ => Cache::Skip,
            },
            system_prompt: next()? == "on",
            fallback: text(next()?),
            pii_types: text(next()?),
            jailbreak: next()? == "on",
            blocked: next()? == "on",
            stream: next()? == "on",
            usage_requested: next()? == "on",
            prompt_bytes: next()?.parse().ok()?,
            router_us: next()?.parse().ok()?,
            sidecar_us: next()?.parse().ok()?,
            similarity: text(next()?),
            response_warnings: text(next()?),
            debug: text(next()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memory::MemoryHost;

    #[test]
    fn the_meter_reads_what_the_router_wrote() {
        let record = Record {
            model: "Qwen/Qwen3-8B".into(),
            decision: "math".into(),
            category: "computer science".into(),
            reasoning: true,
            cache: Cache::Miss,
            similarity: "0.9012".into(),
            response_warnings: "response_toxicity".into(),
            debug: pack_debug(&[("x-vsr-matched-keywords".into(), "a,b".into())]).into(),
            system_prompt: false,
            fallback: "".into(),
            pii_types: "CREDIT_CARD,US_SSN".into(),
            jailbreak: true,
            blocked: true,
            stream: true,
            usage_requested: true,
            prompt_bytes: 7,
            router_us: 80,
            sidecar_us: 0,
        };
        let mut host = MemoryHost::default();
        record.publish(&mut host, true);
        assert_eq!(Record::published(&mut host), record);
        assert_eq!(host.state["turnpike.cache"], "miss");
        assert!(!host.state.contains_key("turnpike.fallback"));
    }

    #[test]
    fn what_nobody_wrote_or_somebody_broke_is_unknown() {
        let mut host = MemoryHost::default();
        assert_eq!(Record::published(&mut host), Record::default());
        host.state.insert(state::ROUTE.into(), "a\nb\n".into());
        assert_eq!(Record::published(&mut host), Record::default());
    }
}
