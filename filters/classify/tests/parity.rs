//! The same texts give the same answers everywhere: in Python's ONNX Runtime (`models/classifier/parity.jsonl`, written by the
//! training), in tract-onnx running the graph of the same file, and in the crate's own loops; and the crate's word pieces are
//! those of `tokenizers`.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails; clippy spares only the test functions themselves"
)]

use serde_json::Value;
use tokenizers::Tokenizer;
use tract_onnx::prelude::*;
use turnpike_classify::model::{MODEL, Model, onnx::Onnx};

const TOLERANCE: f32 = 1e-3;

fn reference() -> Tokenizer {
    let vocabulary = Onnx::read(MODEL).unwrap().property("vocabulary").unwrap();
    let pieces: serde_json::Map<String, Value> = vocabulary
        .lines()
        .zip(0..)
        .map(|(piece, number)| (piece.to_owned(), number.into()))
        .collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "post_processor": null, "decoder": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100_000, "vocab": pieces},
    });
    tokenizer.to_string().parse().unwrap()
}

fn rows() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/classifier/parity.jsonl"
    );
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn python_and_the_crate_agree_on_a_thousand_texts() {
    let model = Model::read(MODEL).unwrap();
    let rows = rows();
    assert_eq!(rows.len(), 1000);
    for row in &rows {
        let text = row["text"].as_str().unwrap();
        assert_eq!(
            model.tokens(text).len() as u64,
            row["tokens"].as_u64().unwrap(),
            "{text}"
        );
        let scores = model.classify(text);
        for (at, head) in model.heads().iter().enumerate() {
            let ours = scores.of(at);
            let theirs = row["scores"][&head.name].as_array();
            assert_eq!(ours.len(), theirs.map_or(0, Vec::len), "{text}");
            for (a, b) in ours.iter().zip(theirs.into_iter().flatten()) {
                let b = b.as_f64().unwrap() as f32;
                assert!(
                    (a - b).abs() < TOLERANCE,
                    "{}: {a} and {b} for {text}",
                    head.name
                );
            }
        }
    }
}

#[test]
fn tract_runs_the_same_file_to_the_same_end() {
    let model = Model::read(MODEL).unwrap();
    let graph = tract_onnx::onnx()
        .model_for_read(&mut &*MODEL)
        .unwrap()
        .into_typed()
        .unwrap();
    let outputs: Vec<String> = graph
        .output_outlets()
        .unwrap()
        .iter()
        .map(|outlet| graph.outlet_label(*outlet).unwrap_or_default().to_owned())
        .collect();
    let plan = graph.into_runnable().unwrap();
    let mut compared = 0;
    for row in rows() {
        let text = row["text"].as_str().unwrap();
        let tokens: Vec<i64> = model.tokens(text).into_iter().map(i64::from).collect();
        // One window, as the graph reads it.
        if tokens.is_empty() || tokens.len() > 32 {
            continue;
        }
        let found = plan.run(tvec!(tensor1(&tokens).into())).unwrap();
        let scores = model.classify(text);
        for (output, name) in found.iter().zip(&outputs) {
            let Some(at) = model.head(name) else { continue };
            let theirs = output.to_plain_array_view::<f32>().unwrap();
            for (a, b) in scores.of(at).iter().zip(theirs.iter()) {
                assert!((a - b).abs() < TOLERANCE, "{name}: {a} and {b} for {text}");
                compared += 1;
            }
        }
    }
    assert!(
        compared > 10_000,
        "{compared} numbers compared, of outputs {outputs:?}"
    );
}

#[test]
fn word_pieces_are_those_of_the_reference() {
    let (model, reference) = (Model::read(MODEL).unwrap(), reference());
    for row in rows() {
        let text = row["text"].as_str().unwrap();
        assert_eq!(
            model.tokens(text),
            reference.encode(text, false).unwrap().get_ids(),
            "{text}"
        );
    }
    // Every character that there is, in a word and by itself.
    for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
        let text = format!("a{c}b {c} {c}{c}");
        assert_eq!(
            model.tokens(&text),
            reference.encode(text.as_str(), false).unwrap().get_ids(),
            "U+{:04X}",
            u32::from(c)
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_cut_as_the_reference_does(text in "\\PC{0,200}", word in "[a-z]{1,400}") {
        static BOTH: std::sync::LazyLock<(Model<'static>, Tokenizer)> =
            std::sync::LazyLock::new(|| (Model::read(MODEL).unwrap(), reference()));
        let (model, reference) = &*BOTH;
        let text = format!("{text} {word}");
        proptest::prop_assert_eq!(model.tokens(&text), reference.encode(text.as_str(), false).unwrap().get_ids().to_vec());
    }
}
