//! Which decision takes a request: rules over signals that may not be known yet.
//!
//! 1. Decisions are tried in the order of their priority, the first written among equals.
//! 2. A rule over signals that are known holds or not; over others it may be open (Kleene's three-valued logic).
//! 3. The first decision that holds wins. One that is open before it must be settled first, by the cheapest step that tells more.
//! 4. With the strategy `confidence` the most confident of all that hold wins, so all must be settled, unless nothing can be surer.
//!
//! So a request that rules alone decide costs no reading and no call. Rules are compiled to one flat list: to evaluate them takes no
//! memory. Most are not evaluated: one condition that does not hold is seen at a glance.
//!
//! Confidence, as in vLLM Semantic Router: the mean over `AND`, the best of `OR`, 1 for `NOT`.

mod glance;

use crate::config::Config;

use self::glance::{Glance, Known};
use super::config::{RuleConfig, RuleOperator, Strategy};
use super::signals::{Dictionary, LabelRef, Signal, SignalRef, Source, Stages};

/// Outcome of [`Engine::decide`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The decision with this place in the configuration, and how sure that is, 0 to 1.
    Decided(usize, f32),
    /// No decision takes the request.
    NoneHolds,
    /// It depends on what is not known; one of these steps tells more.
    Open(Stages),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    /// All of the nodes up to `end` hold.
    All { end: usize },
    /// One of the nodes up to `end` holds.
    Any { end: usize },
    /// The next node does not hold.
    Not { end: usize },
    /// A signal, by its place.
    Signal(usize),
    /// What validation refuses; never holds.
    Never,
}

/// Whether a rule holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Truth {
    Yes(f32),
    No,
    Open(Stages),
}

#[derive(Debug, Clone, Copy)]
struct Compiled {
    /// Place in the configuration.
    index: usize,
    /// Its first node.
    first: usize,
    glance: Glance,
}

/// The compiled decisions.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    nodes: Vec<Node>,
    /// By falling priority.
    decisions: Vec<Compiled>,
    dictionary: Dictionary,
    by_confidence: bool,
}

impl Engine {
    /// Compiles the decisions; `label` finds the `head:label` of a condition in the proxy.
    #[must_use]
    pub fn compile(config: &Config, label: &dyn Fn(&str) -> Option<LabelRef>) -> Self {
        let mut engine = Self {
            by_confidence: config.strategy == Strategy::Confidence,
            dictionary: Dictionary::new(config),
            ..Self::default()
        };
        let mut order: Vec<_> = config.decisions.iter().enumerate().collect();
        // What takes every request is for those that no other takes, whatever its priority.
        order.sort_by_key(|(_, decision)| {
            let is_last = decision.rules.takes_everything();
            (is_last, std::cmp::Reverse(decision.priority))
        });
        for (index, decision) in order {
            let first = engine.nodes.len();
            engine.add(config, &decision.rules, label);
            let glance = Glance::of(&engine.nodes, first);
            engine.decisions.push(Compiled {
                index,
                first,
                glance,
            });
        }
        engine.dictionary.add_projections(config, label);
        engine
    }

    fn add(
        &mut self,
        config: &Config,
        rule: &RuleConfig,
        label: &dyn Fn(&str) -> Option<LabelRef>,
    ) {
        let at = self.nodes.len();
        self.nodes.push(Node::Never);
        let node = match (rule.operator, rule.signal, &rule.name) {
            (None, Some(kind), Some(name)) => self
                .dictionary
                .place(config, kind, name, label)
                .map_or(Node::Never, Node::Signal),
            (None, ..) => Node::Never,
            (Some(operator), ..) => {
                for condition in &rule.conditions {
                    self.add(config, condition, label);
                }
                let end = self.nodes.len();
                match operator {
                    RuleOperator::And => Node::All { end },
                    RuleOperator::Or => Node::Any { end },
                    RuleOperator::Not => Node::Not { end },
                }
            }
        };
        if let Some(slot) = self.nodes.get_mut(at) {
            *slot = node;
        }
    }

    /// The signals that decisions read.
    #[must_use]
    pub fn signals(&self) -> &[SignalRef] {
        self.dictionary.signals()
    }

    /// The heads of the sidecar that signals come from, each once.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let heads = self.signals().iter().filter_map(|s| match &s.source {
            Source::Asked(asked) => Some(asked.head().to_owned()),
            _ => None,
        });
        let mut heads: Vec<String> = heads.collect();
        heads.sort_unstable();
        heads.dedup();
        heads
    }

    /// The labels that signals come from.
    #[must_use]
    pub fn labels(&self) -> Vec<LabelRef> {
        let labels = self.signals().iter().filter_map(|s| match s.source {
            Source::Label(label) => Some(label),
            _ => None,
        });
        labels.collect()
    }

    /// Whether some signal is a category.
    #[must_use]
    pub fn reads_category(&self) -> bool {
        let mut sources = self.signals().iter().map(|s| &s.source);
        sources.any(|source| matches!(source, Source::Category(_)))
    }

    /// Fills in signals that are made of others, where those are known. `signals`: one for each of [`Self::signals`].
    pub fn derive(&self, signals: &mut [Signal]) {
        self.dictionary.derive(signals);
    }

    /// Decides with what is known. `signals`: one for each of [`Self::signals`].
    #[must_use]
    pub fn decide(&self, signals: &[Signal]) -> Verdict {
        let mut best: Option<(usize, f32)> = None;
        let mut open: Option<Stages> = None;
        let known = Known::of(signals);
        for decision in &self.decisions {
            if decision.glance.rules_out(known) {
                continue;
            }
            match self.truth(decision.first, signals).0 {
                Truth::Yes(confidence) if !self.by_confidence => {
                    return Verdict::Decided(decision.index, confidence);
                }
                Truth::Yes(confidence) => {
                    if best.is_none_or(|(_, found)| confidence > found) {
                        best = Some((decision.index, confidence));
                    }
                    // What comes later is at most as sure, and of lower priority.
                    if confidence >= 1.0 && open.is_none() {
                        break;
                    }
                }
                Truth::Open(stages) if !self.by_confidence => return Verdict::Open(stages),
                Truth::Open(stages) => open = Some(open.unwrap_or_default().with(stages)),
                Truth::No => {}
            }
        }
        match (open, best) {
            (Some(stages), _) => Verdict::Open(stages),
            (None, Some((index, confidence))) => Verdict::Decided(index, confidence),
            (None, None) => Verdict::NoneHolds,
        }
    }

    /// The places of the signals that the decision at this place of the configuration reads.
    pub fn reads(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let ends = self.decisions.iter().skip(1).map(|next| next.first);
        let mut ranges = self.decisions.iter().zip(ends.chain([self.nodes.len()]));
        let range = ranges.find(|(decision, _)| decision.index == index);
        let nodes = range.and_then(|(decision, end)| self.nodes.get(decision.first..end));
        let nodes = nodes.unwrap_or_default().iter();
        nodes.filter_map(|node| match node {
            Node::Signal(at) => Some(*at),
            _ => None,
        })
    }

    /// Decisions that depend on nothing but what guards find, in the order in which they are tried.
    pub fn of_guards(&self) -> impl Iterator<Item = usize> + '_ {
        let is_of_guard = |at: usize| {
            let source = self.signals().get(at).map(|signal| &signal.source);
            matches!(source, Some(Source::Jailbreak(_) | Source::Pii(_)))
        };
        let all = self.decisions.iter().map(|decision| decision.index);
        all.filter(move |index| {
            let mut read = self.reads(*index).peekable();
            read.peek().is_some() && read.all(is_of_guard)
        })
    }

    /// What each decision comes to, in the order in which they are tried: its place in the configuration, whether it holds and how
    /// sure that is; `None` where it is open.
    pub fn each<'e>(
        &'e self,
        signals: &'e [Signal],
    ) -> impl Iterator<Item = (usize, Option<Option<f32>>)> + 'e {
        self.decisions.iter().map(|decision| {
            let holds = match self.truth(decision.first, signals).0 {
                Truth::Yes(confidence) => Some(Some(confidence)),
                Truth::No => Some(None),
                Truth::Open(_) => None,
            };
            (decision.index, holds)
        })
    }

    /// The truth of the node at `at`, and where the next one begins.
    fn truth(&self, at: usize, signals: &[Signal]) -> (Truth, usize) {
        let next = at.saturating_add(1);
        match self.nodes.get(at) {
            Some(Node::All { end }) => (self.all(next, *end, signals), *end),
            Some(Node::Any { end }) => (self.any(next, *end, signals), *end),
            // Nothing to negate: validation refuses it.
            Some(Node::Not { end }) if *end <= next => (Truth::No, next),
            Some(Node::Not { end }) => {
                let truth = match self.truth(next, signals).0 {
                    Truth::Yes(_) => Truth::No,
                    Truth::No => Truth::Yes(1.0),
                    open @ Truth::Open(_) => open,
                };
                (truth, *end)
            }
            Some(Node::Signal(signal)) => {
                let truth = match signals.get(*signal) {
                    Some(Signal::Yes(confidence)) => Truth::Yes(*confidence),
                    Some(Signal::No) | None => Truth::No,
                    Some(Signal::Unknown) => Truth::Open(self.dictionary.stages(*signal)),
                };
                (truth, next)
            }
            Some(Node::Never) | None => (Truth::No, next),
        }
    }

    fn all(&self, mut at: usize, end: usize, signals: &[Signal]) -> Truth {
        let (mut sum, mut count) = (0.0_f32, 0.0_f32);
        let mut open: Option<Stages> = None;
        while at < end {
            let (truth, next) = self.truth(at, signals);
            match truth {
                Truth::No => return Truth::No,
                Truth::Open(stages) => open = Some(open.unwrap_or_default().with(stages)),
                Truth::Yes(confidence) => sum += confidence,
            }
            count += 1.0;
            at = next;
        }
        match open {
            Some(stages) => Truth::Open(stages),
            // Of nothing: every request, as sure as nothing else.
            None if count == 0.0 => Truth::Yes(0.0),
            None => Truth::Yes(sum / count),
        }
    }

    fn any(&self, mut at: usize, end: usize, signals: &[Signal]) -> Truth {
        let mut best: Option<f32> = None;
        let mut open: Option<Stages> = None;
        while at < end {
            let (truth, next) = self.truth(at, signals);
            match truth {
                Truth::No => {}
                Truth::Open(stages) => open = Some(open.unwrap_or_default().with(stages)),
                Truth::Yes(confidence) => {
                    best = Some(best.map_or(confidence, |found| found.max(confidence)));
                    // Where only the truth counts, one that holds is enough; nothing is surer than 1.
                    if !self.by_confidence || confidence >= 1.0 {
                        return best.map_or(Truth::No, Truth::Yes);
                    }
                }
            }
            at = next;
        }
        match (open, best) {
            (Some(stages), _) => Truth::Open(stages),
            (None, Some(confidence)) => Truth::Yes(confidence),
            (None, None) => Truth::No,
        }
    }
}

#[cfg(test)]
mod tests;
