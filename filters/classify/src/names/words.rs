//! Cuts a text into words, signs and line breaks.

use std::ops::Range;

/// Runs of letters and digits (an apostrophe between two letters belongs to them), other characters alone, runs of line breaks.
/// Other white space parts words.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::with_capacity(text.len() / 5);
    // Start of the word in work, and its last character.
    let mut word: Option<(usize, char)> = None;
    // Whether the last piece is a run of line breaks that ends here.
    let mut breaks = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = at.saturating_add(c.len_utf8());
        if c.is_alphanumeric() {
            word = Some((word.map_or(at, |(start, _)| start), c));
            continue;
        }
        if let Some((start, last)) = word {
            let between =
                last.is_alphabetic() && chars.peek().is_some_and(|(_, next)| next.is_alphabetic());
            if matches!(c, '\'' | '’') && between {
                word = Some((start, c));
                continue;
            }
            found.push(start..at);
            word = None;
        }
        if c == '\n' {
            match found.last_mut().filter(|_| breaks == Some(at)) {
                Some(run) => run.end = end,
                None => found.push(at..end),
            }
            breaks = Some(end);
        } else if !c.is_whitespace() {
            found.push(at..end);
        }
    }
    if let Some((start, _)) = word {
        found.push(start..text.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_signs_and_breaks() {
        assert_eq!(
            cut("O'Brien’s no. 12b,\n\n Zürich"),
            ["O'Brien’s", "no", ".", "12b", ",", "\n\n", "Zürich"]
        );
        assert_eq!(cut("'a' b'"), ["'", "a", "'", "b", "'"]);
        assert_eq!(cut("\n \n"), ["\n", "\n"]);
        assert_eq!(cut(""), Vec::<&str>::new());
    }
}
