//! Loading the cross-encoder of `semantic_cache.second_opinion`.

use std::sync::Arc;

use turnpike_core::cache::SecondOpinionConfig;
use turnpike_core::sidecar::SECOND_OPINION;

use super::error::{StartError, config_error, files_error, model_error};
use super::kept::{Kept, Placed};
use super::{Loader, WARM_UP_TOKENS};
use crate::cache::SecondOpinion;
use crate::classifier::{CrossEncoder, LabelModel, MAX_WINDOW};
use crate::model::Model as _;
use crate::onnx::{FilesError, ModelFiles, Source};
use crate::tokenizer::PairTokenizer;

const KEY: &str = "semantic_cache.second_opinion";

/// Tokens of the short pair that warms a model up.
const SHORT_TOKENS: usize = 8;

impl Loader<'_> {
    /// The second opinion, if the cache is on and asks for one, and its model. `previous`: the model in use.
    pub(super) fn second_opinion(
        &self,
        previous: Option<&Kept<CrossEncoder>>,
    ) -> Result<Option<(Kept<CrossEncoder>, SecondOpinion)>, StartError> {
        let cache = &self.settings.config.semantic_cache;
        let Some(config) = cache.second_opinion.as_ref().filter(|_| cache.enabled) else {
            return Ok(None);
        };
        let files = cross_encoder_files(config)?;
        let label = SecondOpinion::label(config.label.as_deref(), &files.labels);
        let label = label.map_err(|message| config_error(format!("{KEY}.label"), message))?;
        // Label and thresholds are no part of it: others cost no load.
        let key = self.key(&files, &config.precision);
        let kept = Kept::load(key, previous, || self.cross_encoder(config, &files))?;
        let second_opinion = SecondOpinion::new(config, label, Arc::clone(&kept.value));
        Ok(Some((kept, second_opinion)))
    }

    fn cross_encoder(
        &self,
        config: &SecondOpinionConfig,
        files: &ModelFiles,
    ) -> Result<(CrossEncoder, Placed), StartError> {
        let window = files.max_tokens.unwrap_or(MAX_WINDOW).min(MAX_WINDOW);
        let tokenizer = PairTokenizer::from_file(&files.tokenizer, window);
        let tokenizer = tokenizer.map_err(|message| StartError::Tokenizer {
            file: files.tokenizer.display().to_string(),
            message,
        })?;
        let model = LabelModel::load(&self.environment, files, self.device, self.threads())
            .map_err(|source| model_error(files, source))?;
        warm_up(&tokenizer, &model)?;
        let placed = Placed::new(SECOND_OPINION, files, model.placement(), config.precision);
        let limits = self.limits(model.placement());
        let labels = files.labels.clone();
        let model = Arc::new(model);
        let loaded = CrossEncoder::new(
            SECOND_OPINION,
            labels,
            tokenizer,
            model,
            limits,
            self.metrics,
        );
        Ok((loaded?, placed))
    }
}

fn cross_encoder_files(config: &SecondOpinionConfig) -> Result<ModelFiles, StartError> {
    let source = Source::of(&config.path, &config.repository);
    let source = source
        .ok_or(FilesError::NotConfigured)
        .map_err(files_error(KEY))?;
    let files = ModelFiles::find(&source, config.precision).map_err(files_error(KEY))?;
    let unfit = if files.labels.is_empty() {
        "id2label: is missing; is this a classification model?"
    } else if files.labels_tokens {
        "the model labels tokens; one that classifies sequences is needed"
    } else if files.raw_score {
        "the model gives a score on a scale of its own; one that gives a probability is needed"
    } else {
        return Ok(files);
    };
    let (path, message) = (files.config, unfit.into());
    Err(files_error(KEY)(FilesError::Invalid { path, message }))
}

/// Runs a short pair and a long one, as for single texts.
fn warm_up(tokenizer: &PairTokenizer, model: &LabelModel) -> Result<(), StartError> {
    let long = tokenizer.filler(WARM_UP_TOKENS).ok_or_else(|| {
        let most = tokenizer.max_tokens();
        StartError::WarmUp(format!("two texts have no room in {most} tokens"))
    })?;
    let short = tokenizer.filler(SHORT_TOKENS);
    for row in short.iter().chain([&long]) {
        let forward = model.forward(&[row]);
        forward.map_err(|e| StartError::WarmUp(e.to_string()))?;
    }
    Ok(())
}
