//! Two texts as one row: the tokens and type ids of `tokenizers`, and the probabilities of transformers.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tokenizers::Tokenizer;
use tokio::time::{Duration, Instant};
use turnpike_core::config::{BatchingConfig, Precision};
use turnpike_sidecar::batching::{Limits, Priority};
use turnpike_sidecar::classifier::{CrossEncoder, LabelModel};
use turnpike_sidecar::metrics::Metrics;
use turnpike_sidecar::onnx::{Device, ModelFiles, Source, runtime};
use turnpike_sidecar::tokenizer::PairTokenizer;

use crate::harness::{Outcome, model_folder, onnxruntime, root, second_opinion_folder};
use crate::reference::{assert_close, expected, numbers};
use crate::word_pieces::any_text;

const MAX_TOKENS: usize = 48;

const MODELS: [&str; 2] = ["bert-duplicate", "roberta-nli"];

fn folder(model: &str) -> PathBuf {
    root().join("models/reference").join(model)
}

struct Both {
    ours: PairTokenizer,
    reference: Tokenizer,
    /// What a text must not have: special tokens, among them that of unknown words.
    refused: Vec<u32>,
}

impl Both {
    fn load(path: &std::path::Path) -> Outcome<Self> {
        let mut reference = Tokenizer::from_file(path)?;
        reference.with_padding(None);
        reference.with_truncation(None)?;
        let added = reference.get_added_tokens_decoder().into_iter();
        let refused = added.filter(|(_, token)| token.special).map(|(id, _)| id);
        Ok(Self {
            ours: PairTokenizer::from_file(path, MAX_TOKENS)?,
            refused: refused.collect(),
            reference,
        })
    }

    /// Whether the pair was read.
    fn compare(&self, first: &str, second: &str) -> Result<bool, String> {
        let of = |first: &str, second: &str, special| {
            let encoding = self.reference.encode((first, second), special);
            encoding.map_err(|e| e.to_string())
        };
        let bare = of(first, second, false)?;
        let spells = bare.get_ids().iter().any(|id| self.refused.contains(id));
        let whole = of(first, second, true)?;
        let ours = self.ours.tokenize(first, second)?;
        let ours = ours.map(|row| (row.input_ids, row.token_type_ids));
        let readable = !spells && whole.get_ids().len() <= MAX_TOKENS;
        let reference = readable.then(|| (whole.get_ids().to_vec(), whole.get_type_ids().to_vec()));
        if ours == reference {
            return Ok(readable);
        }
        Err(format!(
            "{first:?}, {second:?}: {ours:?}, reference {reference:?}"
        ))
    }
}

/// Words of the tokenizer's own vocabulary: the tiny models know few others.
fn known_text(tokenizer: &Tokenizer) -> impl Strategy<Value = String> + use<> {
    let is_word = |token: &String| token.bytes().all(|byte| byte.is_ascii_lowercase());
    let vocabulary = tokenizer.get_vocab(false).into_keys();
    let mut words: Vec<String> = vocabulary.filter(is_word).collect();
    words.sort_unstable();
    let word = prop::sample::select(words);
    prop::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

#[test]
fn any_two_texts_have_the_tokens_and_type_ids_of_the_reference() -> Outcome<()> {
    let config = || Config {
        cases: 2000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut files = vec![model_folder().join("tokenizer.json")];
    files.extend(MODELS.map(|model| folder(model).join("tokenizer.json")));
    for file in files {
        let both = Both::load(&file)?;
        let read = Cell::new(0);
        let text = || prop_oneof![any_text(), known_text(&both.reference)];
        TestRunner::new(config()).run(&(text(), text()), |(first, second)| {
            let is_read = both.compare(&first, &second);
            read.set(read.get() + u32::from(is_read.map_err(TestCaseError::fail)?));
            Ok(())
        })?;
        // A quarter of the pairs are of known words; some of them are too long, and some have names of special tokens.
        assert!((200..1_800).contains(&read.get()), "{} read", read.get());
        for (first, second) in [
            ("", ""),
            ("a", ""),
            ("one [SEP] two", "one"),
            ("one", "</s> two"),
            ("one [MASK] two", "one"),
            ("one", "<mask> two"),
        ] {
            both.compare(first, second)?;
        }
        for words in 15..26 {
            both.compare(&"word ".repeat(words), &"word ".repeat(48 - words))?;
        }
    }
    Ok(())
}

fn load(folder: PathBuf) -> Outcome<(CrossEncoder, PairTokenizer)> {
    let files = ModelFiles::find(&Source::Folder(folder), Precision::Fp32)?;
    let environment = runtime::environment(Some(&onnxruntime()))?;
    let loaded = LabelModel::load(&environment, &files, Device::Cpu, 1)?;
    let most = files.max_tokens.ok_or("no limit")?;
    let tokenizer = || PairTokenizer::from_file(&files.tokenizer, most);
    let cross_encoder = CrossEncoder::new(
        "pairs",
        files.labels.clone(),
        tokenizer()?,
        Arc::new(loaded),
        Limits::new(&BatchingConfig::default(), false),
        &Metrics::default(),
    )?;
    Ok((cross_encoder, tokenizer()?))
}

/// The token of words that a model does not know.
fn unknown_token(model: &str) -> Outcome<u32> {
    let tokenizer = Tokenizer::from_file(folder(model).join("tokenizer.json"))?;
    let named = ["[UNK]", "<unk>"].into_iter();
    let mut known = named.filter_map(|name| tokenizer.token_to_id(name));
    Ok(known.next().ok_or("no token for unknown words")?)
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().into_iter().flatten();
    ids.filter_map(|id| id.as_u64()?.try_into().ok()).collect()
}

#[tokio::test]
async fn pairs_have_the_tokens_and_probabilities_of_transformers_alone_and_in_a_batch()
-> Outcome<()> {
    for model in MODELS {
        let (cross_encoder, tokenizer) = load(folder(model))?;
        let unknown = unknown_token(model)?;
        let mut rows = Vec::new();
        let mut pairs = Vec::new();
        for row in expected(model)? {
            let [a, b] = ["a", "b"].map(|key| row[key].as_str().unwrap_or_default());
            let read = tokenizer.tokenize(a, b)?;
            if ids(&row["input_ids"]).contains(&unknown) {
                assert_eq!(read, None, "{model} {row}");
                continue;
            }
            let read = read.ok_or("does not fit")?;
            assert_eq!(read.input_ids, ids(&row["input_ids"]), "{model} {row}");
            assert_eq!(
                read.token_type_ids,
                ids(&row["token_type_ids"]),
                "{model} {row}"
            );
            pairs.push((a.into(), b.into()));
            rows.push(row);
        }
        assert!(rows.len() >= 16, "{model}");
        let deadline = Instant::now() + Duration::from_secs(60);
        let asked = |pairs| cross_encoder.probabilities(pairs, Priority::Bulk, deadline);
        let together = asked(pairs.clone()).await?;
        for ((row, pair), together) in rows.iter().zip(pairs).zip(together) {
            let labels = cross_encoder.labels().iter();
            let wanted: Value = labels.map(|l| row["probabilities"][l].clone()).collect();
            let alone = asked(vec![pair]).await?.pop().flatten();
            for found in [together, alone] {
                let found: Vec<f64> = found.ok_or("unread")?.into_iter().map(f64::from).collect();
                assert_close(&found, &numbers(&wanted), row);
            }
        }
    }
    Ok(())
}

/// `models/duplicate-questions/report.py` wrote what is expected, by the network that was trained.
#[tokio::test]
async fn the_shipped_model_gives_the_probabilities_of_its_training() -> Outcome<()> {
    let (cross_encoder, _) = load(second_opinion_folder())?;
    assert_eq!(cross_encoder.labels(), ["same"]);
    let file = root().join("models/duplicate-questions/parity.jsonl");
    let mut read = 0;
    for line in std::fs::read_to_string(file)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let [a, b] = ["a", "b"].map(|key| row[key].as_str().unwrap_or_default());
        let deadline = Instant::now() + Duration::from_secs(60);
        let pair = vec![(a.into(), b.into())];
        let found = cross_encoder.probabilities(pair, Priority::Bulk, deadline);
        let found = found.await?.pop().flatten().ok_or("unread")?;
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        let expected = row["probability"].as_f64().ok_or("no probability")?;
        assert_close(&found, &[expected], &row);
        read += 1;
    }
    assert!(read >= 50, "{read} pairs");
    Ok(())
}
