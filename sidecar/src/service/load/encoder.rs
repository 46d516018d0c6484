//! Loading the encoder.

use std::sync::Arc;

use turnpike_core::config::SidecarConfig;

use super::error::{StartError, config_error, files_error, model_error};
use super::kept::{Kept, Placed};
use super::{Loader, load_tokenizer, warm_up};
use crate::batching::{Batcher, Limits};
use crate::encoder::{Embedding, Encoder, OnnxEncoder};
use crate::metrics::Metrics;
use crate::model::TokenizedText;
use crate::onnx::{FilesError, ModelFiles};
use crate::tokenizer::TextTokenizer;

/// Name of the encoder in metrics.
const ENCODER: &str = "encoder";

/// The encoder, ready to serve.
pub struct LoadedEncoder {
    pub(in crate::service) tokenizer: Arc<TextTokenizer>,
    pub(in crate::service) encoder: Arc<dyn Encoder>,
    pub(in crate::service) batcher: Batcher<Embedding>,
    pub(in crate::service) limits: Limits,
    pub(in crate::service) passage_prefix: String,
    pub(in crate::service) name: String,
}

impl std::fmt::Debug for LoadedEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedEncoder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl LoadedEncoder {
    /// An encoder from its parts.
    ///
    /// # Errors
    /// [`StartError::WarmUp`], [`StartError::Thread`].
    pub fn new(
        tokenizer: TextTokenizer,
        encoder: Arc<dyn Encoder>,
        config: &SidecarConfig,
        limits: Limits,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let model = Arc::<dyn Encoder>::clone(&encoder);
        warm_up(&tokenizer, |row| {
            model.forward(&[row]).map(drop).map_err(|e| e.to_string())
        })?;
        Ok(Self {
            batcher: Batcher::start(ENCODER, model, limits, metrics)?,
            limits,
            tokenizer: Arc::new(tokenizer),
            encoder,
            passage_prefix: config.encoder.passage_prefix.clone(),
            name: config.encoder.name.clone(),
        })
    }

    /// Embeds texts one batch after the other, before the queue serves anybody.
    pub(in crate::service) fn embed_all(
        &self,
        texts: &[String],
        chunk: usize,
    ) -> Result<Vec<Embedding>, StartError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(chunk) {
            let rows: Vec<TokenizedText> = chunk
                .iter()
                .map(|text| self.tokenizer.tokenize(text))
                .collect::<Result<_, _>>()
                .map_err(StartError::WarmUp)?;
            let embedded = self.encoder.forward(&rows.iter().collect::<Vec<_>>());
            embeddings.extend(embedded.map_err(|e| StartError::WarmUp(e.to_string()))?);
        }
        Ok(embeddings)
    }
}

impl Loader<'_> {
    pub(super) fn encoder(
        &self,
        previous: Option<&Kept<LoadedEncoder>>,
    ) -> Result<Kept<LoadedEncoder>, StartError> {
        let sidecar = &self.settings.config.sidecar;
        let config = &sidecar.encoder;
        const KEY: &str = "sidecar.encoder";
        let source = self.settings.encoder.as_ref();
        let source = source
            .ok_or(FilesError::NotConfigured)
            .map_err(files_error(KEY))?;
        let files = ModelFiles::find(source, config.precision).map_err(files_error(KEY))?;
        if files.hidden_size == 0 {
            let message = "hidden_size: must be at least 1".into();
            let path = files.config;
            return Err(files_error(KEY)(FilesError::Invalid { path, message }));
        }
        let max_tokens = config.max_tokens as usize;
        if let Some(limit) = files.max_tokens.filter(|limit| max_tokens > *limit) {
            let message =
                format!("must be at most {limit}, what the model reads, got {max_tokens}");
            return Err(config_error("sidecar.encoder.max_tokens", message));
        }
        let dimensions = config.dimensions as usize;
        if dimensions > files.hidden_size {
            let message = format!(
                "must be at most {}, what the model gives, got {dimensions}",
                files.hidden_size
            );
            return Err(config_error("sidecar.encoder.dimensions", message));
        }
        Kept::load(self.key(&files, config), previous, || {
            let tokenizer = load_tokenizer(&files.tokenizer, max_tokens, &config.prefix)?;
            let encoder = OnnxEncoder::load(
                &self.environment,
                &files,
                dimensions,
                self.device,
                self.threads(),
            )
            .map_err(|source| model_error(&files, source))?;
            let limits = self.limits(encoder.placement());
            let placed = Placed::new(ENCODER, &files, encoder.placement(), config.precision);
            let encoder =
                LoadedEncoder::new(tokenizer, Arc::new(encoder), sidecar, limits, self.metrics)?;
            Ok((encoder, placed))
        })
    }
}
