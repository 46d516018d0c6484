//! The models beside the encoder, classifiers and the language model, and their answers together with those of the heads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use turnpike_core::sidecar::LLM_HEAD;

use super::{AnswersByName, Engine, Wanted};
use crate::batching::{InferenceError, Priority};
use crate::classifier::Answer;
use crate::llm::LlmAnswer;

/// Texts of one request that the language model is asked about at a time.
const LLM_TEXTS: usize = 8;

impl Engine {
    /// What heads and classifiers say of texts, all of each read: the encoder runs once, for all heads. A text of nothing but
    /// spaces has no labels. The count is that of the tokens read.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn classify(
        self: &Arc<Self>,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<AnswersByName>, usize), InferenceError> {
        let by_heads = self.judge_whole(texts, wanted, false, priority, deadline);
        let by_models = self.classify_by_models(texts, wanted, priority, deadline);
        let ((by_heads, tokens), (by_models, count)) = tokio::try_join!(by_heads, by_models)?;
        let all = by_heads.into_iter().zip(by_models);
        let joined =
            all.map(|(judged, answers)| judged.answers.into_iter().chain(answers).collect());
        Ok((joined.collect(), tokens + count))
    }

    /// What classifiers say of texts; they run side by side.
    pub(in crate::service) async fn classify_by_models(
        &self,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Result<(Vec<AnswersByName>, usize), InferenceError> {
        let models = wanted.classifiers.iter();
        let models = models.filter_map(|at| self.loaded.classifiers.get(*at));
        let found = futures_util::future::try_join_all(models.map(|model| async {
            let model = &model.value;
            let priority = match priority {
                Priority::Route if model.guards() => Priority::Guard,
                priority => priority,
            };
            let started_at = StdInstant::now();
            let answered = model.classify(texts, priority, deadline).await?;
            self.metrics.head(model.name(), started_at.elapsed());
            Ok((model.name().to_owned(), answered))
        }));
        let (found, labels) =
            tokio::join!(found, self.llm_labels(texts, wanted, priority, deadline));
        let mut tokens = 0;
        let mut all: Vec<AnswersByName> = texts.iter().map(|_| BTreeMap::new()).collect();
        for (name, (answers, count)) in found? {
            tokens += count;
            for (text, answer) in all.iter_mut().zip(answers) {
                text.insert(name.clone(), answer);
            }
        }
        for (text, answer) in all.iter_mut().zip(labels) {
            text.insert(LLM_HEAD.to_owned(), answer);
        }
        Ok((all, tokens))
    }

    /// The language model's label for each text; none when it is not asked.
    async fn llm_labels(
        &self,
        texts: &Arc<[String]>,
        wanted: &Wanted,
        priority: Priority,
        deadline: Instant,
    ) -> Vec<Answer> {
        let Some(llm) = self.loaded.llm.as_ref().filter(|_| wanted.llm) else {
            return Vec::new();
        };
        let started_at = StdInstant::now();
        let answers = (0..texts.len()).map(|at| {
            let text = texts.get(at).map_or("", String::as_str);
            llm.value.classify(text, priority, deadline)
        });
        // Few at a time: the proxy's questions find a turn between them.
        let answers = futures_util::stream::iter(answers).buffered(LLM_TEXTS);
        let answers: Vec<LlmAnswer> = answers.collect().await;
        self.metrics.head(LLM_HEAD, started_at.elapsed());
        let answer = |found: LlmAnswer| Answer {
            probabilities: if found.defaulted {
                vec![(found.label, 1.0)]
            } else {
                found.probabilities
            },
            entities: None,
            defaulted: found.defaulted,
        };
        answers.into_iter().map(answer).collect()
    }
}
