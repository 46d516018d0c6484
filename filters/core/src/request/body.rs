//! A parsed request.

use super::reader::Reader;
use super::{Endpoint, Message, RequestError, Role, Shape};
use crate::json::{Lexer, Span, unescape_into};

/// A parsed request. Spans are byte offsets in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Model that the client named.
    pub model: String,
    /// Its string with quotes.
    pub model_span: Span,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// `stream_options.include_usage`, if sent.
    pub include_usage: Option<bool>,
    /// What the model shall answer to, in order. A plain `prompt` or `input` is one user message.
    pub messages: Vec<Message>,
    /// Texts that only guards read, since nobody answers to them: arguments and results of tools, thoughts, definitions of tools, whatever
    /// else a model may see. One entry for each message or top-level member that has some, in order.
    pub guarded: Vec<Message>,
    /// A member that speaks to the model in no text, so that no guard can read it: token ids or embeddings of a completion.
    pub unread: Option<&'static str>,
    /// What the conversation consists of.
    pub shape: Shape,
    /// Top-level keys and their values, in order.
    pub members: Vec<(String, Span)>,
    /// Offset behind the `{` of the document.
    pub start: usize,
    /// Keys of `metadata` and their values, where these are strings, numbers or booleans.
    pub(super) metadata: Vec<(String, Span)>,
}

impl Request {
    /// Parses a body.
    ///
    /// # Errors
    /// [`RequestError`]; its text is made for the client.
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, RequestError> {
        std::str::from_utf8(body).map_err(|e| RequestError::NotUtf8(e.valid_up_to()))?;
        let mut reader = Reader::new(endpoint, body);
        let mut lexer = Lexer::new();
        lexer
            .push(body, &mut reader)
            .and_then(|()| lexer.finish(&mut reader))
            .map_err(RequestError::Json)?;
        reader.request()
    }

    /// Value of a top-level key.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<Span> {
        self.members
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, span)| span.clone())
    }

    /// Value of a key of `metadata`: the text of a string, a number or boolean as it is written. Of a key that comes twice, the last.
    #[must_use]
    pub fn metadata(&self, key: &str, body: &[u8]) -> Option<String> {
        let (_, span) = self.metadata.iter().rev().find(|(k, _)| k == key)?;
        let raw = body.get(span.clone())?;
        let mut text = Vec::new();
        match raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")) {
            Some(raw) => unescape_into(raw, &mut text),
            None => text.extend_from_slice(raw),
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether a stream shall end with a chunk that has the usage.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        self.include_usage == Some(true)
    }

    /// Text of the last message if the user spoke last, its parts joined by line feeds; empty otherwise.
    #[must_use]
    pub fn last_user_text(&self, body: &[u8]) -> String {
        match self.messages.last() {
            Some(message) if message.role == Role::User => message.text(body),
            _ => String::new(),
        }
    }

    /// Text of the last message by the user, wherever it stands; empty if there is none.
    #[must_use]
    pub fn routing_text(&self, body: &[u8]) -> String {
        let message = self.messages.iter().rev().find(|m| m.role == Role::User);
        message.map(|m| m.text(body)).unwrap_or_default()
    }

    /// Bytes of all texts, for estimates.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let texts = self.messages.iter().chain(&self.guarded);
        texts
            .map(Message::text_bytes)
            .fold(0, usize::saturating_add)
    }
}
