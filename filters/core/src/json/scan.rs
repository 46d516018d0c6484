//! How far the content of a string goes, many bytes at a time.

/// Length of the start of `bytes` without quotes, backslashes and control characters.
///
/// Eight bytes at a time: a byte of `x` is below `n` where `x - n` borrows into its top bit and `x` had none there. A borrow
/// from a byte below can mark a byte too many, never one too few, and only above a true mark; so the lowest mark is true.
/// Source: S. E. Anderson, "Bit Twiddling Hacks", "Determine if a word has a byte less than n".
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, n: u64| word.wrapping_sub(ONES.wrapping_mul(n)) & !word & TOPS;
    let is = |word: u64, byte: u8| below(word ^ ONES.wrapping_mul(byte.into()), 1);
    let (words, tail) = bytes.as_chunks::<8>();
    let mut len = 0_usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let marks = below(word, 0x20) | is(word, b'"') | is(word, b'\\');
        if marks != 0 {
            return len.saturating_add((marks.trailing_zeros() / 8) as usize);
        }
        len = len.saturating_add(8);
    }
    let end = |&b: &u8| b == b'"' || b == b'\\' || b < 0x20;
    len.saturating_add(tail.iter().position(end).unwrap_or(tail.len()))
}

/// Length of the start of `bytes` that is plain text and whole escapes of a string.
///
/// Ends at a quote, a control character, an escape that is broken or cut, or the end.
pub(super) fn string_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        // Escapes come in rows: text of other scripts, indentation.
        rest = match rest {
            [
                b'\\',
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                behind @ ..,
            ] => behind,
            [b'\\', b'u', a, b, c, d, behind @ ..] if are_hex([*a, *b, *c, *d]) => behind,
            _ => match plain_len(rest) {
                0 => return bytes.len().saturating_sub(rest.len()),
                plain => rest.get(plain..).unwrap_or_default(),
            },
        };
    }
}

fn are_hex(digits: [u8; 4]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_text_ends_where_a_byte_by_byte_search_says(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let end = bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
            prop_assert_eq!(plain_len(&bytes), end.unwrap_or(bytes.len()));
        }

        #[test]
        fn a_long_plain_text_ends_at_its_first_special_byte(
            len in 0..40_usize,
            special in prop::sample::select(vec![b'"', b'\\', 0, 0x1f, b'\n']),
            after in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = vec![b'!'; len];
            bytes.push(special);
            bytes.extend(after);
            prop_assert_eq!(plain_len(&bytes), len);
        }
    }

    proptest! {
        #[test]
        fn content_ends_where_an_escape_is_not_whole(
            whole in r#"([^\x00-\x1f"\\]{0,12}|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,12}"#,
            end in prop::sample::select(vec!["", "\"", "\n", "\\", "\\x", "\\u", "\\u12", "\\u123", "\\u12g4", "\\u+123"]),
        ) {
            let bytes = format!("{whole}{end}");
            prop_assert_eq!(string_len(bytes.as_bytes()), whole.len());
        }
    }
}
