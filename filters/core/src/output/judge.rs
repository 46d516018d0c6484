//! Whether a text of an answer may pass, as the model in the proxy says.

use super::plan::{Breach, OutputGuard};
use crate::config::OnBudget;
use crate::decision::ResponseAction;
use crate::host::Host;
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::routing::{Part, Signals};
use crate::state;

/// What a guard cannot read, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is compressed.
    Encoding,
    /// It is neither JSON nor a stream of events.
    Form,
    /// It is larger than what may be held.
    Size,
    /// It is not the JSON that it says it is.
    Syntax,
    /// Reading took longer than it may.
    Budget,
    /// The proxy does not show it.
    Host,
}

impl Unread {
    /// Value of the metric label.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Encoding => "response_encoding",
            Self::Form => "response_form",
            Self::Size => "response_size",
            Self::Syntax => "response_syntax",
            Self::Budget => "response_budget",
            Self::Host => "response_host",
        }
    }

    /// For people.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Encoding => "it is compressed",
            Self::Form => "it is neither JSON nor a stream of events",
            Self::Size => "it is too large",
            Self::Syntax => "it is no valid JSON",
            Self::Budget => "reading it takes too long",
            Self::Host => "the proxy does not show it",
        }
    }
}

/// Judges texts. Says no only where the answer is to be stopped.
pub(super) trait Judge {
    /// Whether a text may pass, as far as it goes.
    fn may_pass(&mut self, text: &str) -> bool;

    /// Whether what cannot be read may pass.
    fn may_pass_unread(&mut self, why: Unread) -> bool;
}

/// What is the same for all streams.
#[derive(Debug)]
pub(crate) struct OutputRules<'r, S> {
    pub(crate) signals: &'r S,
    /// Time that reading an answer may take in all.
    pub(crate) budget_us: u64,
    pub(crate) on_budget: OnBudget,
    /// Bytes of an answer that are held at most.
    pub(crate) held_bytes: usize,
    /// Whether time is measured.
    pub(crate) measures: bool,
}

/// What was seen of the answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) breach: Option<Breach>,
    pub(super) unread: Option<Unread>,
    pub(super) took_us: u64,
}

/// Judges by the model in the proxy.
#[derive(Debug)]
pub(super) struct Judging<'j, S, H> {
    pub(super) rules: &'j OutputRules<'j, S>,
    pub(super) host: &'j mut H,
    pub(super) guard: Option<&'j OutputGuard>,
    pub(super) seen: &'j mut Seen,
}

impl<S: Signals, H: Host> Judge for Judging<'_, S, H> {
    fn may_pass(&mut self, text: &str) -> bool {
        let Some(guard) = self.guard.filter(|_| self.seen.breach.is_none()) else {
            return !self.blocks();
        };
        if self.seen.took_us >= self.rules.budget_us {
            return self.may_pass_unread(Unread::Budget);
        }
        let started = self.host.now_us();
        let signals = self.rules.signals;
        let text = text.to_owned();
        let part = Part {
            text,
            topic: false,
            turn: true,
        };
        let mut reading = signals.begin(guard.wanted(), vec![part]);
        signals.read(&mut reading, &mut || true);
        let breach = guard.judge(&signals.found(&reading).guards);
        let took = self.host.now_us().saturating_sub(started);
        self.seen.took_us = self.seen.took_us.saturating_add(took);
        let Some(breach) = breach else {
            return true;
        };
        self.seen.breach = Some(breach);
        self.host
            .count(Metric::ResponseDetections, &[breach.code()], 1);
        self.host
            .set_filter_state(state::RESPONSE_WARNINGS, breach.code().as_bytes());
        !self.blocks()
    }

    fn may_pass_unread(&mut self, why: Unread) -> bool {
        if self.seen.unread.is_none() {
            self.seen.unread = Some(why);
            self.host.count(Metric::Fallbacks, &[why.reason()], 1);
            self.host
                .set_filter_state(state::FALLBACK, why.reason().as_bytes());
        }
        !(self.blocks() && self.rules.on_budget == OnBudget::Block)
    }
}

impl<S, H> Judging<'_, S, H> {
    fn blocks(&self) -> bool {
        self.guard
            .is_some_and(|guard| guard.action == ResponseAction::Block)
    }
}

impl Seen {
    /// Why the answer is stopped.
    pub(super) fn fault(&self) -> Fault {
        match (self.breach, self.unread) {
            (Some(breach), _) => Fault::ResponseBlocked(breach),
            (None, Some(unread)) => Fault::ResponseUnread(unread.what()),
            (None, None) => Fault::Internal("an answer was stopped for no reason"),
        }
    }
}
