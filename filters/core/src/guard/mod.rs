//! Guards: what a request must not hold, and how a client is told.
//!
//! 1. [`Policy`] says, for one route, from which probability a request is an attack and which personal data may pass.
//! 2. [`Policy::judge`] compares it with [`Findings`].
//! 3. [`blocked`] is the answer, in the form of the API that was called.

mod reply;

pub use reply::{Finish, answered, blocked};

use crate::config::Config;
use crate::decision::{DecisionConfig, PiiAction, Plugin};

/// Score from which personal data counts where the configuration says nothing.
pub const PII_THRESHOLD: f32 = 0.5;

/// Kinds of personal data that are found, as Presidio names them, and those of ours.
pub const PII_KINDS: [&str; 14] = [
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "US_SSN",
    "IBAN_CODE",
    "IP_ADDRESS",
    "US_DRIVER_LICENSE",
    "US_PASSPORT",
    "CRYPTO",
    "URL_CREDENTIALS",
    "SECRET",
    "PERSON",
    "GPE",
    "STREET_ADDRESS",
];

/// Those among them that are names: found by a network that reads every word, where the others have a form.
pub const NAME_KINDS: [&str; 3] = ["PERSON", "GPE", "STREET_ADDRESS"];

/// Kinds that vLLM Semantic Router's model knows and this version does not find.
pub const PII_KINDS_NOT_FOUND: [&str; 7] = [
    "ORGANIZATION",
    "ZIP_CODE",
    "DATE_TIME",
    "AGE",
    "NRP",
    "TITLE",
    "DOMAIN_NAME",
];

/// Why a name in `pii_types_allowed` is wrong, if it is.
#[must_use]
pub fn pii_kind_problem(kind: &str) -> Option<String> {
    let known = PII_KINDS.contains(&kind) || PII_KINDS_NOT_FOUND.contains(&kind);
    (!known).then(|| format!("unknown kind `{kind}`; known: {}", PII_KINDS.join(", ")))
}

/// What the guards found in a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Probability that it is an attack; `None` where nobody looked.
    pub jailbreak: Option<f32>,
    /// Probability that it is toxic; `None` where nobody looked.
    pub toxicity: Option<f32>,
    /// Personal data.
    pub pii: Vec<PiiFinding>,
}

impl Findings {
    /// The kinds of personal data.
    pub(crate) fn pii_kinds(&self) -> Vec<&'static str> {
        kinds(self.pii.iter())
    }
}

/// The kinds of findings, by name, each once.
fn kinds<'f>(found: impl Iterator<Item = &'f PiiFinding>) -> Vec<&'static str> {
    let mut kinds: Vec<&'static str> = found.map(|found| found.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Personal data in a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PiiFinding {
    /// What it is.
    pub kind: &'static str,
    /// How sure that is, 0 to 1.
    pub score: f32,
    /// The part that holds it, as they were given to be read.
    pub part: usize,
    /// Where it begins in the part's text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// What may pass on one route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Probability from which a request is an attack; `None` = not guarded.
    jailbreak: Option<f32>,
    pii: Vec<PiiRule>,
}

#[derive(Debug, Clone, PartialEq)]
struct PiiRule {
    allowed: Vec<String>,
    threshold: f32,
    action: PiiAction,
    /// Whether answers get the originals back in place of masks.
    restore: bool,
}

impl PiiRule {
    fn refuses(&self, found: &PiiFinding) -> bool {
        found.score >= self.threshold && !self.allowed.iter().any(|a| a == found.kind)
    }
}

/// Why a request is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// It attacks the model's instructions.
    Jailbreak,
    /// It holds personal data of these kinds, which may not pass.
    Pii(Vec<&'static str>),
}

impl Policy {
    /// The policy for requests to `model` by `decision`; `own_threshold` is the model's for attacks.
    #[must_use]
    pub fn compile(
        config: &Config,
        model: &str,
        decision: Option<&DecisionConfig>,
        own_threshold: f32,
    ) -> Self {
        let threshold = config.prompt_guard.threshold.unwrap_or(own_threshold);
        let mut jailbreak = config.prompt_guard.enabled.then_some(threshold);
        let pii_threshold = config
            .classifier
            .pii_model
            .threshold
            .unwrap_or(PII_THRESHOLD);
        let mut pii = Vec::new();
        let policy = config
            .model_config
            .get(model)
            .and_then(|m| m.pii_policy.as_ref());
        if let Some(policy) = policy.filter(|policy| !policy.allow_by_default) {
            pii.push(PiiRule {
                allowed: policy.pii_types_allowed.clone(),
                threshold: pii_threshold,
                action: PiiAction::Block,
                restore: false,
            });
        }
        for plugin in decision.into_iter().flat_map(|d| &d.plugins) {
            match plugin.read("") {
                Ok(Plugin::Pii(plugin)) if plugin.enabled => pii.push(PiiRule {
                    allowed: plugin.pii_types_allowed,
                    threshold: plugin.threshold.unwrap_or(pii_threshold),
                    action: plugin.action,
                    restore: plugin.restore,
                }),
                Ok(Plugin::Jailbreak(plugin)) => {
                    jailbreak = plugin
                        .enabled
                        .then(|| plugin.threshold.unwrap_or(threshold));
                }
                _ => {}
            }
        }
        Self { jailbreak, pii }
    }

    /// Whether attacks must be looked for.
    #[must_use]
    pub fn wants_jailbreak(&self) -> bool {
        self.jailbreak.is_some()
    }

    /// Whether personal data must be looked for.
    #[must_use]
    pub fn wants_pii(&self) -> bool {
        !self.pii.is_empty()
    }

    /// Whether names must be looked for: some of them may not pass.
    #[must_use]
    pub fn wants_names(&self) -> bool {
        let may = |rule: &PiiRule, kind: &str| rule.allowed.iter().any(|a| a == kind);
        let mut rules = self.pii.iter();
        rules.any(|rule| NAME_KINDS.iter().any(|kind| !may(rule, kind)))
    }

    /// Whether a request with these findings is an attack.
    #[must_use]
    pub fn is_attack(&self, findings: &Findings) -> bool {
        matches!((self.jailbreak, findings.jailbreak), (Some(threshold), Some(found)) if found >= threshold)
    }

    /// Why a request with these findings may not pass, if it may not.
    #[must_use]
    pub fn judge(&self, findings: &Findings) -> Option<Block> {
        if self.is_attack(findings) {
            return Some(Block::Jailbreak);
        }
        let rules = self.pii.iter().filter(|r| r.action == PiiAction::Block);
        let kinds =
            kinds(rules.flat_map(|rule| findings.pii.iter().filter(move |f| rule.refuses(f))));
        (!kinds.is_empty()).then_some(Block::Pii(kinds))
    }
}

impl Policy {
    /// What must be masked, if such findings may only pass so; and whether the answer gets the originals back.
    #[must_use]
    pub fn masked<'f>(&self, findings: &'f Findings) -> (Vec<&'f PiiFinding>, bool) {
        let rules = || self.pii.iter().filter(|r| r.action == PiiAction::Mask);
        let refused = |found: &&PiiFinding| rules().any(|rule| rule.refuses(found));
        let found = findings.pii.iter().filter(refused).collect();
        (found, rules().any(|rule| rule.restore))
    }

    /// Whether a request with these findings must go to the model that may see them.
    #[must_use]
    pub fn moves(&self, findings: &Findings) -> bool {
        let mut rules = self.pii.iter().filter(|r| r.action == PiiAction::RouteTo);
        rules.any(|rule| findings.pii.iter().any(|found| rule.refuses(found)))
    }

    /// Lets pass only what `other` lets pass as well. A model that may see what others may not is no way out here: what would go
    /// there is blocked.
    pub fn tighten(&mut self, other: &Self) {
        self.jailbreak = lower(self.jailbreak, other.jailbreak);
        let rules = other.pii.iter().cloned().map(|rule| PiiRule {
            action: match rule.action {
                PiiAction::RouteTo => PiiAction::Block,
                action => action,
            },
            ..rule
        });
        for rule in rules {
            if !self.pii.contains(&rule) {
                self.pii.push(rule);
            }
        }
    }

    /// The policy of the model that may see what others may not.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.pii.retain(|rule| rule.action != PiiAction::RouteTo);
        self
    }
}

/// The stricter of two thresholds.
pub(crate) fn lower(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Block {
    /// Value of the metric label and of the `code` field.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jailbreak => "jailbreak_detected",
            Self::Pii(_) => "pii_detected",
        }
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Jailbreak => {
                "This request was blocked: it looks like an attempt to override the instructions of the model.".into()
            }
            Self::Pii(kinds) => format!(
                "This request was blocked: it contains personal data or secrets ({}) that may not be sent to this model.",
                kinds.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests;
