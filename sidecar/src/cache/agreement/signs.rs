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

pub(super) fn is_operator(c: char) -> bool {
    matches!(
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
