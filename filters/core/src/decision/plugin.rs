//! `plugins` of a decision: `configuration` is read by `type`.

use super::config::{OnError, PluginConfig, SemanticCachePluginConfig};
use crate::config::ConfigError;

impl PluginConfig {
    /// The settings of a `semantic-cache` plugin.
    ///
    /// # Errors
    /// Another type of plugin, or settings that are wrong; `at` is the path of the plugin.
    pub fn semantic_cache(&self, at: &str) -> Result<SemanticCachePluginConfig, ConfigError> {
        if self.kind != "semantic-cache" {
            return Err(ConfigError::new(
                format!("{at}.type"),
                format!(
                    "this version has no plugin `{}`; known: semantic-cache",
                    self.kind
                ),
            ));
        }
        let configuration = match &self.configuration {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            given => given.clone(),
        };
        let read: SemanticCachePluginConfig = serde_path_to_error::deserialize(configuration)
            .map_err(|e| {
                let inner = e.path().to_string();
                let path = if inner == "." {
                    String::new()
                } else {
                    format!(".{inner}")
                };
                ConfigError::new(format!("{at}.configuration{path}"), e.inner().to_string())
            })?;
        if let Some(threshold) = read.similarity_threshold
            && !(0.0..=1.0).contains(&threshold)
        {
            return Err(ConfigError::new(
                format!("{at}.configuration.similarity_threshold"),
                format!("must be between 0 and 1, got {threshold}"),
            ));
        }
        Ok(read)
    }
}

impl OnError {
    /// Name in messages and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Block => "block",
        }
    }
}
