//! What is done to one answer.

use std::rc::Rc;

use crate::decision::ResponseAction;
use crate::guard::{Findings, NAME_KINDS, lower};
use crate::routing::Wanted;

/// What is done to one answer; nothing by default, and then its body is not even looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputPlan {
    /// What the answer must not hold.
    pub guard: Option<Rc<OutputGuard>>,
    /// Placeholders that stand in the request, and what they stand for: put back where they come in the answer.
    pub restore: Vec<(String, String)>,
}

impl OutputPlan {
    /// Whether the answer passes untouched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guard.is_none() && self.restore.is_empty()
    }
}

/// What an answer must not hold, and what happens if it does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputGuard {
    /// Probability from which a text is an attack, as one that a tool or document slipped the model; `None` = not looked for.
    pub jailbreak: Option<f32>,
    /// Probability from which a text is toxic; `None` = not looked for.
    pub toxicity: Option<f32>,
    /// Which personal data may stand in an answer; `None` = not looked for.
    pub pii: Option<OutputPii>,
    /// What happens to an answer in which something was found; it is counted in any case.
    ///
    /// `Block`: the client gets 403 instead; a stream is cut with an error event before the text that was found. `Header`:
    /// `x-vsr-response-warnings` says so; in a stream only the access log, since its headers have gone.
    pub action: ResponseAction,
}

impl OutputGuard {
    /// Finds what either finds in an answer, and does what the stricter does.
    #[must_use]
    pub fn tightened(&self, other: &Self) -> Self {
        Self {
            jailbreak: lower(self.jailbreak, other.jailbreak),
            toxicity: lower(self.toxicity, other.toxicity),
            pii: match (&self.pii, &other.pii) {
                (Some(a), Some(b)) => Some(OutputPii {
                    allowed: a
                        .allowed
                        .iter()
                        .filter(|kind| b.allowed.contains(kind))
                        .cloned()
                        .collect(),
                    threshold: a.threshold.min(b.threshold),
                }),
                (a, b) => a.clone().or_else(|| b.clone()),
            },
            // The first is the strictest.
            action: self.action.min(other.action),
        }
    }
}

/// Which personal data may stand in an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputPii {
    /// Kinds that may.
    pub allowed: Vec<String>,
    /// Score from which a finding counts.
    pub threshold: f32,
}

/// Something in an answer that may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// An attack.
    Jailbreak,
    /// Toxic words.
    Toxicity,
    /// Personal data.
    Pii,
}

impl Breach {
    /// Value of `x-vsr-response-warnings`, and of the metric label.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Jailbreak => "response_jailbreak",
            Self::Toxicity => "response_toxicity",
            Self::Pii => "response_pii",
        }
    }

    /// For people.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Jailbreak => "jailbreak content was detected in the answer of the model",
            Self::Toxicity => "toxic content was detected in the answer of the model",
            Self::Pii => "personal data that may not pass was detected in the answer of the model",
        }
    }
}

impl OutputGuard {
    /// What must be looked for.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let may = |kind: &&str| self.pii.iter().any(|p| p.allowed.iter().any(|a| a == kind));
        Wanted {
            jailbreak: self.jailbreak.is_some(),
            toxicity: self.toxicity.is_some(),
            pii: self.pii.is_some(),
            names: self.pii.is_some() && !NAME_KINDS.iter().all(may),
            ..Wanted::default()
        }
    }

    /// The first thing that these findings say may not pass.
    #[must_use]
    pub fn judge(&self, findings: &Findings) -> Option<Breach> {
        let reached = |threshold: Option<f32>, found: Option<f32>| matches!((threshold, found), (Some(t), Some(f)) if f >= t);
        let refused = |pii: &OutputPii| {
            findings.pii.iter().any(|found| {
                found.score >= pii.threshold && !pii.allowed.iter().any(|a| a == found.kind)
            })
        };
        if reached(self.jailbreak, findings.jailbreak) {
            Some(Breach::Jailbreak)
        } else if reached(self.toxicity, findings.toxicity) {
            Some(Breach::Toxicity)
        } else if self.pii.as_ref().is_some_and(refused) {
            Some(Breach::Pii)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> OutputGuard {
        OutputGuard {
            jailbreak: Some(0.7),
            toxicity: Some(0.6),
            pii: Some(OutputPii {
                allowed: vec!["EMAIL_ADDRESS".into()],
                threshold: 0.5,
            }),
            action: ResponseAction::Block,
        }
    }

    #[test]
    fn each_threshold_counts_from_its_value_on() {
        let found = |jailbreak, toxicity, pii: &[(&'static str, f32)]| Findings {
            jailbreak: Some(jailbreak),
            toxicity: Some(toxicity),
            pii: pii
                .iter()
                .map(|(kind, score)| crate::guard::PiiFinding {
                    kind,
                    score: *score,
                    part: 0,
                    start: 0,
                    end: 1,
                })
                .collect(),
        };
        let guard = guard();
        let allowed = [("EMAIL_ADDRESS", 1.0), ("US_SSN", 0.4)];
        assert_eq!(guard.judge(&found(0.69, 0.59, &allowed)), None);
        assert_eq!(guard.judge(&found(0.7, 0.9, &[])), Some(Breach::Jailbreak));
        assert_eq!(guard.judge(&found(0.0, 0.6, &[])), Some(Breach::Toxicity));
        assert_eq!(
            guard.judge(&found(0.0, 0.0, &[("US_SSN", 0.5)])),
            Some(Breach::Pii)
        );
        let open = OutputGuard::default();
        assert_eq!(open.judge(&found(1.0, 1.0, &[("US_SSN", 1.0)])), None);
    }

    #[test]
    fn only_what_is_configured_is_looked_for() {
        assert_eq!(OutputGuard::default().wanted(), Wanted::default());
        let all = guard().wanted();
        assert!(all.jailbreak && all.toxicity && all.pii && all.names && !all.topics);
        let named = OutputPii {
            allowed: NAME_KINDS.map(String::from).to_vec(),
            threshold: 0.5,
        };
        let guard = OutputGuard {
            pii: Some(named),
            ..OutputGuard::default()
        };
        assert!(guard.wanted().pii && !guard.wanted().names);
    }
}
