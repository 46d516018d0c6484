//! Loading a classifier of `sidecar.classifiers`.

use turnpike_core::config::ModelClassifierConfig;

use super::error::{StartError, config_error, files_error, model_error};
use super::kept::{Kept, Placed};
use super::{Loader, load_tokenizer, warm_up};
use crate::classifier::{Classifier, LabelModel};
use crate::onnx::{FilesError, ModelFiles, Source};
use crate::windows::Pooling;

impl Loader<'_> {
    pub(super) fn classifier(
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
}
