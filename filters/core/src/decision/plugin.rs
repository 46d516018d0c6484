//! `plugins` of a decision: `configuration` is read by `type`.

use serde::de::DeserializeOwned;

use super::config::{
    FastResponsePluginConfig, HeaderMutationPluginConfig, JailbreakPluginConfig, OnError,
    PiiAction, PiiPluginConfig, PluginConfig, RequestParamsPluginConfig,
    ResponseJailbreakPluginConfig, SemanticCachePluginConfig, SystemPromptPluginConfig,
};
use crate::clock::Zone;
use crate::config::{ConfigError, is_header_name, reworded};
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
    /// `system_prompt`
    SystemPrompt(SystemPromptPluginConfig),
    /// `header_mutation`
    HeaderMutation(HeaderMutationPluginConfig),
    /// `request_params`
    RequestParams(RequestParamsPluginConfig),
    /// `fast_response`
    FastResponse(FastResponsePluginConfig),
    /// `response_jailbreak`
    ResponseJailbreak(ResponseJailbreakPluginConfig),
}

/// Plugins, by the names of their types.
pub const PLUGINS: [&str; 8] = [
    "semantic-cache",
    "pii",
    "jailbreak",
    "system_prompt",
    "header_mutation",
    "request_params",
    "fast_response",
    "response_jailbreak",
];

impl PluginConfig {
    /// The settings.
    ///
    /// # Errors
    /// A type that this version does not have, or settings that are wrong; `at` is the path of the plugin.
    pub fn read(&self, at: &str) -> Result<Plugin, ConfigError> {
        match self.kind.as_str() {
            // The other names are those of later versions of vLLM Semantic Router.
            "semantic-cache" | "semantic_cache" | "response_cache" | "response-cache" => {
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
                let is_route = read.action == PiiAction::RouteTo;
                if is_route != read.model.is_some() {
                    return Err(ConfigError::new(
                        format!("{at}.configuration.model"),
                        "belongs to `action: route_to`, which needs it",
                    ));
                }
                if read.restore && read.action != PiiAction::Mask {
                    return Err(ConfigError::new(
                        format!("{at}.configuration.restore"),
                        "belongs to `action: mask`",
                    ));
                }
                Ok(Plugin::Pii(read))
            }
            "jailbreak" => {
                let read: JailbreakPluginConfig = self.settings(at)?;
                unit_interval(at, "threshold", read.threshold)?;
                Ok(Plugin::Jailbreak(read))
            }
            "system_prompt" => {
                let read: SystemPromptPluginConfig = self.settings(at)?;
                if read.enabled && read.system_prompt.is_empty() {
                    return Err(missing(at, "system_prompt"));
                }
                if Zone::parse(&read.time_zone).is_none() {
                    return Err(ConfigError::new(
                        format!("{at}.configuration.time_zone"),
                        format!(
                            "must be `UTC`, an offset such as `+02:00`, or a POSIX time zone such as `CET-1CEST,M3.5.0,M10.5.0/3`, got `{}`",
                            read.time_zone
                        ),
                    ));
                }
                Ok(Plugin::SystemPrompt(read))
            }
            "header_mutation" => {
                let read: HeaderMutationPluginConfig = self.settings(at)?;
                check_headers(at, &read)?;
                Ok(Plugin::HeaderMutation(read))
            }
            "request_params" => {
                let read: RequestParamsPluginConfig = self.settings(at)?;
                check_params(at, &read)?;
                Ok(Plugin::RequestParams(read))
            }
            "fast_response" => {
                let read: FastResponsePluginConfig = self.settings(at)?;
                if read.message.is_empty() {
                    return Err(missing(at, "message"));
                }
                Ok(Plugin::FastResponse(read))
            }
            "response_jailbreak" => {
                let read: ResponseJailbreakPluginConfig = self.settings(at)?;
                unit_interval(at, "threshold", read.threshold)?;
                Ok(Plugin::ResponseJailbreak(read))
            }
            other => Err(ConfigError::new(
                format!("{at}.type"),
                format!(
                    "this version has no plugin `{other}`; known: {}",
                    PLUGINS.join(", ")
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
            let message = reworded(&e.inner().to_string());
            ConfigError::new(format!("{at}.configuration{path}"), message)
        })
    }
}

fn missing(at: &str, key: &str) -> ConfigError {
    ConfigError::new(format!("{at}.configuration.{key}"), "must not be empty")
}

/// Headers that say where a request goes, or who sent it, or how long it is: a plugin that changed them would undo what was decided.
const OURS: [&str; 6] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "x-selected-model",
    "content-encoding",
];

fn check_headers(at: &str, read: &HeaderMutationPluginConfig) -> Result<(), ConfigError> {
    let added = read
        .add
        .iter()
        .enumerate()
        .map(|(i, h)| (format!("add[{i}].name"), &h.name));
    let updated = read.update.iter().enumerate();
    let updated = updated.map(|(i, h)| (format!("update[{i}].name"), &h.name));
    let deleted = read
        .delete
        .iter()
        .enumerate()
        .map(|(i, name)| (format!("delete[{i}]"), name));
    for (path, name) in added.chain(updated).chain(deleted) {
        let path = format!("{at}.configuration.{path}");
        if !is_header_name(name) {
            return Err(ConfigError::new(
                path,
                format!("`{name}` is no header name"),
            ));
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(ConfigError::new(
                path,
                format!("`{name}` is not for plugins to change"),
            ));
        }
    }
    let added = read
        .add
        .iter()
        .enumerate()
        .map(|(i, h)| (format!("add[{i}]"), h));
    let updated = read
        .update
        .iter()
        .enumerate()
        .map(|(i, h)| (format!("update[{i}]"), h));
    for (path, header) in added.chain(updated) {
        if header.value.chars().any(char::is_control) {
            return Err(ConfigError::new(
                format!("{at}.configuration.{path}.value"),
                "must not hold control characters",
            ));
        }
    }
    Ok(())
}

fn check_params(at: &str, read: &RequestParamsPluginConfig) -> Result<(), ConfigError> {
    // Without them there is nothing left to answer, or to route.
    const NEEDED: [&str; 6] = [
        "model",
        "messages",
        "prompt",
        "input",
        "stream",
        "stream_options",
    ];
    for (i, param) in read.blocked_params.iter().enumerate() {
        if NEEDED.contains(&param.as_str()) || param.is_empty() {
            return Err(ConfigError::new(
                format!("{at}.configuration.blocked_params[{i}]"),
                format!("`{param}` cannot be taken out"),
            ));
        }
    }
    for (key, value) in [
        ("max_tokens_limit", read.max_tokens_limit),
        ("max_n", read.max_n),
    ] {
        if value == Some(0) {
            return Err(ConfigError::new(
                format!("{at}.configuration.{key}"),
                "must be at least 1",
            ));
        }
    }
    Ok(())
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
