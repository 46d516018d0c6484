//! Two texts as the one row that a cross-encoder reads.
//!
//! 1. Each text becomes tokens by itself, as [`super::TextTokenizer`] reads it: word pieces by the proxy's reader, the rest by
//!    `tokenizers`.
//! 2. The post-processor's template for two texts goes around them, with its type ids: `[CLS] a [SEP] b [SEP]` of BERT with 0 and 1,
//!    `<s> a </s></s> b </s>` of RoBERTa with 0 alone.
//!
//! Nothing is cut: two questions that differ behind the cut would look the same. Nor is a text read that spells a token of the template:
//! its writer could end the first text and begin the second.

use std::ops::Range;
use std::path::Path;

use tokenizers::{Encoding, Tokenizer};

use super::MAX_BYTES_PER_TOKEN;
use super::word_pieces::WordPieces;
use crate::model::TokenizedText;

/// The tokenizer of a model that reads two texts.
#[derive(Debug)]
pub struct PairTokenizer {
    tokenizer: Tokenizer,
    word_pieces: Option<WordPieces>,
    template: Template,
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
    /// What is wrong with the file: one whose post-processor puts nothing between two texts is not that of a cross-encoder.
    pub fn from_file(path: &Path, max_tokens: usize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        Ok(Self {
            template: Template::of(&tokenizer)?,
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

    /// The row of two texts; `None` where they do not fit, or spell a token of the template.
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

    /// The tokens of one text, if they are at most `room`.
    fn text(&self, text: &str, room: usize) -> Result<Option<Vec<u32>>, String> {
        if text.len() > self.max_tokens * MAX_BYTES_PER_TOKEN {
            return Ok(None);
        }
        let fast = self.word_pieces.as_ref();
        let tokens = match fast.and_then(|pieces| pieces.read(text, room + 1)) {
            Some(tokens) => tokens,
            None => ids(&self.tokenizer, text)?,
        };
        let fits = tokens.len() <= room && !tokens.iter().any(|id| self.template.has(*id));
        Ok(fits.then_some(tokens))
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
    let encoding = tokenizer.encode_fast(text, false);
    Ok(encoding.map_err(|e| e.to_string())?.get_ids().to_vec())
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
        })
    }

    fn parts(&self) -> [&Special; 3] {
        [&self.before, &self.between, &self.after]
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|part| part.ids.len()).sum()
    }

    fn has(&self, id: u32) -> bool {
        self.parts().iter().any(|part| part.ids.contains(&id))
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

    fn tokenizer(post_processor: &str) -> Result<PairTokenizer, String> {
        let json = format!(
            r###"{{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {{"type": "Whitespace"}}, "decoder": null,
                "post_processor": {post_processor},
                "model": {{"type": "WordLevel", "unk_token": "?", "vocab": {{"?": 0, "a": 1, "b": 2, "|": 3, "^": 4}}}}}}"###
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
        let tokenizer = tokenizer(TEMPLATE).unwrap();
        let row = tokenizer.tokenize("a b", "b").unwrap().unwrap();
        assert_eq!(row.input_ids, [4, 1, 2, 3, 2]);
        assert_eq!(row.token_type_ids, [2, 0, 0, 0, 1]);
    }

    #[test]
    fn what_does_not_fit_or_spells_the_template_is_not_read() {
        let tokenizer = tokenizer(TEMPLATE).unwrap();
        let read = |first: &str, second: &str| tokenizer.tokenize(first, second).unwrap();
        assert!(read("a a a", "b b b").is_some(), "eight tokens");
        assert_eq!(read("a a a a", "b b b"), None);
        assert_eq!(read("a", &"b".repeat(1000)), None);
        assert_eq!(read("a | b", "b"), None);
        assert_eq!(read("a", "^ b"), None);
    }

    #[test]
    fn a_tokenizer_that_parts_no_texts_is_refused() {
        let error = tokenizer("null").unwrap_err();
        assert_eq!(
            error,
            "the post-processor has no template that parts two texts"
        );
    }
}
