//! A second opinion on two questions that are similar: a cross-encoder, which reads both at once.
//!
//! 1. What [`super::agreement`] accepts, it may turn down: it is asked about candidates below a similarity alone; above it, the encoder and the
//!    rules are enough. What the rules do not understand, it may accept, if configured. What they refuse for a known difference is never
//!    shown to it.
//! 2. Each pair is read in both orders, and the lower probability counts. A model for paraphrases is not symmetric, though it should
//!    be; one for entailment must not be: two questions mean the same where each follows from the other. A mean would let a sure "yes"
//!    in one order outvote a "no" in the other.
//! 3. What the model cannot read whole, or has not read in time, has no opinion: the candidate is turned down.

use std::sync::Arc;

use tokio::time::Instant;
use turnpike_core::cache::SecondOpinionConfig;

use super::agreement::Disagreement;
use crate::batching::{InferenceError, Priority};
use crate::classifier::CrossEncoder;

/// A cross-encoder and when its word counts.
#[derive(Debug)]
pub struct SecondOpinion {
    model: Arc<CrossEncoder>,
    /// Number of the label that says "the same".
    label: usize,
    threshold: f32,
    below_similarity: f32,
    accept_threshold: Option<f32>,
}

/// What it says of two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// One may have the answer of the other.
    Same,
    /// They differ.
    Different,
    /// The model cannot read them whole.
    Unreadable,
}

impl SecondOpinion {
    /// What `config` says, of a loaded model; `label` as [`Self::label`] tells it.
    #[must_use]
    pub fn new(config: &SecondOpinionConfig, label: usize, model: Arc<CrossEncoder>) -> Self {
        Self {
            model,
            label,
            threshold: config.threshold,
            below_similarity: config.below_similarity,
            accept_threshold: config.accept_threshold,
        }
    }

    /// The number of the label that is asked for: the only one where none is named.
    ///
    /// # Errors
    /// When the model has no label of that name, or several and none is named; the labels that it has.
    pub fn label(wanted: Option<&str>, labels: &[String]) -> Result<usize, String> {
        let known = || labels.join(", ");
        match wanted {
            Some(wanted) => labels
                .iter()
                .position(|label| label == wanted)
                .ok_or_else(|| format!("there is no label `{wanted}`; known: {}", known())),
            None if labels.len() == 1 => Ok(0),
            None => Err(format!(
                "must name the label that says that two questions mean the same; known: {}",
                known()
            )),
        }
    }

    /// The labels of the model.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        self.model.labels()
    }

    /// The probability that a candidate of this similarity needs which the rules accept; `None` if it needs no opinion.
    #[must_use]
    pub fn least_of_accepted(&self, similarity: f32) -> Option<f32> {
        // Of what is no number nothing is known.
        let is_needed = similarity < self.below_similarity || similarity.is_nan();
        is_needed.then_some(self.threshold)
    }

    /// The probability that a candidate needs which the rules refuse; `None` if it is never served.
    #[must_use]
    pub fn least_of_refused(&self, why: Disagreement) -> Option<f32> {
        self.accept_threshold.filter(|_| !why.is_certain())
    }

    /// What it says of `asked` beside each of `stored`, all of them in one go. With each stored question, the probability that it needs.
    ///
    /// # Errors
    /// [`InferenceError`]: then there is no opinion on any of them.
    pub async fn opinions(
        &self,
        asked: &str,
        stored: &[(Arc<str>, f32)],
        deadline: Instant,
    ) -> Result<Vec<Opinion>, InferenceError> {
        let asked: Arc<str> = asked.into();
        let both_orders = stored.iter().flat_map(|(stored, _)| {
            let (asked, stored) = (Arc::clone(&asked), Arc::clone(stored));
            [(Arc::clone(&asked), Arc::clone(&stored)), (stored, asked)]
        });
        let pairs = both_orders.collect();
        let found = self.model.probabilities(pairs, Priority::Route, deadline);
        let found = found.await?;
        let least = stored.iter().map(|(_, least)| *least);
        Ok(found
            .chunks_exact(2)
            .zip(least)
            .map(|(orders, least)| self.opinion(orders, least))
            .collect())
    }

    fn opinion(&self, orders: &[Option<Vec<f32>>], least: f32) -> Opinion {
        let of_order = |order: &Option<Vec<f32>>| order.as_ref()?.get(self.label).copied();
        let read: Option<Vec<f32>> = orders.iter().map(of_order).collect();
        match read {
            None => Opinion::Unreadable,
            // What is no number reaches nothing.
            Some(both) if both.iter().all(|p| *p >= least) => Opinion::Same,
            Some(_) => Opinion::Different,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_label_needs_no_name_and_one_of_several_does() {
        let label = |wanted: Option<&str>, labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            SecondOpinion::label(wanted, &labels)
        };
        let nli = ["contradiction", "entailment", "neutral"];
        assert_eq!(label(None, &["LABEL_0"]), Ok(0));
        assert_eq!(label(Some("entailment"), &nli), Ok(1));
        assert_eq!(
            label(Some("same"), &nli),
            Err("there is no label `same`; known: contradiction, entailment, neutral".into())
        );
        assert_eq!(
            label(None, &nli),
            Err("must name the label that says that two questions mean the same; known: contradiction, entailment, neutral".into())
        );
    }
}
