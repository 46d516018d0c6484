//! Word pieces are read by the proxy's reader: the same tokens as by `tokenizers`, the reference, for any text.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokenizers::{Tokenizer, TruncationParams};
use turnpike_sidecar::tokenizer::TextTokenizer;

use crate::harness::{Outcome, model_folder};

const MAX_TOKENS: usize = 40;

struct Both {
    ours: TextTokenizer,
    reference: Tokenizer,
    prefix: &'static str,
}

impl Both {
    fn load(prefix: &'static str) -> Outcome<Self> {
        let path = model_folder().join("tokenizer.json");
        let mut reference = Tokenizer::from_file(&path)?;
        reference.with_padding(None);
        reference.with_truncation(Some(TruncationParams {
            max_length: MAX_TOKENS,
            ..TruncationParams::default()
        }))?;
        Ok(Self {
            ours: TextTokenizer::from_file(&path, MAX_TOKENS, prefix)?,
            reference,
            prefix,
        })
    }

    fn compare(&self, text: &str) -> Result<(), String> {
        let ours = self.ours.tokenize(text)?;
        let behind = format!("{}{text}", self.prefix);
        let reference = self.reference.encode_fast(&*behind, true);
        let reference = reference.map_err(|e| e.to_string())?;
        let truncated = !reference.get_overflowing().is_empty();
        if ours.input_ids == reference.get_ids() && ours.truncated == truncated {
            return Ok(());
        }
        Err(format!(
            "{text:?}: {ours:?}, reference {:?}",
            reference.get_ids()
        ))
    }
}

pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,12}",
        2 => any::<char>().prop_map(String::from),
        1 => "[\\p{M}\\p{Han}\\p{Arabic}\\p{Hangul}\\p{Latin}\\p{Sc}]{1,6}",
        1 => prop::sample::select(vec!["[SEP]", "[CLS] ", "[PAD]", "[MASK]", "[UNK]", "[sep]", "[SEP", "##ing", "##"]).prop_map(str::to_owned),
        1 => "[a-zé]{95,130}",
        3 => "[ \\t\\n.,!?'\u{a0}\u{200b}-]",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn any_text_has_the_tokens_of_the_reference() -> Outcome<()> {
    let config = || Config {
        cases: 4000,
        failure_persistence: None,
        ..Config::default()
    };
    for prefix in ["", "query: "] {
        let both = Both::load(prefix)?;
        TestRunner::new(config()).run(&any_text(), |text| {
            both.compare(&text).map_err(TestCaseError::fail)
        })?;
    }
    Ok(())
}

#[test]
fn words_at_the_limit_and_names_in_a_text_are_read_as_the_reference_does() -> Outcome<()> {
    let both = Both::load("")?;
    for length in [99, 100, 101, 126, 127, 128, 129, 511, 512, 513, 600] {
        for letter in ["a", "é", "字", "ж", "𝒳", "\u{301}a"] {
            both.compare(&format!("so {} it is", letter.repeat(length)))?;
        }
    }
    for text in [
        "",
        " ",
        "a [SEP] b",
        "[MASK][MASK]",
        "x\u{0}y\u{fffd}z",
        "don't",
    ] {
        both.compare(text)?;
    }
    for words in 36..42 {
        both.compare(&"word ".repeat(words))?;
    }
    Ok(())
}
