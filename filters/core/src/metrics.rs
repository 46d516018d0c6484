//! Every metric and label of Turnpike, once: name, kind, help, and how labels travel through Envoy.
//!
//! The Wasm ABI knows flat names only, so labels are written into the name and cut out again by `stats_tags`:
//!
//! ```text
//! user=.=alice;.;tier=.=gold;.;model=.=qwen3;.;type=.=prompt;.;semantic_router_tokens_total
//! → semantic_router_tokens_total{user="alice",tier="gold",model="qwen3",type="prompt"}
//! ```
//!
//! The form `key=.=value;.;` is the one that Istio's bootstrap cuts out for each of its `extraStatTags`; plain Envoy gets the
//! same regexes from [`Label::stats_tag_regex`]. Values are escaped by [`escape_label`], which is injective.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest label value in bytes; a longer one is cut and ends in `~` and the start of its SHA-256.
pub const MAX_LABEL_BYTES: usize = 128;

/// A label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// Who called.
    User,
    /// Subscription tier of the caller.
    Tier,
    /// Model that served.
    Model,
    /// Routing decision; `none` when the client named the model.
    Decision,
    /// `prompt` or `completion`.
    Type,
    /// Why a step fell back.
    Reason,
    /// Code of an error reply.
    Code,
}

impl Label {
    /// All labels, in the order in which they stand in a name.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Tier,
        Self::Model,
        Self::Decision,
        Self::Type,
        Self::Reason,
        Self::Code,
    ];

    /// Name in Prometheus, and key in the encoded stat name. No key may be the end of another one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tier => "tier",
            Self::Model => "model",
            Self::Decision => "decision",
            Self::Type => "type",
            Self::Reason => "reason",
            Self::Code => "code",
        }
    }

    /// Regex for Envoy's `stats_tags`: group 1 leaves the name, group 2 is the value.
    #[must_use]
    pub fn stats_tag_regex(self) -> String {
        format!(r"({}=\.=(.*?);\.;)", self.name())
    }
}

/// A counter of Turnpike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Tokens by user and tier (MaaS mode).
    Tokens,
    /// Requests by user, tier and decision (MaaS mode).
    Requests,
    /// Cache hits by user and tier (MaaS mode).
    CacheHits,
    /// Cache misses by user and tier (MaaS mode).
    CacheMisses,
    /// Requests with reasoning switched on (MaaS mode).
    ReasoningRequests,
    /// Tokens that were estimated because the stream ended early (MaaS mode).
    TokensEstimated,
    /// Requests (standalone mode).
    ModelRequests,
    /// Prompt and completion tokens (standalone mode).
    ModelTokens,
    /// Prompt tokens (standalone mode).
    ModelPromptTokens,
    /// Completion tokens (standalone mode).
    ModelCompletionTokens,
    /// Steps that failed and took their configured fallback.
    Fallbacks,
    /// Requests that Turnpike refused.
    Errors,
    /// Analyses asked of the sidecar.
    SidecarCalls,
    /// Requests that the cache was not asked for although it is on.
    CacheSkipped,
    /// Answers that could not be handed to the cache.
    CacheStoreFailures,
    /// Host calls that failed in a way that should not happen.
    HostErrors,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 16] = [
        Self::Tokens,
        Self::Requests,
        Self::CacheHits,
        Self::CacheMisses,
        Self::ReasoningRequests,
        Self::TokensEstimated,
        Self::ModelRequests,
        Self::ModelTokens,
        Self::ModelPromptTokens,
        Self::ModelCompletionTokens,
        Self::Fallbacks,
        Self::Errors,
        Self::SidecarCalls,
        Self::CacheSkipped,
        Self::CacheStoreFailures,
        Self::HostErrors,
    ];

    /// Name in Prometheus.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "semantic_router_tokens_total",
            Self::Requests => "semantic_router_requests_total",
            Self::CacheHits => "semantic_router_cache_hits_total",
            Self::CacheMisses => "semantic_router_cache_misses_total",
            Self::ReasoningRequests => "semantic_router_reasoning_requests_total",
            Self::TokensEstimated => "semantic_router_tokens_estimated_total",
            Self::ModelRequests => "llm_model_requests_total",
            Self::ModelTokens => "llm_model_tokens_total",
            Self::ModelPromptTokens => "llm_model_prompt_tokens_total",
            Self::ModelCompletionTokens => "llm_model_completion_tokens_total",
            Self::Fallbacks => "turnpike_fallbacks_total",
            Self::Errors => "turnpike_errors_total",
            Self::SidecarCalls => "turnpike_sidecar_calls_total",
            Self::CacheSkipped => "turnpike_cache_skipped_total",
            Self::CacheStoreFailures => "turnpike_cache_store_failures_total",
            Self::HostErrors => "turnpike_host_errors_total",
        }
    }

    /// What it counts, for `docs/metrics.md`.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Tokens => {
                "Tokens by user, tier, model that served, and type (prompt, completion)."
            }
            Self::Requests => {
                "Requests, each once when its stream ends, by user, tier, model and decision."
            }
            Self::CacheHits => "Requests answered from the semantic cache.",
            Self::CacheMisses => "Requests for which the semantic cache was asked in vain.",
            Self::ReasoningRequests => "Requests for which reasoning was switched on.",
            Self::TokensEstimated => {
                "Part of semantic_router_tokens_total that was estimated because a stream ended before its usage."
            }
            Self::ModelRequests => "Requests by model (standalone mode).",
            Self::ModelTokens => "Prompt and completion tokens by model (standalone mode).",
            Self::ModelPromptTokens => "Prompt tokens by model (standalone mode).",
            Self::ModelCompletionTokens => "Completion tokens by model (standalone mode).",
            Self::Fallbacks => "Steps that failed and took their configured fallback, by reason.",
            Self::Errors => "Requests that Turnpike refused, by code of the error object.",
            Self::SidecarCalls => "Analyses asked of the sidecar.",
            Self::CacheSkipped => {
                "Requests for which the semantic cache was not asked although it is on, by reason."
            }
            Self::CacheStoreFailures => {
                "Answers that could not be handed to the semantic cache, by reason."
            }
            Self::HostErrors => "Host calls that failed, by reason.",
        }
    }

    /// Its labels.
    #[must_use]
    pub fn labels(self) -> &'static [Label] {
        match self {
            Self::Tokens | Self::TokensEstimated => {
                &[Label::User, Label::Tier, Label::Model, Label::Type]
            }
            Self::Requests => &[Label::User, Label::Tier, Label::Model, Label::Decision],
            Self::CacheHits | Self::CacheMisses | Self::ReasoningRequests => {
                &[Label::User, Label::Tier, Label::Model]
            }
            Self::ModelRequests
            | Self::ModelTokens
            | Self::ModelPromptTokens
            | Self::ModelCompletionTokens => &[Label::Model],
            Self::Fallbacks | Self::CacheSkipped | Self::CacheStoreFailures | Self::HostErrors => {
                &[Label::Reason]
            }
            Self::Errors => &[Label::Code],
            Self::SidecarCalls => &[],
        }
    }

    /// The flat stat name with `values`, one for each of [`Self::labels`] in their order; missing ones are empty.
    #[must_use]
    pub fn stat_name(self, values: &[&str]) -> String {
        let mut name = String::with_capacity(128);
        for (i, label) in self.labels().iter().enumerate() {
            name.push_str(label.name());
            name.push_str("=.=");
            escape_label_into(values.get(i).copied().unwrap_or_default(), &mut name);
            name.push_str(";.;");
        }
        name.push_str(self.name());
        name
    }
}

/// A label value as it stands in a stat name: [`escape_label_into`] in a new string.
#[must_use]
pub fn escape_label(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    escape_label_into(value, &mut escaped);
    escaped
}

/// Appends `value` so that the stat name can be cut apart again and no two values become one.
///
/// Percent-encoded are only: `%`, control characters, and a `.` that follows `;` or `=` (separators of the encoding) or one of
/// the words that Istio's default tag regexes look for. Everything else, `@`, spaces and any script, stays as it is.
/// A value of more than [`MAX_LABEL_BYTES`] is cut at a character and marked with `~` and 16 hex digits of its SHA-256.
pub fn escape_label_into(value: &str, out: &mut String) {
    if value.len() <= MAX_LABEL_BYTES {
        escape_part(value, out);
        return;
    }
    let mut end = MAX_LABEL_BYTES.saturating_sub(17);
    while end > 0 && !value.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    escape_part(value.get(..end).unwrap_or_default(), out);
    out.push('~');
    for byte in Sha256::digest(value.as_bytes()).iter().take(8) {
        let _ = write!(out, "{byte:02x}");
    }
}

fn escape_part(value: &str, out: &mut String) {
    /// Ends of the words before a dot that Istio's unanchored default tags match.
    const BEFORE_DOT: [&str; 6] = [";", "=", "cache", "component", "tag", "wasm_filter"];
    for (at, c) in value.char_indices() {
        let before = value.get(..at).unwrap_or_default();
        let cut = c == '.' && BEFORE_DOT.iter().any(|word| before.ends_with(word));
        if c == '%' || c.is_control() || cut {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Envoy does with `stats_tags`: each regex on the original name; group 1 goes, group 2 is the value.
    fn cut(name: &str, metric: Metric) -> (String, Vec<String>) {
        let mut rest = name.to_owned();
        let mut values = Vec::new();
        for label in metric.labels() {
            let key = format!("{}=.=", label.name());
            let start = name.find(&key).unwrap();
            let value_start = start + key.len();
            let end = value_start + name[value_start..].find(";.;").unwrap();
            values.push(name[value_start..end].to_owned());
            rest = rest.replacen(&name[start..end + 3], "", 1);
        }
        (rest, values)
    }

    fn unescape(value: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first == b'%' {
                bytes.push(
                    u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap(),
                );
                rest = &tail[2..];
            } else {
                bytes.push(first);
                rest = tail;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_label_key_is_the_end_of_another() {
        for a in Label::ALL {
            for b in Label::ALL {
                assert!(a == b || !a.name().ends_with(b.name()), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn ordinary_users_are_written_as_they_are() {
        for user in [
            "alice",
            "alice@example.com",
            "alice_example.com",
            "a--b",
            "SELECT",
            "x",
            "алиса",
            "a b",
            "\"q\"",
        ] {
            assert_eq!(escape_label(user), user);
        }
        assert_eq!(escape_label("a.b;.;c=.=d"), "a.b;%2E;c=%2E=d");
        assert_eq!(escape_label("my-cache.v1"), "my-cache%2Ev1");
        assert_eq!(escape_label("100%\n"), "100%25%0A");
    }

    #[test]
    fn long_values_stay_distinct() {
        let (a, b) = ("a".repeat(200) + "1", "a".repeat(200) + "2");
        assert_ne!(escape_label(&a), escape_label(&b));
        assert_eq!(escape_label(&a).len(), MAX_LABEL_BYTES);
    }

    proptest! {
        #[test]
        fn any_value_survives_the_cut(user in "(;|=|\\.|%|cache\\.|user=\\.=|;\\.;|[a-zA-Zа-я\\x00-\\x1f]){0,20}", tier in ".{0,20}") {
            prop_assume!(user.len() <= MAX_LABEL_BYTES && tier.len() <= MAX_LABEL_BYTES);
            let name = Metric::Tokens.stat_name(&[&user, &tier, "m", "prompt"]);
            let (rest, values) = cut(&name, Metric::Tokens);
            prop_assert_eq!(rest, Metric::Tokens.name());
            prop_assert_eq!(unescape(&values[0]), user);
            prop_assert_eq!(unescape(&values[1]), tier);
        }
    }
}
