//! Loading the language model of `sidecar.llm_classifier`: its files, or the way to its server.

use turnpike_core::config::{LlmClassifierConfig, LlmEngine};
use turnpike_core::sidecar::LLM_HEAD;

use super::Loader;
use super::error::{StartError, config_error, files_error};
use super::kept::{Kept, Placed};
use crate::llm::prompt::system_message;
use crate::llm::{Decoder, LlmClassifier, LlmError};
use crate::onnx::{FilesError, ModelFiles, Source};

impl Loader<'_> {
    pub(super) fn llm(
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
}
