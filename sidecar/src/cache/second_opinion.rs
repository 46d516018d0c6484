//! A second opinion on two questions that similarity and [`super::agreement`] let pass: a cross-encoder, which reads both at once.
//!
//! 1. Asked about candidates below a similarity alone: above it, the encoder and the rules are enough.
//! 2. Each pair is read in both orders, and the lower probability counts. A model for paraphrases is not symmetric, though it should
//!    be; one for entailment must not be: two questions mean the same where each follows from the other. A mean would let a sure "yes"
//!    in one order outvote a "no" in the other.
//! 3. What the model cannot read whole, or has not read in time, has no opinion: the candidate is turned down.
//!
//! It cannot overrule the rules: what they refuse is never shown to it.

use std::sync::Arc;

use tokio::time::Instant;
use turnpike_core::cache::SecondOpinionConfig;

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

    /// Whether a candidate of this similarity needs it.
    #[must_use]
    pub fn is_needed(&self, similarity: f32) -> bool {
        // Of what is no number nothing is known.
        similarity < self.below_similarity || similarity.is_nan()
    }

    /// What it says of `asked` beside each of `stored`, all of them in one go.
    ///
    /// # Errors
    /// [`InferenceError`]: then there is no opinion on any of them.
    pub async fn opinions(
        &self,
        asked: &str,
        stored: &[Arc<str>],
        deadline: Instant,
    ) -> Result<Vec<Opinion>, InferenceError> {
        let asked: Arc<str> = asked.into();
        let both_orders = stored.iter().flat_map(|stored| {
            let (asked, stored) = (Arc::clone(&asked), Arc::clone(stored));
            [(Arc::clone(&asked), Arc::clone(&stored)), (stored, asked)]
        });
        let pairs = both_orders.collect();
        let found = self.model.probabilities(pairs, Priority::Route, deadline);
        let found = found.await?;
        Ok(found
            .chunks_exact(2)
            .map(|orders| self.opinion(orders))
            .collect())
    }

    fn opinion(&self, orders: &[Option<Vec<f32>>]) -> Opinion {
        let of_order = |order: &Option<Vec<f32>>| order.as_ref()?.get(self.label).copied();
        let read: Option<Vec<f32>> = orders.iter().map(of_order).collect();
        match read {
            None => Opinion::Unreadable,
            // What is no number reaches nothing.
            Some(both) if both.iter().all(|p| *p >= self.threshold) => Opinion::Same,
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
