//! From a request to the signals that decisions read, in the order of what they cost.

use super::router::Router;
use super::signals::{Found, Signals};
use super::work::{Extent, Work};
use crate::config::Config;
use crate::decision::{Engine, Signal, Source, Stages, Verdict};
use crate::guard::{Findings, PII_THRESHOLD};
use crate::host::{Headers, Host};
use crate::request::{Role, Shape};
use crate::sidecar::HeadScores;
use crate::signal::{
    ContextRuleConfig, ConversationRole, ConversationRuleConfig, ConversationSourceKind, CountKind,
    HeaderRuleConfig, LanguageRuleConfig, MetadataRuleConfig, RoleBindingConfig, SubjectConfig,
    SubjectKind,
};
use crate::state;

/// Bytes of a text of which a token is made, by estimate; that of the meter.
const BYTES_PER_TOKEN: usize = 4;

/// The rules whose signals need nothing but the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    contexts: Vec<ContextRuleConfig>,
    conversations: Vec<ConversationRuleConfig>,
    metadata: Vec<MetadataRuleConfig>,
    headers: Vec<HeaderRuleConfig>,
    bindings: Vec<RoleBindingConfig>,
    languages: Vec<LanguageRuleConfig>,
    /// Probability from which each of `jailbreak_rules` holds.
    jailbreaks: Vec<f32>,
    /// Score from which a finding counts for each of `pii_rules`, and kinds that do not count.
    pii: Vec<(f32, Vec<String>)>,
}

impl Rules {
    /// `own_threshold`: of the model that tells attacks.
    pub(super) fn compile(config: &Config, own_threshold: f32) -> Self {
        let attack = config.prompt_guard.threshold.unwrap_or(own_threshold);
        let found = config.classifier.pii_model.threshold;
        let found = found.unwrap_or(PII_THRESHOLD);
        let jailbreaks = config.jailbreak_rules.iter();
        let pii = config.pii_rules.iter();
        Self {
            contexts: config.context_rules.clone(),
            conversations: config.conversation_rules.clone(),
            metadata: config.metadata_rules.clone(),
            headers: config.header_rules.clone(),
            bindings: config.role_bindings.clone(),
            languages: config.language_rules.clone(),
            jailbreaks: jailbreaks.map(|r| r.threshold.unwrap_or(attack)).collect(),
            pii: pii
                .map(|r| (r.threshold.unwrap_or(found), r.pii_types_allowed.clone()))
                .collect(),
        }
    }

    /// Kinds of personal data that some rule of these signals looks for.
    pub(super) fn pii_rules<'r>(
        &'r self,
        engine: &'r Engine,
    ) -> impl Iterator<Item = &'r [String]> + 'r {
        engine.signals().iter().filter_map(|s| match s.source {
            Source::Pii(at) => Some(self.pii.get(at)?.1.as_slice()),
            _ => None,
        })
    }

    fn context(&self, at: usize, tokens: usize) -> Option<bool> {
        let rule = self.contexts.get(at)?;
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX);
        Some(rule.min_tokens.0 <= tokens && rule.max_tokens.is_none_or(|most| tokens <= most.0))
    }

    fn conversation(&self, at: usize, shape: &Shape) -> Option<bool> {
        let rule = self.conversations.get(at)?;
        let source = &rule.feature.source;
        let count = match source.kind {
            ConversationSourceKind::Message => match source.role {
                None => shape.messages(),
                Some(role) => shape.messages_by(match role {
                    ConversationRole::System => Role::System,
                    ConversationRole::User => Role::User,
                    ConversationRole::Assistant => Role::Assistant,
                    ConversationRole::Tool => Role::Tool,
                }),
            },
            ConversationSourceKind::ToolDefinition => shape.tools,
            ConversationSourceKind::ActiveToolLoop => usize::from(shape.in_tool_loop),
            ConversationSourceKind::ImageContent => shape.images,
        };
        if rule.feature.kind == CountKind::Exists && rule.predicate.is_empty() {
            return Some(count > 0);
        }
        let number = u32::try_from(count).unwrap_or(u32::MAX);
        Some(rule.predicate.holds(f64::from(number)))
    }

    fn header(&self, at: usize, headers: &Headers) -> Option<bool> {
        let rule = self.headers.get(at)?;
        let mut values = headers.iter().filter(|h| h.name == rule.header.as_bytes());
        Some(values.any(|h| rule.predicate.holds(h.value)))
    }

    fn holds_role(&self, at: &[usize], user: Option<&str>, tier: Option<&str>) -> bool {
        let mut bindings = at.iter().filter_map(|at| self.bindings.get(*at));
        bindings.any(|binding| is_among(&binding.subjects, user, tier))
    }

    fn jailbreak(&self, at: usize, found: &Findings) -> Option<Signal> {
        let threshold = *self.jailbreaks.get(at)?;
        Some(Signal::from(threshold, found.jailbreak?))
    }

    fn pii(&self, at: usize, found: &Findings) -> Option<Signal> {
        let (threshold, allowed) = self.pii.get(at)?;
        let counts = found
            .pii
            .iter()
            .filter(|f| f.score >= *threshold && !allowed.iter().any(|a| a == f.kind));
        let highest = counts.map(|f| f.score).reduce(f32::max);
        Some(highest.map_or(Signal::No, Signal::Yes))
    }
}

/// User and tier of the caller, where the meter knows them: a fallback name is nobody's.
pub(super) fn identified(host: &mut impl Host) -> (Option<String>, Option<String>) {
    let parts = host.filter_state(state::IDENTIFIED).unwrap_or_default();
    let mut named = |part: &str, key: &str| {
        let is_known = parts.split(|b| *b == b',').any(|p| p == part.as_bytes());
        String::from_utf8(host.filter_state(key).filter(|_| is_known)?).ok()
    };
    (named("user", state::USER), named("tier", state::TIER))
}

/// Whether one of the subjects is the caller.
pub(super) fn is_among(subjects: &[SubjectConfig], user: Option<&str>, tier: Option<&str>) -> bool {
    subjects.iter().any(|subject| {
        let who = match subject.kind {
            SubjectKind::User => user,
            SubjectKind::Tier => tier,
        };
        who == Some(subject.name.as_str())
    })
}

impl<S: Signals> Router<S> {
    /// Whether the caller may ask why.
    pub(super) fn trusts(&self, host: &mut impl Host) -> bool {
        if self.trusted.is_empty() {
            return false;
        }
        let (user, tier) = identified(host);
        is_among(&self.trusted, user.as_deref(), tier.as_deref())
    }

    /// Decides with what can be known without reading or asking, the cheapest first.
    pub(super) fn settle(&self, host: &mut impl Host, work: &mut Work) -> Verdict {
        loop {
            self.engine.derive(&mut work.signals);
            let verdict = self.engine.decide(&work.signals);
            let Verdict::Open(stages) = verdict else {
                return verdict;
            };
            let Some(stage) = stages.without(work.done).cheapest() else {
                return verdict;
            };
            match stage {
                Stages::REQUEST => self.see_request(host, work),
                Stages::TEXT => self.see_text(work),
                Stages::LANGUAGE => self.see_language(work),
                _ => return verdict,
            }
            work.done = work.done.with(stage);
        }
    }

    /// Sets the signals of some sources; those of which nothing is said stay as they are.
    fn see(&self, work: &mut Work, mut told: impl FnMut(&Source, &Work) -> Option<Signal>) {
        for (at, signal) in self.engine.signals().iter().enumerate() {
            if let Some(known) = told(&signal.source, work)
                && let Some(slot) = work.signals.get_mut(at)
            {
                *slot = known;
            }
        }
    }

    fn see_request(&self, host: &mut impl Host, work: &mut Work) {
        let sources = || self.engine.signals().iter().map(|s| &s.source);
        let reads_headers = sources().any(|s| matches!(s, Source::Header(_)));
        let reads_roles = sources().any(|s| matches!(s, Source::Authz(_)));
        let headers = if reads_headers {
            host.request_headers()
        } else {
            Headers::default()
        };
        let (user, tier) = if reads_roles {
            identified(host)
        } else {
            (None, None)
        };
        let reads_length = sources().any(|s| matches!(s, Source::Context(_)));
        // Unescaped: how a client spells its JSON must not decide.
        let bytes = if reads_length {
            let messages = work.request.messages.iter().chain(&work.request.guarded);
            messages.map(|message| message.text(&work.body).len()).sum()
        } else {
            0_usize
        };
        let tokens = bytes.div_ceil(BYTES_PER_TOKEN);
        let rules = &self.rules;
        self.see(work, |source, work| {
            let holds = match source {
                Source::Context(at) => rules.context(*at, tokens),
                Source::Conversation(at) => rules.conversation(*at, &work.request.shape),
                Source::Header(at) => rules.header(*at, &headers),
                Source::Authz(at) => Some(rules.holds_role(at, user.as_deref(), tier.as_deref())),
                Source::Metadata(at) => rules.metadata.get(*at).map(|rule| {
                    let value = work.request.metadata(&rule.key, &work.body);
                    value.is_some_and(|value| rule.predicate.holds(value.as_bytes()))
                }),
                _ => return None,
            };
            holds.map(Signal::of)
        });
    }

    /// Signals that the body does not tell, a byte each: known from here on, whatever decided.
    pub(super) fn beside_the_body(&self, host: &mut impl Host, work: &mut Work) -> Vec<u8> {
        let is_beside = |source: &Source| matches!(source, Source::Header(_) | Source::Authz(_));
        let signals = self.engine.signals();
        if !signals.iter().any(|s| is_beside(&s.source)) {
            return Vec::new();
        }
        if !work.done.has(Stages::REQUEST) {
            self.see_request(host, work);
            work.done = work.done.with(Stages::REQUEST);
        }
        let known = signals.iter().zip(&work.signals);
        let beside = known.filter(|(about, _)| is_beside(&about.source));
        beside
            .map(|(_, signal)| u8::from(matches!(signal, Signal::Yes(_))))
            .collect()
    }

    fn see_text(&self, work: &mut Work) {
        let text = work.request.routing_text(&work.body);
        let rules = self.signals.rules(&text);
        self.see(work, |source, _| match source {
            Source::Keyword(at) => rules.keywords.get(*at).copied(),
            Source::Structure(at) => rules.structures.get(*at).copied(),
            _ => None,
        });
    }

    fn see_language(&self, work: &mut Work) {
        let text = work.request.routing_text(&work.body);
        let found = self.signals.language(&text);
        self.see(work, |source, _| {
            let Source::Language(at) = source else {
                return None;
            };
            let rule = self.rules.languages.get(*at)?;
            Some(match found {
                Some((language, confidence)) if language == rule.name => {
                    Signal::from(rule.threshold, confidence)
                }
                _ => Signal::No,
            })
        });
    }

    /// What was found in the texts. Of a text that was not read to its end, only what was found is certain.
    pub(super) fn see_found(&self, work: &mut Work, found: &Found) {
        let partly = work.read == Extent::Part;
        let read = !found.labels.is_empty();
        self.see(work, |source, work| {
            let signal = match source {
                Source::Label(wanted) if read => {
                    let label = found.labels.get(wanted.head).copied().flatten();
                    match label {
                        Some((label, sure)) if label == wanted.label => Signal::Yes(sure),
                        _ => Signal::No,
                    }
                }
                Source::Jailbreak(at) => self.rules.jailbreak(*at, &work.findings)?,
                Source::Pii(at) => self.rules.pii(*at, &work.findings)?,
                _ => return None,
            };
            (!partly || signal != Signal::No).then_some(signal)
        });
        work.done = work.done.with(Stages::READING);
        if let Some((name, sure)) = self.read_category(found) {
            self.see_category(work, Some((name, sure)));
        } else if !self.sidecar_may_settle {
            self.see_category(work, None);
        }
    }

    /// The category; `None`: nobody is sure of one.
    pub(super) fn see_category(&self, work: &mut Work, category: Option<(&str, f32)>) {
        self.see(work, |source, _| match source {
            Source::Category(name) => Some(match category {
                Some((found, sure)) if found == name => Signal::Yes(sure),
                _ => Signal::No,
            }),
            _ => None,
        });
    }

    /// What heads of the sidecar say.
    pub(super) fn see_asked(&self, work: &mut Work, heads: &HeadScores) {
        self.see(work, |source, _| match source {
            Source::Asked(asked) => Some(asked.signal(heads)),
            _ => None,
        });
    }
}
