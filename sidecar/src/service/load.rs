//! Loading: what the configuration names becomes an [`Engine`]; on a reload, what has not changed stays.

mod classifier;
mod cross_encoder;
mod encoder;
mod error;
mod heads;
mod kept;
mod llm;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ort::environment::Environment;
use turnpike_core::Config;

use super::engine::{Engine, Loaded};
use crate::batching::Limits;
use crate::metrics::Metrics;
use crate::model::TokenizedText;
use crate::onnx::device::Placement;
use crate::onnx::{Device, ModelFiles, runtime};
use crate::settings::Settings;
use crate::tokenizer::TextTokenizer;
use error::config_error;
use kept::state_of;

pub use encoder::LoadedEncoder;
pub use error::StartError;
pub(super) use heads::LoadedHead;
pub(super) use kept::Kept;

/// Tokens of the larger of the two forwards that warm a model up.
const WARM_UP_TOKENS: usize = 512;

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
