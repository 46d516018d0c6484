//! What the encoder's heads say of texts: [`Judged`], from the windows of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::time::Instant;
use turnpike_classify::model::Scores;
use turnpike_core::sidecar::Scored;

use super::topic::{MAX_TOPIC_WINDOWS, spread};
use super::{Analyzed, AnswersByName, Engine, Wanted};
use crate::batching::{InferenceError, Priority};
use crate::blocking;
use crate::classifier::Answer;
use crate::encoder::Embedding;
use crate::heads::shipped::{OVERLAP, WINDOW};
use crate::model::TokenizedText;
use crate::tokenizer::Window;
use crate::windows::WindowPool;

/// What the encoder's heads say of a text.
#[derive(Debug, Default)]
pub(in crate::service) struct Judged {
    pub(in crate::service) answers: AnswersByName,
    pub(in crate::service) category: Option<Scored>,
}

impl Engine {
    /// What the proxy's small model says of a text, which the trained heads join with the encoder's vector.
    ///
    /// Nothing where no trained head is asked. A text of more than one window is not read here: its windows are.
    fn small(&self, text: &str, wanted: &Wanted, wants_category: bool) -> Option<Scores> {
        let asked = !wanted.shipped.is_empty() || (wants_category && self.has_topics());
        let heads = self.shipped.as_ref().filter(|_| asked)?;
        Some(heads.small(text))
    }

    /// Windows as both models read them; where there are no trained heads, nobody asks what the small model says.
    pub(super) fn joined<'w>(
        &self,
        parts: impl Iterator<Item = &'w str>,
        embeddings: &'w [Embedding],
    ) -> Vec<(Scores, &'w Embedding)> {
        let heads = self.shipped.as_ref();
        let small = parts.map(|part| heads.map(|heads| heads.small(part)).unwrap_or_default());
        small.zip(embeddings).collect()
    }

    /// What heads say of all windows of texts.
    pub(super) async fn judge_whole(
        self: &Arc<Self>,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        wants_category: bool,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<Judged>, usize), InferenceError> {
        if !wanted.reads_vectors() {
            return Ok((texts.iter().map(|_| Judged::default()).collect(), 0));
        }
        let started_at = StdInstant::now();
        let encoder = Arc::clone(&self.loaded.encoder.value);
        let (read, bytes) = (Arc::clone(texts), texts.iter().map(String::len).sum());
        let windows: Vec<Vec<Window>> = blocking::run(bytes, move || {
            let windows = |text: &String| match text.trim() {
                "" => Ok(Vec::new()),
                _ => match encoder.tokenizer.single_window(text, WINDOW) {
                    Some(window) => Ok(vec![window]),
                    None => encoder.tokenizer.windows(text, WINDOW, OVERLAP),
                },
            };
            read.iter().map(windows).collect::<Result<_, String>>()
        })
        .await
        .map_err(InferenceError::Failed)?;
        let rows = windows.iter().flatten().map(|window| window.tokens.clone());
        let rows: Vec<TokenizedText> = rows.collect();
        let tokens = rows.iter().map(|row| row.input_ids.len()).sum();
        let mut embeddings = self
            .run(rows, priority, deadline)
            .await?
            .outputs
            .into_iter();
        let (engine, asked, read) = (Arc::clone(self), wanted.clone(), Arc::clone(texts));
        let judge = move || {
            let judged = read.iter().zip(windows).map(|(text, windows)| {
                let embeddings: Vec<Embedding> = embeddings.by_ref().take(windows.len()).collect();
                let part = |window: &Window| text.get(window.range.clone()).unwrap_or_default();
                let parts = engine.joined(windows.iter().map(part), &embeddings);
                let answers = engine.judge(&parts, &asked);
                let topic = || engine.topic(&spread(parts, MAX_TOPIC_WINDOWS));
                let category = wants_category.then(topic).flatten();
                Judged { answers, category }
            });
            Ok(judged.collect())
        };
        let all = blocking::run(bytes, judge)
            .await
            .map_err(InferenceError::Failed)?;
        for name in wanted.shipped.iter().cloned().chain(self.own_names(wanted)) {
            self.metrics.head(&name, started_at.elapsed());
        }
        Ok((all, tokens))
    }

    /// What heads say of a text whose vector is known, and its category: where the vector is of all of the text, no further
    /// forward is needed; else the heads' windows serve the category as well.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(in crate::service) async fn judge_analyzed(
        self: &Arc<Self>,
        text: &str,
        analyzed: &Analyzed,
        wanted: &Wanted,
        wants_category: bool,
        deadline: Instant,
    ) -> Result<Judged, InferenceError> {
        if analyzed.is_window() {
            let started_at = StdInstant::now();
            let small = self.small(text, wanted, wants_category);
            let window = [(small.unwrap_or_default(), &analyzed.embedding)];
            let answers = self.judge(&window, wanted);
            for name in answers.keys() {
                self.metrics.head(name, started_at.elapsed());
            }
            let category = wants_category.then(|| match self.has_topics() {
                true => self.topic(&window),
                false => self.categories.best(&analyzed.embedding),
            });
            return Ok(Judged {
                answers,
                category: category.flatten(),
            });
        }
        if !wanted.reads_vectors() {
            let category = if wants_category {
                self.category(text, analyzed, deadline).await?
            } else {
                None
            };
            return Ok(Judged {
                category,
                ..Judged::default()
            });
        }
        let texts: Arc<[String]> = [text.to_owned()].into();
        let own = wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at));
        let priority = if own.into_iter().any(|own| own.pooling.guards()) {
            Priority::Guard
        } else {
            Priority::Route
        };
        let found = self.judge_whole(&texts, wanted, wants_category, priority, deadline);
        let mut judged = found.await?.0.into_iter().next().unwrap_or_default();
        if wants_category && !self.has_topics() {
            judged.category = self.categories.best(&analyzed.embedding);
        }
        Ok(judged)
    }

    fn own_names(&self, wanted: &Wanted) -> impl Iterator<Item = String> {
        let own = wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at));
        own.map(|own| own.name.clone())
    }

    /// What the heads say of the windows of one text.
    fn judge(&self, windows: &[(Scores, &Embedding)], wanted: &Wanted) -> AnswersByName {
        let mut answers = BTreeMap::new();
        if let Some(heads) = self.shipped.as_ref().filter(|_| !wanted.shipped.is_empty()) {
            for verdict in heads.judge(windows) {
                if wanted.shipped.iter().any(|name| name == verdict.name) {
                    let labels = verdict.labels.iter().cloned();
                    answers.insert(
                        verdict.name.to_owned(),
                        Answer {
                            probabilities: labels.zip(verdict.probabilities).collect(),
                            ..Answer::default()
                        },
                    );
                }
            }
        }
        for own in wanted
            .own
            .iter()
            .filter_map(|at| self.loaded.heads.get(*at))
        {
            let head = &own.head;
            let mut pool = WindowPool::new(own.pooling);
            for (_, embedding) in windows {
                pool.add(&head.probabilities(embedding.values()));
            }
            let labels = head.about.labels.iter().cloned();
            answers.insert(
                own.name.clone(),
                Answer {
                    probabilities: labels.zip(pool.probabilities()).collect(),
                    ..Answer::default()
                },
            );
        }
        answers
    }
}
