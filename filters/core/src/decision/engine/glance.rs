//! Most decisions do not hold, and most of those for one condition: a few operations on bits find them.

use super::Node;
use crate::decision::signals::Signal;

/// Signals that hold, and signals that do not, a bit each; what is not known has neither.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    yes: u64,
    no: u64,
}

impl Known {
    /// Of the first 64 signals.
    pub(super) fn of(signals: &[Signal]) -> Self {
        let mut known = Self { yes: 0, no: 0 };
        let mut bit = 1;
        for signal in signals.iter().take(64) {
            match signal {
                Signal::Yes(_) => known.yes |= bit,
                Signal::No => known.no |= bit,
                Signal::Unknown => {}
            }
            bit <<= 1;
        }
        known
    }
}

/// Signals without which a rule cannot hold; 0 where there are none among the first 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// Each of them must hold.
    all: u64,
    /// None of them may hold.
    none: u64,
    /// One of them must hold.
    any: u64,
}

impl Glance {
    /// Of the rule that `nodes` are, its own node first.
    pub(super) fn of(nodes: &[Node], first: usize) -> Self {
        let mut glance = Self::default();
        match nodes.get(first) {
            Some(Node::All { end }) => {
                let mut at = first.saturating_add(1);
                while at < *end {
                    glance.demand(nodes, at);
                    at = next(nodes, at);
                }
            }
            _ => glance.demand(nodes, first),
        }
        glance
    }

    /// The node at `at` must hold.
    fn demand(&mut self, nodes: &[Node], at: usize) {
        let inner = at.saturating_add(1);
        match nodes.get(at) {
            Some(Node::Signal(signal)) => self.all |= bit(*signal),
            Some(Node::Not { .. }) => {
                if let Some(Node::Signal(signal)) = nodes.get(inner) {
                    self.none |= bit(*signal);
                }
            }
            Some(Node::Any { end }) if self.any == 0 => {
                let each = nodes.get(inner..*end).unwrap_or_default().iter();
                let mut bits = each.map(|node| match node {
                    Node::Signal(signal) if *signal < 64 => Some(bit(*signal)),
                    _ => None,
                });
                let bits: Option<u64> = bits.try_fold(0, |all, bit| Some(all | bit?));
                self.any = bits.unwrap_or_default();
            }
            _ => {}
        }
    }

    /// Whether the rule cannot hold, whatever becomes of the signals that are not known.
    pub(super) fn rules_out(self, known: Known) -> bool {
        self.all & known.no != 0
            || self.none & known.yes != 0
            || (self.any != 0 && self.any & !known.no == 0)
    }
}

fn bit(signal: usize) -> u64 {
    let at = u32::try_from(signal).unwrap_or(u32::MAX);
    1_u64.checked_shl(at).unwrap_or_default()
}

/// Where the node behind the one at `at` begins.
fn next(nodes: &[Node], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::All { end } | Node::Any { end } | Node::Not { end }) => *end,
        _ => at.saturating_add(1),
    }
}
