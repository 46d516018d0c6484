//! Large, larger, largest: the base form of a word, and the degree that its ending says.

use std::borrow::Cow;

use super::lexicon::Lexicon;
use super::reading::Degree;

/// The base form, and the degree that the ending says.
pub(super) fn base<'a>(lexicon: &Lexicon, text: &'a str) -> (Cow<'a, str>, Degree) {
    let (base, degree) = match text {
        "best" => ("good", Degree::Most),
        "better" => ("good", Degree::More),
        "closest" | "nearest" => ("near", Degree::Most),
        "closer" | "nearer" => ("near", Degree::More),
        "earliest" => ("early", Degree::Most),
        "earlier" => ("early", Degree::More),
        "worst" => ("bad", Degree::Most),
        "worse" => ("bad", Degree::More),
        _ => {
            return graded(lexicon, text).unwrap_or_else(|| (lexicon.base(text), Degree::Plain));
        }
    };
    (Cow::Borrowed(base), degree)
}

fn graded<'a>(lexicon: &Lexicon, text: &str) -> Option<(Cow<'a, str>, Degree)> {
    let (stem, degree) = match (text.strip_suffix("est"), text.strip_suffix("er")) {
        (Some(stem), _) => (stem, Degree::Most),
        (_, Some(stem)) if !lexicon.knows(text) => (stem, Degree::More),
        _ => return None,
    };
    if degree == Degree::Most && lexicon.knows(text) && !matches!(text, "latest" | "nearest") {
        return None;
    }
    let candidates = [
        stem.to_owned(),
        format!("{stem}e"),
        stem.strip_suffix('i')
            .map(|s| format!("{s}y"))
            .unwrap_or_default(),
        stem.get(..stem.len().saturating_sub(1))
            .unwrap_or_default()
            .to_owned(),
    ];
    let base = candidates
        .into_iter()
        .find(|c| c.len() > 2 && lexicon.knows(c))?;
    Some((Cow::Owned(base), degree))
}
