//! What a row of the demo must be. Each check reads facts; none of them knows how they came about.

use super::facts::Facts;

/// A row's demands; empty ones are not checked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) model: &'static str,
    pub(crate) decision: &'static str,
    pub(crate) category: &'static str,
    pub(crate) cache_hit: bool,
    /// Whether an LLM server was asked.
    pub(crate) upstream: bool,
    /// `error.code`.
    pub(crate) error: &'static str,
    pub(crate) fallback: &'static str,
}

impl Expected {
    /// Everything that is not as it must be.
    pub(crate) fn mistakes(&self, facts: &Facts) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |what: &str, is: String, wanted: &str| {
            if !wanted.is_empty() && is != wanted {
                mistakes.push(format!("{what} is {is}, must be {wanted}"));
            }
        };
        let status = facts.reply.status.as_u16().to_string();
        check("status", status, &self.status.to_string());
        check("error code", facts.reply.error_code(), self.error);
        check("model", facts.header("model-selected"), self.model);
        check("decision", facts.header("decision"), self.decision);
        check("category", facts.header("category"), self.category);
        check("fallback", facts.header("fallback"), self.fallback);
        let (log, header) = (facts.entry.text("model"), facts.header("model-selected"));
        if !self.model.is_empty() && log != header {
            mistakes.push(format!(
                "the access log says model {log}, the header {header}"
            ));
        }
        let hit = facts.header("cache-hit") == "true";
        if hit != self.cache_hit {
            mistakes.push(format!("cache hit is {hit}, must be {}", self.cache_hit));
        }
        let upstream = facts.entry.text("upstream_host") != "-";
        if upstream != self.upstream {
            let was = if upstream { "was" } else { "was not" };
            mistakes.push(format!("an LLM server {was} asked"));
        }
        if self.upstream && !facts.tokens().is_some_and(|(p, c)| p > 0 && c > 0) {
            mistakes.push("no tokens were counted".into());
        }
        mistakes
    }
}
