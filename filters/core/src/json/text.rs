//! Escapes of JSON strings.

use super::scan;

/// Appends the text of a JSON string's raw bytes (without quotes) to `out`.
///
/// Expects bytes that [`super::Lexer`] accepted; a broken escape or a lone surrogate becomes U+FFFD, as serde_json's lossy
/// neighbours do, since the text is only read, never sent on.
pub fn unescape_into(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = unescape_settled(raw, out);
    while !rest.is_empty() {
        rest = unescape_one(rest, out);
        rest = unescape_settled(rest, out);
    }
}

/// Appends the text that is certain whatever comes next; returns the rest, an escape of which more may belong to it.
pub fn unescape_settled<'b>(raw: &'b [u8], out: &mut Vec<u8>) -> &'b [u8] {
    let mut rest = raw;
    loop {
        let (plain, escape) = rest
            .split_at_checked(plain_len(rest))
            .unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        rest = escape;
        // Escapes come in rows: text of other scripts, indentation.
        while rest.first() == Some(&b'\\') {
            if is_open(rest) {
                return rest;
            }
            rest = unescape_one(rest, out);
        }
        if rest.is_empty() {
            return rest;
        }
    }
}

/// Whether the escape at the start of `raw` ends with it and may go on: its digits, or the second half of a surrogate pair.
fn is_open(raw: &[u8]) -> bool {
    match raw {
        [b'\\'] => true,
        [b'\\', b'u', digits @ ..] if digits.len() < 4 => true,
        [
            b'\\',
            b'u',
            b'd' | b'D',
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
            _,
            _,
            low @ ..,
        ] => match low {
            [] | [b'\\'] => true,
            [b'\\', b'u', digits @ ..] => digits.len() < 4,
            _ => false,
        },
        _ => false,
    }
}

/// A piece of a JSON string: a run of plain bytes, or one escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Bytes as written.
    pub raw: usize,
    /// Bytes of the text.
    pub text: usize,
    /// Whether it is a run of bytes that stand for themselves.
    pub is_plain: bool,
}

/// The pieces of a JSON string's raw bytes (without quotes), in order; their texts are what [`unescape_into`] appends.
pub fn pieces(raw: &[u8]) -> impl Iterator<Item = Piece> {
    let mut rest = raw;
    let mut text = Vec::new();
    std::iter::from_fn(move || {
        let plain = plain_len(rest);
        if plain > 0 {
            rest = rest.get(plain..).unwrap_or_default();
            return Some(Piece {
                raw: plain,
                text: plain,
                is_plain: true,
            });
        }
        if rest.is_empty() {
            return None;
        }
        text.clear();
        let behind = unescape_one(rest, &mut text);
        let raw = rest.len().saturating_sub(behind.len());
        rest = behind;
        Some(Piece {
            raw,
            text: text.len(),
            is_plain: false,
        })
    })
}

/// Length of the start without a backslash. What else ends a run of the lexer's does not stand in a string, but in a mistake.
fn plain_len(raw: &[u8]) -> usize {
    let mut len = 0_usize;
    loop {
        let rest = raw.get(len..).unwrap_or_default();
        len = len.saturating_add(scan::plain_len(rest));
        match raw.get(len) {
            None | Some(b'\\') => return len,
            Some(_) => len = len.saturating_add(1),
        }
    }
}

/// Decodes the escape at the start of `bytes`, which begins with `\`; returns what follows it.
fn unescape_one<'b>(bytes: &'b [u8], out: &mut Vec<u8>) -> &'b [u8] {
    let Some((&letter, rest)) = bytes.get(1..).and_then(<[u8]>::split_first) else {
        return &[];
    };
    let simple = match letter {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(rest, out),
        other => other,
    };
    out.push(simple);
    rest
}

fn unescape_unicode<'b>(digits: &'b [u8], out: &mut Vec<u8>) -> &'b [u8] {
    let Some((first, rest)) = four_hex(digits) else {
        push_char(char::REPLACEMENT_CHARACTER, out);
        return &[];
    };
    if (0xD800..0xDC00).contains(&first)
        && let Some((b"\\u", low)) = rest.split_at_checked(2)
        && let Some((second @ 0xDC00..0xE000, behind)) = four_hex(low)
    {
        let high = u32::from(first & 0x3FF) << 10;
        let code = 0x1_0000_u32.saturating_add(high | u32::from(second & 0x3FF));
        push_char(
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            out,
        );
        return behind;
    }
    push_char(
        char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
        out,
    );
    rest
}

fn four_hex(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<4>()?;
    let mut code = 0;
    for digit in digits {
        let value = char::from(*digit).to_digit(16)?;
        code = (code << 4) | u16::try_from(value).ok()?;
    }
    Some((code, rest))
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends `text` as a JSON string with its quotes.
pub fn push_escaped(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a Vec cannot fail; an empty string stands for the impossible.
    match serde_json::to_vec(text) {
        Ok(json) => out.extend_from_slice(&json),
        Err(_) => out.extend_from_slice(b"\"\""),
    }
}
