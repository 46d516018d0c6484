//! [`Engine`]: tokenizer, queue, model and category prototypes, loaded and warmed up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use turnpike_core::decision::CategoryConfig;

use crate::categories::Categories;
use crate::encoder::files::FilesError;
use crate::encoder::onnx::LoadError;
use crate::encoder::runtime::{self, RuntimeError};
use crate::encoder::{Embedding, Encoder, EncoderFiles, OnnxEncoder, TextTokenizer, TokenizedText};
use crate::inference::{Embedded, Inference, InferenceError};
use crate::metrics::{Metrics, Stage};
use crate::settings::{EncoderSource, Settings};

/// Texts of one forward at start, and of one job of `/v1/embeddings`: analyses of other requests run in between.
pub const MAX_BATCH_TEXTS: usize = 8;

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
        Ok(Self {
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
        let embedded = self.embed(tokenized, deadline).await?;
        let embedding = embedded.embeddings.into_iter().next();
        Ok(Analyzed {
            embedding: embedding.ok_or_else(|| InferenceError::Failed("no vector".into()))?,
            truncated,
            tokenization_duration,
            queue_duration: embedded.queue_duration,
            inference_duration: embedded.inference_duration,
        })
    }
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
