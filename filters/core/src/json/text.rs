//! Escapes of JSON strings.

/// Appends the text of a JSON string's raw bytes (without quotes) to `out`.
///
/// Expects bytes that [`super::Lexer`] accepted; a broken escape or a lone surrogate becomes U+FFFD, as serde_json's lossy
/// neighbours do, since the text is only read, never sent on.
pub fn unescape_into(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while !rest.is_empty() {
        let plain = plain_len(rest);
        let (before, escape) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        rest = match escape {
            [] => &[],
            _ => unescape_one(escape, out),
        };
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

fn plain_len(raw: &[u8]) -> usize {
    raw.iter().position(|&b| b == b'\\').unwrap_or(raw.len())
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
    let (digits, rest) = bytes.split_at_checked(4)?;
    let text = std::str::from_utf8(digits).ok()?;
    Some((u16::from_str_radix(text, 16).ok()?, rest))
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
