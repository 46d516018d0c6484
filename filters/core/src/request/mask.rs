//! Words of a text that are replaced, as when personal data is masked.

use std::borrow::Cow;
use std::ops::Range;

use super::edit::string;
use super::{Edits, Message};
use crate::json::Span;

impl Edits {
    /// Replaces bytes of [`Message::text`], each range by a text. Whole characters: of one that is touched in part, nothing is left. Where a
    /// range goes over several text parts, the first gets the text. Of two ranges that overlap, what is left of the second is replaced
    /// as well, so that nothing that is named here stays readable. A number of which something is replaced becomes a string.
    pub fn replace_in_text(
        &mut self,
        body: &[u8],
        message: &Message,
        replacements: &[(Range<usize>, &str)],
    ) {
        let ranges: Vec<Range<usize>> = replacements
            .iter()
            .map(|(range, _)| range.clone())
            .collect();
        let mut has_begun = vec![false; ranges.len()];
        let mut quoted = None;
        for (i, span) in message.spans_of(body, &ranges) {
            if let Some(number) = number_at(body, message, &span)
                && quoted.as_ref() != Some(number)
            {
                for at in [number.start, number.end] {
                    self.texts.push((at..at, Cow::Borrowed(b"\"")));
                }
                quoted = Some(number.clone());
            }
            let begun = has_begun
                .get_mut(i)
                .is_none_or(|b| std::mem::replace(b, true));
            let text = replacements
                .get(i)
                .filter(|_| !begun)
                .map_or("", |(_, text)| text);
            self.texts.push((span, inside(text).into()));
        }
    }
}

/// The text part around `span`, if it is a number: no quote stands before it.
fn number_at<'m>(body: &[u8], message: &'m Message, span: &Span) -> Option<&'m Span> {
    let mut parts = message.texts.iter();
    let part = parts.find(|part| part.start <= span.start && span.end <= part.end)?;
    let before = body.get(part.start.checked_sub(1)?)?;
    (*before != b'"').then_some(part)
}

/// `text` as it stands between the quotes of a JSON string.
pub(super) fn inside(text: &str) -> Vec<u8> {
    let json = string(text).into_bytes();
    let end = json.len().saturating_sub(1);
    json.get(1..end).unwrap_or_default().to_vec()
}
