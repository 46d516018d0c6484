//! The signals that decisions read, each once, and how they come to be known.

use crate::config::Config;
use crate::sidecar::{COMPLEXITY_HEAD, EMBEDDING_HEAD, HeadScores, LLM_HEAD};
use crate::signal::{Predicate, ValueSource};

use super::config::SignalKind;

/// What is known of a signal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Signal {
    /// Nobody was asked.
    #[default]
    Unknown,
    /// It does not hold.
    No,
    /// It holds, and how sure that is, 0 to 1.
    Yes(f32),
}

impl Signal {
    /// [`Self::Yes`] with full confidence, or [`Self::No`].
    #[must_use]
    pub fn of(holds: bool) -> Self {
        if holds { Self::Yes(1.0) } else { Self::No }
    }

    /// [`Self::Yes`] from `threshold` on.
    #[must_use]
    pub fn from(threshold: f32, found: f32) -> Self {
        if found >= threshold {
            Self::Yes(found)
        } else {
            Self::No
        }
    }
}

/// Steps by which signals become known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    /// The request itself: length, shape, headers, metadata, who calls.
    pub const REQUEST: Self = Self(1);
    /// Words and forms of the last user message.
    pub const TEXT: Self = Self(2);
    /// Its language.
    pub const LANGUAGE: Self = Self(4);
    /// The small model and the detectors read the texts.
    pub const READING: Self = Self(8);
    /// The sidecar.
    pub const SIDECAR: Self = Self(16);

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without others.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is any of `other`.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The cheapest of them.
    #[must_use]
    pub fn cheapest(self) -> Option<Self> {
        let lowest = self.0 & self.0.wrapping_neg();
        (lowest != 0).then_some(Self(lowest))
    }
}

/// A label of a head in the proxy, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelRef {
    /// The head.
    pub head: usize,
    /// The label.
    pub label: usize,
    /// Whether the head reads every part of a request rather than the one that tells its topic.
    pub every_part: bool,
}

/// A signal that decisions read.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalRef {
    /// Its kind.
    pub kind: SignalKind,
    /// Its name, as conditions have it.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
}

/// Where a signal comes from. Numbers are places in the lists of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `context_rules`
    Context(usize),
    /// `conversation_rules`
    Conversation(usize),
    /// `metadata_rules`
    Metadata(usize),
    /// `header_rules`
    Header(usize),
    /// `role_bindings`, all with this name or role.
    Authz(Vec<usize>),
    /// `keyword_rules`
    Keyword(usize),
    /// `structure_rules`
    Structure(usize),
    /// `language_rules`
    Language(usize),
    /// `jailbreak_rules`
    Jailbreak(usize),
    /// `pii_rules`
    Pii(usize),
    /// A head in the proxy.
    Label(LabelRef),
    /// A category.
    Category(String),
    /// The sidecar.
    Asked(AskedLabel),
    /// Other signals: a band of `projections.mappings`.
    Projection,
}

impl Source {
    fn stages(&self) -> Stages {
        match self {
            Self::Context(_)
            | Self::Conversation(_)
            | Self::Metadata(_)
            | Self::Header(_)
            | Self::Authz(_) => Stages::REQUEST,
            Self::Keyword(_) | Self::Structure(_) => Stages::TEXT,
            Self::Language(_) => Stages::LANGUAGE,
            Self::Jailbreak(_) | Self::Pii(_) | Self::Label(_) => Stages::READING,
            Self::Category(_) => Stages::READING.with(Stages::SIDECAR),
            Self::Asked(_) => Stages::SIDECAR,
            Self::Projection => Stages::default(),
        }
    }
}

/// A number that the sidecar tells, and what it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedLabel {
    head: String,
    label: String,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    /// At least so much.
    From(f32),
    /// The highest of its head.
    Highest,
    /// More than the first, at most the second.
    Between(f32, f32),
}

impl AskedLabel {
    /// The head.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// What the sidecar's answer says. A head that it does not have, or had no time for, says nothing.
    #[must_use]
    pub fn signal(&self, scores: &HeadScores) -> Signal {
        let Some(labels) = scores.get(&self.head) else {
            return Signal::No;
        };
        let Some(found) = labels.get(&self.label).copied() else {
            return Signal::No;
        };
        let holds = match self.test {
            Test::From(threshold) => found >= threshold,
            Test::Highest => labels.values().all(|other| *other <= found),
            Test::Between(above, most) => above < found && found <= most,
        };
        match (holds, self.test) {
            (false, _) => Signal::No,
            // A margin is no confidence.
            (true, Test::Between(..)) => Signal::Yes(1.0),
            (true, _) => Signal::Yes(found.clamp(0.0, 1.0)),
        }
    }
}

/// A score and its bands.
#[derive(Debug, Clone, PartialEq)]
struct Mapping {
    /// Place of a signal, its weight, and what of it is weighed.
    inputs: Vec<(usize, f64, ValueSource)>,
    /// Bounds, and the place of the signal, if some condition reads it.
    bands: Vec<(Predicate, Option<usize>)>,
}

/// The signals, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Dictionary {
    signals: Vec<SignalRef>,
    stages: Vec<Stages>,
    mappings: Vec<Mapping>,
    /// Heads of the sidecar with their thresholds.
    sidecar_heads: Vec<(String, f32)>,
}

impl Dictionary {
    pub(super) fn new(config: &Config) -> Self {
        let heads = config.sidecar.asked_heads();
        Self {
            sidecar_heads: heads.map(|(name, from)| (name.to_owned(), from)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn signals(&self) -> &[SignalRef] {
        &self.signals
    }

    pub(super) fn stages(&self, signal: usize) -> Stages {
        self.stages.get(signal).copied().unwrap_or_default()
    }

    /// The place of a signal, which gets one if it has none; `None` for what validation refuses.
    pub(super) fn place(
        &mut self,
        config: &Config,
        kind: SignalKind,
        name: &str,
        label: &dyn Fn(&str) -> Option<LabelRef>,
    ) -> Option<usize> {
        let mut known = self.signals.iter();
        if let Some(at) = known.position(|s| s.kind == kind && s.name == name) {
            return Some(at);
        }
        let source = self.source(config, kind, name, label)?;
        self.stages.push(source.stages());
        self.signals.push(SignalRef {
            kind,
            name: name.to_owned(),
            source,
        });
        self.signals.len().checked_sub(1)
    }

    fn source(
        &self,
        config: &Config,
        kind: SignalKind,
        name: &str,
        label: &dyn Fn(&str) -> Option<LabelRef>,
    ) -> Option<Source> {
        macro_rules! rule {
            ($list:ident, $source:path) => {
                config
                    .$list
                    .iter()
                    .position(|r| r.name == name)
                    .map($source)
            };
        }
        match kind {
            SignalKind::Keyword => rule!(keyword_rules, Source::Keyword),
            SignalKind::Structure => rule!(structure_rules, Source::Structure),
            SignalKind::Language => rule!(language_rules, Source::Language),
            SignalKind::Context => rule!(context_rules, Source::Context),
            SignalKind::Conversation => rule!(conversation_rules, Source::Conversation),
            SignalKind::Metadata => rule!(metadata_rules, Source::Metadata),
            SignalKind::Header => rule!(header_rules, Source::Header),
            SignalKind::Jailbreak => rule!(jailbreak_rules, Source::Jailbreak),
            SignalKind::Pii => rule!(pii_rules, Source::Pii),
            SignalKind::Authz => {
                let bindings = config.role_bindings.iter().enumerate();
                let named = bindings.filter(|(_, b)| b.name == name || b.role == name);
                Some(Source::Authz(named.map(|(at, _)| at).collect()))
            }
            SignalKind::Domain => Some(Source::Category(name.to_owned())),
            SignalKind::Head => {
                if let Some(label) = label(name) {
                    return Some(Source::Label(label));
                }
                let (head, label) = name.split_once(':')?;
                let mut heads = self.sidecar_heads.iter();
                let (_, threshold) = heads.find(|(known, _)| known == head)?;
                Some(asked(head, label, Test::From(*threshold)))
            }
            SignalKind::Llm => Some(asked(LLM_HEAD, name, Test::Highest)),
            SignalKind::Embedding => {
                let rule = config.embedding_rules.iter().find(|r| r.name == name)?;
                Some(asked(EMBEDDING_HEAD, name, Test::From(rule.threshold)))
            }
            SignalKind::Complexity => {
                let (rule, level) = name.rsplit_once(':')?;
                let rule = config.complexity_rules.iter().find(|r| r.name == rule)?;
                let margin = rule.threshold;
                let test = match level {
                    "hard" => Test::Between(margin, f32::INFINITY),
                    "medium" => Test::Between(-margin, margin),
                    "easy" => Test::Between(f32::NEG_INFINITY, -margin),
                    _ => return None,
                };
                Some(asked(COMPLEXITY_HEAD, &rule.name, test))
            }
            SignalKind::Projection => Some(Source::Projection),
        }
    }

    /// Adds the scores of the bands that conditions read, and the signals that those are made of.
    pub(super) fn add_projections(
        &mut self,
        config: &Config,
        label: &dyn Fn(&str) -> Option<LabelRef>,
    ) {
        for mapping in &config.projections.mappings {
            let place = |name: &str| {
                let mut signals = self.signals.iter();
                signals.position(|s| s.kind == SignalKind::Projection && s.name == name)
            };
            let bands = mapping.outputs.iter();
            let bands: Vec<_> = bands.map(|b| (b.bounds(), place(&b.name))).collect();
            let mut scores = config.projections.scores.iter();
            let score = scores.find(|score| score.name == mapping.source);
            let (Some(score), true) = (score, bands.iter().any(|(_, at)| at.is_some())) else {
                continue;
            };
            let mut inputs = Vec::new();
            let mut stages = Stages::default();
            for input in &score.inputs {
                if let Some(at) = self.place(config, input.signal, &input.name, label) {
                    stages = stages.with(self.stages(at));
                    inputs.push((at, input.weight, input.value_source));
                }
            }
            for at in bands.iter().filter_map(|(_, at)| *at) {
                if let Some(slot) = self.stages.get_mut(at) {
                    *slot = stages;
                }
            }
            self.mappings.push(Mapping { inputs, bands });
        }
    }

    /// Fills in the bands of scores whose inputs are known.
    pub(super) fn derive(&self, signals: &mut [Signal]) {
        for mapping in &self.mappings {
            let mut score = Some(0.0_f64);
            for (at, weight, value) in &mapping.inputs {
                let part = match (signals.get(*at), value) {
                    (Some(Signal::Yes(_)), ValueSource::Binary) => Some(1.0),
                    (Some(Signal::Yes(confidence)), ValueSource::Confidence) => {
                        Some(f64::from(*confidence))
                    }
                    (Some(Signal::No), _) => Some(0.0),
                    (Some(Signal::Unknown) | None, _) => None,
                };
                score = score.zip(part).map(|(sum, part)| sum + weight * part);
            }
            let Some(score) = score else {
                continue;
            };
            let mut taken = false;
            for (bounds, at) in &mapping.bands {
                let holds = !taken && bounds.holds(score);
                taken |= holds;
                if let Some(slot) = at.and_then(|at| signals.get_mut(at)) {
                    *slot = Signal::of(holds);
                }
            }
        }
    }
}

fn asked(head: &str, label: &str, test: Test) -> Source {
    Source::Asked(AskedLabel {
        head: head.to_owned(),
        label: label.to_owned(),
        test,
    })
}
