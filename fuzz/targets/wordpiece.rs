//! The crate's word pieces are those of `tokenizers`, for any text and wherever reading stops. In a word of more than
//! [`LONG_WORD`] bytes pieces are given out before its end is seen, so only the latter holds.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokenizers::Tokenizer;
use turnpike_classify::model::{MODEL, Model, onnx::Onnx};
use turnpike_classify::model::wordpiece::{LONG_WORD, Reader, Vocabulary};

static MODEL_READ: LazyLock<Model<'static>> = LazyLock::new(|| Model::read(MODEL).unwrap());
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::read(words()).unwrap());
static REFERENCE: LazyLock<Tokenizer> = LazyLock::new(reference);

fn words() -> &'static str {
    static FILE: LazyLock<Onnx<'static>> = LazyLock::new(|| Onnx::read(MODEL).unwrap());
    FILE.property("vocabulary").unwrap()
}

fn reference() -> Tokenizer {
    let pieces: serde_json::Map<String, serde_json::Value> =
        words().lines().zip(0..).map(|(piece, number)| (piece.to_owned(), number.into())).collect();
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "post_processor": null, "decoder": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100_000, "vocab": pieces},
    })
    .to_string()
    .parse()
    .unwrap()
}

fuzz_target!(|input: (u8, &str)| {
    let (step, text) = input;
    let ours = MODEL_READ.tokens(text);
    let theirs = REFERENCE.encode_fast(text, false).unwrap();
    if text.split(char::is_whitespace).all(|word| word.len() < LONG_WORD / 4) {
        assert_eq!(ours, theirs.get_ids());
    }
    let (mut reader, mut pieces, mut more) = (Reader::default(), Vec::new(), true);
    while more {
        let mut part = Vec::new();
        more = reader.read(&VOCABULARY, text, &mut part, usize::from(step % 8) + 1);
        pieces.append(&mut part);
    }
    assert_eq!(pieces, ours);
});
