//! The second opinion on what a lookup of the cache found.

use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::time::Instant;

use super::{Ready, Service};
use crate::batching::InferenceError;
use crate::cache::{Found, Opinion};
use crate::metrics::Stage;

/// Value of the label `reason` of a candidate that the model calls different.
const DIFFERENT: &str = "second_opinion";

/// Of one that the model has not judged: in time, at all, or because it cannot read the questions whole.
const NO_OPINION: &str = "no_second_opinion";

impl Service {
    /// Those of `candidates` that mean the same as `text` by the second opinion, in their order. Without an opinion, none: a failure of
    /// the model costs hits, and no request.
    pub(super) async fn confirmed(
        &self,
        ready: &Ready,
        text: &str,
        candidates: Vec<Found>,
        deadline: Instant,
    ) -> Vec<Found> {
        let Some(second_opinion) = ready.engine.second_opinion() else {
            return candidates;
        };
        let started_at = StdInstant::now();
        let stored: Vec<Arc<str>> = candidates.iter().map(|c| Arc::clone(&c.question)).collect();
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
            .filter_map(|(candidate, opinion)| match opinion {
                Opinion::Same => Some(candidate),
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
