//! The state machine of [`super`].

use std::fmt;

use super::scan::string_len;
use super::text::unescape_into;

/// Nesting above which a document is refused: deeper ones serve attacks only.
pub const MAX_DEPTH: u8 = 128;

/// Longest key, as written, that is told to the sink; a longer one is told as `""` and none that we look for.
pub const MAX_KEY_BYTES: usize = 160;

/// Longest number that is told to the sink; a longer one is told cut, which no integer of ours reaches.
const MAX_SCALAR_BYTES: usize = 40;

/// What a document is told to. Every method has an empty default.
pub trait Sink {
    /// `{` or `[` at offset `at`; the container is one level deeper than what was seen before.
    fn open(&mut self, _container: Container, _at: usize) {}
    /// `}` or `]`; `end` is the offset behind it.
    fn close(&mut self, _container: Container, _end: usize) {}
    /// A key starts; `at` is the offset of its opening quote.
    fn key_start(&mut self, _at: usize) {}
    /// A key of the innermost object, unescaped; its closing quote stands before `end`.
    fn key(&mut self, _key: &[u8], _end: usize) {}
    /// A string value starts; `at` is the offset of its opening quote.
    fn string_start(&mut self, _at: usize) {}
    /// The next raw bytes of the string value, escapes included; they may end within an escape.
    fn string_part(&mut self, _raw: &[u8]) {}
    /// The string value ends; `end` is the offset behind its closing quote.
    fn string_end(&mut self, _end: usize) {}
    /// A number, `true`, `false` or `null` starts at offset `at`.
    fn scalar_start(&mut self, _at: usize) {}
    /// The scalar, complete but for the end of a very long number, and the offset behind it.
    fn scalar(&mut self, _raw: &[u8], _end: usize) {}
}

/// Kind of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `{}`
    Object,
    /// `[]`
    Array,
}

/// Why a document is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Byte offset of the offending byte, or of the end.
    pub offset: usize,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The input ends inside a value.
    Incomplete,
    /// A byte that cannot stand here.
    Unexpected,
    /// More than [`MAX_DEPTH`] containers.
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            JsonErrorKind::Incomplete => "ends too early",
            JsonErrorKind::Unexpected => "has an unexpected character",
            JsonErrorKind::TooDeep => "is nested too deeply",
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl std::error::Error for JsonError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must follow.
    Value,
    /// A value or `]`.
    FirstElement,
    /// A key or `}`.
    FirstKey,
    /// A key.
    Key,
    Colon,
    /// `,` or the end of the container.
    CommaOrEnd,
    Str(Role),
    Escape(Role),
    /// Hex digits of `\u` that are missing.
    Hex(Role, u8),
    Number(Num),
    /// Bytes of `true`, `false` or `null` that are missing.
    Literal(&'static [u8]),
    /// The one value is complete; only white space may follow.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// Where in a number we are (RFC 8259, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Num {
    Minus,
    Zero,
    Int,
    Dot,
    Frac,
    E,
    ESign,
    Exp,
}

impl Num {
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Int, b'0'..=b'9') => Self::Int,
            (Self::Zero | Self::Int, b'.') => Self::Dot,
            (Self::Dot | Self::Frac, b'0'..=b'9') => Self::Frac,
            (Self::Zero | Self::Int | Self::Frac, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::ESign,
            (Self::E | Self::ESign | Self::Exp, b'0'..=b'9') => Self::Exp,
            _ => return None,
        })
    }

    fn complete(self) -> bool {
        matches!(self, Self::Zero | Self::Int | Self::Frac | Self::Exp)
    }
}

/// The lexer. One document; [`Lexer::reset`] makes it ready for the next.
#[derive(Debug, Clone)]
pub struct Lexer {
    state: State,
    /// One bit a level, lowest = innermost: 1 = object.
    levels: u128,
    depth: u8,
    offset: usize,
    /// The key or scalar in progress, as written.
    held: Vec<u8>,
    held_overflowed: bool,
    key: Vec<u8>,
}

impl Default for Lexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Lexer {
    /// At the start of a document.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Value,
            levels: 0,
            depth: 0,
            offset: 0,
            held: Vec::new(),
            held_overflowed: false,
            key: Vec::new(),
        }
    }

    /// Back to the start of a document; keeps its memory.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.levels = 0;
        self.depth = 0;
        self.offset = 0;
        self.clear_held();
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The first byte that cannot be JSON; the lexer is then useless until [`Self::reset`].
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), JsonError> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let State::Str(role) = self.state {
                bytes = self.in_string(role, bytes, sink)?;
                continue;
            }
            // A number ends at the byte behind it, which is then read again in the next state.
            if let State::Number(num) = self.state {
                if let Some(next) = num.next(byte) {
                    self.state = State::Number(next);
                    self.hold(byte, MAX_SCALAR_BYTES);
                    self.offset = self.offset.saturating_add(1);
                    bytes = rest;
                } else if num.complete() {
                    self.end_scalar(self.offset, sink);
                } else {
                    return Err(self.unexpected());
                }
                continue;
            }
            self.step(byte, sink)?;
            self.offset = self.offset.saturating_add(1);
            bytes = rest;
        }
        Ok(())
    }

    /// Whether the input was exactly one value.
    ///
    /// # Errors
    /// [`JsonErrorKind::Incomplete`] when it was less.
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), JsonError> {
        if let State::Number(num) = self.state
            && self.depth == 0
            && num.complete()
        {
            self.end_scalar(self.offset, sink);
        }
        if self.state == State::Done {
            Ok(())
        } else {
            Err(JsonError {
                kind: JsonErrorKind::Incomplete,
                offset: self.offset,
            })
        }
    }

    fn unexpected(&self) -> JsonError {
        JsonError {
            kind: JsonErrorKind::Unexpected,
            offset: self.offset,
        }
    }

    /// Reads up to the end of the string, an escape that is not whole, or the end of `bytes`; returns what is left.
    fn in_string<'b>(
        &mut self,
        role: Role,
        bytes: &'b [u8],
        sink: &mut impl Sink,
    ) -> Result<&'b [u8], JsonError> {
        let (part, rest) = bytes
            .split_at_checked(string_len(bytes))
            .unwrap_or((bytes, &[]));
        let is_whole = self.held.is_empty() && rest.first() == Some(&b'"');
        if role == Role::Key && is_whole && !part.contains(&b'\\') {
            return Ok(self.whole_key(part, rest, sink));
        }
        self.string_bytes(role, part, sink);
        self.offset = self.offset.saturating_add(part.len());
        let Some((&byte, rest)) = rest.split_first() else {
            return Ok(rest);
        };
        match byte {
            b'"' => {
                let end = self.offset.saturating_add(1);
                match role {
                    Role::Key => self.end_key(end, sink),
                    Role::Value => {
                        self.state = self.after_value();
                        sink.string_end(end);
                    }
                }
            }
            b'\\' => {
                self.string_bytes(role, b"\\", sink);
                self.state = State::Escape(role);
            }
            _ => return Err(self.unexpected()),
        }
        self.offset = self.offset.saturating_add(1);
        Ok(rest)
    }

    /// The usual key: in one piece and without escapes, so it is told as it stands; `rest` begins with its closing quote.
    fn whole_key<'b>(&mut self, key: &[u8], rest: &'b [u8], sink: &mut impl Sink) -> &'b [u8] {
        let end = self.offset.saturating_add(key.len()).saturating_add(1);
        let told = key.len() <= MAX_KEY_BYTES && !self.held_overflowed;
        self.clear_held();
        self.offset = end;
        self.state = State::Colon;
        sink.key(if told { key } else { b"" }, end);
        rest.get(1..).unwrap_or_default()
    }

    fn string_bytes(&mut self, role: Role, part: &[u8], sink: &mut impl Sink) {
        if part.is_empty() {
            return;
        }
        match role {
            Role::Value => sink.string_part(part),
            Role::Key => {
                if self.held.len().saturating_add(part.len()) > MAX_KEY_BYTES {
                    self.held_overflowed = true;
                } else {
                    self.held.extend_from_slice(part);
                }
            }
        }
    }

    fn end_key(&mut self, end: usize, sink: &mut impl Sink) {
        self.key.clear();
        if !self.held_overflowed {
            unescape_into(&self.held, &mut self.key);
        }
        self.clear_held();
        self.state = State::Colon;
        sink.key(&self.key, end);
    }

    fn end_scalar(&mut self, end: usize, sink: &mut impl Sink) {
        self.state = self.after_value();
        sink.scalar(&self.held, end);
        self.clear_held();
    }

    fn hold(&mut self, byte: u8, limit: usize) {
        if self.held.len() < limit {
            self.held.push(byte);
        }
    }

    fn clear_held(&mut self) {
        self.held.clear();
        self.held_overflowed = false;
    }

    fn after_value(&self) -> State {
        if self.depth == 0 {
            State::Done
        } else {
            State::CommaOrEnd
        }
    }

    /// One byte outside strings' plain parts and numbers.
    fn step(&mut self, byte: u8, sink: &mut impl Sink) -> Result<(), JsonError> {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Escape(role) => self.escape(role, byte, sink),
            State::Hex(role, missing) => self.hex(role, missing, byte, sink),
            State::Literal(missing) => self.literal(missing, byte, sink),
            _ if space => Ok(()),
            State::Value => self.value(byte, sink),
            State::FirstElement if byte == b']' => self.close(Container::Array, sink),
            State::FirstElement => self.value(byte, sink),
            State::FirstKey if byte == b'}' => self.close(Container::Object, sink),
            State::FirstKey | State::Key if byte == b'"' => {
                sink.key_start(self.offset);
                self.state = State::Str(Role::Key);
                Ok(())
            }
            State::Colon if byte == b':' => {
                self.state = State::Value;
                Ok(())
            }
            State::CommaOrEnd => self.comma_or_end(byte, sink),
            _ => Err(self.unexpected()),
        }
    }

    fn escape(&mut self, role: Role, byte: u8, sink: &mut impl Sink) -> Result<(), JsonError> {
        self.state = match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Str(role),
            b'u' => State::Hex(role, 4),
            _ => return Err(self.unexpected()),
        };
        self.string_bytes(role, &[byte], sink);
        Ok(())
    }

    fn hex(
        &mut self,
        role: Role,
        missing: u8,
        byte: u8,
        sink: &mut impl Sink,
    ) -> Result<(), JsonError> {
        if !byte.is_ascii_hexdigit() {
            return Err(self.unexpected());
        }
        self.string_bytes(role, &[byte], sink);
        let missing = missing.saturating_sub(1);
        self.state = if missing == 0 {
            State::Str(role)
        } else {
            State::Hex(role, missing)
        };
        Ok(())
    }

    fn literal(
        &mut self,
        missing: &'static [u8],
        byte: u8,
        sink: &mut impl Sink,
    ) -> Result<(), JsonError> {
        match missing.split_first() {
            Some((&expected, rest)) if expected == byte => {
                self.hold(byte, MAX_SCALAR_BYTES);
                if rest.is_empty() {
                    self.end_scalar(self.offset.saturating_add(1), sink);
                } else {
                    self.state = State::Literal(rest);
                }
                Ok(())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn value(&mut self, byte: u8, sink: &mut impl Sink) -> Result<(), JsonError> {
        self.state = match byte {
            b'"' => {
                sink.string_start(self.offset);
                State::Str(Role::Value)
            }
            b'{' => return self.open(Container::Object, State::FirstKey, sink),
            b'[' => return self.open(Container::Array, State::FirstElement, sink),
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' => State::Number(Num::Minus),
            b'0' => State::Number(Num::Zero),
            b'1'..=b'9' => State::Number(Num::Int),
            _ => return Err(self.unexpected()),
        };
        if byte != b'"' {
            sink.scalar_start(self.offset);
            self.hold(byte, MAX_SCALAR_BYTES);
        }
        Ok(())
    }

    fn open(
        &mut self,
        container: Container,
        next: State,
        sink: &mut impl Sink,
    ) -> Result<(), JsonError> {
        if self.depth >= MAX_DEPTH {
            return Err(JsonError {
                kind: JsonErrorKind::TooDeep,
                offset: self.offset,
            });
        }
        self.depth = self.depth.saturating_add(1);
        self.levels = (self.levels << 1) | u128::from(container == Container::Object);
        self.state = next;
        sink.open(container, self.offset);
        Ok(())
    }

    fn close(&mut self, container: Container, sink: &mut impl Sink) -> Result<(), JsonError> {
        let innermost = if self.levels & 1 == 1 {
            Container::Object
        } else {
            Container::Array
        };
        if self.depth == 0 || innermost != container {
            return Err(self.unexpected());
        }
        self.depth = self.depth.saturating_sub(1);
        self.levels >>= 1;
        self.state = self.after_value();
        sink.close(container, self.offset.saturating_add(1));
        Ok(())
    }

    fn comma_or_end(&mut self, byte: u8, sink: &mut impl Sink) -> Result<(), JsonError> {
        match byte {
            b',' => {
                self.state = if self.levels & 1 == 1 {
                    State::Key
                } else {
                    State::Value
                };
                Ok(())
            }
            b'}' => self.close(Container::Object, sink),
            b']' => self.close(Container::Array, sink),
            _ => Err(self.unexpected()),
        }
    }
}
