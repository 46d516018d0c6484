//! Where in a request something stands.

use crate::json::Container;
use crate::request::Endpoint;
use crate::request::shape::Media;
use crate::request::words::{Key, is_unseen};

/// Keys that are read, beside the endpoint's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    Model,
    Stream,
    StreamOptions,
    Input,
    /// `system` (Anthropic) or `instructions` (responses)
    System,
    /// `tools` and, before it, `functions`
    Tools,
    /// `mcp_servers` (Anthropic)
    McpServers,
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
    pub(super) fn of(key: &[u8], endpoint: Endpoint) -> Self {
        match key {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"system" | b"instructions" => Self::System,
            _ if key == endpoint.input_key().as_bytes() => Self::Input,
            b"tools" | b"functions" => Self::Tools,
            b"mcp_servers" => Self::McpServers,
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
pub(super) enum Place {
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
    /// The definition of one, whatever its type
    Tool,
    McpServers,
    McpServer,
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
    /// Where a container stands that opens in `parent`, below the document's key `top`.
    pub(super) fn within(parent: &Frame, top: Top, container: Container) -> Self {
        let is_object = container == Container::Object;
        match (parent.place, parent.key) {
            (Self::Document, _) => match top {
                Top::Input if !is_object => Self::Items,
                Top::System if !is_object => Self::System,
                Top::Tools if !is_object => Self::Tools,
                Top::McpServers if !is_object => Self::McpServers,
                Top::ToolChoice if is_object => Self::ToolChoice,
                Top::Format if is_object => Self::Format,
                Top::FormatParent if is_object => Self::FormatParent,
                Top::Metadata if is_object => Self::Metadata,
                Top::StreamOptions if is_object => Self::StreamOptions,
                Top::Model | Top::Stream | Top::StreamOptions | Top::Metadata | Top::Unseen => {
                    Self::Quiet
                }
                _ => Self::Known,
            },
            (Self::Items, _) if is_object => Self::Item,
            (Self::Item, Key::Content | Key::Output) if !is_object => Self::Content,
            (Self::Content, _) if is_object => Self::Part,
            (Self::System, _) if is_object => Self::SystemPart,
            (Self::Tools, _) if is_object => Self::Tool,
            (Self::McpServers, _) if is_object => Self::McpServer,
            (Self::FormatParent, Key::Label) if is_object => Self::Format,
            (Self::Quiet | Self::Metadata | Self::StreamOptions, _) | (_, Key::Quiet) => {
                Self::Quiet
            }
            (Self::Own, _) | (_, Key::Own) => Self::Own,
            (_, Key::Named) if is_object => Self::Named,
            _ => Self::Known,
        }
    }

    /// Whether keys say what their values are.
    pub(super) fn has_known_keys(self) -> bool {
        !matches!(self, Self::Named | Self::Own | Self::Quiet | Self::Metadata)
    }

    /// Whether a value under `key` is the client's own, such as an argument of a tool.
    pub(super) fn is_own(self, key: Key) -> bool {
        self == Self::Own || key == Key::Own
    }

    /// Whether credentials for a server of tools may stand here.
    pub(super) fn has_credentials(self) -> bool {
        matches!(self, Self::Tool | Self::McpServer)
    }

    pub(super) fn is_seen(self) -> bool {
        !matches!(
            self,
            Self::Document | Self::Quiet | Self::Metadata | Self::StreamOptions
        )
    }
}

/// A container that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) start: usize,
    /// Of the value that comes next; of every value of an array.
    pub(super) key: Key,
    pub(super) media: Option<Media>,
    /// What the key says, if a value follows.
    pub(super) keyed_media: Option<Media>,
    /// Whether its `type`, each time that it comes, is that of an MCP tool.
    pub(super) is_mcp: Option<bool>,
    /// Whether its `type` or media type says that its data is text.
    pub(super) is_textual: bool,
}

impl Frame {
    pub(super) fn new(place: Place, start: usize, key: Key) -> Self {
        Self {
            place,
            start,
            key,
            media: None,
            keyed_media: None,
            is_mcp: None,
            is_textual: false,
        }
    }

    pub(super) fn value_comes(&mut self, in_input: bool) {
        let keyed = self.keyed_media.take().filter(|_| in_input);
        self.media = self.media.or(keyed);
    }
}
