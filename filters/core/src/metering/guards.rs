//! What guards say about a request: the router, and others before or behind the meter. Any filter of the chain may publish it, Envoy's own
//! `set_filter_state` too, whose strings are no values of Wasm filters and are found only by the path of filter state.

use crate::host::Host;
use crate::record::Record;

/// Kinds of personal data found, separated by commas; absent when there are none.
const PII_TYPES: &str = "wasm.turnpike.pii_types";
/// Present when an attack was found.
const JAILBREAK: &str = "wasm.turnpike.jailbreak";

/// Words of guards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guards {
    /// Kinds of personal data, separated by commas.
    pub(super) pii_types: String,
    /// Whether an attack was found.
    pub(super) jailbreak: bool,
}

impl Guards {
    /// Reads what was published.
    pub(super) fn published(host: &mut impl Host) -> Self {
        let mut found = |key| host.property(&["filter_state", key]);
        let pii_types = found(PII_TYPES).unwrap_or_default();
        Self {
            pii_types: String::from_utf8_lossy(&pii_types).into_owned(),
            jailbreak: found(JAILBREAK).is_some(),
        }
    }

    /// Adds what the router found.
    pub(super) fn add(&mut self, record: &Record) {
        self.jailbreak |= record.jailbreak;
        let known = |kind: &str| self.pii_types.split(',').any(|k| k.trim() == kind);
        let new: Vec<&str> = record
            .pii_types
            .split(',')
            .filter(|kind| !kind.is_empty() && !known(kind))
            .collect();
        if !self.pii_types.is_empty() && !new.is_empty() {
            self.pii_types.push(',');
        }
        self.pii_types.push_str(&new.join(","));
    }
}
