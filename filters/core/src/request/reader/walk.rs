//! The way through a request: what each event of the lexer means where it stands.

use super::place::{Frame, Place, Top};
use super::{INCLUDE_USAGE_TYPE, Reader};
use crate::json::{Container, Sink, unescape_into};
use crate::request::shape::Media;
use crate::request::words::{Key, is_name, is_textual};
use crate::request::{RequestError, Role};

/// A word of the API, of which nobody writes letters as escapes but who hides something.
fn word(raw: &[u8]) -> Vec<u8> {
    let mut word = Vec::new();
    unescape_into(raw.get(..64).unwrap_or(raw), &mut word);
    word
}

impl Sink for Reader<'_> {
    fn open(&mut self, container: Container, at: usize) {
        let is_array = container == Container::Array;
        let in_input = self.top == Top::Input;
        let frame = match self.frames.last_mut() {
            None => {
                self.root_is_object = !is_array;
                self.start = at.saturating_add(1);
                Frame::new(Place::Document, at, Key::Other)
            }
            Some(parent) => {
                parent.value_comes(in_input);
                let parent = *parent;
                let place = Place::within(&parent, self.top, container);
                self.opened(place, parent.place, at);
                let key = if is_array { parent.key } else { Key::Other };
                Frame::new(place, at, key)
            }
        };
        self.frames.push(frame);
    }

    fn close(&mut self, container: Container, end: usize) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        self.settle_withheld(container, &frame);
        if frame.place == Place::Item {
            self.item_ends();
        }
        if let Some(media) = frame.media {
            self.media_ends(media);
        }
        match self.frames.last() {
            Some(parent) if parent.place == Place::Document => {
                match self.top {
                    Top::Model => self.model = Some((frame.start..end, false)),
                    Top::Stream => self.stream = Some("container"),
                    _ => {}
                }
                self.member_ends(frame.start..end);
            }
            Some(parent) if parent.place == Place::Item && parent.key == Key::Content => {
                self.content(frame.start..end);
            }
            _ => {}
        }
    }

    fn key_start(&mut self, at: usize) {
        self.text_start = at.saturating_add(1);
    }

    fn key(&mut self, key: &[u8], end: usize) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let place = frame.place;
        if place == Place::Document {
            self.top_key(key);
            return;
        }
        frame.key = if place.has_known_keys() {
            frame.keyed_media = Media::of_key(key);
            match Key::of(key) {
                Key::Quiet if !place.has_credentials() => Key::Other,
                key => key,
            }
        } else {
            Key::Other
        };
        match place {
            Place::Item if frame.key == Key::Role && self.item.has_role => {
                self.mistake(RequestError::Repeated("role"));
            }
            Place::Metadata => {
                let key = String::from_utf8_lossy(key).into_owned();
                self.metadata.push((key, 0..0));
            }
            Place::StreamOptions => {
                self.in_include_usage = key == b"include_usage";
                if self.in_include_usage && self.include_usage.is_some() {
                    self.mistake(RequestError::Repeated("stream_options.include_usage"));
                }
            }
            _ if place.is_seen() || place == Place::Quiet => {
                let span = self.text_start..end.saturating_sub(1);
                let raw = self.body.get(span.clone()).unwrap_or_default();
                match place {
                    _ if is_name(raw) => {}
                    Place::Quiet => self.credential(span),
                    _ => self.guard(span),
                }
            }
            _ => {}
        }
    }

    fn string_start(&mut self, at: usize) {
        self.text_start = at.saturating_add(1);
    }

    fn string_end(&mut self, end: usize) {
        let in_input = self.top == Top::Input;
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.value_comes(in_input);
        let (place, key) = (frame.place, frame.key);
        let span = self.text_start..end.saturating_sub(1);
        let raw = self.body.get(span.clone()).unwrap_or_default();
        if key == Key::Type && in_input && place.has_known_keys() {
            frame.media = Media::of_type(&word(raw)).or(frame.media);
        }
        frame.is_textual |= match key {
            Key::Type => word(raw).ends_with(b"text"),
            Key::MediaType => is_textual(&word(raw)),
            _ => false,
        };
        if (place, key) == (Place::Tool, Key::Type) {
            frame.is_mcp = Some(frame.is_mcp.unwrap_or(true) && word(raw) == b"mcp");
        }
        if self.is_prompt() && place == Place::Known {
            self.has_token_ids = true;
        }
        match (place, key) {
            (Place::Document, _) => self.top_string(span, raw),
            (Place::Items, _) => self.lone_text(Role::User, span),
            (Place::System, _) | (Place::SystemPart, Key::Text) => self.system_text(span),
            (Place::Item, Key::Content | Key::Output | Key::Text)
            | (Place::Content, _)
            | (Place::Part, Key::Text) => {
                if let Some(message) = self.messages.last_mut() {
                    message.texts.push(span.clone());
                }
                if (place, key) == (Place::Item, Key::Content) {
                    self.content(span.start.saturating_sub(1)..end);
                }
            }
            (Place::Item, Key::Role) => self.item_role(&word(raw)),
            (Place::Metadata, _) => {
                if let Some(member) = self.metadata.last_mut() {
                    member.1 = span.start.saturating_sub(1)..end;
                }
            }
            (Place::StreamOptions, _) if self.in_include_usage => self.mistake(INCLUDE_USAGE_TYPE),
            (Place::Quiet, _) | (Place::Tool | Place::McpServer, Key::Quiet) => {
                self.credential(span);
            }
            (Place::StreamOptions, _) => {}
            _ => {
                if key == Key::Type {
                    self.typed(place, &word(raw));
                }
                self.other_string(place, key, span, raw);
            }
        }
    }

    fn scalar_start(&mut self, at: usize) {
        self.scalar_start = at;
    }

    fn scalar(&mut self, raw: &[u8], end: usize) {
        let span = self.scalar_start..end;
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.keyed_media = None;
        let (place, key) = (frame.place, frame.key);
        if self.is_prompt() && raw != b"null" {
            self.has_token_ids = true;
        }
        match (place, key) {
            (Place::Document, _) => {
                match self.top {
                    Top::Model => self.model = Some((span.clone(), false)),
                    Top::Stream => {
                        self.stream = Some(match raw {
                            b"true" => "true",
                            b"false" => "false",
                            b"null" => "null",
                            _ => "number",
                        });
                    }
                    _ => {}
                }
                self.member_ends(span);
            }
            (Place::Item, Key::Content) => self.content(span),
            (Place::Metadata, _) if raw != b"null" => {
                if let Some(member) = self.metadata.last_mut() {
                    member.1 = span;
                }
            }
            (Place::StreamOptions, _) if self.in_include_usage => {
                self.in_include_usage = false;
                self.include_usage = Some(raw == b"true");
            }
            // A number of the client's own may be that of a card.
            (place, key) if place.is_own(key) && !matches!(raw, b"true" | b"false" | b"null") => {
                self.guard(span);
            }
            _ => {}
        }
    }
}
