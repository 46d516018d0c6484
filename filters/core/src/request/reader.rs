//! From the lexer's events to [`Request`].

use super::shape::{Media, ToolChoice};
use super::words::{Key, folded, is_name, is_unseen};
use super::{Endpoint, Message, Request, RequestError, Role, Shape};
use crate::json::{Container, Sink, Span, unescape_into};

const INCLUDE_USAGE_TYPE: RequestError =
    RequestError::WrongType("stream_options.include_usage", "a boolean");

/// Keys that are read, beside the endpoint's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    Model,
    Stream,
    StreamOptions,
    Input,
    /// `system` (Anthropic) or `instructions` (responses)
    System,
    /// `tools` and, before it, `functions`
    Tools,
    /// `tool_choice` and, before it, `function_call`
    ToolChoice,
    Metadata,
    /// `response_format` and its likes
    Format,
    /// What holds a `format` beside other settings
    FormatParent,
    /// What no model sees
    Unseen,
    Other,
}

impl Top {
    fn of(key: &[u8], endpoint: Endpoint) -> Self {
        match key {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"system" | b"instructions" => Self::System,
            _ if key == endpoint.input_key().as_bytes() => Self::Input,
            b"tools" | b"functions" => Self::Tools,
            b"tool_choice" | b"function_call" => Self::ToolChoice,
            b"metadata" => Self::Metadata,
            b"response_format" | b"output_format" => Self::Format,
            b"text" | b"output_config" => Self::FormatParent,
            _ if is_unseen(key) => Self::Unseen,
            _ => Self::Other,
        }
    }
}

/// Where in a request a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    /// The list of `messages`, `input`, `prompt`
    Items,
    Item,
    /// What a message says, where it is a list
    Content,
    Part,
    /// The list of `system`
    System,
    SystemPart,
    Tools,
    ToolChoice,
    Format,
    FormatParent,
    Metadata,
    StreamOptions,
    /// Elsewhere, with keys of the API
    Known,
    /// Elsewhere, with keys of the client's own; their values have the API's keys again
    Named,
    /// Elsewhere, with keys of the client's own all the way down
    Own,
    /// Where no text for a model stands
    Quiet,
}

impl Place {
    /// Whether keys say what their values are.
    fn has_known_keys(self) -> bool {
        !matches!(self, Self::Named | Self::Own | Self::Quiet | Self::Metadata)
    }

    fn is_seen(self) -> bool {
        !matches!(
            self,
            Self::Document | Self::Quiet | Self::Metadata | Self::StreamOptions
        )
    }
}

/// A container that is open.
#[derive(Debug, Clone, Copy)]
struct Frame {
    place: Place,
    start: usize,
    /// Of the value that comes next; of every value of an array.
    key: Key,
    media: Option<Media>,
    /// What the key says, if a value follows.
    keyed_media: Option<Media>,
}

impl Frame {
    fn value_comes(&mut self, in_input: bool) {
        let keyed = self.keyed_media.take().filter(|_| in_input);
        self.media = self.media.or(keyed);
    }
}

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
            shape: self.shape,
            members: self.members,
            start: self.start,
            metadata: self.metadata,
        })
    }

    fn mistake(&mut self, error: RequestError) {
        self.mistake.get_or_insert(error);
    }

    fn top_key(&mut self, key: &[u8]) {
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

    /// The top-level key that may come only once and in lower case, if `key` is one.
    fn strict_key(&self, key: &[u8]) -> Option<&'static str> {
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
    fn member_ends(&mut self, span: Span) {
        // Texts beside the conversation are one message to whoever counts them.
        if std::mem::take(&mut self.has_system_text) {
            self.shape.count(Role::System);
        }
        if let Some(member) = self.members.last_mut() {
            member.1 = span;
        }
    }

    fn place_of(&self, parent: &Frame, container: Container) -> Place {
        let is_object = container == Container::Object;
        match (parent.place, parent.key) {
            (Place::Document, _) => match self.top {
                Top::Input if !is_object => Place::Items,
                Top::System if !is_object => Place::System,
                Top::Tools if !is_object => Place::Tools,
                Top::ToolChoice if is_object => Place::ToolChoice,
                Top::Format if is_object => Place::Format,
                Top::FormatParent if is_object => Place::FormatParent,
                Top::Metadata if is_object => Place::Metadata,
                Top::StreamOptions if is_object => Place::StreamOptions,
                Top::Model | Top::Stream | Top::StreamOptions | Top::Metadata | Top::Unseen => {
                    Place::Quiet
                }
                _ => Place::Known,
            },
            (Place::Items, _) if is_object => Place::Item,
            (Place::Item, Key::Content | Key::Output) if !is_object => Place::Content,
            (Place::Content, _) if is_object => Place::Part,
            (Place::System, _) if is_object => Place::SystemPart,
            (Place::FormatParent, Key::Label) if is_object => Place::Format,
            (Place::Quiet | Place::Metadata | Place::StreamOptions, _) | (_, Key::Quiet) => {
                Place::Quiet
            }
            (Place::Own, _) | (_, Key::Own) => Place::Own,
            (_, Key::Named) if is_object => Place::Named,
            _ => Place::Known,
        }
    }

    /// What a container means by being there.
    fn opened(&mut self, place: Place, parent: Place, at: usize) {
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

    fn item_ends(&mut self) {
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

    fn media_ends(&mut self, media: Media) {
        let count = match media {
            Media::Image => &mut self.shape.images,
            Media::Audio => &mut self.shape.audios,
        };
        *count = count.saturating_add(1);
    }

    /// A text that only guards read.
    fn guard(&mut self, span: Span) {
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

    /// A string of the document's object.
    fn top_string(&mut self, span: Span, raw: &[u8]) {
        let quoted = span.start.saturating_sub(1)..span.end.saturating_add(1);
        match self.top {
            Top::Model => self.model = Some((quoted.clone(), true)),
            Top::Stream => self.stream = Some("string"),
            Top::Input => self.lone_text(Role::User, span),
            Top::System => self.system_text(span),
            Top::ToolChoice => self.shape.tool_choice = Some(ToolChoice::of(raw)),
            Top::Other | Top::Tools | Top::Format | Top::FormatParent => {
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
    fn lone_text(&mut self, role: Role, span: Span) {
        self.shape.count(role);
        self.shape.in_tool_loop = false;
        self.messages.push(Message::of_text(role, span));
    }

    /// A text of `system` or `instructions`.
    fn system_text(&mut self, span: Span) {
        self.has_system_text = true;
        self.messages.push(Message::of_text(Role::System, span));
    }

    /// A string inside a message, a definition or a setting that has no meaning of its own to us.
    fn other_string(&mut self, place: Place, key: Key, span: Span, raw: &[u8]) {
        let is_talk = matches!(self.top, Top::Input | Top::System) || place == Place::Own;
        // Beside the conversation, one word is a setting.
        if key.is_text(raw) && (is_talk || !is_name(raw)) {
            self.guard(span);
        }
    }

    /// The `type` of something.
    fn typed(&mut self, place: Place, kind: &[u8]) {
        match place {
            Place::Item => self.item_type(kind),
            Place::Part => self.item.has_tool_result |= kind == b"tool_result",
            Place::ToolChoice => self.shape.tool_choice = Some(ToolChoice::of(kind)),
            Place::Format => self.shape.has_response_format = kind != b"text",
            _ => {}
        }
    }

    fn item_role(&mut self, role: &[u8]) {
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
    fn item_type(&mut self, kind: &[u8]) {
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
    fn content(&mut self, span: Span) {
        if std::mem::replace(&mut self.item.has_content, true) {
            self.mistake(RequestError::Repeated("content"));
        }
        if let Some(message) = self.messages.last_mut() {
            message.content = Some(span);
        }
    }
}

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
                Frame {
                    place: Place::Document,
                    start: at,
                    key: Key::Other,
                    media: None,
                    keyed_media: None,
                }
            }
            Some(parent) => {
                parent.value_comes(in_input);
                let parent = *parent;
                let place = self.place_of(&parent, container);
                self.opened(place, parent.place, at);
                Frame {
                    place,
                    start: at,
                    key: if is_array { parent.key } else { Key::Other },
                    media: None,
                    keyed_media: None,
                }
            }
        };
        self.frames.push(frame);
    }

    fn close(&mut self, _container: Container, end: usize) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
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
            Key::of(key)
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
            _ if place.is_seen() => {
                let span = self.text_start..end.saturating_sub(1);
                let raw = self.body.get(span.clone()).unwrap_or_default();
                if !is_name(raw) {
                    self.guard(span);
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
            (Place::Quiet | Place::StreamOptions, _) => {}
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
        match (frame.place, frame.key) {
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
            _ => {}
        }
    }
}
