//! [`Engine`]: the encoder with everything that reads its vectors, and the models beside it.

mod judging;
mod models;
mod topic;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use turnpike_core::Config;
use turnpike_core::routing::Topics;
use turnpike_core::sidecar::{LLM_HEAD, SECOND_OPINION};

use super::load::{Kept, LoadedEncoder, LoadedHead, StartError};
use crate::batching::{Answers, InferenceError, Limits, Priority};
use crate::blocking;
use crate::cache::SecondOpinion;
use crate::categories::Categories;
use crate::classifier::{Answer, Classifier, CrossEncoder};
use crate::encoder::Embedding;
use crate::heads::shipped::WINDOW;
use crate::heads::{self, Heads, HeadsError};
use crate::llm::LlmClassifier;
use crate::metrics::{Metrics, Stage};
use crate::model::TokenizedText;
use crate::samples::Samples;

pub use wanted::Wanted;

/// A text and its vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Analyzed {
    /// The vector.
    pub embedding: Embedding,
    /// Tokens that it is of, special ones included.
    pub tokens: usize,
    /// Whether the end of the text was not read.
    pub truncated: bool,
    /// Text to tokens.
    pub tokenization_duration: Duration,
    /// Waiting for the model.
    pub queue_duration: Duration,
    /// The forward.
    pub inference_duration: Duration,
}

impl Analyzed {
    /// Whether the vector is that of a window of the heads.
    #[must_use]
    pub fn is_window(&self) -> bool {
        self.tokens <= WINDOW && !self.truncated
    }
}

/// Loaded models.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) encoder: Kept<LoadedEncoder>,
    pub(super) classifiers: Vec<Kept<Classifier>>,
    pub(super) heads: Vec<Arc<LoadedHead>>,
    pub(super) llm: Option<Kept<LlmClassifier>>,
    pub(super) cross_encoder: Option<Kept<CrossEncoder>>,
}

impl Loaded {
    pub(super) fn classifier(&self, name: &str) -> Option<&Kept<Classifier>> {
        let mut all = self.classifiers.iter();
        all.find(|classifier| classifier.value.name() == name)
    }
}

/// Everything that reads texts.
#[derive(Debug)]
pub struct Engine {
    pub(super) loaded: Loaded,
    /// `None` when the encoder is not the one that they were trained on.
    shipped: Option<Heads>,
    /// How the labels of the head `category` make up the configured categories, if they do.
    topics: Option<Topics>,
    /// What the cache asks about questions that are similar, but not very.
    second_opinion: Option<SecondOpinion>,
    categories: Categories,
    samples: Samples,
    limits: Limits,
    metrics: Arc<Metrics>,
    loaded_at: SystemTime,
}

/// Answers to one text, by the name of the head or classifier.
pub type AnswersByName = BTreeMap<String, Answer>;

impl Engine {
    /// An engine from an encoder alone.
    ///
    /// # Errors
    /// [`StartError::WarmUp`] when the categories cannot be embedded.
    pub fn with_encoder(
        encoder: LoadedEncoder,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let loaded = Loaded {
            encoder: Kept::of(encoder),
            classifiers: Vec::new(),
            heads: Vec::new(),
            llm: None,
            cross_encoder: None,
        };
        Self::new(loaded, config, metrics)
    }

    /// The same with a second opinion.
    #[must_use]
    pub fn with_second_opinion(self, second_opinion: SecondOpinion) -> Self {
        Self {
            second_opinion: Some(second_opinion),
            ..self
        }
    }

    /// Embeds the categories and checks the names.
    pub(super) fn new(
        loaded: Loaded,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let encoder = &loaded.encoder.value;
        let limits = encoder.limits;
        let embed = |texts: &[String]| encoder.embed_all(texts, limits.chunk());
        let shipped = load_heads(encoder.encoder.dimensions(), embed)?;
        let count = shipped.as_ref().map_or(0, |heads| heads.names().count());
        metrics
            .trained_heads
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        let labels = shipped.as_ref().and_then(|heads| heads.labels("category"));
        let engine = Self {
            topics: Topics::compile(&config.categories, labels.unwrap_or_default()),
            second_opinion: None,
            categories: Categories::new(&config.categories, embed)?,
            samples: Samples::new(config, embed)?,
            shipped,
            loaded,
            limits,
            metrics: Arc::clone(metrics),
            loaded_at: SystemTime::now(),
        };
        let mut names = engine.names();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StartError::Config {
                key: "sidecar.heads".into(),
                message: format!(
                    "the name `{}` is taken by another head or classifier",
                    pair[0]
                ),
            });
        }
        Ok(engine)
    }

    /// Name under which `/v1/embeddings` serves the encoder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.encoder.value.name
    }

    /// When it was loaded, in seconds since 1970.
    #[must_use]
    pub fn loaded_at(&self) -> u64 {
        let since = self.loaded_at.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// Length of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.loaded.encoder.value.encoder.dimensions()
    }

    /// Whether both embed alike: vectors of one mean something to the other.
    #[must_use]
    pub fn embeds_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.loaded.encoder.value, &other.loaded.encoder.value)
    }

    /// The samples of rules.
    #[must_use]
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The configured categories.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        &self.categories
    }

    /// All heads and classifiers with their labels.
    #[must_use]
    pub fn heads(&self) -> Vec<(String, Vec<String>)> {
        let shipped = self.shipped.iter().flat_map(|heads| {
            heads.names().map(|name| {
                let labels = heads.labels(name).unwrap_or_default();
                (name.to_owned(), labels.to_vec())
            })
        });
        let own = self.loaded.heads.iter();
        let own = own.map(|own| (own.name.clone(), own.head.about.labels.clone()));
        let classifiers = self.loaded.classifiers.iter();
        let classifiers =
            classifiers.map(|model| (model.value.name().to_owned(), model.value.labels()));
        let llm = self.loaded.llm.iter();
        let llm = llm.map(|llm| (LLM_HEAD.to_owned(), llm.value.labels().to_vec()));
        shipped.chain(own).chain(classifiers).chain(llm).collect()
    }

    /// What the cache asks about similar questions, if anything.
    #[must_use]
    pub fn second_opinion(&self) -> Option<&SecondOpinion> {
        self.second_opinion.as_ref()
    }

    /// Names of all that has metrics of its own beside the encoder.
    pub(super) fn models(&self) -> Vec<String> {
        let second_opinion = self
            .second_opinion
            .iter()
            .map(|_| SECOND_OPINION.to_owned());
        self.names().into_iter().chain(second_opinion).collect()
    }

    fn names(&self) -> Vec<String> {
        self.heads().into_iter().map(|(name, _)| name).collect()
    }

    /// Whether what the engine depends on answers, by name; asked side by side, each within `timeout`.
    pub async fn dependencies(&self, timeout: Duration) -> BTreeMap<String, Result<(), String>> {
        let llm = self.loaded.llm.iter();
        let checks = llm.map(|llm| async {
            let healthy = llm.value.healthy(timeout).await;
            ("llm_classifier".to_owned(), healthy)
        });
        futures_util::future::join_all(checks)
            .await
            .into_iter()
            .collect()
    }

    /// Tokenizes texts, off the threads that serve sockets when there is much of it. `passages`: behind the prefix of passages.
    ///
    /// # Errors
    /// [`InferenceError::Failed`] with what the tokenizer says.
    pub async fn tokenize(
        &self,
        texts: Vec<String>,
        passages: bool,
    ) -> Result<Vec<TokenizedText>, InferenceError> {
        let encoder = Arc::clone(&self.loaded.encoder.value);
        let started_at = Instant::now();
        let read = encoder.tokenizer.read_bytes();
        let bytes = texts.iter().map(|text| text.len().min(read)).sum();
        let inline = encoder.tokenizer.inline_bytes();
        let tokenized = blocking::run_beyond(inline, bytes, move || {
            let tokenize = |text: &String| {
                if passages {
                    encoder
                        .tokenizer
                        .tokenize_behind(&encoder.passage_prefix, text)
                } else {
                    encoder.tokenizer.tokenize(text)
                }
            };
            texts.iter().map(tokenize).collect()
        })
        .await;
        self.metrics
            .observe(Stage::Tokenization, started_at.elapsed());
        tokenized.map_err(InferenceError::Failed)
    }

    /// Embeds rows.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run(
        &self,
        rows: Vec<TokenizedText>,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Answers<Embedding>, InferenceError> {
        let batcher = &self.loaded.encoder.value.batcher;
        batcher
            .run_all(rows, self.limits.chunk(), priority, deadline)
            .await
    }

    /// Embeds one text.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn analyze(
        &self,
        text: &str,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Analyzed, InferenceError> {
        let started_at = Instant::now();
        let tokenized = self.tokenize(vec![text.to_owned()], false).await?;
        let tokenization_duration = started_at.elapsed();
        let truncated = tokenized.iter().any(|text| text.truncated);
        let tokens = tokenized.iter().map(|text| text.input_ids.len()).sum();
        let embedded = self.run(tokenized, priority, deadline).await?;
        let embedding = embedded.outputs.into_iter().next();
        Ok(Analyzed {
            embedding: embedding.ok_or_else(|| InferenceError::Failed("no vector".into()))?,
            tokens,
            truncated,
            tokenization_duration,
            queue_duration: embedded.queue_duration,
            inference_duration: embedded.inference_duration,
        })
    }
}

/// The shipped heads, if the encoder is the one that they were trained on.
fn load_heads(
    dimensions: usize,
    embed: impl FnOnce(&[String]) -> Result<Vec<Embedding>, StartError>,
) -> Result<Option<Heads>, StartError> {
    let heads = match Heads::read(heads::SHIPPED, dimensions) {
        Ok(heads) => heads,
        Err(why) => return Ok(without_heads(&why)),
    };
    let embeddings = embed(&heads.probes())?;
    match heads.check(&embeddings) {
        Ok(()) => Ok(Some(heads)),
        Err(why) => Ok(without_heads(&why)),
    }
}

fn without_heads(why: &HeadsError) -> Option<Heads> {
    tracing::warn!(%why, "the trained heads are not used; categories are told by their descriptions and examples");
    None
}
