//! Pairs of questions with the verdict of a person, and what the cache makes of them: the test and the benchmark share this file.
//!
//! | file | by whom | what the rules were changed by |
//! |---|---|---|
//! | `development` | the author of the rules, before them; `assorted` later | each verdict |
//! | `held_out` | the same author, before them | until 2026-11-22 nothing but rates, since then each verdict |
//! | `adversarial` | readers of an earlier version: banks, hospitals (`office`), other matters (`general`); some pairs may be disputed | what passed |
//! | `blind` | somebody who did not know the rules | what passed, and every other paraphrase |
//! | `rewordings` | another one who did not know them | each verdict |
//! | `unseen` | a third one | nothing: rates alone were looked at |

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use turnpike_core::config::Precision;
use turnpike_sidecar::cache::SecondOpinion;
use turnpike_sidecar::cache::agreement::{self, Disagreement};
use turnpike_sidecar::classifier::{LabelModel, RowScores};
use turnpike_sidecar::encoder::{Embedding, OnnxEncoder};
use turnpike_sidecar::model::{Model as _, TokenizedText};
use turnpike_sidecar::onnx::{Device, ModelFiles, Source, runtime};
use turnpike_sidecar::tokenizer::{PairTokenizer, TextTokenizer};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Texts of one forward.
const BATCH: usize = 32;

/// One line of a file: two questions, and whether the answer to one serves the other.
#[derive(Debug, Deserialize)]
pub(crate) struct Pair {
    pub(crate) a: String,
    pub(crate) b: String,
    /// In pair files of others: `label`, 0 or 1.
    #[serde(alias = "label", deserialize_with = "truth")]
    pub(crate) same: bool,
    #[serde(default = "unnamed")]
    pub(crate) kind: String,
}

fn truth<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value == true || value == 1)
}

fn unnamed() -> String {
    "all".to_owned()
}

/// A pair with what an encoder and the rules say.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) pair: Pair,
    pub(crate) similarity: f32,
    /// Why the rules refuse it.
    pub(crate) refused: Option<Disagreement>,
}

impl Judged {
    /// Whether the cache would serve one for the other.
    pub(crate) fn is_hit(&self, threshold: f32, guarded: bool) -> bool {
        self.similarity >= threshold && !(guarded && self.refused.is_some())
    }

    /// Whether a model may accept it that is asked about what the rules do not understand.
    pub(crate) fn is_open(&self, threshold: f32) -> bool {
        let is_uncertain = self.refused.is_some_and(|why| !why.is_certain());
        self.similarity >= threshold && is_uncertain
    }
}

/// Pairs of a file of JSON lines.
pub(crate) fn pairs(path: &Path) -> Outcome<Vec<Pair>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The committed pairs of a part: `development`, `held_out`, `adversarial`, `blind`, `rewordings` or `unseen`.
pub(crate) fn committed(part: &str) -> Outcome<Vec<Pair>> {
    let folder = root().join("sidecar/tests/cache_correctness");
    pairs(&folder.join(format!("{part}.jsonl")))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The encoder of the demo, MiniLM.
#[derive(Debug)]
pub(crate) struct MiniLm {
    tokenizer: TextTokenizer,
    encoder: OnnxEncoder,
}

impl MiniLm {
    pub(crate) fn load() -> Outcome<Self> {
        let folder = from_env("TURNPIKE_MODEL_DIR", ".cache/models/all-MiniLM-L6-v2");
        let library = from_env("ORT_DYLIB_PATH", ".cache/onnxruntime/libonnxruntime.so");
        let loaded = || -> Outcome<Self> {
            let files = ModelFiles::find(&Source::Folder(folder.clone()), Precision::Fp32)?;
            let environment = runtime::environment(Some(&library))?;
            Ok(Self {
                tokenizer: TextTokenizer::from_file(&folder.join("tokenizer.json"), 256, "")?,
                encoder: OnnxEncoder::load(&environment, &files, 0, Device::Cpu, 0)?,
            })
        };
        loaded().map_err(|e| format!("{e}; run: make setup").into())
    }

    /// Embeds every text of `pairs` once and asks the rules about every pair.
    pub(crate) fn judge(&self, pairs: Vec<Pair>) -> Outcome<Vec<Judged>> {
        let mut texts: Vec<&str> = pairs.iter().flat_map(|p| [&*p.a, &*p.b]).collect();
        // By length, so that a batch has little padding.
        texts.sort_unstable_by_key(|text| (text.len(), *text));
        texts.dedup();
        let mut embeddings: HashMap<String, Embedding> = HashMap::new();
        for batch in texts.chunks(BATCH) {
            let rows = batch
                .iter()
                .map(|text| self.tokenizer.tokenize(text))
                .collect::<Result<Vec<_>, _>>()?;
            let vectors = self.encoder.forward(&rows.iter().collect::<Vec<_>>())?;
            embeddings.extend(batch.iter().map(|t| (*t).to_owned()).zip(vectors));
        }
        let similarity = |pair: &Pair| {
            let (a, b) = (embeddings.get(&pair.a)?, embeddings.get(&pair.b)?);
            Some(a.similarity(b))
        };
        pairs
            .into_iter()
            .map(|pair| {
                Ok(Judged {
                    similarity: similarity(&pair).ok_or("a text without an embedding")?,
                    refused: agreement::compare(&pair.a, &pair.b).err(),
                    pair,
                })
            })
            .collect()
    }
}

/// Tokens of a pair that are read.
const PAIR_TOKENS: usize = 512;

/// A model that reads two questions at once: the one of `models/duplicate-questions`, or another one in `TURNPIKE_SECOND_OPINION_DIR`.
pub(crate) struct CrossEncoder {
    tokenizer: PairTokenizer,
    model: LabelModel,
    label: usize,
}

impl CrossEncoder {
    pub(crate) fn load() -> Outcome<Self> {
        let folder = from_env(
            "TURNPIKE_SECOND_OPINION_DIR",
            ".cache/models/duplicate-questions",
        );
        let library = from_env("ORT_DYLIB_PATH", ".cache/onnxruntime/libonnxruntime.so");
        let label = std::env::var("TURNPIKE_SECOND_OPINION_LABEL").ok();
        let loaded = || -> Outcome<Self> {
            let files = ModelFiles::find(&Source::Folder(folder), Precision::Fp32)?;
            let environment = runtime::environment(Some(&library))?;
            let most = files.max_tokens.unwrap_or(PAIR_TOKENS).min(PAIR_TOKENS);
            Ok(Self {
                label: SecondOpinion::label(label.as_deref(), &files.labels)?,
                tokenizer: PairTokenizer::from_file(&files.tokenizer, most)?,
                model: LabelModel::load(&environment, &files, Device::Cpu, 0)?,
            })
        };
        loaded().map_err(|e| format!("{e}; run: make setup").into())
    }

    /// The lower probability of both orders, for each pair that can be read; all pairs in one forward.
    pub(crate) fn judge(&self, pairs: &[&Judged]) -> Outcome<Vec<Option<f32>>> {
        let mut rows: Vec<TokenizedText> = Vec::new();
        let mut readable = Vec::new();
        for Judged { pair, .. } in pairs {
            let orders = [(&pair.a, &pair.b), (&pair.b, &pair.a)];
            let read = orders.map(|(first, second)| self.tokenizer.tokenize(first, second));
            let [one, other] = read;
            let both = one?.zip(other?);
            readable.push(both.is_some());
            rows.extend(both.into_iter().flat_map(|(one, other)| [one, other]));
        }
        if rows.is_empty() {
            return Ok(vec![None; pairs.len()]);
        }
        let scores = self.model.forward(&rows.iter().collect::<Vec<_>>())?;
        let scores = scores.into_iter().filter_map(|scores| match scores {
            RowScores::Text(labels) => labels.get(self.label).copied(),
            RowScores::Tokens(_) => None,
        });
        let scores: Vec<f32> = scores.collect();
        let mut lowest = scores.chunks_exact(2).map(|both| both[0].min(both[1]));
        Ok(readable
            .into_iter()
            .map(|is_readable| is_readable.then(|| lowest.next()).flatten())
            .collect())
    }
}

fn from_env(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| root().join(default), PathBuf::from)
}

/// Hits among the pairs of one verdict: `(hits, pairs)`.
pub(crate) fn hits<'a>(
    judged: impl IntoIterator<Item = &'a Judged>,
    same: bool,
    threshold: f32,
    guarded: bool,
) -> (usize, usize) {
    let of_verdict = judged.into_iter().filter(|j| j.pair.same == same);
    of_verdict.fold((0, 0), |(hits, all), j| {
        (hits + usize::from(j.is_hit(threshold, guarded)), all + 1)
    })
}
