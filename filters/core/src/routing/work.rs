//! A request that is being routed: what was sent, and what is known of it so far.

use super::signals::Part;
use crate::decision::{Category, Known, Labels};
use crate::guard::Findings;
use crate::request::{Endpoint, Request, Role};
use crate::sidecar::HeadScores;

/// A request in work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) endpoint: Endpoint,
    pub(super) request: Request,
    pub(super) body: Vec<u8>,
    /// Which keyword rules match.
    pub(super) keywords: Vec<bool>,
    /// What guards found in it.
    pub(super) findings: Findings,
    /// The label of each head, where it was read.
    pub(super) labels: Vec<Option<usize>>,
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
    pub(super) fn new(endpoint: Endpoint, request: Request, body: Vec<u8>) -> Self {
        Self {
            endpoint,
            request,
            body,
            keywords: Vec::new(),
            findings: Findings::default(),
            labels: Vec::new(),
            read: Extent::Nothing,
        }
    }

    /// What decisions may know of it.
    pub(super) fn known<'w>(
        &'w self,
        category: Category<'w>,
        asked: Option<&'w HeadScores>,
    ) -> Known<'w> {
        Known {
            keywords: &self.keywords,
            labels: match self.read {
                Extent::Nothing => Labels::Unread,
                Extent::Part => Labels::Partly(&self.labels),
                Extent::All => Labels::Read(&self.labels),
            },
            category,
            asked,
        }
    }

    /// The texts to read: the one that tells the topic first, then, where guards look, all others, the latest first.
    pub(super) fn parts(&self, guarded: bool) -> Vec<Part> {
        let messages = &self.request.messages;
        let topic = messages.iter().rposition(|m| m.role == Role::User);
        let part = |at: usize, topic: bool| {
            messages.get(at).map(|message| Part {
                text: message.text(&self.body),
                topic,
            })
        };
        let mut parts: Vec<Part> = topic.and_then(|at| part(at, true)).into_iter().collect();
        if guarded {
            let others = (0..messages.len()).rev().filter(|at| Some(*at) != topic);
            parts.extend(others.filter_map(|at| part(at, false)));
        }
        parts.retain(|part| !part.text.is_empty());
        parts
    }
}
