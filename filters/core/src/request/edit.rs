//! Splices: edits of a body at byte offsets that leave everything else as it was.

use std::borrow::Cow;

use super::{Endpoint, Request, StreamOptions};
use crate::json::{Span, push_escaped};

/// Edits of one body, applied together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<(Span, Cow<'static, [u8]>)>);

impl Edits {
    /// Whether the body stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names another model.
    pub fn set_model(&mut self, request: &Request, model: &str) {
        let mut json = Vec::with_capacity(model.len().saturating_add(2));
        push_escaped(model, &mut json);
        self.0.push((request.model_span.clone(), json.into()));
    }

    /// Adds `include_usage` where a stream would end without usage; tells whether it did.
    pub fn ask_for_usage(&mut self, endpoint: Endpoint, request: &Request) -> bool {
        let asked = request
            .stream_options
            .as_ref()
            .and_then(|o| o.include_usage.as_ref());
        let ask = endpoint.has_stream_options() && request.stream && !asked.is_some_and(|a| a.0);
        if ask {
            self.include_usage(request);
        }
        ask
    }

    /// Asks for the usage at the end of a stream.
    pub fn include_usage(&mut self, request: &Request) {
        let edit: (Span, &'static [u8]) = match &request.stream_options {
            None => (
                request.start..request.start,
                br#""stream_options":{"include_usage":true},"#,
            ),
            Some(StreamOptions {
                include_usage: Some((_, span)),
                ..
            }) => (span.clone(), b"true"),
            Some(StreamOptions {
                span,
                is_object: false,
                ..
            }) => (span.clone(), br#"{"include_usage":true}"#),
            Some(StreamOptions { span, is_empty, .. }) => {
                let inside = span.start.saturating_add(1);
                let member: &[u8] = if *is_empty {
                    br#""include_usage":true"#
                } else {
                    br#""include_usage":true,"#
                };
                (inside..inside, member)
            }
        };
        self.0.push((edit.0, edit.1.into()));
    }

    /// Adds a member to the document. The caller knows that it is not there yet; the document has others (`model`).
    pub fn add_member(&mut self, request: &Request, key: &str, value_json: &str) {
        let mut json = Vec::new();
        push_escaped(key, &mut json);
        json.push(b':');
        json.extend_from_slice(value_json.as_bytes());
        json.push(b',');
        self.0.push((request.start..request.start, json.into()));
    }

    /// The edited body.
    #[must_use]
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let mut edits: Vec<_> = self.0.iter().collect();
        edits.sort_by_key(|(span, _)| span.start);
        let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let mut out = Vec::with_capacity(body.len().saturating_add(added));
        let mut from = 0;
        for (span, new) in edits {
            out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
            out.extend_from_slice(new);
            from = span.end;
        }
        out.extend_from_slice(body.get(from..).unwrap_or_default());
        out
    }
}
