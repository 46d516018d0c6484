//! Why a body is refused.

use std::fmt;

use crate::json::JsonError;

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
