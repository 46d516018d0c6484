//! [`Engine`]: tokenizer, queue, model, trained heads and category prototypes, loaded and warmed up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use turnpike_core::decision::CategoryConfig;
use turnpike_core::routing::Topics;
use turnpike_core::sidecar::Scored;

use crate::categories::Categories;
use crate::encoder::files::FilesError;
use crate::encoder::onnx::LoadError;
use crate::encoder::runtime::{self, RuntimeError};
use crate::encoder::{
    Embedding, Encoder, EncoderFiles, OnnxEncoder, TextTokenizer, TokenizedText, Window,
};
use crate::heads::{self, Heads, HeadsError, Read, Verdict};
use crate::inference::{Embedded, Inference, InferenceError};
use crate::metrics::{Metrics, Stage};
use crate::settings::{EncoderSource, Settings};

/// Texts of one forward at start, and of one job of `/v1/embeddings`: analyses of other requests run in between.
pub const MAX_BATCH_TEXTS: usize = 8;

/// Windows of a long text that its topic is told from, spread over the whole: the proxy waits for it.
const MAX_TOPIC_WINDOWS: usize = 4;

/// Bytes of a text that its topic is told from.
const MAX_TOPIC_BYTES: usize = 16 << 10;

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's files.
    #[error("encoder files")]
    Files(#[from] FilesError),
    /// ONNX Runtime.
    #[error("ONNX Runtime")]
    Runtime(#[from] RuntimeError),
    /// The graph.
    #[error("{model}")]
    Model {
        /// The file.
        model: String,
        /// What is wrong.
        source: LoadError,
    },
    /// `tokenizer.json`.
    #[error("{file}: {message}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The encoder cannot read as many tokens as configured.
    #[error(
        "sidecar.encoder.max_tokens: must be at most {limit}, the model's max_position_embeddings, got {given}"
    )]
    TooManyTokens {
        /// What the model reads.
        limit: usize,
        /// What the configuration says.
        given: usize,
    },
    /// The first forward.
    #[error("warm-up: {0}")]
    WarmUp(String),
    /// The system gave no thread.
    #[error("inference thread")]
    Thread(#[from] std::io::Error),
}

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

/// Everything that reads texts.
#[derive(Debug)]
pub struct Engine {
    tokenizer: Arc<TextTokenizer>,
    inference: Inference,
    /// `None` when the encoder is not the one that they were trained on.
    heads: Option<Heads>,
    /// How the labels of the head `category` make up the configured categories, if they do.
    topics: Option<Topics>,
    categories: Categories,
    dimensions: usize,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// Loads what `settings` name and runs the model once. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`StartError`], naming the file, variable or key at fault.
    pub fn load(settings: &Settings, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let sidecar = &settings.config.sidecar;
        let files = match &settings.encoder {
            Some(EncoderSource::Folder(folder)) => EncoderFiles::from_folder(folder)?,
            Some(EncoderSource::Repository(name)) => EncoderFiles::from_repository(name)?,
            None => return Err(FilesError::NotConfigured.into()),
        };
        let max_tokens = usize::try_from(sidecar.encoder.max_tokens).unwrap_or(usize::MAX);
        if max_tokens > files.max_positions {
            return Err(StartError::TooManyTokens {
                limit: files.max_positions,
                given: max_tokens,
            });
        }
        let tokenizer = load_tokenizer(&files.tokenizer, max_tokens)?;
        let environment = runtime::environment(settings.onnxruntime.as_deref())?;
        let encoder = OnnxEncoder::load(
            &environment,
            &files.model,
            files.dimensions,
            files.pooling,
            sidecar.intra_threads.into(),
        )
        .map_err(|source| StartError::Model {
            model: files.model.display().to_string(),
            source,
        })?;
        Self::new(
            tokenizer,
            Arc::new(encoder),
            &settings.config.categories,
            metrics,
        )
    }

    /// An engine from its parts: embeds the categories, which warms the model up.
    ///
    /// # Errors
    /// [`StartError::WarmUp`] when that fails, [`StartError::Thread`] when the system gives no thread.
    pub fn new(
        tokenizer: TextTokenizer,
        encoder: Arc<dyn Encoder>,
        categories: &[CategoryConfig],
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let embed = |texts: &[String]| embed_all(&tokenizer, &*encoder, texts);
        embed(&["warm-up".to_owned()])?;
        let heads = load_heads(encoder.dimensions(), embed)?;
        let count = heads.as_ref().map_or(0, |heads| heads.names().count());
        metrics
            .trained_heads
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        let labels = heads.as_ref().and_then(|heads| heads.labels("category"));
        Ok(Self {
            topics: Topics::compile(categories, labels.unwrap_or_default()),
            heads,
            categories: Categories::new(categories, embed)?,
            dimensions: encoder.dimensions(),
            inference: Inference::start(encoder, Arc::clone(&metrics))?,
            tokenizer: Arc::new(tokenizer),
            metrics,
        })
    }

    /// Length of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The configured categories.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        &self.categories
    }

    /// The trained heads, if the encoder is the one that they were trained on.
    #[must_use]
    pub fn heads(&self) -> Option<&Heads> {
        self.heads.as_ref()
    }

    /// The configured category of a text: by the trained head where its labels make up the categories, else by resemblance.
    ///
    /// `embedding`: the vector of the text. Unless the whole of it `is_window` of the head's, windows are embedded.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn category(
        &self,
        text: &str,
        embedding: &Embedding,
        is_window: bool,
        deadline: Instant,
    ) -> Result<Option<Scored>, InferenceError> {
        let (Some(heads), Some(topics)) = (&self.heads, &self.topics) else {
            return Ok(self.categories.best(embedding));
        };
        let verdicts = if is_window {
            heads.judge(&[(text, embedding)])
        } else {
            let mut windows = Vec::new();
            for excerpt in excerpts(text) {
                windows.extend(spread(self.windows(excerpt).await?, MAX_TOPIC_WINDOWS));
            }
            let windows = spread(windows, MAX_TOPIC_WINDOWS);
            self.judge(heads, windows, deadline).await?
        };
        let category = verdicts.into_iter().find(|v| v.name == "category");
        let probabilities = category.map(|v| v.probabilities).unwrap_or_default();
        Ok(topics
            .best(&probabilities)
            .map(|(label, confidence)| Scored {
                label: label.to_owned(),
                confidence,
            }))
    }

    /// What the trained heads say of a text, all of it read. The count is that of its tokens.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn classify<'e>(
        &'e self,
        heads: &'e Heads,
        text: &str,
        deadline: Instant,
    ) -> Result<(Vec<Verdict<'e>>, usize), InferenceError> {
        let windows = self.windows(text).await?;
        let tokens = windows.iter().map(|w| w.tokens.input_ids.len()).sum();
        Ok((self.judge(heads, windows, deadline).await?, tokens))
    }

    async fn windows(&self, text: &str) -> Result<Vec<Window>, InferenceError> {
        let (tokenizer, text) = (Arc::clone(&self.tokenizer), text.to_owned());
        tokio::task::spawn_blocking(move || tokenizer.windows(&text))
            .await
            .unwrap_or_else(|panic| Err(panic.to_string()))
            .map_err(InferenceError::Failed)
    }

    /// Embeds windows in jobs of [`MAX_BATCH_TEXTS`] and asks the heads.
    async fn judge<'e>(
        &self,
        heads: &'e Heads,
        windows: Vec<Window>,
        deadline: Instant,
    ) -> Result<Vec<Verdict<'e>>, InferenceError> {
        let mut read = Read::default();
        for job in windows.chunks(MAX_BATCH_TEXTS) {
            let tokens = job.iter().map(|window| window.tokens.clone()).collect();
            let embeddings = self.embed(tokens, deadline).await?.embeddings;
            for (window, embedding) in job.iter().zip(&embeddings) {
                heads.window(&mut read, &window.text, embedding);
            }
        }
        Ok(heads.verdicts(&read))
    }

    /// Tokenizes texts on a thread that may block.
    ///
    /// # Errors
    /// [`InferenceError::Failed`] with what the tokenizer says.
    pub async fn tokenize(&self, texts: Vec<String>) -> Result<Vec<TokenizedText>, InferenceError> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let started_at = Instant::now();
        let tokenized = tokio::task::spawn_blocking(move || {
            texts.iter().map(|text| tokenizer.tokenize(text)).collect()
        })
        .await
        .unwrap_or_else(|panic| Err(panic.to_string()));
        self.metrics
            .observe(Stage::Tokenization, started_at.elapsed());
        tokenized.map_err(InferenceError::Failed)
    }

    /// Embeds tokenized texts in one forward.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn embed(
        &self,
        texts: Vec<TokenizedText>,
        deadline: Instant,
    ) -> Result<Embedded, InferenceError> {
        let tokens: usize = texts.iter().map(|text| text.input_ids.len()).sum();
        let embedded = self.inference.embed(texts, deadline).await?;
        self.metrics.tokens.inc_by(tokens as u64);
        Ok(embedded)
    }

    /// Embeds one text.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn analyze(&self, text: &str, deadline: Instant) -> Result<Analyzed, InferenceError> {
        let started_at = Instant::now();
        let tokenized = self.tokenize(vec![text.to_owned()]).await?;
        let tokenization_duration = started_at.elapsed();
        let truncated = tokenized.iter().any(|text| text.truncated);
        let tokens = tokenized.iter().map(|text| text.input_ids.len()).sum();
        let embedded = self.embed(tokenized, deadline).await?;
        let embedding = embedded.embeddings.into_iter().next();
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
fn spread(windows: Vec<Window>, most: usize) -> Vec<Window> {
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

fn load_tokenizer(path: &Path, max_tokens: usize) -> Result<TextTokenizer, StartError> {
    TextTokenizer::from_file(path, max_tokens).map_err(|message| StartError::Tokenizer {
        file: path.display().to_string(),
        message,
    })
}

fn embed_all(
    tokenizer: &TextTokenizer,
    encoder: &dyn Encoder,
    texts: &[String],
) -> Result<Vec<Embedding>, StartError> {
    let mut embeddings = Vec::with_capacity(texts.len());
    for chunk in texts.chunks(MAX_BATCH_TEXTS) {
        let tokenized: Vec<TokenizedText> = chunk
            .iter()
            .map(|text| tokenizer.tokenize(text))
            .collect::<Result<_, _>>()
            .map_err(StartError::WarmUp)?;
        let batch: Vec<&TokenizedText> = tokenized.iter().collect();
        let embedded = encoder.embed(&batch);
        embeddings.extend(embedded.map_err(|e| StartError::WarmUp(e.to_string()))?);
    }
    Ok(embeddings)
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
