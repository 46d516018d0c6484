//! Label values as they stand in stat names.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest label value in bytes; a longer one is cut and ends in `%~` and the start of its SHA-256.
pub const MAX_LABEL_BYTES: usize = 128;

/// `%~` and 16 hex digits.
const MARK_BYTES: usize = 18;

/// A label value as it stands in a stat name: [`escape_label_into`] in a new string.
#[must_use]
pub fn escape_label(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    escape_label_into(value, &mut escaped);
    escaped
}

/// Appends `value` so that the stat name can be cut apart again and no two values become one.
///
/// Percent-encoded are only: `%`, control characters, and a `.` that follows `;` or `=` (separators of the encoding) or stands beside
/// one of the words that Istio's default tag regexes look for. Everything else, `@`, spaces and any script, stays as it is.
/// A value of more than [`MAX_LABEL_BYTES`] is cut at a character and marked with `%~`, which no other value can hold, and 16 hex
/// digits of its SHA-256.
pub fn escape_label_into(value: &str, out: &mut String) {
    if value.len() <= MAX_LABEL_BYTES {
        escape_part(value, out);
        return;
    }
    let mut end = MAX_LABEL_BYTES.saturating_sub(MARK_BYTES);
    while end > 0 && !value.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    escape_part(value.get(..end).unwrap_or_default(), out);
    out.push_str("%~");
    for byte in Sha256::digest(value.as_bytes()).iter().take(8) {
        let _ = write!(out, "{byte:02x}");
    }
}

fn escape_part(value: &str, out: &mut String) {
    /// Ends of the words before a dot that Istio's unanchored default tags match.
    const BEFORE_DOT: [&str; 7] = [";", "=", "cache", "component", "tag", "wasm_filter", "rbac"];
    /// Starts of such words after a dot.
    const AFTER_DOT: [&str; 2] = ["istio_dry_run_", "shadow_"];
    for (at, c) in value.char_indices() {
        let before = value.get(..at).unwrap_or_default();
        let cut = c == '.' && {
            let after = value.get(at..).unwrap_or_default().trim_start_matches('.');
            BEFORE_DOT.iter().any(|word| before.ends_with(word))
                || AFTER_DOT.iter().any(|word| after.starts_with(word))
        };
        if c == '%' || c.is_control() || cut {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}
