//! Two texts as the one row that a cross-encoder reads.
//!
//! 1. Each text becomes tokens by itself, as [`super::TextTokenizer`] reads it: word pieces by the proxy's reader, the rest by
//!    `tokenizers`.
//! 2. The post-processor's template for two texts goes around them, with its type ids: `[CLS] a [SEP] b [SEP]` of BERT with 0 and 1,
//!    `<s> a </s></s> b </s>` of RoBERTa with 0 alone.
//!
//! Not read at all is a pair in which a text
//! - does not fit: two questions that differ behind the cut would look the same;
//! - has a word that the tokenizer does not know: all of these are one token;
//! - spells a special token: its writer could end the first text and begin the second, or hide a word.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use tokenizers::{Encoding, Model as _, NormalizerWrapper, Tokenizer};

use super::MAX_BYTES_PER_TOKEN;
use super::word_pieces::WordPieces;
use crate::model::TokenizedText;

/// A character that no vocabulary has, since it never will be one.
const NONCHARACTER: &str = "\u{10FFFF}";

/// The tokenizer of a model that reads two texts.
#[derive(Debug)]
pub struct PairTokenizer {
    tokenizer: Tokenizer,
    word_pieces: Option<WordPieces>,
    template: Template,
    /// Tokens that no text may have.
    refused: HashSet<u32>,
    max_tokens: usize,
}

/// What the post-processor puts around two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    before: Special,
    first_type: u32,
    between: Special,
    second_type: u32,
    after: Special,
    /// The token of a letter.
    letter: u32,
}

/// Special tokens in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Special {
    ids: Vec<u32>,
    types: Vec<u32>,
}

impl PairTokenizer {
    /// Loads `tokenizer.json`. `max_tokens`: of both texts together, special tokens included.
    ///
    /// # Errors
    /// What is wrong with the file: one whose post-processor puts nothing between two texts is not that of a cross-encoder, and of
    /// one that leaves out what it does not know nobody can tell which texts it knows.
    pub fn from_file(path: &Path, max_tokens: usize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        let template = Template::of(&tokenizer)?;
        Ok(Self {
            refused: refused(&tokenizer, &template)?,
            template,
            word_pieces: WordPieces::of(&tokenizer),
            tokenizer,
            max_tokens,
        })
    }

    /// Most tokens of a pair, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Bytes of text up to which [`Self::tokenize`] takes less time than the way to another thread.
    #[must_use]
    pub(crate) fn inline_bytes(&self) -> usize {
        super::inline_bytes(self.word_pieces.as_ref())
    }

    /// The row of two texts; `None` where they do not fit, have a word that is not known, or spell a special token.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn tokenize(&self, first: &str, second: &str) -> Result<Option<TokenizedText>, String> {
        let Some(room) = self.max_tokens.checked_sub(self.template.len()) else {
            return Ok(None);
        };
        let Some(first) = self.text(first, room)? else {
            return Ok(None);
        };
        let Some(second) = self.text(second, room - first.len())? else {
            return Ok(None);
        };
        Ok(Some(self.template.around(&first, &second)))
    }

    /// A row of at most `tokens` tokens that says nothing, to warm a model up; `None` where two texts have no room in it.
    #[must_use]
    pub fn filler(&self, tokens: usize) -> Option<TokenizedText> {
        let room = tokens.min(self.max_tokens);
        let each = room.checked_sub(self.template.len())? / 2;
        let text = vec![self.template.letter; each];
        (each > 0).then(|| self.template.around(&text, &text))
    }

    /// The tokens of one text, if they are at most `room` and may be read.
    fn text(&self, text: &str, room: usize) -> Result<Option<Vec<u32>>, String> {
        if text.len() > self.max_tokens * MAX_BYTES_PER_TOKEN {
            return Ok(None);
        }
        let fast = self.word_pieces.as_ref();
        let tokens = match fast.and_then(|pieces| pieces.read(text, room + 1)) {
            Some(tokens) => tokens,
            None => ids(&self.tokenizer, text)?,
        };
        let fits = tokens.len() <= room && !tokens.iter().any(|id| self.refused.contains(id));
        Ok(fits.then_some(tokens))
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
    let encoding = tokenizer.encode_fast(text, false);
    Ok(encoding.map_err(|e| e.to_string())?.get_ids().to_vec())
}

/// Special tokens, those of the template, and the one of words that are not known.
fn refused(tokenizer: &Tokenizer, template: &Template) -> Result<HashSet<u32>, String> {
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    let special = added.filter(|(_, token)| token.special).map(|(id, _)| id);
    let mut refused: HashSet<u32> = special.chain(template.ids()).collect();
    let unknown = tokenizer.get_model().tokenize(NONCHARACTER);
    match unknown.map_err(|e| e.to_string())?.as_slice() {
        [unknown] => drop(refused.insert(unknown.id)),
        [] => reads_bytes(tokenizer)?,
        // One for each of its bytes.
        _ => {}
    }
    Ok(refused)
}

/// Whether something before the model makes bytes of characters, and all of them are known.
fn reads_bytes(tokenizer: &Tokenizer) -> Result<(), String> {
    let mut tokenizer = tokenizer.clone();
    // It may take such a character out.
    let without = tokenizer.with_normalizer(None::<NormalizerWrapper>);
    without.map_err(|e| e.to_string())?;
    match ids(&tokenizer, NONCHARACTER)?.is_empty() {
        true => Err("the tokenizer leaves out what it does not know".into()),
        false => Ok(()),
    }
}

impl Template {
    /// Read off what the post-processor makes of two letters.
    fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let pair = tokenizer.encode_fast(("a", "b"), true);
        let pair = pair.map_err(|e| e.to_string())?;
        let runs = runs(pair.get_special_tokens_mask());
        let [before, first, between, second, after] = runs.as_slice() else {
            return Err("the post-processor has no template that parts two texts".into());
        };
        let of = |range: &Range<usize>| pair.get_ids().get(range.clone()).unwrap_or_default();
        if of(first) != ids(tokenizer, "a")? || of(second) != ids(tokenizer, "b")? {
            return Err("the post-processor changes the texts".into());
        }
        let type_at = |at: usize| pair.get_type_ids().get(at).copied().unwrap_or_default();
        Ok(Self {
            before: Special::of(&pair, before),
            first_type: type_at(first.start),
            between: Special::of(&pair, between),
            second_type: type_at(second.start),
            after: Special::of(&pair, after),
            letter: of(first).first().copied().unwrap_or_default(),
        })
    }

    fn parts(&self) -> [&Special; 3] {
        [&self.before, &self.between, &self.after]
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|part| part.ids.len()).sum()
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        self.parts().into_iter().flat_map(|part| part.ids.clone())
    }

    fn around(&self, first: &[u32], second: &[u32]) -> TokenizedText {
        let [before, between, after] = self.parts();
        let first_types = vec![self.first_type; first.len()];
        let second_types = vec![self.second_type; second.len()];
        TokenizedText {
            input_ids: [&before.ids, first, &between.ids, second, &after.ids].concat(),
            token_type_ids: [
                &before.types,
                &first_types,
                &between.types,
                &second_types,
                &after.types,
            ]
            .map(Vec::as_slice)
            .concat(),
            truncated: false,
        }
    }
}

impl Special {
    fn of(pair: &Encoding, range: &Range<usize>) -> Self {
        let of = |values: &[u32]| values.get(range.clone()).unwrap_or_default().to_vec();
        Self {
            ids: of(pair.get_ids()),
            types: of(pair.get_type_ids()),
        }
    }
}

/// Special and other tokens by turns, beginning with special ones, of which there may be none at either end.
fn runs(special: &[u32]) -> Vec<Range<usize>> {
    let mut runs = vec![Range::default()];
    for (at, special) in special.iter().enumerate() {
        let is_special = runs.len() % 2 == 1;
        match runs.last_mut() {
            Some(run) if (*special == 1) == is_special => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    if runs.len() % 2 == 0 {
        runs.push(special.len()..special.len());
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_begin_and_end_with_special_tokens_or_none() {
        assert_eq!(runs(&[1, 0, 0, 1, 0, 1]), [0..1, 1..3, 3..4, 4..5, 5..6]);
        assert_eq!(runs(&[0, 1, 1, 0]), [0..0, 0..1, 1..3, 3..4, 4..4]);
        assert_eq!(runs(&[0, 0]), [0..0, 0..2, 2..2]);
    }

    const WORDS: &str = r#"{"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "|": 3, "^": 4, "*": 5, "+": 6}}"#;

    fn tokenizer(post_processor: &str, model: &str) -> Result<PairTokenizer, String> {
        let added = |id: u32, content: &str, special: bool| {
            format!(
                r#"{{"id": {id}, "content": "{content}", "special": {special}, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}}"#
            )
        };
        let added = [added(5, "*", true), added(6, "+", false)].join(",");
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [{added}], "normalizer": null, "pre_tokenizer": {{"type": "Whitespace"}}, "decoder": null,
                "post_processor": {post_processor}, "model": {model}}}"#
        );
        let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
        std::fs::write(file.path(), json).map_err(|e| e.to_string())?;
        PairTokenizer::from_file(file.path(), 8)
    }

    const TEMPLATE: &str = r#"{"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "^", "type_id": 2}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "|", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"^": {"id": "^", "ids": [4], "tokens": ["^"]}, "|": {"id": "|", "ids": [3], "tokens": ["|"]}}}"#;

    #[test]
    fn the_template_of_the_post_processor_goes_around_the_texts_with_its_type_ids() {
        let tokenizer = tokenizer(TEMPLATE, WORDS).unwrap();
        let row = tokenizer.tokenize("a b", "b").unwrap().unwrap();
        assert_eq!(row.input_ids, [4, 1, 2, 3, 2]);
        assert_eq!(row.token_type_ids, [2, 0, 0, 0, 1]);
    }

    #[test]
    fn what_does_not_fit_is_unknown_or_spells_a_special_token_is_not_read() {
        let tokenizer = tokenizer(TEMPLATE, WORDS).unwrap();
        let read = |first: &str, second: &str| tokenizer.tokenize(first, second).unwrap();
        assert!(read("a a a", "b b b").is_some(), "eight tokens");
        assert_eq!(read("a a a a", "b b b"), None);
        assert_eq!(read("a", &"b".repeat(1000)), None);
        assert_eq!(read("a | b", "b"), None, "of the template");
        assert_eq!(read("a", "^ b"), None, "of the template");
        assert_eq!(read("a * b", "b"), None, "special, and not of the template");
        assert!(read("a + b", "b").is_some(), "added, and not special");
        assert_eq!(read("a x", "a"), None, "unknown");
        assert_eq!(read("a", "y"), None, "unknown");
    }

    #[test]
    fn a_filler_has_at_most_as_many_tokens_as_are_asked_for() {
        let tokenizer = tokenizer(TEMPLATE, WORDS).unwrap();
        let length = |tokens| tokenizer.filler(tokens).map(|row| row.input_ids.len());
        assert_eq!(
            [3, 4, 7, 8, 100].map(length),
            [None, Some(4), Some(6), Some(8), Some(8)]
        );
    }

    #[test]
    fn a_tokenizer_that_parts_no_texts_is_refused() {
        let error = tokenizer("null", WORDS).unwrap_err();
        assert_eq!(
            error,
            "the post-processor has no template that parts two texts"
        );
    }

    #[test]
    fn a_tokenizer_that_leaves_out_what_it_does_not_know_is_refused() {
        let model = r#"{"type": "BPE", "vocab": {"?": 0, "a": 1, "b": 2, "|": 3, "^": 4, "*": 5, "+": 6}, "merges": []}"#;
        let error = tokenizer(TEMPLATE, model).unwrap_err();
        assert_eq!(error, "the tokenizer leaves out what it does not know");
        let named = model.replace(r#""merges""#, r#""unk_token": "?", "merges""#);
        let tokenizer = tokenizer(TEMPLATE, &named).unwrap();
        assert_eq!(tokenizer.tokenize("a", "x").unwrap(), None);
        assert!(tokenizer.tokenize("a", "b").unwrap().is_some());
    }
}
