//! `GET /v1/models`, answered here: the names that clients may use.

use serde::Serialize;

use crate::config::Config;

#[derive(Serialize)]
struct List<'c> {
    object: &'static str,
    data: Vec<Model<'c>>,
}

#[derive(Serialize)]
struct Model<'c> {
    id: &'c str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// Body of the answer. The auto names come first; configured models follow unless
/// `include_config_models_in_list` is false.
///
/// Format: OpenAI API reference, "List models".
#[must_use]
pub fn models_list(config: &Config) -> Vec<u8> {
    let model = |id| Model {
        id,
        object: "model",
        created: 0,
        owned_by: "turnpike",
    };
    let mut data: Vec<Model<'_>> = config.auto_names().into_iter().map(model).collect();
    if config.include_config_models_in_list != Some(false) {
        data.extend(config.model_config.keys().map(|id| model(id)));
    }
    serde_json::to_vec(&List {
        object: "list",
        data,
    })
    .unwrap_or_default()
}
