//! The category of a text, as the trained head tells it, and of a long one the windows that it is told from.

use std::sync::Arc;

use tokio::time::Instant;
use turnpike_classify::model::Scores;
use turnpike_core::sidecar::Scored;

use super::{Analyzed, Engine};
use crate::batching::{InferenceError, Priority};
use crate::blocking;
use crate::encoder::Embedding;
use crate::heads::shipped::{OVERLAP, WINDOW};
use crate::model::TokenizedText;
use crate::tokenizer::Window;

/// Windows of a long text that its topic is told from, spread over the whole: the proxy waits for it.
pub(super) const MAX_TOPIC_WINDOWS: usize = 4;

/// Bytes of a text that its topic is told from.
const MAX_TOPIC_BYTES: usize = 16 << 10;

impl Engine {
    /// Whether the trained head tells the category; else it is told by resemblance.
    pub(super) fn has_topics(&self) -> bool {
        self.shipped.is_some() && self.topics.is_some()
    }

    /// The configured category of a text of many windows.
    pub(super) async fn category(
        &self,
        text: &str,
        analyzed: &Analyzed,
        deadline: Instant,
    ) -> Result<Option<Scored>, InferenceError> {
        if !self.has_topics() {
            return Ok(self.categories.best(&analyzed.embedding));
        }
        let mut windows = Vec::new();
        for excerpt in excerpts(text) {
            windows.extend(spread(self.windows(excerpt).await?, MAX_TOPIC_WINDOWS));
        }
        let windows = spread(windows, MAX_TOPIC_WINDOWS);
        let rows = windows.iter().map(|(_, row)| row.clone()).collect();
        let embedded = self.run(rows, Priority::Route, deadline).await?;
        let parts = windows.iter().map(|(part, _)| part.as_str());
        Ok(self.topic(&self.joined(parts, &embedded.outputs)))
    }

    /// The category that the trained head tells from windows of a text.
    pub(super) fn topic(&self, windows: &[(Scores, &Embedding)]) -> Option<Scored> {
        let (heads, topics) = (self.shipped.as_ref()?, self.topics.as_ref()?);
        let verdicts = heads.judge(windows);
        let category = verdicts.into_iter().find(|v| v.name == "category");
        let probabilities = category.map(|v| v.probabilities).unwrap_or_default();
        let (label, confidence) = topics.best(&probabilities)?;
        Some(Scored {
            label: label.to_owned(),
            confidence,
        })
    }

    /// The windows of a text that heads read.
    async fn windows(&self, text: &str) -> Result<Vec<(String, TokenizedText)>, InferenceError> {
        let tokenizer = Arc::clone(&self.loaded.encoder.value.tokenizer);
        let text = text.to_owned();
        blocking::run(text.len(), move || {
            let windows = tokenizer.windows(&text, WINDOW, OVERLAP)?;
            let part = |window: Window| {
                let part = text.get(window.range).unwrap_or_default();
                (part.to_owned(), window.tokens)
            };
            Ok(windows.into_iter().map(part).collect())
        })
        .await
        .map_err(InferenceError::Failed)
    }
}

/// The text, or of one that takes long to tokenize as many excerpts as windows are read, evenly spread.
fn excerpts(text: &str) -> Vec<&str> {
    if text.len() <= MAX_TOPIC_BYTES {
        return vec![text];
    }
    let size = MAX_TOPIC_BYTES / MAX_TOPIC_WINDOWS;
    let last = text.len() - size;
    (0..MAX_TOPIC_WINDOWS)
        .map(|i| {
            let start = text.floor_char_boundary(last / (MAX_TOPIC_WINDOWS - 1) * i);
            &text[start..text.floor_char_boundary(start + size)]
        })
        .collect()
}

/// At most `most` of the windows, the first and the last among them, evenly spread.
pub(super) fn spread<W>(windows: Vec<W>, most: usize) -> Vec<W> {
    let count = windows.len();
    if count <= most {
        return windows;
    }
    let steps = most.saturating_sub(1).max(1);
    let chosen: Vec<usize> = (0..most).map(|i| i * (count - 1) / steps).collect();
    windows
        .into_iter()
        .enumerate()
        .filter(|(at, _)| chosen.contains(at))
        .map(|(_, window)| window)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_spread_over_a_long_text() {
        assert_eq!(excerpts("short"), ["short"]);
        let text = "é".repeat(300_000);
        let found = excerpts(&text);
        assert_eq!(found.len(), MAX_TOPIC_WINDOWS);
        assert!(
            found
                .iter()
                .all(|excerpt| excerpt.len().abs_diff(MAX_TOPIC_BYTES / MAX_TOPIC_WINDOWS) <= 1)
        );
        let starts: Vec<usize> = found
            .iter()
            .map(|e| e.as_ptr() as usize - text.as_ptr() as usize)
            .collect();
        assert_eq!(starts[0], 0);
        assert!(starts[3] + found[3].len() + 4 >= text.len(), "{starts:?}");
    }
}
