//! The second opinion on what a lookup of the cache found.

use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::time::Instant;

use super::engine::Engine;
use super::{Ready, Service};
use crate::batching::InferenceError;
use crate::cache::agreement::Disagreement;
use crate::cache::{Found, Opinion};
use crate::metrics::Stage;

/// Value of the label `reason` of a candidate that the model calls different.
const DIFFERENT: &str = "second_opinion";

/// Of one that the model has not judged: in time, at all, or because it cannot read the questions whole.
const NO_OPINION: &str = "no_second_opinion";

/// A candidate that is served if the model gives it at least a probability.
#[derive(Debug)]
pub(super) struct Doubtful {
    candidate: Found,
    least: f32,
    /// Whether the rules accept it; else they do not understand it.
    is_accepted: bool,
}

/// A candidate that the model says means the same.
#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) candidate: Found,
    /// Whether the rules do not understand it: the model alone says so.
    pub(super) by_model_alone: bool,
}

/// What becomes of a candidate before a model is asked.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is served.
    Same(Found),
    /// The model decides.
    Doubtful(Doubtful),
    /// It is not served.
    Different(Disagreement),
}

impl Verdict {
    pub(super) fn of(engine: &Engine, candidate: Found, rules: Result<(), Disagreement>) -> Self {
        let second_opinion = engine.second_opinion();
        let least = match rules {
            Ok(()) => second_opinion.and_then(|o| o.least_of_accepted(candidate.similarity)),
            Err(why) => second_opinion.and_then(|o| o.least_of_refused(why)),
        };
        match (rules, least) {
            (rules, Some(least)) => Self::Doubtful(Doubtful {
                candidate,
                least,
                is_accepted: rules.is_ok(),
            }),
            (Ok(()), None) => Self::Same(candidate),
            (Err(why), None) => Self::Different(why),
        }
    }
}

impl Service {
    /// Those of `candidates` that mean the same as `text` by the second opinion, in their order. Without an opinion, none: a failure of
    /// the model costs hits, and no request.
    pub(super) async fn confirmed(
        &self,
        ready: &Ready,
        text: &str,
        candidates: Vec<Doubtful>,
        deadline: Instant,
    ) -> Vec<Confirmed> {
        let Some(second_opinion) = ready.engine.second_opinion() else {
            return Vec::new();
        };
        let started_at = StdInstant::now();
        let question = |d: &Doubtful| (Arc::clone(&d.candidate.question), d.least);
        let stored: Vec<(Arc<str>, f32)> = candidates.iter().map(question).collect();
        // Who waits for the analysis must still be there for its answer, which has more in it than the cache's.
        let deadline = deadline - ready.timeout / 10;
        let opinions = second_opinion.opinions(text, &stored, deadline).await;
        self.metrics
            .observe(Stage::SecondOpinion, started_at.elapsed());
        let opinions = opinions.unwrap_or_else(|error| {
            if let InferenceError::Failed(why) = error {
                tracing::error!(why, "no second opinion");
            }
            vec![Opinion::Unreadable; candidates.len()]
        });
        let judged = candidates.into_iter().zip(opinions);
        judged
            .filter_map(|(doubtful, opinion)| match opinion {
                Opinion::Same => Some(Confirmed {
                    candidate: doubtful.candidate,
                    by_model_alone: !doubtful.is_accepted,
                }),
                Opinion::Different => {
                    self.metrics.turned_down(DIFFERENT);
                    None
                }
                Opinion::Unreadable => {
                    self.metrics.turned_down(NO_OPINION);
                    None
                }
            })
            .collect()
    }
}
