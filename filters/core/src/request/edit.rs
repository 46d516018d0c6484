//! Splices: edits of a body at byte offsets that leave everything else as it was.
//!
//! 1. Edits of members are kept by key, as what shall become of the client's value; a later one counts on the earlier ones.
//! 2. Edits inside texts are splices at once ([`Edits::replace_in_text`], [`Edits::set_system_prompt`]).
//! 3. [`Edits::apply`] makes splices of all and cuts them in from front to back. What is edited as a whole needs no edits inside, so
//!    they are dropped there; of texts that overlap, what is left of the second is replaced too.
//!
//! A key counts however often it comes, and to remove it counts in any case of letters: servers differ in which they read.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::words::folded;
use super::{Endpoint, Request};
use crate::json::{Span, outline, push_escaped};

/// Bytes that stand for those of a span.
pub(super) type Splice = (Span, Cow<'static, [u8]>);

/// Edits of one body, applied together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// What becomes of top-level members.
    members: Vec<(String, Change)>,
    /// Members of the client that may stay; all where none are named.
    known: Option<&'static [&'static str]>,
    /// The system prompt, where it is no top-level member of its own.
    pub(super) system_prompt: Option<Splice>,
    /// Inside texts.
    pub(super) texts: Vec<Splice>,
}

/// What becomes of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Remove,
    /// To this JSON.
    Set(String),
    /// Members inside its object.
    SetInside(Vec<(String, String)>),
}

impl Edits {
    /// Whether the body stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names another model.
    pub fn set_model(&mut self, model: &str) {
        self.set_member("model", &string(model));
    }

    /// Adds `include_usage` where a stream would end without usage; tells whether it did.
    pub fn ask_for_usage(&mut self, endpoint: Endpoint, request: &Request) -> bool {
        let ask = endpoint.has_stream_options() && request.stream && !request.asks_for_usage();
        if ask {
            self.include_usage();
        }
        ask
    }

    /// Asks for the usage at the end of a stream.
    pub fn include_usage(&mut self) {
        self.set_in_object("stream_options", "include_usage", "true");
    }

    /// Sets a top-level member to `json`, which must be one JSON value, or adds it.
    pub fn set_member(&mut self, key: &str, json: &str) {
        self.change(key, Change::Set(json.to_owned()));
    }

    /// Removes a top-level member. `model` stays: nobody could tell where the request belongs.
    pub fn remove_member(&mut self, key: &str) {
        if folded(key.as_bytes()) != "model" {
            self.change(key, Change::Remove);
        }
    }

    /// Sets a member of a top-level object to `json`, which must be one JSON value, or adds it; what is no object becomes one.
    pub fn set_in_object(&mut self, key: &str, inner_key: &str, json: &str) {
        let inner = (inner_key.to_owned(), json.to_owned());
        let name = folded(key.as_bytes());
        let mut changes = self.members.iter_mut();
        match changes.find(|(k, _)| folded(k.as_bytes()) == name) {
            Some((k, Change::SetInside(members))) if k == key => {
                members.retain(|(k, _)| k != inner_key);
                members.push(inner);
            }
            Some((k, Change::Set(set))) if k == key => *set = set_inside(set, &[inner]),
            // What was sent is gone already.
            Some(_) => self.change(key, Change::Set(set_inside("", &[inner]))),
            None => self.change(key, Change::SetInside(vec![inner])),
        }
    }

    /// Removes the top-level members of the client that `endpoint` does not document; returns their keys. Members that are set stay.
    pub fn strip_unknown<'r>(&mut self, endpoint: Endpoint, request: &'r Request) -> Vec<&'r str> {
        let known = endpoint.parameters();
        self.known = Some(known);
        let keys = request.members.iter().map(|(key, _)| key.as_str());
        keys.filter(|key| !known.contains(key)).collect()
    }

    fn change(&mut self, key: &str, change: Change) {
        let name = folded(key.as_bytes());
        self.members.retain(|(k, _)| folded(k.as_bytes()) != name);
        self.members.push((key.to_owned(), change));
    }

    /// The edited body; `request` is what `body` was parsed to.
    #[must_use]
    pub fn apply(&self, request: &Request, body: &[u8]) -> Vec<u8> {
        let mut splices = self.splices_of_members(request, body);
        splices.extend(self.system_prompt.iter().cloned());
        splices.extend(self.texts.iter().cloned());
        splice(body, splices)
    }

    fn splices_of_members(&self, request: &Request, body: &[u8]) -> Vec<Splice> {
        let is_stripped = |key: &str| self.known.is_some_and(|known| !known.contains(&key));
        let mut stays: Vec<bool> = request.members.iter().map(|m| !is_stripped(&m.0)).collect();
        let mut splices = Vec::new();
        let mut added = Vec::new();
        for (key, change) in &self.members {
            let name = folded(key.as_bytes());
            let mut is_there = false;
            for ((k, span), stays) in request.members.iter().zip(&mut stays) {
                if k == key && *stays && *change != Change::Remove {
                    is_there = true;
                    let value = body.get(span.clone()).unwrap_or_default();
                    change.splices(span, value, &mut splices);
                } else if folded(k.as_bytes()) == name && k != "model" {
                    *stays = false;
                }
            }
            if !is_there && *change != Change::Remove {
                push_member(key, &change.json(), &mut added);
                added.push(b',');
            }
        }
        if !added.is_empty() {
            splices.push((request.start..request.start, added.into()));
        }
        remove(request, body, &stays, &mut splices);
        splices
    }
}

impl Change {
    /// What it does to a value at `span`.
    fn splices(&self, span: &Span, value: &[u8], splices: &mut Vec<Splice>) {
        match self {
            Self::SetInside(members) => {
                let inside = splices_inside(value, members).into_iter();
                let at = |offset: usize| offset.saturating_add(span.start);
                splices.extend(inside.map(|(s, new)| (at(s.start)..at(s.end), new)));
            }
            Self::Remove | Self::Set(_) => {
                splices.push((span.clone(), self.json().into_owned().into_bytes().into()));
            }
        }
    }

    /// The value where there was none.
    fn json(&self) -> Cow<'_, str> {
        match self {
            Self::Remove => "null".into(),
            Self::Set(json) => json.into(),
            Self::SetInside(members) => set_inside("", members).into(),
        }
    }
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len().saturating_add(2));
    push_escaped(text, &mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn push_member(key: &str, json: &str, out: &mut Vec<u8>) {
    push_escaped(key, out);
    out.push(b':');
    out.extend_from_slice(json.as_bytes());
}

/// `value` with members set inside; an object of these alone where it is none.
fn set_inside(value: &str, members: &[(String, String)]) -> String {
    let edited = splice(value.as_bytes(), splices_inside(value.as_bytes(), members));
    String::from_utf8_lossy(&edited).into_owned()
}

fn splices_inside(value: &[u8], members: &[(String, String)]) -> Vec<Splice> {
    let mut splices: Vec<Splice> = Vec::new();
    let mut added: Vec<u8> = Vec::new();
    let outline = outline(value);
    for (key, json) in members {
        let there = outline.iter().flatten().filter(|(k, _)| k == key);
        let spans: Vec<&Span> = there.map(|(_, span)| span).collect();
        if spans.is_empty() {
            if !added.is_empty() {
                added.push(b',');
            }
            push_member(key, json, &mut added);
        }
        let json = json.as_bytes();
        splices.extend(spans.into_iter().map(|s| (s.clone(), json.to_vec().into())));
    }
    match outline {
        Some(outline) if !added.is_empty() => {
            if !outline.is_empty() {
                added.push(b',');
            }
            let inside = value.iter().position(|&b| b == b'{').unwrap_or(0);
            let inside = inside.saturating_add(1);
            splices.push((inside..inside, added.into()));
        }
        Some(_) => {}
        None => {
            splices = vec![(
                0..value.len(),
                [b"{", added.as_slice(), b"}"].concat().into(),
            )]
        }
    }
    splices
}

/// Removes the members that do not stay, each with a comma. One stays at least: the model.
fn remove(request: &Request, body: &[u8], stays: &[bool], splices: &mut Vec<Splice>) {
    let members = || request.members.iter().zip(stays);
    // Behind the last of those at the front, with the comma behind it.
    let mut leading = request.start;
    for ((_, span), _) in members().take_while(|(_, stays)| !**stays) {
        let behind = body.get(span.end..).unwrap_or_default();
        let comma = behind.iter().position(|&b| b == b',').unwrap_or(0);
        leading = span.end.saturating_add(comma).saturating_add(1);
    }
    if leading > request.start {
        splices.push((request.start..leading, Cow::Borrowed(b"")));
    }
    // Of the others, each with the comma before it.
    let mut before = request.start;
    for ((_, span), stays) in members() {
        if !stays && before > leading {
            splices.push((before..span.end, Cow::Borrowed(b"")));
        }
        before = span.end;
    }
}

/// `body` with the splices cut in.
fn splice(body: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    // Of those that start together, what is inserted comes first, and the longest before what it contains.
    splices.sort_by_key(|(span, _)| (span.start, !span.is_empty(), Reverse(span.end)));
    let added = splices.iter().map(|(_, new)| new.len());
    let added = added.fold(0, usize::saturating_add);
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut from = 0;
    for (span, new) in splices {
        // Inside one that was cut in already.
        if span.end < from || span.end == from && !span.is_empty() {
            continue;
        }
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        out.extend_from_slice(&new);
        from = from.max(span.end);
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}
