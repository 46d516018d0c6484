//! What other filters published about the route of a request.

use crate::host::Host;
use crate::state;

/// What is known about the route of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) model: String,
    pub(super) decision: String,
    pub(super) category: String,
    pub(super) reasoning: String,
    pub(super) cache: String,
    pub(super) system_prompt: String,
    pub(super) fallback: String,
    pub(super) usage_requested: bool,
    pub(super) prompt_bytes: u64,
    /// Kinds of personal data, separated by commas.
    pub(super) pii_types: String,
    pub(super) jailbreak: bool,
}

fn read(host: &mut impl Host, key: &str, default: &str) -> String {
    match host.filter_state(key) {
        Some(value) if !value.is_empty() => String::from_utf8_lossy(&value).into_owned(),
        _ => default.into(),
    }
}

/// A number that was published, if one was.
pub(super) fn number(host: &mut impl Host, key: &str) -> Option<u64> {
    std::str::from_utf8(&host.filter_state(key)?)
        .ok()?
        .parse()
        .ok()
}

impl Facts {
    /// Reads what was published; `security` asks for the words of guards too.
    pub(super) fn published(host: &mut impl Host, security: bool) -> Self {
        Self {
            model: read(host, state::MODEL, state::UNKNOWN),
            decision: read(host, state::DECISION, state::NONE),
            category: read(host, state::CATEGORY, state::NONE),
            reasoning: read(host, state::REASONING, "off"),
            cache: read(host, state::CACHE, "skip"),
            system_prompt: read(host, state::SYSTEM_PROMPT, "false"),
            fallback: read(host, state::FALLBACK, ""),
            usage_requested: host.filter_state(state::USAGE_REQUESTED).is_some(),
            prompt_bytes: number(host, state::PROMPT_BYTES).unwrap_or_default(),
            pii_types: if security {
                read(host, state::PII_TYPES, "")
            } else {
                String::new()
            },
            jailbreak: security && host.filter_state(state::JAILBREAK).is_some(),
        }
    }

    pub(super) fn is_cache_hit(&self) -> bool {
        self.cache == "hit"
    }
}
