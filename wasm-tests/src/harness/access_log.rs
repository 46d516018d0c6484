//! Envoy's JSON access log: one line for each request, found by its `x-request-id`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::ready::until;

/// Envoy writes a line when the stream has ended; it flushes every 50 ms here.
const DEADLINE: Duration = Duration::from_secs(10);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry(pub Value);

impl Entry {
    /// A field as text; `-` when it is missing or null.
    #[must_use]
    pub fn text(&self, field: &str) -> String {
        match self.0.get(field) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            None | Some(Value::Null | Value::String(_)) => "-".into(),
            Some(other) => other.to_string(),
        }
    }

    /// A field as a number, also when it is written as a string.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<i64> {
        match self.0.get(field)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// The log file of one Envoy.
#[derive(Debug, Clone)]
pub struct AccessLog {
    path: PathBuf,
}

impl AccessLog {
    /// Reads `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// All complete lines so far.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no JSON.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let text = std::fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| {
                let entry = serde_json::from_str(line);
                entry
                    .map(Entry)
                    .with_context(|| format!("no JSON in the access log: {line}"))
            })
            .collect()
    }

    /// Waits for the line of a request.
    ///
    /// # Errors
    /// When it is not there after the deadline.
    pub async fn entry(&self, request_id: &str) -> Result<Entry> {
        until(DEADLINE, async || {
            let found = self
                .entries()?
                .into_iter()
                .find(|entry| entry.text("request_id") == request_id);
            match found {
                Some(entry) => Ok(entry),
                None => bail!("no line for request {request_id} in the access log"),
            }
        })
        .await
    }
}
