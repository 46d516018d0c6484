//! What a number or a value must be for a signal to hold.

use serde::{Deserialize, Serialize};

use crate::config::shared_fields;

shared_fields! {
    {
        /// More than.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub gt: Option<f64>,
        /// At least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub gte: Option<f64>,
        /// Less than.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lt: Option<f64>,
        /// At most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lte: Option<f64>,
    }

    /// Bounds of a number.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields)]
    pub struct Predicate {}

    /// `projections.mappings[].outputs[]`; the first band that holds counts.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields)]
    pub struct BandConfig {
        /// Name that `{type: projection, name: …}` refers to.
        pub name: String,
    }
}

impl Predicate {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a number fulfils it.
    #[must_use]
    pub fn holds(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

impl BandConfig {
    /// Its bounds.
    #[must_use]
    pub fn bounds(&self) -> Predicate {
        Predicate {
            gt: self.gt,
            gte: self.gte,
            lt: self.lt,
            lte: self.lte,
        }
    }
}

/// What a value must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ValuePredicate {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// One of these.
    #[serde(default, rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// One that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl ValuePredicate {
    /// Whether any value will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a value will do.
    #[must_use]
    pub fn holds(&self, value: &[u8]) -> bool {
        self.equals.as_ref().is_none_or(|e| e.as_bytes() == value)
            && (self.one_of.is_empty() || self.one_of.iter().any(|o| o.as_bytes() == value))
            && self
                .prefix
                .as_ref()
                .is_none_or(|p| value.starts_with(p.as_bytes()))
    }
}
