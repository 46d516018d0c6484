//! A request that is being routed: what was sent, and what is known of it so far.

use super::signals::Part;
use crate::decision::{Signal, Stages};
use crate::guard::Findings;
use crate::request::{Endpoint, Message, Request, Role};

/// A request in work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) endpoint: Endpoint,
    pub(super) request: Request,
    pub(super) body: Vec<u8>,
    /// What is known of the signals that decisions read.
    pub(super) signals: Vec<Signal>,
    /// The steps that were taken to know them.
    pub(super) done: Stages,
    /// Whether the proxy's own model could not tell its topic.
    pub(super) is_uncertain: bool,
    /// What guards found in it.
    pub(super) findings: Findings,
    /// Where the parts that were read stand.
    parts: Vec<Place>,
    /// How much of its texts was read.
    pub(super) read: Extent,
}

/// How much of a request's texts was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Nothing,
    /// The budget ended before the text.
    Part,
    /// All that anybody wants to know.
    All,
}

impl Work {
    pub(super) fn new(endpoint: Endpoint, request: Request, body: Vec<u8>, signals: usize) -> Self {
        Self {
            endpoint,
            request,
            body,
            signals: vec![Signal::Unknown; signals],
            done: Stages::default(),
            is_uncertain: false,
            findings: Findings::default(),
            parts: Vec::new(),
            read: Extent::Nothing,
        }
    }

    /// The texts to read: the one that tells the topic first, then, where guards look, all others, the latest first.
    pub(super) fn parts(&mut self, guarded: bool) -> Vec<Part> {
        let messages = &self.request.messages;
        let topic = messages.iter().rposition(|m| m.role == Role::User);
        let mut places: Vec<Place> = topic.map(Place::Message).into_iter().collect();
        if guarded {
            let others = (0..messages.len()).rev().filter(|at| Some(*at) != topic);
            places.extend(others.map(Place::Message));
            let more = (0..self.request.guarded.len()).rev();
            places.extend(more.map(Place::Guarded));
        }
        let mut parts = Vec::new();
        for place in places {
            let text = place
                .message(&self.request)
                .map_or_else(String::new, |message| message.text(&self.body));
            if !text.is_empty() {
                let topic = topic.is_some_and(|at| place == Place::Message(at));
                let turn = self.is_turn(place);
                parts.push(Part { text, topic, turn });
                self.parts.push(place);
            }
        }
        parts
    }

    /// Whether it is a message of the user or the model between others' messages: what one side says in pieces is no turn.
    fn is_turn(&self, place: Place) -> bool {
        let Place::Message(at) = place else {
            return false;
        };
        let role = |at: usize| self.request.messages.get(at).map(|m| m.role);
        let own = role(at);
        let (before, behind) = (at.checked_sub(1).and_then(role), role(at.saturating_add(1)));
        matches!(own, Some(Role::User | Role::Assistant)) && before != own && behind != own
    }

    /// Whether texts were read, in whole or in part.
    pub(super) fn was_read(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The message that holds a part which was read.
    pub(super) fn message(&self, part: usize) -> Option<&Message> {
        self.parts.get(part)?.message(&self.request)
    }
}

/// Where a text stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Message(usize),
    Guarded(usize),
}

impl Place {
    fn message(self, request: &Request) -> Option<&Message> {
        match self {
            Self::Message(at) => request.messages.get(at),
            Self::Guarded(at) => request.guarded.get(at),
        }
    }
}
