//! The shape of a conversation: what it consists of, whatever its words.

use super::Role;

/// What a conversation consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Messages by `system` and `developer`, and `system` or `instructions` beside the conversation, as one.
    pub system_messages: usize,
    /// Messages by the user; a plain `prompt` or `input` is one.
    pub user_messages: usize,
    /// Messages by the model; calls and thoughts that the responses API writes beside them are none.
    pub assistant_messages: usize,
    /// Results of tools; of the messages API, messages that hold nothing else.
    pub tool_messages: usize,
    /// Definitions in `tools` and `functions`.
    pub tools: usize,
    /// Parts that are images, those in results of tools too.
    pub images: usize,
    /// Parts that are audio.
    pub audios: usize,
    /// Whether the conversation ends with the result of a tool, so that the model goes on with what it began.
    pub in_tool_loop: bool,
    /// Which tools the model shall use, if the client says so.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the answer must have a form, as `response_format` or its like says; `text` is none.
    pub has_response_format: bool,
}

/// `tool_choice`, and `function_call` before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// `auto`
    Auto,
    /// `none`
    None,
    /// `required` or `any`
    Required,
    /// Some by their names.
    Named,
}

impl Shape {
    /// Messages, whoever speaks.
    #[must_use]
    pub fn messages(&self) -> usize {
        [
            self.system_messages,
            self.user_messages,
            self.assistant_messages,
            self.tool_messages,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Messages by `role`.
    #[must_use]
    pub fn messages_by(&self, role: Role) -> usize {
        match role {
            Role::System => self.system_messages,
            Role::User => self.user_messages,
            Role::Assistant => self.assistant_messages,
            Role::Tool => self.tool_messages,
        }
    }

    pub(super) fn count(&mut self, role: Role) {
        let count = match role {
            Role::System => &mut self.system_messages,
            Role::User => &mut self.user_messages,
            Role::Assistant => &mut self.assistant_messages,
            Role::Tool => &mut self.tool_messages,
        };
        *count = count.saturating_add(1);
    }
}

impl ToolChoice {
    /// Of the word itself, or of the `type` of an object.
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"auto" => Self::Auto,
            b"none" => Self::None,
            b"required" | b"any" => Self::Required,
            _ => Self::Named,
        }
    }
}

/// A part that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Image,
    Audio,
}

impl Media {
    /// Of a part's `type`.
    pub(super) fn of_type(word: &[u8]) -> Option<Self> {
        match word {
            b"image_url"
            | b"input_image"
            | b"image"
            | b"image_pil"
            | b"image_embeds"
            | b"computer_screenshot" => Some(Self::Image),
            b"input_audio" | b"audio" | b"audio_url" => Some(Self::Audio),
            _ => None,
        }
    }

    /// Of a key that says it where a part has no `type`, as vLLM allows.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        match key {
            b"image_url" | b"image_pil" | b"image_embeds" => Some(Self::Image),
            b"input_audio" | b"audio_url" => Some(Self::Audio),
            _ => None,
        }
    }
}
