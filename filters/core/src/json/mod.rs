//! A validating JSON lexer that takes its input in pieces and holds at most one key or number.
//!
//! 1. [`Lexer::push`] takes the next bytes, wherever they were cut, and tells a [`Sink`] what it saw, with byte offsets.
//! 2. [`Lexer::finish`] says whether exactly one complete value has been seen.
//! 3. Keys arrive unescaped, so that `"mod\u0065l"` is `model`; string values arrive as raw parts.
//!
//! Not done here: UTF-8 validation (the request parser checks the whole body first) and building a tree.
//! Why not `serde_json`: it gives no byte offsets and cannot stop between two chunks. See `docs/adr/0006-own-json-lexer.md`.
//! Format: RFC 8259.

mod lexer;
mod members;
mod outline;
mod scan;
mod text;

pub use lexer::{Container, JsonError, JsonErrorKind, Lexer, MAX_DEPTH, MAX_KEY_BYTES, Sink};
pub use members::Members;
pub use outline::outline;
pub use text::{Piece, pieces, push_escaped, unescape_into, unescape_settled};

use std::ops::Range;

/// Byte offsets in a body.
pub type Span = Range<usize>;

#[cfg(test)]
mod tests;
