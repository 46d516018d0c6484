//! From a parsed document to [`Config`], with every mistake reported at once.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vllm::nearest;

use super::{Config, ConfigError, ConfigErrors, TelemetryConfig};
use crate::decision::ModelConfig;
use crate::identity::MaasIntegrationConfig;

/// Mistakes after which reading stops; a document with more is not worth listing.
const MAX_ERRORS: usize = 50;

/// What a filter gets as its plugin configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// Filters in the chain, so that each knows what its neighbour does: `meter`, `router`.
    pub filters: Vec<String>,
    /// The whole configuration.
    pub config: Value,
}

impl FilterConfig {
    /// Reads a plugin configuration.
    ///
    /// # Errors
    /// All mistakes, each with its path.
    pub fn read(json: &[u8]) -> Result<(Vec<String>, Config), ConfigErrors> {
        let read = Self::parse(json)?;
        let config = Config::from_value(read.config)?;
        checked(read.filters, config, Config::validate)
    }

    /// Reads what the meter needs of a plugin configuration: the code that reads the sections of the router would make up a third of its
    /// module.
    ///
    /// # Errors
    /// All mistakes in those sections, and sections that are none, each with its path.
    pub fn read_for_meter(json: &[u8]) -> Result<(Vec<String>, Config), ConfigErrors> {
        let read = Self::parse(json)?;
        let sections: MeterSections = from_value(read.config)?;
        let config = Config {
            maas_integration: sections.maas_integration,
            model_config: sections.model_config,
            telemetry: sections.telemetry,
            ..Config::default()
        };
        checked(read.filters, config, Config::validate_for_meter)
    }

    fn parse(json: &[u8]) -> Result<Self, ConfigErrors> {
        serde_json::from_slice(json)
            .map_err(|e| ConfigErrors(vec![ConfigError::new("", e.to_string())]))
    }
}

fn checked(
    filters: Vec<String>,
    config: Config,
    validate: impl FnOnce(&Config) -> Vec<ConfigError>,
) -> Result<(Vec<String>, Config), ConfigErrors> {
    let errors = validate(&config);
    if errors.is_empty() {
        Ok((filters, config))
    } else {
        Err(ConfigErrors(errors))
    }
}

/// The sections that the meter reads; of all others it knows the names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MeterSections {
    maas_integration: Option<MaasIntegrationConfig>,
    model_config: BTreeMap<String, ModelConfig>,
    telemetry: TelemetryConfig,
    #[serde(rename = "vllm_endpoints")]
    _vllm_endpoints: IgnoredAny,
    #[serde(rename = "categories")]
    _categories: IgnoredAny,
    #[serde(rename = "keyword_rules")]
    _keyword_rules: IgnoredAny,
    #[serde(rename = "embedding_rules")]
    _embedding_rules: IgnoredAny,
    #[serde(rename = "complexity_rules")]
    _complexity_rules: IgnoredAny,
    #[serde(rename = "language_rules")]
    _language_rules: IgnoredAny,
    #[serde(rename = "context_rules")]
    _context_rules: IgnoredAny,
    #[serde(rename = "structure_rules")]
    _structure_rules: IgnoredAny,
    #[serde(rename = "conversation_rules")]
    _conversation_rules: IgnoredAny,
    #[serde(rename = "jailbreak_rules")]
    _jailbreak_rules: IgnoredAny,
    #[serde(rename = "pii_rules")]
    _pii_rules: IgnoredAny,
    #[serde(rename = "role_bindings")]
    _role_bindings: IgnoredAny,
    #[serde(rename = "metadata_rules")]
    _metadata_rules: IgnoredAny,
    #[serde(rename = "header_rules")]
    _header_rules: IgnoredAny,
    #[serde(rename = "projections")]
    _projections: IgnoredAny,
    #[serde(rename = "decisions")]
    _decisions: IgnoredAny,
    #[serde(rename = "strategy")]
    _strategy: IgnoredAny,
    #[serde(rename = "default_model")]
    _default_model: IgnoredAny,
    #[serde(rename = "auto_model_names")]
    _auto_model_names: IgnoredAny,
    #[serde(rename = "auto_model_name")]
    _auto_model_name: IgnoredAny,
    #[serde(rename = "include_config_models_in_list")]
    _include_config_models_in_list: IgnoredAny,
    #[serde(rename = "reasoning_families")]
    _reasoning_families: IgnoredAny,
    #[serde(rename = "default_reasoning_effort")]
    _default_reasoning_effort: IgnoredAny,
    #[serde(rename = "semantic_cache")]
    _semantic_cache: IgnoredAny,
    #[serde(rename = "classifier")]
    _classifier: IgnoredAny,
    #[serde(rename = "prompt_guard")]
    _prompt_guard: IgnoredAny,
    #[serde(rename = "bert_model")]
    _bert_model: IgnoredAny,
    #[serde(rename = "clear_route_cache")]
    _clear_route_cache: IgnoredAny,
    #[serde(rename = "sidecar")]
    _sidecar: IgnoredAny,
    #[serde(rename = "envoy")]
    _envoy: IgnoredAny,
    #[serde(rename = "guards")]
    _guards: IgnoredAny,
    #[serde(rename = "routing_cache")]
    _routing_cache: IgnoredAny,
    #[serde(rename = "limits")]
    _limits: IgnoredAny,
    #[serde(rename = "explain")]
    _explain: IgnoredAny,
}

impl Config {
    /// Deserialises a document.
    ///
    /// serde stops at the first mistake, so the offending node is taken out and the rest is read again.
    ///
    /// # Errors
    /// Unknown keys, wrong types and missing keys, each with its path, at most [`MAX_ERRORS`].
    pub fn from_value(document: Value) -> Result<Self, ConfigErrors> {
        from_value(document)
    }
}

fn from_value<T: DeserializeOwned>(mut document: Value) -> Result<T, ConfigErrors> {
    let mut errors: Vec<ConfigError> = Vec::new();
    let mut removed: Vec<Removed> = Vec::new();
    loop {
        let failure = match serde_path_to_error::deserialize::<_, T>(document.clone()) {
            Ok(config) if errors.is_empty() => return Ok(config),
            Ok(_) => return Err(ConfigErrors(errors)),
            Err(failure) => failure,
        };
        let segments = segments(failure.path());
        let written = as_written(&segments, &removed);
        let message = failure.inner().to_string();
        let caused_by_removal = removed.iter().any(|r| r.explains(&written, &message));
        if !caused_by_removal {
            errors.push(ConfigError::new(text_of(&written), reworded(&message)));
        }
        if errors.len() >= MAX_ERRORS {
            return Err(ConfigErrors(errors));
        }
        let gone = remove(&mut document, &segments).and_then(|length| written.get(..length));
        match gone.and_then(<[Segment]>::split_last) {
            Some((place, parent)) => removed.push(Removed {
                parent: parent.to_vec(),
                place: place.clone(),
            }),
            None => return Err(ConfigErrors(errors)),
        }
    }
}

/// What serde says, with the nearest name in place of all where a key is unknown.
pub(crate) fn reworded(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((key, known)) if message.starts_with("unknown field") => unknown_key(key, known),
        _ => message.to_owned(),
    }
}

/// That nobody knows `key`, and the name that was probably meant, else all of them.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    if let Some(meant) = nearest(key, known.iter().copied()) {
        return format!("unknown key `{key}`; did you mean `{meant}`?");
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    format!("unknown key `{key}`; known: {known}")
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A node that was taken out: its parent's path and its place there, both in the document as written.
struct Removed {
    parent: Vec<Segment>,
    place: Segment,
}

impl Removed {
    /// Whether a "missing field" at `at` only says that this node was taken out.
    fn explains(&self, at: &[Segment], message: &str) -> bool {
        let Segment::Key(key) = &self.place else {
            return false;
        };
        self.parent == at && message == format!("missing field `{key}`")
    }
}

fn segments(path: &serde_path_to_error::Path) -> Vec<Segment> {
    use serde_path_to_error::Segment as S;
    path.iter()
        .filter_map(|segment| match segment {
            S::Seq { index } => Some(Segment::Index(*index)),
            S::Map { key } => Some(Segment::Key(key.clone())),
            S::Enum { variant } => Some(Segment::Key(variant.clone())),
            S::Unknown => None,
        })
        .collect()
}

/// Takes out the node at `path`, or its nearest ancestor that exists; tells how many segments lead to it.
fn remove(document: &mut Value, path: &[Segment]) -> Option<usize> {
    let (place, parent) = path.split_last()?;
    let mut node = &mut *document;
    for segment in parent {
        let next = match segment {
            Segment::Key(key) => node.get_mut(key.as_str()),
            Segment::Index(index) => node.get_mut(*index),
        };
        match next {
            Some(next) => node = next,
            None => return remove(document, parent),
        }
    }
    let gone = match (place, node) {
        (Segment::Key(key), Value::Object(map)) => map.remove(key).is_some(),
        (Segment::Index(index), Value::Array(list)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    };
    if gone {
        Some(path.len())
    } else {
        remove(document, parent)
    }
}

/// `path` in the document as written: array indices count the elements taken out before.
fn as_written(path: &[Segment], removed: &[Removed]) -> Vec<Segment> {
    let mut written: Vec<Segment> = Vec::with_capacity(path.len());
    for segment in path {
        let segment = match segment {
            Segment::Key(key) => Segment::Key(key.clone()),
            Segment::Index(index) => Segment::Index(index_as_written(*index, &written, removed)),
        };
        written.push(segment);
    }
    written
}

/// `index` of a list at `parent` before elements were taken out of it.
fn index_as_written(index: usize, parent: &[Segment], removed: &[Removed]) -> usize {
    let mut taken: Vec<usize> = removed
        .iter()
        .filter(|r| r.parent == parent)
        .filter_map(|r| match r.place {
            Segment::Index(at) => Some(at),
            Segment::Key(_) => None,
        })
        .collect();
    taken.sort_unstable();
    taken.into_iter().fold(index, |at, earlier| {
        at.saturating_add(usize::from(earlier <= at))
    })
}

fn text_of(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
