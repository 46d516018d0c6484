//! `plugins` of a decision: `configuration` is read by `type`.

use serde::de::DeserializeOwned;

use super::config::{
    JailbreakPluginConfig, OnError, PiiPluginConfig, PluginConfig, SemanticCachePluginConfig,
};
use crate::config::ConfigError;
use crate::guard::pii_kind_problem;

/// A plugin, by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Plugin {
    /// `semantic-cache`
    SemanticCache(SemanticCachePluginConfig),
    /// `pii`
    Pii(PiiPluginConfig),
    /// `jailbreak`
    Jailbreak(JailbreakPluginConfig),
}

impl PluginConfig {
    /// The settings.
    ///
    /// # Errors
    /// A type that this version does not have, or settings that are wrong; `at` is the path of the plugin.
    pub fn read(&self, at: &str) -> Result<Plugin, ConfigError> {
        match self.kind.as_str() {
            "semantic-cache" => {
                let read: SemanticCachePluginConfig = self.settings(at)?;
                unit_interval(at, "similarity_threshold", read.similarity_threshold)?;
                Ok(Plugin::SemanticCache(read))
            }
            "pii" => {
                let read: PiiPluginConfig = self.settings(at)?;
                unit_interval(at, "threshold", read.threshold)?;
                for (i, kind) in read.pii_types_allowed.iter().enumerate() {
                    if let Some(problem) = pii_kind_problem(kind) {
                        let path = format!("{at}.configuration.pii_types_allowed[{i}]");
                        return Err(ConfigError::new(path, problem));
                    }
                }
                Ok(Plugin::Pii(read))
            }
            "jailbreak" => {
                let read: JailbreakPluginConfig = self.settings(at)?;
                unit_interval(at, "threshold", read.threshold)?;
                Ok(Plugin::Jailbreak(read))
            }
            other => Err(ConfigError::new(
                format!("{at}.type"),
                format!(
                    "this version has no plugin `{other}`; known: semantic-cache, pii, jailbreak"
                ),
            )),
        }
    }

    fn settings<T: DeserializeOwned>(&self, at: &str) -> Result<T, ConfigError> {
        let configuration = match &self.configuration {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            given => given.clone(),
        };
        serde_path_to_error::deserialize(configuration).map_err(|e| {
            let inner = e.path().to_string();
            let path = if inner == "." {
                String::new()
            } else {
                format!(".{inner}")
            };
            ConfigError::new(format!("{at}.configuration{path}"), e.inner().to_string())
        })
    }
}

fn unit_interval(at: &str, key: &str, value: Option<f32>) -> Result<(), ConfigError> {
    match value.filter(|value| !(0.0..=1.0).contains(value)) {
        None => Ok(()),
        Some(wrong) => Err(ConfigError::new(
            format!("{at}.configuration.{key}"),
            format!("must be between 0 and 1, got {wrong}"),
        )),
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
