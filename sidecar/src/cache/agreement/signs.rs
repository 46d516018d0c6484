//! Which signs part words, close them, or make names of them.

/// Punctuation of scripts without spaces, and dashes between words.
pub(super) fn is_separator(c: char) -> bool {
    matches!(
        c,
        '。' | '、' | '，' | '？' | '！' | '：' | '；' | '「' | '」' | '（' | '）' | '—'
    )
}

pub(super) fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | ')'
            | ']'
            | '}'
            | '>'
            | '"'
            | '\''
            | '”'
            | '’'
            | '»'
            | '…'
            | '`'
            | '*'
    )
}

/// Signs with a meaning: operators, currencies, arrows, faces.
pub(super) fn is_operator(c: char) -> bool {
    let is_pictured = match u32::from(c) {
        // General punctuation, letters' marks, Chinese and Japanese punctuation, and what only chooses a picture's style.
        0x2000..=0x206F | 0x0300..=0x036F | 0x3000..=0x303F | 0xFE00..=0xFE0F | 0xFF00..=0xFF0F => {
            false
        }
        0x00AC | 0x00B1 | 0x00D7 | 0x00F7 => true,
        code => (code >= 0x2190 || (0x2070..0x20A0).contains(&code)) && !c.is_alphanumeric(),
    };
    is_pictured
        || matches!(
            c,
            '=' | '+'
                | '*'
                | '<'
                | '>'
                | '&'
                | '|'
                | '^'
                | '~'
                | '%'
                | '$'
                | '#'
                | '@'
                | '\\'
                | '/'
                | '_'
                | '-'
                | '°'
                | '€'
                | '£'
                | '¥'
                | '₹'
        )
}

pub(super) fn is_letters(text: &str) -> bool {
    !text.is_empty() && text.chars().all(char::is_alphabetic)
}

/// Whether `piece` has signs that words do not have.
pub(super) fn is_name(piece: &str) -> bool {
    let starts = piece.starts_with(['/', '~', '-', '.', '$', '#', '@', '\\', '^', '+'])
        && piece.chars().any(char::is_alphanumeric);
    let inside = piece.contains([
        '_', '@', '=', '\\', '$', '*', '+', '^', '<', '>', '#', '%', '{', '[', '&',
    ]) || piece.contains("::")
        || piece.contains("://")
        || piece.contains("()")
        || piece.contains('(') && piece.ends_with(')');
    starts || inside || has_inner_dot(piece)
}

/// A dot between letters, other than in `U.S.` and `e.g.`.
fn has_inner_dot(piece: &str) -> bool {
    let parts = || piece.trim_matches('.').split('.');
    parts().count() > 1 && parts().any(|part| part.chars().count() > 1)
}
