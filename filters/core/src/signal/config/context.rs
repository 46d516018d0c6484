//! `context_rules`: how long a request is.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// `context_rules`: the request has so many tokens, by estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContextRuleConfig {
    /// Name that `{type: context, name: …}` refers to.
    pub name: String,
    /// From, included: a number, or with `K` or `M` for thousands and millions.
    #[serde(default)]
    pub min_tokens: Tokens,
    /// To, included; without end if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Tokens>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A number of tokens: `999`, `"999"`, `32K` = 32,000, `1.5M`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens(pub u64);

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens, such as 4000, `32K` or `1M`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tokens, E> {
                Ok(Tokens(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tokens, E> {
                Tokens::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Tokens {
    /// Reads `999`, `32K`, `1.5M`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, unit) = match text.char_indices().next_back()? {
            (at, 'k' | 'K') => (text.get(..at)?, 1e3),
            (at, 'm' | 'M') => (text.get(..at)?, 1e6),
            _ => (text, 1.0),
        };
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        if digits.is_empty() || !digits.chars().all(plain) {
            return None;
        }
        let number: f64 = digits.parse().ok()?;
        let tokens = number * unit;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: a whole number below 2^53"
        )]
        let whole = (tokens.fract() == 0.0 && tokens < 9e15).then_some(Self(tokens as u64));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_people_write_them() {
        for (text, tokens) in [
            ("999", Some(999)),
            ("32K", Some(32_000)),
            ("1.5m", Some(1_500_000)),
            (" 0 ", Some(0)),
            ("", None),
            ("K", None),
            ("-1", None),
            ("1e3", None),
            ("0.0001K", None),
            ("32 KB", None),
            ("9999999999999999M", None),
        ] {
            assert_eq!(Tokens::parse(text), tokens.map(Tokens), "{text}");
        }
    }
}
