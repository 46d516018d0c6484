//! [`Kept`]: what stays loaded as long as its files and settings do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use turnpike_core::config::Precision;

use super::StartError;
use crate::metrics::Metrics;
use crate::onnx::ModelFiles;
use crate::onnx::device::Placement;

/// Something loaded, and what it was loaded from: the same again need not be loaded again.
#[derive(Debug)]
pub(in crate::service) struct Kept<T> {
    key: String,
    pub(in crate::service) value: Arc<T>,
    placed: Option<Placed>,
}

/// Where a model was put.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) gpu: Option<u16>,
    pub(super) precision: Precision,
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
    pub(super) fn new(
        model: &str,
        files: &ModelFiles,
        device: Placement,
        precision: Precision,
    ) -> Self {
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
    pub(super) fn count(&self, metrics: &Metrics) {
        if let Some(placed) = &self.placed {
            metrics.placed(
                &placed.model,
                placed.device.clone(),
                placed.precision.name(),
            );
        }
    }

    /// The GPU that it is on.
    pub(super) fn gpu(&self) -> Option<u16> {
        self.placed.as_ref()?.gpu
    }

    /// Made from parts; no configuration has its key.
    pub(in crate::service) fn of(value: T) -> Self {
        Self {
            key: String::new(),
            value: Arc::new(value),
            placed: None,
        }
    }

    pub(super) fn load(
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
pub(super) fn state_of(files: &ModelFiles) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
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
