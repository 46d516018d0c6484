//! What is collected of a request: members, messages, texts for guards, the shape of the conversation.

use super::place::{Frame, Place, Top};
use super::{INCLUDE_USAGE_TYPE, Item, Reader};
use crate::json::{Container, Span};
use crate::request::shape::{Media, ToolChoice};
use crate::request::words::{Key, folded, is_name};
use crate::request::{Endpoint, Message, RequestError, Role};

impl Reader<'_> {
    pub(super) fn mistake(&mut self, error: RequestError) {
        self.mistake.get_or_insert(error);
    }

    pub(super) fn top_key(&mut self, key: &[u8]) {
        let name = self.strict_key(key);
        match name {
            Some(name) if self.members.iter().any(|(k, _)| k == name) => {
                self.mistake(RequestError::Repeated(name));
            }
            None if key.iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) => {}
            None => {
                if let Some(name) = self.strict_key(folded(key).as_bytes()) {
                    self.mistake(RequestError::NotLowerCase(name));
                }
            }
            Some(_) => {}
        }
        self.top = Top::of(key, self.endpoint);
        self.is_guarding = false;
        self.members
            .push((String::from_utf8_lossy(key).into_owned(), 0..0));
    }

    /// Whether what comes belongs to the prompt of a completion. Strings of lists in it are ids to servers that are lax about types.
    pub(super) fn is_prompt(&self) -> bool {
        self.endpoint == Endpoint::Completions && self.top == Top::Input
    }

    /// The top-level key that may come only once and in lower case, if `key` is one.
    pub(super) fn strict_key(&self, key: &[u8]) -> Option<&'static str> {
        [
            "model",
            "stream",
            "stream_options",
            "system",
            "instructions",
            self.endpoint.input_key(),
        ]
        .into_iter()
        .find(|known| known.as_bytes() == key)
    }

    /// A value of the document's object ended.
    pub(super) fn member_ends(&mut self, span: Span) {
        // Texts beside the conversation are one message to whoever counts them.
        if std::mem::take(&mut self.has_system_text) {
            self.shape.count(Role::System);
        }
        if let Some(member) = self.members.last_mut() {
            member.1 = span;
        }
    }

    /// What a container means by being there.
    pub(super) fn opened(&mut self, place: Place, parent: Place, at: usize) {
        match place {
            Place::Item => {
                self.item = Item::default();
                self.is_guarding = false;
                self.messages.push(Message {
                    start: Some(at.saturating_add(1)),
                    ..Message::default()
                });
            }
            Place::Format => self.shape.has_response_format = true,
            Place::ToolChoice => self.shape.tool_choice = Some(ToolChoice::Named),
            _ => {}
        }
        match parent {
            Place::Tools => self.shape.tools = self.shape.tools.saturating_add(1),
            Place::StreamOptions if self.in_include_usage => self.mistake(INCLUDE_USAGE_TYPE),
            _ => {}
        }
    }

    pub(super) fn item_ends(&mut self) {
        let item = self.item;
        let Some(message) = self.messages.last_mut() else {
            return;
        };
        // The messages API gives results of tools in the user's name.
        if item.has_tool_result && message.role == Role::User && message.texts.is_empty() {
            message.role = Role::Tool;
        }
        let role = message.role;
        if self.is_guarding
            && let Some(guarded) = self.guarded.last_mut()
        {
            guarded.role = role;
        }
        if !item.is_beside {
            self.shape.count(role);
        }
        self.shape.in_tool_loop = item.has_tool_result;
    }

    pub(super) fn media_ends(&mut self, media: Media) {
        let count = match media {
            Media::Image => &mut self.shape.images,
            Media::Audio => &mut self.shape.audios,
        };
        *count = count.saturating_add(1);
    }

    /// A text that only guards read.
    pub(super) fn guard(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        match self.guarded.last_mut() {
            Some(message) if self.is_guarding => message.texts.push(span),
            _ => {
                self.is_guarding = true;
                // Beside the conversation, it is the client's program that speaks.
                self.guarded.push(Message::of_text(Role::System, span));
            }
        }
    }

    /// A text among credentials: for the model as well, unless the tool turns out to be one of MCP.
    pub(super) fn credential(&mut self, span: Span) {
        if self.top == Top::Tools {
            let is_tool = |frame: &Frame| frame.place == Place::Tool;
            let at = self.frames.iter().position(is_tool).unwrap_or(0);
            self.withheld.push((at.saturating_add(1), span));
        }
    }

    /// A container ended: what was withheld in it is read, or is no text. An array leaves that to the object around it.
    pub(super) fn settle_withheld(&mut self, container: Container, frame: &Frame) {
        let around = self.frames.len();
        let from = self.withheld.partition_point(|(depth, _)| *depth <= around);
        let is_text = match frame.place {
            Place::Tool => frame.is_mcp != Some(true),
            _ => frame.is_textual,
        };
        if container == Container::Array {
            for (depth, _) in self.withheld.iter_mut().skip(from) {
                *depth = around;
            }
            return;
        }
        for (_, span) in self.withheld.split_off(from) {
            if is_text {
                self.guard(span);
            }
        }
    }

    /// A string of the document's object.
    pub(super) fn top_string(&mut self, span: Span, raw: &[u8]) {
        let quoted = span.start.saturating_sub(1)..span.end.saturating_add(1);
        match self.top {
            Top::Model => self.model = Some((quoted.clone(), true)),
            Top::Stream => self.stream = Some("string"),
            Top::Input => self.lone_text(Role::User, span),
            Top::System => self.system_text(span),
            Top::ToolChoice => self.shape.tool_choice = Some(ToolChoice::of(raw)),
            Top::Other | Top::Tools | Top::McpServers | Top::Format | Top::FormatParent => {
                if self.members.last().is_some_and(|(key, _)| key == "suffix")
                    || Key::Label.is_text(raw)
                {
                    self.guard(span);
                }
            }
            Top::StreamOptions | Top::Metadata | Top::Unseen => {}
        }
        self.member_ends(quoted);
    }

    /// A text that is a message of its own.
    pub(super) fn lone_text(&mut self, role: Role, span: Span) {
        self.shape.count(role);
        self.shape.in_tool_loop = false;
        self.messages.push(Message::of_text(role, span));
    }

    /// A text of `system` or `instructions`.
    pub(super) fn system_text(&mut self, span: Span) {
        self.has_system_text = true;
        self.messages.push(Message::of_text(Role::System, span));
    }

    /// A string inside a message, a definition or a setting that has no meaning of its own to us.
    pub(super) fn other_string(&mut self, place: Place, key: Key, span: Span, raw: &[u8]) {
        let is_talk = matches!(self.top, Top::Input | Top::System) || place == Place::Own;
        // Beside the conversation, one word is a setting.
        let is_setting = !is_talk && is_name(raw);
        if !key.is_text(raw) {
            if matches!(key, Key::Data | Key::LongData) {
                self.withheld.push((self.frames.len(), span));
            }
        } else if !is_setting {
            self.guard(span);
        }
    }

    /// The `type` of something.
    pub(super) fn typed(&mut self, place: Place, kind: &[u8]) {
        match place {
            Place::Item => self.item_type(kind),
            Place::Part => self.item.has_tool_result |= kind == b"tool_result",
            Place::ToolChoice => self.shape.tool_choice = Some(ToolChoice::of(kind)),
            Place::Format => self.shape.has_response_format = kind != b"text",
            _ => {}
        }
    }

    pub(super) fn item_role(&mut self, role: &[u8]) {
        self.item.has_tool_result |= matches!(role, b"tool" | b"function");
        self.item.has_role = true;
        if let Some(message) = self.messages.last_mut() {
            message.role = match role {
                b"system" | b"developer" => Role::System,
                b"user" => Role::User,
                b"assistant" => Role::Assistant,
                _ => Role::Tool,
            };
        }
    }

    /// `type` of an item of the responses API, which tells who speaks where no role does.
    pub(super) fn item_type(&mut self, kind: &[u8]) {
        let role = match kind {
            _ if kind.ends_with(b"_call_output") => {
                self.item.has_tool_result = true;
                Role::Tool
            }
            b"reasoning" | b"mcp_list_tools" | b"mcp_approval_request" | b"item_reference" => {
                Role::Assistant
            }
            _ if kind.ends_with(b"_call") => Role::Assistant,
            _ => return,
        };
        self.item.is_beside = role == Role::Assistant;
        if !self.item.has_role
            && let Some(message) = self.messages.last_mut()
        {
            message.role = role;
        }
    }

    /// The `content` of a message; a second one would be seen by some servers only.
    pub(super) fn content(&mut self, span: Span) {
        if std::mem::replace(&mut self.item.has_content, true) {
            self.mistake(RequestError::Repeated("content"));
        }
        if let Some(message) = self.messages.last_mut() {
            message.content = Some(span);
        }
    }
}
