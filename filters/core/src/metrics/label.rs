//! Labels of metrics.

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
    /// Kind of tokens.
    Type,
    /// Kind of personal data.
    PiiType,
    /// ISO 4217 code.
    Currency,
    /// Part of our own work.
    Stage,
    /// Why a step fell back.
    Reason,
    /// Code of an error reply.
    Code,
    /// Name of another label.
    Label,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Tier,
        Self::Model,
        Self::Decision,
        Self::Type,
        Self::PiiType,
        Self::Currency,
        Self::Stage,
        Self::Reason,
        Self::Code,
        Self::Label,
    ];

    /// Name in Prometheus behind the rendered `stats_tags`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PiiType => "pii_type",
            other => other.key(),
        }
    }

    /// Key in the encoded stat name, and name in Prometheus behind Istio's `extraStatTags`. No key may be the end of another:
    /// the regexes are not anchored.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tier => "tier",
            Self::Model => "model",
            Self::Decision => "decision",
            Self::Type => "type",
            Self::PiiType => "pii",
            Self::Currency => "currency",
            Self::Stage => "stage",
            Self::Reason => "reason",
            Self::Code => "code",
            Self::Label => "label",
        }
    }

    /// Regex for Envoy's `stats_tags`: group 1 leaves the name, group 2 is the value.
    #[must_use]
    pub fn stats_tag_regex(self) -> String {
        format!(r"({}=\.=(.*?);\.;)", self.key())
    }
}
