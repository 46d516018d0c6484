//! What guards before or behind the meter say about a request. Any filter of the chain may publish it.

use crate::host::Host;
use crate::state;

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
        let pii_types = host.filter_state(state::PII_TYPES).unwrap_or_default();
        Self {
            pii_types: String::from_utf8_lossy(&pii_types).into_owned(),
            jailbreak: host.filter_state(state::JAILBREAK).is_some(),
        }
    }
}
