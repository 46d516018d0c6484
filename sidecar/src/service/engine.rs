//! [`Engine`]: the encoder with everything that reads its vectors, and the models beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant, SystemTime};

use futures_util::StreamExt as _;
use tokio::time::Instant;
use turnpike_classify::model::Scores;
use turnpike_core::Config;
use turnpike_core::routing::Topics;
use turnpike_core::sidecar::{LLM_HEAD, SECOND_OPINION, Scored};

use super::load::{Kept, LoadedEncoder, LoadedHead, StartError};
use crate::batching::{Answers, InferenceError, Limits, Priority};
use crate::blocking;
use crate::cache::SecondOpinion;
use crate::categories::Categories;
use crate::classifier::{Answer, Classifier, CrossEncoder};
use crate::encoder::Embedding;
use crate::heads::shipped::{OVERLAP, WINDOW};
use crate::heads::{self, Heads, HeadsError};
use crate::llm::{LlmAnswer, LlmClassifier};
use crate::metrics::{Metrics, Stage};
use crate::model::TokenizedText;
use crate::samples::Samples;
use crate::tokenizer::Window;
use crate::windows::WindowPool;

/// Windows of a long text that its topic is told from, spread over the whole: the proxy waits for it.
const MAX_TOPIC_WINDOWS: usize = 4;

/// Bytes of a text that its topic is told from.
const MAX_TOPIC_BYTES: usize = 16 << 10;

/// Texts of one request that the language model is asked about at a time.
const LLM_TEXTS: usize = 8;

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

/// Which heads and classifiers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    shipped: Vec<String>,
    own: Vec<usize>,
    classifiers: Vec<usize>,
    llm: bool,
}

impl Wanted {
    /// Whether nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.reads_vectors() && !self.asks_models()
    }

    /// Whether models beside the encoder are asked.
    pub(super) fn asks_models(&self) -> bool {
        self.llm || !self.classifiers.is_empty()
    }

    /// Whether the encoder's vector is needed.
    pub(super) fn reads_vectors(&self) -> bool {
        !self.shipped.is_empty() || !self.own.is_empty()
    }
}

/// Names may be repeated by callers; nobody is asked twice.
trait DedupAll {
    fn dedup_all(&mut self);
}

impl<T: Ord> DedupAll for Vec<T> {
    fn dedup_all(&mut self) {
        self.sort();
        self.dedup();
    }
}

/// Answers to one text, by the name of the head or classifier.
pub type AnswersByName = BTreeMap<String, Answer>;

/// What the encoder's heads say of a text.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) answers: AnswersByName,
    pub(super) category: Option<Scored>,
}

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

    /// Whether a stored question of this similarity to the asked one is served only with a second opinion.
    #[must_use]
    pub fn needs_second_opinion(&self, similarity: f32) -> bool {
        self.second_opinion
            .as_ref()
            .is_some_and(|second_opinion| second_opinion.is_needed(similarity))
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

    /// The heads and classifiers of these names; when `None`, all but the language model, whose answers may cost money.
    ///
    /// # Errors
    /// The place of a name that there is none of, and the names that there are.
    pub fn wanted(&self, asked: Option<&[String]>) -> Result<Wanted, (usize, Vec<String>)> {
        let known = self.names();
        let mut wanted = Wanted::default();
        let free: Vec<String> = known
            .iter()
            .filter(|name| *name != LLM_HEAD)
            .cloned()
            .collect();
        for (at, name) in asked.unwrap_or(&free).iter().enumerate() {
            let own = self.loaded.heads.iter();
            let own = own.enumerate().find(|(_, own)| own.name == *name);
            let models = self.loaded.classifiers.iter();
            let model = models
                .enumerate()
                .find(|(_, model)| model.value.name() == name);
            let shipped = self
                .shipped
                .iter()
                .flat_map(Heads::names)
                .any(|known| known == name);
            if let Some((at, _)) = own {
                wanted.own.push(at);
            } else if let Some((at, _)) = model {
                wanted.classifiers.push(at);
            } else if name == LLM_HEAD && self.loaded.llm.is_some() {
                wanted.llm = true;
            } else if shipped {
                wanted.shipped.push(name.clone());
            } else {
                return Err((at, known));
            }
        }
        wanted.shipped.dedup_all();
        wanted.own.dedup_all();
        wanted.classifiers.dedup_all();
        Ok(wanted)
    }

    /// Whether the trained head tells the category; else it is told by resemblance.
    fn has_topics(&self) -> bool {
        self.shipped.is_some() && self.topics.is_some()
    }

    /// What the proxy's small model says of a text, which the trained heads join with the encoder's vector.
    ///
    /// Nothing where no trained head is asked. A text of more than one window is not read here: its windows are.
    fn small(&self, text: &str, wanted: &Wanted, wants_category: bool) -> Option<Scores> {
        let asked = !wanted.shipped.is_empty() || (wants_category && self.has_topics());
        let heads = self.shipped.as_ref().filter(|_| asked)?;
        Some(heads.small(text))
    }

    /// The configured category of a text of many windows.
    async fn category(
        &self,
        text: &str,
        analyzed: &Analyzed,
        deadline: Instant,
    ) -> Result<Option<Scored>, InferenceError> {
        if !self.has_topics() {
            return Ok(self.categories.best(&analyzed.embedding));
        }
        let mut windows = Vec::new();
        for excerpt in excerpts(text) {
            windows.extend(spread(self.windows(excerpt).await?, MAX_TOPIC_WINDOWS));
        }
        let windows = spread(windows, MAX_TOPIC_WINDOWS);
        let rows = windows.iter().map(|(_, row)| row.clone()).collect();
        let embedded = self.run(rows, Priority::Route, deadline).await?;
        let parts = windows.iter().map(|(part, _)| part.as_str());
        Ok(self.topic(&self.joined(parts, &embedded.outputs)))
    }

    /// Windows as both models read them; where there are no trained heads, nobody asks what the small model says.
    fn joined<'w>(
        &self,
        parts: impl Iterator<Item = &'w str>,
        embeddings: &'w [Embedding],
    ) -> Vec<(Scores, &'w Embedding)> {
        let heads = self.shipped.as_ref();
        let small = parts.map(|part| heads.map(|heads| heads.small(part)).unwrap_or_default());
        small.zip(embeddings).collect()
    }

    /// The category that the trained head tells from windows of a text.
    fn topic(&self, windows: &[(Scores, &Embedding)]) -> Option<Scored> {
        let (heads, topics) = (self.shipped.as_ref()?, self.topics.as_ref()?);
        let verdicts = heads.judge(windows);
        let category = verdicts.into_iter().find(|v| v.name == "category");
        let probabilities = category.map(|v| v.probabilities).unwrap_or_default();
        let (label, confidence) = topics.best(&probabilities)?;
        Some(Scored {
            label: label.to_owned(),
            confidence,
        })
    }

    /// The windows of a text that heads read.
    async fn windows(&self, text: &str) -> Result<Vec<(String, TokenizedText)>, InferenceError> {
        let tokenizer = Arc::clone(&self.loaded.encoder.value.tokenizer);
        let text = text.to_owned();
        blocking::run(text.len(), move || {
            let windows = tokenizer.windows(&text, WINDOW, OVERLAP)?;
            let part = |window: Window| {
                let part = text.get(window.range).unwrap_or_default();
                (part.to_owned(), window.tokens)
            };
            Ok(windows.into_iter().map(part).collect())
        })
        .await
        .map_err(InferenceError::Failed)
    }

    /// What heads and classifiers say of texts, all of each read: the encoder runs once, for all heads. A text of nothing but
    /// spaces has no labels. The count is that of the tokens read.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn classify(
        self: &Arc<Self>,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<AnswersByName>, usize), InferenceError> {
        let by_heads = self.judge_whole(texts, wanted, false, priority, deadline);
        let by_models = self.classify_by_models(texts, wanted, priority, deadline);
        let ((by_heads, tokens), (by_models, count)) = tokio::try_join!(by_heads, by_models)?;
        let all = by_heads.into_iter().zip(by_models);
        let joined =
            all.map(|(judged, answers)| judged.answers.into_iter().chain(answers).collect());
        Ok((joined.collect(), tokens + count))
    }

    /// What classifiers say of texts; they run side by side.
    pub(super) async fn classify_by_models(
        &self,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<AnswersByName>, usize), InferenceError> {
        let models = wanted.classifiers.iter();
        let models = models.filter_map(|at| self.loaded.classifiers.get(*at));
        let found = futures_util::future::try_join_all(models.map(|model| async {
            let model = &model.value;
            let priority = match priority {
                Priority::Route if model.guards() => Priority::Guard,
                priority => priority,
            };
            let started_at = StdInstant::now();
            let answered = model.classify(texts, priority, deadline).await?;
            self.metrics.head(model.name(), started_at.elapsed());
            Ok((model.name().to_owned(), answered))
        }));
        let (found, labels) =
            tokio::join!(found, self.llm_labels(texts, wanted, priority, deadline));
        let mut tokens = 0;
        let mut all: Vec<AnswersByName> = texts.iter().map(|_| BTreeMap::new()).collect();
        for (name, (answers, count)) in found? {
            tokens += count;
            for (text, answer) in all.iter_mut().zip(answers) {
                text.insert(name.clone(), answer);
            }
        }
        for (text, answer) in all.iter_mut().zip(labels) {
            text.insert(LLM_HEAD.to_owned(), answer);
        }
        Ok((all, tokens))
    }

    /// The language model's label for each text; none when it is not asked.
    async fn llm_labels(
        &self,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Vec<Answer> {
        let Some(llm) = self.loaded.llm.as_ref().filter(|_| wanted.llm) else {
            return Vec::new();
        };
        let started_at = StdInstant::now();
        let answers = (0..texts.len()).map(|at| {
            let text = texts.get(at).map_or("", String::as_str);
            llm.value.classify(text, priority, deadline)
        });
        // Few at a time: the proxy's questions find a turn between them.
        let answers = futures_util::stream::iter(answers).buffered(LLM_TEXTS);
        let answers: Vec<LlmAnswer> = answers.collect().await;
        self.metrics.head(LLM_HEAD, started_at.elapsed());
        let answer = |found: LlmAnswer| Answer {
            probabilities: if found.defaulted {
                vec![(found.label, 1.0)]
            } else {
                found.probabilities
            },
            entities: None,
            defaulted: found.defaulted,
        };
        answers.into_iter().map(answer).collect()
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

    /// What heads say of all windows of texts.
    async fn judge_whole(
        self: &Arc<Self>,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        wants_category: bool,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<Judged>, usize), InferenceError> {
        if !wanted.reads_vectors() {
            return Ok((texts.iter().map(|_| Judged::default()).collect(), 0));
        }
        let started_at = StdInstant::now();
        let encoder = Arc::clone(&self.loaded.encoder.value);
        let (read, bytes) = (Arc::clone(texts), texts.iter().map(String::len).sum());
        let windows: Vec<Vec<Window>> = blocking::run(bytes, move || {
            let windows = |text: &String| match text.trim() {
                "" => Ok(Vec::new()),
                _ => match encoder.tokenizer.single_window(text, WINDOW) {
                    Some(window) => Ok(vec![window]),
                    None => encoder.tokenizer.windows(text, WINDOW, OVERLAP),
                },
            };
            read.iter().map(windows).collect::<Result<_, String>>()
        })
        .await
        .map_err(InferenceError::Failed)?;
        let rows = windows.iter().flatten().map(|window| window.tokens.clone());
        let rows: Vec<TokenizedText> = rows.collect();
        let tokens = rows.iter().map(|row| row.input_ids.len()).sum();
        let mut embeddings = self
            .run(rows, priority, deadline)
            .await?
            .outputs
            .into_iter();
        let (engine, asked, read) = (Arc::clone(self), wanted.clone(), Arc::clone(texts));
        let judge = move || {
            let judged = read.iter().zip(windows).map(|(text, windows)| {
                let embeddings: Vec<Embedding> = embeddings.by_ref().take(windows.len()).collect();
                let part = |window: &Window| text.get(window.range.clone()).unwrap_or_default();
                let parts = engine.joined(windows.iter().map(part), &embeddings);
                let answers = engine.judge(&parts, &asked);
                let topic = || engine.topic(&spread(parts, MAX_TOPIC_WINDOWS));
                let category = wants_category.then(topic).flatten();
                Judged { answers, category }
            });
            Ok(judged.collect())
        };
        let all = blocking::run(bytes, judge)
            .await
            .map_err(InferenceError::Failed)?;
        for name in wanted.shipped.iter().cloned().chain(self.own_names(wanted)) {
            self.metrics.head(&name, started_at.elapsed());
        }
        Ok((all, tokens))
    }

    /// What heads say of a text whose vector is known, and its category: where the vector is of all of the text, no further
    /// forward is needed; else the heads' windows serve the category as well.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(super) async fn judge_analyzed(
        self: &Arc<Self>,
        text: &str,
        analyzed: &Analyzed,
        wanted: &Wanted,
        wants_category: bool,
        deadline: Instant,
    ) -> Result<Judged, InferenceError> {
        if analyzed.is_window() {
            let started_at = StdInstant::now();
            let small = self.small(text, wanted, wants_category);
            let window = [(small.unwrap_or_default(), &analyzed.embedding)];
            let answers = self.judge(&window, wanted);
            for name in answers.keys() {
                self.metrics.head(name, started_at.elapsed());
            }
            let category = wants_category.then(|| match self.has_topics() {
                true => self.topic(&window),
                false => self.categories.best(&analyzed.embedding),
            });
            return Ok(Judged {
                answers,
                category: category.flatten(),
            });
        }
        if !wanted.reads_vectors() {
            let category = if wants_category {
                self.category(text, analyzed, deadline).await?
            } else {
                None
            };
            return Ok(Judged {
                category,
                ..Judged::default()
            });
        }
        let texts: Arc<[String]> = [text.to_owned()].into();
        let own = wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at));
        let priority = if own.into_iter().any(|own| own.pooling.guards()) {
            Priority::Guard
        } else {
            Priority::Route
        };
        let found = self.judge_whole(&texts, wanted, wants_category, priority, deadline);
        let mut judged = found.await?.0.into_iter().next().unwrap_or_default();
        if wants_category && !self.has_topics() {
            judged.category = self.categories.best(&analyzed.embedding);
        }
        Ok(judged)
    }

    fn own_names(&self, wanted: &Wanted) -> impl Iterator<Item = String> {
        let own = wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at));
        own.map(|own| own.name.clone())
    }

    /// What the heads say of the windows of one text.
    fn judge(&self, windows: &[(Scores, &Embedding)], wanted: &Wanted) -> AnswersByName {
        let mut answers = BTreeMap::new();
        if let Some(heads) = self.shipped.as_ref().filter(|_| !wanted.shipped.is_empty()) {
            for verdict in heads.judge(windows) {
                if wanted.shipped.iter().any(|name| name == verdict.name) {
                    let labels = verdict.labels.iter().cloned();
                    answers.insert(
                        verdict.name.to_owned(),
                        Answer {
                            probabilities: labels.zip(verdict.probabilities).collect(),
                            ..Answer::default()
                        },
                    );
                }
            }
        }
        for own in wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at))
        {
            let head = &own.head;
            let mut pool = WindowPool::new(own.pooling);
            for (_, embedding) in windows {
                pool.add(&head.probabilities(embedding.values()));
            }
            let labels = head.about.labels.iter().cloned();
            answers.insert(
                own.name.clone(),
                Answer {
                    probabilities: labels.zip(pool.probabilities()).collect(),
                    ..Answer::default()
                },
            );
        }
        answers
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

/// The text, or of one that takes long to tokenize as many excerpts as windows are read, evenly spread.
fn excerpts(text: &str) -> Vec<&str> {
    if text.len() <= MAX_TOPIC_BYTES {
        return vec![text];
    }
    let size = MAX_TOPIC_BYTES / MAX_TOPIC_WINDOWS;
    let last = text.len() - size;
    (0..MAX_TOPIC_WINDOWS)
        .map(|i| {
            let start = text.floor_char_boundary(last / (MAX_TOPIC_WINDOWS - 1) * i);
            &text[start..text.floor_char_boundary(start + size)]
        })
        .collect()
}

/// At most `most` of the windows, the first and the last among them, evenly spread.
fn spread<W>(windows: Vec<W>, most: usize) -> Vec<W> {
    let count = windows.len();
    if count <= most {
        return windows;
    }
    let steps = most.saturating_sub(1).max(1);
    let chosen: Vec<usize> = (0..most).map(|i| i * (count - 1) / steps).collect();
    windows
        .into_iter()
        .enumerate()
        .filter(|(at, _)| chosen.contains(at))
        .map(|(_, window)| window)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_spread_over_a_long_text() {
        assert_eq!(excerpts("short"), ["short"]);
        let text = "é".repeat(300_000);
        let found = excerpts(&text);
        assert_eq!(found.len(), MAX_TOPIC_WINDOWS);
        assert!(
            found
                .iter()
                .all(|excerpt| excerpt.len().abs_diff(MAX_TOPIC_BYTES / MAX_TOPIC_WINDOWS) <= 1)
        );
        let starts: Vec<usize> = found
            .iter()
            .map(|e| e.as_ptr() as usize - text.as_ptr() as usize)
            .collect();
        assert_eq!(starts[0], 0);
        assert!(starts[3] + found[3].len() + 4 >= text.len(), "{starts:?}");
    }
}
