//! From the lexer's events to [`Request`]: [`place`] says where something stands, [`collect`] keeps it, [`walk`] leads from one to
//! the next.

mod collect;
mod place;
mod walk;

use self::place::{Frame, Top};
use super::{Endpoint, Message, Request, RequestError, Shape};
use crate::json::{Span, unescape_into};

const INCLUDE_USAGE_TYPE: RequestError =
    RequestError::WrongType("stream_options.include_usage", "a boolean");

/// What is known of the message in progress.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    has_role: bool,
    has_content: bool,
    has_tool_result: bool,
    /// Written by the model beside its messages (responses API): a call, a thought.
    is_beside: bool,
}

/// Builds a [`Request`] from what the lexer tells.
pub(super) struct Reader<'b> {
    endpoint: Endpoint,
    body: &'b [u8],
    root_is_object: bool,
    start: usize,
    frames: Vec<Frame>,
    members: Vec<(String, Span)>,
    top: Top,
    /// Start of the string or key in progress, behind its quote.
    text_start: usize,
    scalar_start: usize,
    model: Option<(Span, bool)>,
    stream: Option<&'static str>,
    include_usage: Option<bool>,
    in_include_usage: bool,
    metadata: Vec<(String, Span)>,
    messages: Vec<Message>,
    item: Item,
    guarded: Vec<Message>,
    /// Whether the last entry of `guarded` is of the message or member in progress.
    is_guarding: bool,
    /// Texts that guards read or not, as the end of an open container will tell; each with the number of containers around it.
    withheld: Vec<(usize, Span)>,
    /// Whether ids of tokens stand in the prompt of a completion.
    has_token_ids: bool,
    has_system_text: bool,
    shape: Shape,
    /// First mistake that does not end the reading.
    mistake: Option<RequestError>,
}

impl<'b> Reader<'b> {
    pub(super) fn new(endpoint: Endpoint, body: &'b [u8]) -> Self {
        Self {
            endpoint,
            body,
            root_is_object: false,
            start: 0,
            frames: Vec::new(),
            members: Vec::new(),
            top: Top::Other,
            text_start: 0,
            scalar_start: 0,
            model: None,
            stream: None,
            include_usage: None,
            in_include_usage: false,
            metadata: Vec::new(),
            messages: Vec::new(),
            item: Item::default(),
            guarded: Vec::new(),
            is_guarding: false,
            withheld: Vec::new(),
            has_token_ids: false,
            has_system_text: false,
            shape: Shape::default(),
            mistake: None,
        }
    }

    pub(super) fn request(mut self) -> Result<Request, RequestError> {
        if !self.root_is_object {
            return Err(RequestError::NotAnObject);
        }
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let (model_span, is_string) = self.model.ok_or(RequestError::Missing("model"))?;
        if !is_string {
            return Err(RequestError::WrongType("model", "a string"));
        }
        let stream = match self.stream {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(RequestError::WrongType("stream", "a boolean")),
        };
        let input = self.endpoint.input_key();
        if !self.members.iter().any(|(k, _)| k == input) {
            return Err(RequestError::Missing(input));
        }
        let embeds = self.members.iter().any(|(key, span)| {
            key == "prompt_embeds" && self.body.get(span.clone()) != Some(b"null")
        });
        let unread = match (self.has_token_ids, embeds) {
            (true, _) => Some(input),
            (false, true) => Some("prompt_embeds"),
            (false, false) => None,
        };
        let raw = model_span.start.saturating_add(1)..model_span.end.saturating_sub(1);
        let mut model = Vec::new();
        // What is neither text nor scalar has no span.
        self.metadata.retain(|(_, span)| !span.is_empty());
        unescape_into(self.body.get(raw).unwrap_or_default(), &mut model);
        Ok(Request {
            model: String::from_utf8_lossy(&model).into_owned(),
            model_span,
            stream,
            include_usage: self.include_usage,
            messages: self.messages,
            guarded: self.guarded,
            unread,
            shape: self.shape,
            members: self.members,
            start: self.start,
            metadata: self.metadata,
        })
    }
}
