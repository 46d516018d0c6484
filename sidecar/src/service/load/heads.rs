//! Loading the heads of `sidecar.heads`.

use std::path::Path;
use std::sync::Arc;

use super::error::{StartError, config_error, files_error};
use super::{LoadedEncoder, Loader};
use crate::heads::{OwnHead, encoder_id};
use crate::onnx::FilesError;
use crate::windows::Pooling;

/// A head that a user has trained.
#[derive(Debug)]
pub(in crate::service) struct LoadedHead {
    pub(in crate::service) name: String,
    pub(in crate::service) head: OwnHead,
    pub(in crate::service) pooling: Pooling,
}

impl Loader<'_> {
    pub(super) fn heads(
        &self,
        encoder: &LoadedEncoder,
    ) -> Result<Vec<Arc<LoadedHead>>, StartError> {
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
