//! Loading: what the configuration names becomes an [`Engine`]; on a reload, what has not changed stays.

mod cross_encoder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ort::environment::Environment;
use turnpike_core::Config;
use turnpike_core::config::{
    LlmClassifierConfig, LlmEngine, ModelClassifierConfig, Precision, SidecarConfig,
};
use turnpike_core::sidecar::LLM_HEAD;

use super::engine::{Engine, Loaded};
use crate::batching::{Batcher, Limits};
use crate::cache::{OpenError, RedisOpenError};
use crate::classifier::{Classifier, LabelModel};
use crate::encoder::{Embedding, Encoder, OnnxEncoder};
use crate::heads::{OwnHead, OwnHeadError, encoder_id};
use crate::llm::prompt::system_message;
use crate::llm::{Decoder, DecoderError, LlmClassifier, LlmError};
use crate::metrics::Metrics;
use crate::model::TokenizedText;
use crate::onnx::device::Placement;
use crate::onnx::runtime::{self, RuntimeError};
use crate::onnx::{Device, FilesError, LoadError, ModelFiles, Source};
use crate::settings::Settings;
use crate::tokenizer::TextTokenizer;
use crate::windows::Pooling;

/// Name of the encoder in metrics.
pub(super) const ENCODER: &str = "encoder";

/// Tokens of the larger of the two forwards that warm a model up.
const WARM_UP_TOKENS: usize = 512;

/// Why the sidecar cannot start, or a new configuration cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's files.
    #[error("{key}")]
    Files {
        /// The key that names it.
        key: String,
        /// What is wrong.
        source: FilesError,
    },
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
    /// A model cannot do what is configured.
    #[error("{key}: {message}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A file of a head.
    #[error("{}: {source}", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OwnHeadError,
    },
    /// The language model's server.
    #[error("sidecar.llm_classifier")]
    Llm {
        /// What is wrong.
        source: LlmError,
    },
    /// The language model's files.
    #[error("sidecar.llm_classifier")]
    Decoder {
        /// What is wrong.
        source: DecoderError,
    },
    /// The cache's folder.
    #[error("semantic_cache.path")]
    Cache(#[from] OpenError),
    /// The files of the cache's Redis.
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The first forward.
    #[error("warm-up: {0}")]
    WarmUp(String),
    /// The system gave no thread.
    #[error("inference thread")]
    Thread(#[from] std::io::Error),
}

fn files_error(key: impl Into<String>) -> impl FnOnce(FilesError) -> StartError {
    let key = key.into();
    move |source| StartError::Files { key, source }
}

fn config_error(key: impl Into<String>, message: impl Into<String>) -> StartError {
    StartError::Config {
        key: key.into(),
        message: message.into(),
    }
}

/// The encoder, ready to serve.
pub struct LoadedEncoder {
    pub(super) tokenizer: Arc<TextTokenizer>,
    pub(super) encoder: Arc<dyn Encoder>,
    pub(super) batcher: Batcher<Embedding>,
    pub(super) limits: Limits,
    pub(super) passage_prefix: String,
    pub(super) name: String,
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
    pub(super) fn embed_all(
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

/// Runs a short row and a long one: the first forward of a shape allocates, and of a GPU chooses its kernels.
fn warm_up(
    tokenizer: &TextTokenizer,
    forward: impl Fn(&TokenizedText) -> Result<(), String>,
) -> Result<(), StartError> {
    let long = "warm up ".repeat(WARM_UP_TOKENS.min(tokenizer.max_tokens()) / 2);
    for text in ["warm-up", long.as_str()] {
        let row = tokenizer.tokenize(text).map_err(StartError::WarmUp)?;
        forward(&row).map_err(StartError::WarmUp)?;
    }
    Ok(())
}

/// A head that a user has trained.
#[derive(Debug)]
pub(super) struct LoadedHead {
    pub(super) name: String,
    pub(super) head: OwnHead,
    pub(super) pooling: Pooling,
}

/// Something loaded, and what it was loaded from: the same again need not be loaded again.
#[derive(Debug)]
pub(super) struct Kept<T> {
    key: String,
    pub(super) value: Arc<T>,
    placed: Option<Placed>,
}

/// Where a model was put.
#[derive(Debug, Clone)]
struct Placed {
    model: String,
    device: String,
    gpu: Option<u16>,
    precision: Precision,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            value: Arc::clone(&self.value),
            placed: self.placed.clone(),
        }
    }
}

impl Placed {
    fn new(model: &str, files: &ModelFiles, device: Placement, precision: Precision) -> Self {
        tracing::info!(
            model,
            graph = %files.graph.display(),
            %device,
            precision = precision.name(),
            "loaded"
        );
        Self {
            model: model.to_owned(),
            device: device.to_string(),
            gpu: match device {
                Placement::Cpu => None,
                Placement::Cuda(number) | Placement::TensorRt(number) => Some(number),
            },
            precision,
        }
    }
}

impl<T> Kept<T> {
    /// Says in the metrics where it runs.
    fn count(&self, metrics: &Metrics) {
        if let Some(placed) = &self.placed {
            metrics.placed(
                &placed.model,
                placed.device.clone(),
                placed.precision.name(),
            );
        }
    }

    /// The GPU that it is on.
    fn gpu(&self) -> Option<u16> {
        self.placed.as_ref()?.gpu
    }

    /// Made from parts; no configuration has its key.
    pub(super) fn of(value: T) -> Self {
        Self {
            key: String::new(),
            value: Arc::new(value),
            placed: None,
        }
    }

    fn load(
        key: String,
        previous: Option<&Self>,
        load: impl FnOnce() -> Result<(T, Placed), StartError>,
    ) -> Result<Self, StartError> {
        if let Some(previous) = previous.filter(|previous| previous.key == key) {
            return Ok(previous.clone());
        }
        let (value, placed) = load()?;
        Ok(Self {
            key,
            value: Arc::new(value),
            placed: Some(placed),
        })
    }
}

/// Files as they are now: path, length, time of change.
fn state_of(files: &ModelFiles) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut paths = vec![
        files.graph.clone(),
        files.tokenizer.clone(),
        files.config.clone(),
    ];
    paths.extend(files.tokenizer_config.clone());
    paths.extend(files.chat_template.clone());
    paths.extend(files.external_data());
    paths
        .into_iter()
        .map(|path| {
            let metadata = std::fs::metadata(&path).ok();
            let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            (path, length, metadata.and_then(|m| m.modified().ok()))
        })
        .collect()
}

/// What all models of one configuration share.
struct Loader<'s> {
    settings: &'s Settings,
    environment: Environment,
    device: Device,
    metrics: &'s Metrics,
}

impl Loader<'_> {
    fn key(&self, files: &ModelFiles, config: &dyn std::fmt::Debug) -> String {
        let sidecar = &self.settings.config.sidecar;
        let threads = sidecar.intra_threads;
        format!(
            "{:?}",
            (
                state_of(files),
                files,
                config,
                self.device,
                &sidecar.batching,
                threads
            )
        )
    }

    fn limits(&self, placement: Placement) -> Limits {
        Limits::new(&self.settings.config.sidecar.batching, placement.is_gpu())
    }

    fn threads(&self) -> usize {
        self.settings.config.sidecar.intra_threads.into()
    }

    fn encoder(
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

    fn classifier(
        &self,
        at: usize,
        config: &ModelClassifierConfig,
        previous: Option<&Kept<Classifier>>,
    ) -> Result<Kept<Classifier>, StartError> {
        let key = |key: &str| format!("sidecar.classifiers[{at}].{key}");
        let source = Source::of(&config.path, &config.repository);
        let source = source.ok_or_else(|| config_error(key("path"), "names no model"))?;
        let at_key = format!("sidecar.classifiers[{at}]");
        let files = ModelFiles::find(&source, config.precision).map_err(files_error(&at_key))?;
        if files.labels.is_empty() {
            let message = "id2label: is missing; is this a classification model?".into();
            let path = files.config;
            return Err(files_error(at_key)(FilesError::Invalid { path, message }));
        }
        let window = Classifier::window(config, &files).map_err(|most| {
            let message = format!(
                "must be at most {most}, what the model reads, got {}",
                config.max_tokens
            );
            config_error(key("max_tokens"), message)
        })?;
        let multi_label = files.multi_label || files.labels.len() == 1;
        let pooling = Pooling::of(
            config.background_label.as_deref(),
            &files.labels,
            multi_label,
        )
        .map_err(|message| config_error(key("background_label"), message))?;
        Kept::load(self.key(&files, config), previous, || {
            let tokenizer = load_tokenizer(&files.tokenizer, window, "")?;
            let model = LabelModel::load(&self.environment, &files, self.device, self.threads())
                .map_err(|source| model_error(&files, source))?;
            let limits = self.limits(model.placement());
            let placed = Placed::new(&config.name, &files, model.placement(), config.precision);
            warm_up(&tokenizer, |row| {
                use crate::model::Model as _;
                model.forward(&[row]).map(drop).map_err(|e| e.to_string())
            })?;
            let classifier = Classifier::new(
                config,
                &files,
                pooling,
                tokenizer,
                model,
                limits,
                self.metrics,
            )?;
            Ok((classifier, placed))
        })
    }

    fn llm(
        &self,
        config: &LlmClassifierConfig,
        previous: Option<&Kept<LlmClassifier>>,
    ) -> Result<Kept<LlmClassifier>, StartError> {
        const KEY: &str = "sidecar.llm_classifier";
        let llm_error = |source: LlmError| StartError::Llm { source };
        if config.engine == LlmEngine::OpenAi {
            let api_key = match config.api_key_env.as_str() {
                "" => None,
                name => Some(std::env::var(name).map_err(|_| {
                    config_error(
                        format!("{KEY}.api_key_env"),
                        format!("the environment has no variable `{name}`"),
                    )
                })?),
            };
            let key = format!("{config:?} {}", api_key.is_some());
            return Kept::load(key, previous, || {
                let placed = Placed {
                    model: LLM_HEAD.into(),
                    device: "openai".into(),
                    gpu: None,
                    precision: config.precision,
                };
                let llm = LlmClassifier::openai(config, api_key, self.metrics);
                Ok((llm.map_err(llm_error)?, placed))
            });
        }
        let source = Source::of(&config.path, &config.repository);
        let source = source
            .ok_or(FilesError::NotConfigured)
            .map_err(files_error(KEY))?;
        let files = ModelFiles::find(&source, config.precision).map_err(files_error(KEY))?;
        Kept::load(self.key(&files, config), previous, || {
            let labels: Vec<String> = config
                .labels
                .iter()
                .map(|label| label.name.clone())
                .collect();
            let decoder = Decoder::load(
                &self.environment,
                &files,
                &system_message(config),
                &labels,
                self.device,
                self.threads(),
            )
            .map_err(|source| StartError::Decoder { source })?;
            let placed = Placed::new(LLM_HEAD, &files, decoder.placement(), config.precision);
            let limits = self.limits(decoder.placement());
            let llm = LlmClassifier::onnx(config, decoder, limits, self.metrics);
            Ok((llm.map_err(llm_error)?, placed))
        })
    }

    fn heads(&self, encoder: &LoadedEncoder) -> Result<Vec<Arc<LoadedHead>>, StartError> {
        let sidecar = &self.settings.config.sidecar;
        let mut heads = Vec::with_capacity(sidecar.heads.len());
        for (at, config) in sidecar.heads.iter().enumerate() {
            let path = self.settings.file_beside_config(Path::new(&config.path));
            let json = std::fs::read_to_string(&path).map_err(|error| {
                let path = path.clone();
                files_error(format!("sidecar.heads[{at}].path"))(FilesError::Unreadable {
                    path,
                    error,
                })
            })?;
            let failed = |source| StartError::Head {
                path: path.clone(),
                source,
            };
            let head = OwnHead::read(&json).map_err(failed)?;
            let dimensions = encoder.encoder.dimensions();
            head.fits(&encoder_id(&encoder.name), dimensions)
                .map_err(failed)?;
            let background = config.background_label.as_deref();
            let pooling =
                Pooling::of(background, &head.about.labels, false).map_err(|message| {
                    config_error(format!("sidecar.heads[{at}].background_label"), message)
                })?;
            let name = config.name.clone();
            heads.push(Arc::new(LoadedHead {
                name,
                head,
                pooling,
            }));
        }
        Ok(heads)
    }
}

fn model_error(files: &ModelFiles, source: LoadError) -> StartError {
    StartError::Model {
        model: files.graph.display().to_string(),
        source,
    }
}

fn load_tokenizer(
    path: &Path,
    max_tokens: usize,
    prefix: &str,
) -> Result<TextTokenizer, StartError> {
    TextTokenizer::from_file(path, max_tokens, prefix).map_err(|message| StartError::Tokenizer {
        file: path.display().to_string(),
        message,
    })
}

impl Engine {
    /// Loads what `settings` name, and runs each model before it serves. Blocks for as long as that takes.
    ///
    /// `previous`: the engine in use; models whose files and settings are as they were are taken from it.
    ///
    /// # Errors
    /// [`StartError`], naming the file, variable or key at fault.
    pub fn load(
        settings: &Settings,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Result<Self, StartError> {
        let sidecar = &settings.config.sidecar;
        let device = sidecar.device.parse();
        let loader = Loader {
            settings,
            environment: runtime::environment(settings.onnxruntime.as_deref())?,
            device: device.map_err(|message| config_error("sidecar.device", message))?,
            metrics,
        };
        let encoder = loader.encoder(previous.map(|engine| &engine.loaded.encoder))?;
        let mut classifiers = Vec::with_capacity(sidecar.classifiers.len());
        for (at, config) in sidecar.classifiers.iter().enumerate() {
            let kept = previous.and_then(|engine| engine.loaded.classifier(&config.name));
            classifiers.push(loader.classifier(at, config, kept)?);
        }
        let heads = loader.heads(&encoder.value)?;
        let kept = previous.and_then(|engine| engine.loaded.llm.as_ref());
        let llm = sidecar.llm_classifier.as_ref();
        let llm = llm.map(|config| loader.llm(config, kept)).transpose()?;
        let kept = previous.and_then(|engine| engine.loaded.cross_encoder.as_ref());
        let (cross_encoder, second_opinion) = loader.second_opinion(kept)?.unzip();
        let loaded = Loaded {
            encoder,
            classifiers,
            heads,
            llm,
            cross_encoder,
        };
        let mut engine = Self::new(loaded, &settings.config, metrics)?;
        if let Some(second_opinion) = second_opinion {
            engine = engine.with_second_opinion(second_opinion);
        }
        engine.check_conditions(&settings.config)?;
        metrics.forget_placements();
        engine.loaded.encoder.count(metrics);
        for classifier in &engine.loaded.classifiers {
            classifier.count(metrics);
        }
        if let Some(llm) = &engine.loaded.llm {
            llm.count(metrics);
        }
        if let Some(cross_encoder) = &engine.loaded.cross_encoder {
            cross_encoder.count(metrics);
        }
        Ok(engine)
    }

    /// Numbers of the GPUs that models are on.
    pub fn gpus(&self) -> BTreeSet<u16> {
        let loaded = &self.loaded;
        let classifiers = loaded.classifiers.iter().map(Kept::gpu);
        let llm = loaded.llm.iter().map(Kept::gpu);
        let cross_encoder = loaded.cross_encoder.iter().map(Kept::gpu);
        [loaded.encoder.gpu()]
            .into_iter()
            .chain(classifiers)
            .chain(llm)
            .chain(cross_encoder)
            .flatten()
            .collect()
    }

    /// Whether the labels that conditions name are those of the heads: one that is none would never hold.
    fn check_conditions(&self, config: &Config) -> Result<(), StartError> {
        let heads = self.heads();
        for (key, name) in config.head_conditions() {
            let Some((head, label)) = name.split_once(':') else {
                continue;
            };
            let known = heads.iter().find(|(known, _)| known == head);
            if let Some((_, labels)) =
                known.filter(|(_, labels)| !labels.iter().any(|l| l == label))
            {
                let message = format!(
                    "`{head}` has no label `{label}`; known: {}",
                    labels.join(", ")
                );
                return Err(config_error(key, message));
            }
        }
        Ok(())
    }
}
