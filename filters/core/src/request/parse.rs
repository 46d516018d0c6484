//! From bytes to [`Request`].

use std::fmt;

use super::Endpoint;
use crate::json::{Container, JsonError, Lexer, Sink, Span, unescape_into};

/// A parsed request. Spans are byte offsets in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Model that the client named.
    pub model: String,
    /// Its string with quotes.
    pub model_span: Span,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// `stream_options`, if sent.
    pub stream_options: Option<StreamOptions>,
    /// What the model shall answer to, in order. A plain `prompt` or `input` is one user message.
    pub messages: Vec<Message>,
    /// Top-level keys and their values, in order.
    pub members: Vec<(String, Span)>,
    /// Offset behind the `{` of the document.
    pub start: usize,
}

/// `stream_options` as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// The value.
    pub span: Span,
    /// `include_usage` and its span, if sent.
    pub include_usage: Option<(bool, Span)>,
    /// Whether the value is an object without members.
    pub is_empty: bool,
    /// Whether the value is an object at all.
    pub is_object: bool,
}

/// A message and the raw spans (without quotes) of its texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Text parts.
    pub texts: Vec<Span>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// `system` or `developer`
    System,
    /// `user`, and where none is written
    #[default]
    User,
    /// `assistant`
    Assistant,
    /// `tool`, `function`, and any other
    Tool,
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// Not JSON.
    Json(JsonError),
    /// Not UTF-8; the offset of the first wrong byte.
    NotUtf8(usize),
    /// Not an object.
    NotAnObject,
    /// A key is missing.
    Missing(&'static str),
    /// A key comes twice, so that two readers could see two values.
    Repeated(&'static str),
    /// A key is one that we read but for its case; servers whose JSON reader ignores case (Go's) would take it for that one.
    NotLowerCase(&'static str),
    /// A key has a value of the wrong type.
    WrongType(&'static str, &'static str),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(e) => write!(f, "The request body is not valid JSON: it {e}."),
            Self::NotUtf8(at) => write!(f, "The request body is not valid UTF-8 at byte {at}."),
            Self::NotAnObject => f.write_str("The request body must be a JSON object."),
            Self::Missing(key) => write!(f, "Missing required parameter: '{key}'."),
            Self::Repeated(key) => write!(f, "The parameter '{key}' is given more than once."),
            Self::NotLowerCase(key) => {
                write!(f, "The parameter '{key}' must be written in lower case.")
            }
            Self::WrongType(key, expected) => {
                write!(f, "Invalid type for '{key}': expected {expected}.")
            }
        }
    }
}

impl std::error::Error for RequestError {}

impl Request {
    /// Parses a body.
    ///
    /// # Errors
    /// [`RequestError`]; its text is made for the client.
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, RequestError> {
        std::str::from_utf8(body).map_err(|e| RequestError::NotUtf8(e.valid_up_to()))?;
        let mut reader = Reader::new(endpoint.input_key());
        let mut lexer = Lexer::new();
        lexer
            .push(body, &mut reader)
            .and_then(|()| lexer.finish(&mut reader))
            .map_err(RequestError::Json)?;
        reader.request(endpoint, body)
    }

    /// Value of a top-level key.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<Span> {
        self.members
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, span)| span.clone())
    }

    /// Whether a stream shall end with a chunk that has the usage.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options
            .and_then(|options| options.include_usage.as_ref())
            .is_some_and(|(wanted, _)| *wanted)
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
        self.messages
            .iter()
            .flat_map(|m| &m.texts)
            .map(ExactSizeIterator::len)
            .sum()
    }
}

impl Message {
    /// Its text parts, unescaped, joined by line feeds.
    #[must_use]
    pub fn text(&self, body: &[u8]) -> String {
        let mut text = Vec::new();
        for (i, span) in self.texts.iter().enumerate() {
            if i > 0 {
                text.push(b'\n');
            }
            unescape_into(body.get(span.clone()).unwrap_or_default(), &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

const INCLUDE_USAGE_TYPE: RequestError =
    RequestError::WrongType("stream_options.include_usage", "a boolean");

/// `key` as a reader that ignores case sees it; the two other letters that fold to ASCII are `ſ` and the Kelvin sign.
fn folded(key: &[u8]) -> String {
    String::from_utf8_lossy(key)
        .chars()
        .map(|c| match c {
            '\u{17F}' => 's',
            '\u{212A}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// Keys that are read, beside the endpoint's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    Model,
    Stream,
    StreamOptions,
    Input,
    /// `system` (Anthropic) or `instructions` (responses)
    System,
    Other,
}

/// What the value that comes next means inside a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Role,
    Text,
    Content,
    Other,
}

struct Reader {
    input_key: &'static str,
    depth: usize,
    root_is_object: bool,
    start: usize,
    members: Vec<(String, Span)>,
    top: Top,
    /// Start of the scalar that follows a key or comma is not told; its length gives it.
    value_start: usize,
    model: Option<(Span, bool)>,
    stream: Option<&'static str>,
    stream_options: Option<StreamOptions>,
    in_include_usage: bool,
    messages: Vec<Message>,
    inner: Inner,
    role: Vec<u8>,
    text_start: usize,
    taking: Taking,
    /// Whether the innermost list of a message is a `content`.
    in_content_list: bool,
    /// First mistake that does not end the reading.
    mistake: Option<RequestError>,
}

/// What the current string is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Nothing,
    Role,
    Text,
}

impl Reader {
    fn new(input_key: &'static str) -> Self {
        Self {
            input_key,
            depth: 0,
            root_is_object: false,
            start: 0,
            members: Vec::new(),
            top: Top::Other,
            value_start: 0,
            model: None,
            stream: None,
            stream_options: None,
            in_include_usage: false,
            messages: Vec::new(),
            inner: Inner::Other,
            role: Vec::new(),
            text_start: 0,
            taking: Taking::Nothing,
            in_content_list: false,
            mistake: None,
        }
    }

    /// The top-level key that is read, if `key` is one.
    fn known_key(&self, key: &[u8]) -> Option<&'static str> {
        [
            "model",
            "stream",
            "stream_options",
            "system",
            "instructions",
            self.input_key,
        ]
        .into_iter()
        .find(|known| known.as_bytes() == key)
    }

    fn mistake(&mut self, error: RequestError) {
        self.mistake.get_or_insert(error);
    }

    fn top_key(&mut self, key: &[u8]) {
        let name = self.known_key(key);
        let top = match name {
            Some("model") => Top::Model,
            Some("stream") => Top::Stream,
            Some("stream_options") => Top::StreamOptions,
            Some("system" | "instructions") => Top::System,
            Some(_) => Top::Input,
            None => Top::Other,
        };
        match name {
            Some(name) if self.members.iter().any(|(k, _)| k == name) => {
                self.mistake(RequestError::Repeated(name));
            }
            None if key.iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) => {}
            None => {
                if let Some(name) = self.known_key(folded(key).as_bytes()) {
                    self.mistake(RequestError::NotLowerCase(name));
                }
            }
            Some(_) => {}
        }
        self.top = top;
        self.members
            .push((String::from_utf8_lossy(key).into_owned(), 0..0));
    }

    /// A value of the document's object ended at `end`; it began at `start`.
    fn member_ends(&mut self, start: usize, end: usize) {
        if let Some((_, span)) = self.members.last_mut() {
            *span = start..end;
        }
        if self.top == Top::StreamOptions {
            match &mut self.stream_options {
                Some(options) => options.span = start..end,
                None => {
                    self.stream_options = Some(StreamOptions {
                        span: start..end,
                        include_usage: None,
                        is_empty: true,
                        is_object: false,
                    });
                }
            }
        }
    }

    fn in_messages(&self) -> bool {
        matches!(self.top, Top::Input | Top::System)
    }

    /// Whether a string that starts now is a text of the conversation.
    fn takes_text(&self) -> bool {
        match (self.top, self.depth) {
            // `prompt: "…"`, `input: ["…"]`, `system: "…"`
            (Top::Input | Top::System, 1) | (Top::Input, 2) => true,
            // `messages: [{content: "…"}]`, `system: [{text: "…"}]`
            (Top::Input, 3) => matches!(self.inner, Inner::Content | Inner::Text),
            (Top::System, 3) => self.inner == Inner::Text,
            // `messages: [{content: [{text: "…"}]}]`, `content: ["…"]`
            (Top::Input, 4) => self.in_content_list,
            (Top::Input, 5) => self.inner == Inner::Text,
            // `content: [{type: "tool_result", content: [{text: "…"}]}]`
            (Top::Input, 7) => self.inner == Inner::Text,
            _ => false,
        }
    }

    /// A text of the input: of the current message, or a message of its own where it stands alone.
    fn add_text(&mut self, span: Span) {
        match self.messages.last_mut() {
            Some(message) if self.depth > 2 => message.texts.push(span),
            _ => self.messages.push(Message {
                role: Role::User,
                texts: vec![span],
            }),
        }
    }

    fn request(self, endpoint: Endpoint, body: &[u8]) -> Result<Request, RequestError> {
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
        if !self.members.iter().any(|(k, _)| k == endpoint.input_key()) {
            return Err(RequestError::Missing(endpoint.input_key()));
        }
        let raw = model_span.start.saturating_add(1)..model_span.end.saturating_sub(1);
        let mut model = Vec::new();
        unescape_into(body.get(raw).unwrap_or_default(), &mut model);
        Ok(Request {
            model: String::from_utf8_lossy(&model).into_owned(),
            model_span,
            stream,
            stream_options: self.stream_options,
            messages: self.messages,
            members: self.members,
            start: self.start,
        })
    }
}

impl Sink for Reader {
    fn open(&mut self, container: Container, at: usize) {
        match self.depth {
            0 => {
                self.root_is_object = container == Container::Object;
                self.start = at.saturating_add(1);
            }
            1 => {
                self.value_start = at;
                match self.top {
                    Top::Model => self.model = Some((at..at, false)),
                    Top::Stream => self.stream = Some("container"),
                    Top::StreamOptions => {
                        self.stream_options = Some(StreamOptions {
                            span: at..at,
                            include_usage: None,
                            is_empty: true,
                            is_object: container == Container::Object,
                        });
                    }
                    _ => {}
                }
            }
            2 if self.top == Top::Input && container == Container::Object => {
                self.messages.push(Message::default());
            }
            2 if self.in_include_usage => self.mistake(INCLUDE_USAGE_TYPE),
            3 => {
                self.in_content_list =
                    container == Container::Array && self.inner == Inner::Content;
            }
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
        self.inner = Inner::Other;
    }

    fn close(&mut self, _container: Container, end: usize) {
        self.depth = self.depth.saturating_sub(1);
        self.inner = Inner::Other;
        if self.depth == 1 {
            self.member_ends(self.value_start, end);
        }
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        if self.depth == 1 {
            self.top_key(key);
        } else if self.top == Top::StreamOptions && self.depth == 2 {
            if let Some(options) = &mut self.stream_options {
                options.is_empty = false;
                self.in_include_usage = key == b"include_usage";
                if self.in_include_usage && options.include_usage.is_some() {
                    self.mistake(RequestError::Repeated("stream_options.include_usage"));
                }
            }
        } else if self.in_messages() {
            self.inner = match key {
                b"role" if self.depth == 3 => Inner::Role,
                b"content" | b"output" => Inner::Content,
                b"text" => Inner::Text,
                _ => Inner::Other,
            };
        }
    }

    fn string_start(&mut self, at: usize) {
        if self.depth == 1 {
            self.value_start = at;
        }
        self.text_start = at.saturating_add(1);
        self.taking = if self.takes_text() {
            Taking::Text
        } else if self.top == Top::Input && self.depth == 3 && self.inner == Inner::Role {
            self.role.clear();
            Taking::Role
        } else {
            Taking::Nothing
        };
    }

    fn string_part(&mut self, raw: &[u8]) {
        if self.taking == Taking::Role && self.role.len() < 64 {
            self.role.extend_from_slice(raw);
        }
    }

    fn string_end(&mut self, end: usize) {
        match self.taking {
            Taking::Text => {
                let span = self.text_start..end.saturating_sub(1);
                if self.top == Top::System {
                    self.messages.push(Message {
                        role: Role::System,
                        texts: vec![span],
                    });
                } else {
                    self.add_text(span);
                }
            }
            Taking::Role => {
                let mut role = Vec::new();
                unescape_into(&self.role, &mut role);
                if let Some(message) = self.messages.last_mut() {
                    message.role = match role.as_slice() {
                        b"system" | b"developer" => Role::System,
                        b"user" => Role::User,
                        b"assistant" => Role::Assistant,
                        _ => Role::Tool,
                    };
                }
            }
            Taking::Nothing => {}
        }
        self.taking = Taking::Nothing;
        self.inner = Inner::Other;
        if self.depth == 1 {
            match self.top {
                Top::Model => self.model = Some((self.value_start..end, true)),
                Top::Stream => self.stream = Some("string"),
                _ => {}
            }
            self.member_ends(self.value_start, end);
        } else if self.in_include_usage && self.depth == 2 {
            self.mistake(INCLUDE_USAGE_TYPE);
        }
    }

    fn scalar(&mut self, raw: &[u8], end: usize) {
        let start = end.saturating_sub(raw.len());
        self.inner = Inner::Other;
        if self.depth == 1 {
            match self.top {
                Top::Model => self.model = Some((start..end, false)),
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
            self.member_ends(start, end);
        } else if self.in_include_usage && self.depth == 2 {
            self.in_include_usage = false;
            if let Some(options) = &mut self.stream_options {
                options.include_usage = Some((raw == b"true", start..end));
            }
        }
    }
}
