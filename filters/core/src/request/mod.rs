//! The request body of an LLM API, parsed once: what was asked, where its parts stand, and how it is edited.
//!
//! 1. [`Endpoint::of_path`] tells which API a path belongs to.
//! 2. [`Request::parse`] validates the JSON and finds model, stream flags, texts and the shape of the conversation, with byte offsets.
//! 3. [`Edits`] are splices at those offsets: what is not changed arrives byte for byte.
//!
//! Formats: OpenAI chat completions, completions, embeddings and responses; Anthropic messages.

mod body;
mod edit;
mod error;
mod mask;
mod message;
mod parameters;
mod reader;
mod shape;
mod system_prompt;
mod words;

pub use body::Request;
pub use edit::Edits;
pub use error::RequestError;
pub use message::{Message, Role};
pub use shape::{Shape, ToolChoice};
pub use system_prompt::PromptMode;

/// An LLM API, known by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages` (Anthropic)
    Messages,
}

impl Endpoint {
    /// The API behind `path`, a query string aside.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        match path.split('?').next()? {
            "/v1/chat/completions" => Some(Self::ChatCompletions),
            "/v1/completions" => Some(Self::Completions),
            "/v1/embeddings" => Some(Self::Embeddings),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// Whether its streams report usage only when `stream_options.include_usage` asks for it.
    #[must_use]
    pub fn has_stream_options(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions)
    }

    /// The key that holds what the model shall answer to.
    #[must_use]
    pub fn input_key(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Messages => "messages",
            Self::Completions => "prompt",
            Self::Embeddings | Self::Responses => "input",
        }
    }
}

#[cfg(test)]
mod tests;
