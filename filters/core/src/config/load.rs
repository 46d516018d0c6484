//! From a parsed document to [`Config`], with every mistake reported at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Config, ConfigError, ConfigErrors};

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
        let read: Self = serde_json::from_slice(json)
            .map_err(|e| ConfigErrors(vec![ConfigError::new("", e.to_string())]))?;
        let config = Config::from_value(read.config)?;
        let errors = config.validate();
        if errors.is_empty() {
            Ok((read.filters, config))
        } else {
            Err(ConfigErrors(errors))
        }
    }
}

impl Config {
    /// Deserialises a document.
    ///
    /// serde stops at the first mistake, so the offending node is taken out and the rest is read again.
    ///
    /// # Errors
    /// Unknown keys, wrong types and missing keys, each with its path, at most [`MAX_ERRORS`].
    pub fn from_value(mut document: Value) -> Result<Self, ConfigErrors> {
        let mut errors: Vec<ConfigError> = Vec::new();
        let mut removed: Vec<Removed> = Vec::new();
        loop {
            let failure = match serde_path_to_error::deserialize::<_, Self>(document.clone()) {
                Ok(config) if errors.is_empty() => return Ok(config),
                Ok(_) => return Err(ConfigErrors(errors)),
                Err(failure) => failure,
            };
            let segments = segments(failure.path());
            let written = as_written(&segments, &removed);
            let message = failure.inner().to_string();
            let caused_by_removal = removed.iter().any(|r| r.explains(&written, &message));
            if !caused_by_removal {
                errors.push(ConfigError::new(text_of(&written), message));
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
