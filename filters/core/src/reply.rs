//! Answers that Turnpike gives itself: one table from fault to HTTP status and OpenAI error object.
//!
//! Format: OpenAI API reference, "Errors": `{"error": {"message", "type", "param", "code"}}`.

use serde::{Deserialize, Serialize};

use crate::guard::Block;
use crate::output::Breach;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The body is not the JSON that the path takes; the text says what and where.
    BadRequest(String),
    /// A header that must be unique came more than once.
    RepeatedHeader(String),
    /// No source names a user, and `on_missing` is `reject`.
    Unauthenticated,
    /// No bearer token, or another one than the sidecar asks for over TCP.
    InvalidToken,
    /// No such model.
    UnknownModel(String),
    /// No such path.
    UnknownPath(String),
    /// The path takes other methods.
    MethodNotAllowed,
    /// The body is larger than `limits.max_body_bytes`.
    TooLarge(usize),
    /// The sidecar is needed and gone, late or overloaded, and `sidecar.on_error` is `block`.
    SidecarUnavailable,
    /// A guard found what may not pass, and the API or the configuration wants an error.
    Blocked(Block),
    /// An output guard found what may not pass in the answer.
    ResponseBlocked(Breach),
    /// An output guard cannot read the answer, for this reason, and `guards.on_budget` is `block`.
    ResponseUnread(&'static str),
    /// Guards could not read the request within `guards.budget_ms`, and `guards.on_budget` is `block`.
    NotJudged,
    /// This member holds token ids or embeddings, and a guard would have to read it.
    Unreadable(&'static str),
    /// A decision answers by itself, and the API has no answer of text.
    NoAnswer,
    /// Only those may ask whom `explain.trusted` names.
    NotTrusted,
    /// The sidecar has no place or time for the request.
    Overloaded,
    /// A mistake of ours.
    Internal(&'static str),
}

impl Fault {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) | Self::RepeatedHeader(_) | Self::Unreadable(_) => 400,
            Self::Unauthenticated | Self::InvalidToken => 401,
            Self::UnknownModel(_) | Self::UnknownPath(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge(_) | Self::NotJudged => 413,
            Self::Blocked(_) | Self::ResponseBlocked(_) | Self::NoAnswer | Self::NotTrusted => 403,
            Self::ResponseUnread(_) => 502,
            Self::SidecarUnavailable | Self::Overloaded => 503,
            Self::Internal(_) => 500,
        }
    }

    /// Value of the metric label and of the `code` field.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "invalid_request",
            Self::RepeatedHeader(_) => "repeated_header",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidToken => "invalid_token",
            Self::UnknownModel(_) => "model_not_found",
            Self::UnknownPath(_) => "unknown_url",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge(_) => "request_too_large",
            Self::SidecarUnavailable => "sidecar_unavailable",
            Self::Overloaded => "overloaded",
            Self::Blocked(block) => block.code(),
            Self::ResponseBlocked(_) => "response_blocked",
            Self::ResponseUnread(_) => "response_not_judged",
            Self::NotJudged => "guard_budget_exceeded",
            Self::Unreadable(_) => "unreadable_input",
            Self::NoAnswer => "not_served",
            Self::NotTrusted => "not_trusted",
            Self::Internal(_) => "internal_error",
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            403 => "permission_error",
            503 => "service_unavailable_error",
            500 | 502 => "server_error",
            _ => "invalid_request_error",
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::BadRequest(what) => what.clone(),
            Self::RepeatedHeader(name) => {
                format!("The header '{name}' was sent more than once; it must be unique.")
            }
            Self::Unauthenticated => "The request names no user; authenticate first.".into(),
            Self::InvalidToken => {
                "The bearer token is missing or wrong; send it as 'authorization: Bearer …'.".into()
            }
            Self::UnknownModel(model) => format!("The model '{model}' does not exist."),
            Self::UnknownPath(path) => format!("Unknown request URL: {path}."),
            Self::MethodNotAllowed => "Not allowed with this method.".into(),
            Self::TooLarge(limit) => format!("The request body is larger than {limit} bytes."),
            Self::SidecarUnavailable => {
                "The classifier that this request needs is not available; try again later.".into()
            }
            Self::Overloaded => "The server is overloaded; try again later.".into(),
            Self::Blocked(block) => block.message(),
            Self::ResponseBlocked(breach) => format!("Response blocked: {}.", breach.what()),
            Self::ResponseUnread(why) => {
                format!(
                    "Response blocked: the guards cannot read the answer of the model, because {why}."
                )
            }
            Self::NotJudged => {
                "The request is too long to be checked by the guards in time; send less text."
                    .into()
            }
            Self::Unreadable(member) => {
                let what = match *member {
                    "prompt_embeds" => "embeddings",
                    _ => "token ids",
                };
                format!("The guards cannot read {what}, as in '{member}'; send text.")
            }
            Self::NotTrusted => "Only trusted callers may ask for explanations.".into(),
            Self::NoAnswer => "Requests of this kind are not served.".into(),
            Self::Internal(what) => format!("Internal error: {what}."),
        }
    }

    /// The response body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let object = ErrorObject {
            error: ErrorBody {
                message: self.message(),
                kind: self.kind().into(),
                param: match self {
                    Self::UnknownModel(_) => Some("model".into()),
                    Self::Unreadable(member) => Some((*member).into()),
                    _ => None,
                },
                code: Some(self.code().into()),
            },
        };
        serde_json::to_vec(&object).unwrap_or_else(|_| br#"{"error":{"message":"Internal error.","type":"server_error","param":null,"code":"internal_error"}}"#.to_vec())
    }
}

/// An OpenAI error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorObject {
    /// The error.
    pub error: ErrorBody,
}

/// Content of an OpenAI error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// For people.
    pub message: String,
    /// Class of the error.
    #[serde(rename = "type")]
    pub kind: String,
    /// Parameter at fault.
    pub param: Option<String>,
    /// Stable name of the error.
    pub code: Option<String>,
}
