//! Zero-shot categories: a text belongs to the category whose description and examples it resembles.
//!
//! 1. At start, each category gets prototypes: one vector for `name: description`, one for every further description and
//!    every example.
//! 2. The score of a category is the mean of the similarity to its description and of the similarity to its nearest prototype.
//! 3. A softmax over the scores of all categories and of [`BACKGROUND_SCORE`] gives the confidence, 0 to 1.
//!
//! The combination and both constants were chosen by measuring: `docs/adr/0005-zero-shot-categories.md`. Not done here:
//! trained heads, which will read the same vector.

use turnpike_core::decision::CategoryConfig;
use turnpike_core::sidecar::Scored;

use crate::encoder::Embedding;

/// Divides scores before the softmax; the lower, the surer. 0.05 had the lowest log loss of fourteen values tried.
const TEMPERATURE: f32 = 0.05;

/// Score of "none of them": a text whose best score is this is in the category at most one time in two. It keeps a text
/// that resembles nothing from being sure of whatever it resembles least badly.
const BACKGROUND_SCORE: f32 = 0.15;

/// One category with the vectors that stand for it.
#[derive(Debug, Clone, PartialEq)]
struct Category {
    name: String,
    description: Embedding,
    /// Further descriptions and examples.
    others: Vec<Embedding>,
}

impl Category {
    fn score(&self, embedding: &Embedding) -> f32 {
        let description = self.description.similarity(embedding);
        let nearest = self
            .others
            .iter()
            .map(|prototype| prototype.similarity(embedding))
            .fold(description, f32::max);
        f32::midpoint(description, nearest)
    }
}

/// All configured categories.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Categories(Vec<Category>);

impl Categories {
    /// Embeds the prototypes of `configured` with one call of `embed`.
    ///
    /// # Errors
    /// What `embed` says.
    pub fn new<E>(
        configured: &[CategoryConfig],
        embed: impl FnOnce(&[String]) -> Result<Vec<Embedding>, E>,
    ) -> Result<Self, E> {
        let texts: Vec<Vec<String>> = configured.iter().map(prototype_texts).collect();
        let mut embeddings = embed(&texts.concat())?.into_iter();
        let mut categories = Vec::with_capacity(configured.len());
        for (config, texts) in configured.iter().zip(&texts) {
            let mut prototypes = embeddings.by_ref().take(texts.len());
            if let Some(description) = prototypes.next() {
                categories.push(Category {
                    name: config.name.clone(),
                    description,
                    others: prototypes.collect(),
                });
            }
        }
        Ok(Self(categories))
    }

    /// Whether none is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The best category, `None` when none is configured.
    #[must_use]
    pub fn best(&self, embedding: &Embedding) -> Option<Scored> {
        let scores: Vec<f32> = self.0.iter().map(|c| c.score(embedding)).collect();
        let weights = scores.iter().map(|score| weight(*score));
        let total: f32 = weights.clone().sum::<f32>() + weight(BACKGROUND_SCORE);
        let (category, best) = self
            .0
            .iter()
            .zip(weights)
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Scored {
            label: category.name.clone(),
            confidence: best / total,
        })
    }
}

/// Scores are at most 1, so the weight is at most e^17 and needs no shift.
fn weight(score: f32) -> f32 {
    ((score - BACKGROUND_SCORE) / TEMPERATURE).exp()
}

/// The texts that stand for a category, its description first.
fn prototype_texts(config: &CategoryConfig) -> Vec<String> {
    let description = if config.description.is_empty() {
        config.name.clone()
    } else {
        format!("{}: {}", config.name, config.description)
    };
    std::iter::once(description)
        .chain(config.mmlu_categories.iter().cloned())
        .chain(config.examples.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(angle: f32) -> Embedding {
        Embedding::normalized(vec![angle.cos(), angle.sin()])
    }

    /// A text is its angle.
    fn by_angle(texts: &[String]) -> Result<Vec<Embedding>, String> {
        texts
            .iter()
            .map(|text| text.parse().map(embedding).map_err(|_| text.clone()))
            .collect()
    }

    fn category(name: &str, examples: &[&str]) -> CategoryConfig {
        CategoryConfig {
            name: name.into(),
            examples: examples.iter().map(|e| (*e).to_owned()).collect(),
            ..CategoryConfig::default()
        }
    }

    #[test]
    fn the_nearest_category_wins() {
        let categories =
            Categories::new(&[category("0.0", &["0.2"]), category("1.5", &[])], by_angle).unwrap();
        let best = |angle| categories.best(&embedding(angle)).unwrap();
        assert_eq!(best(0.1).label, "0.0");
        assert!(best(0.1).confidence > 0.99);
        assert_eq!(best(1.4).label, "1.5");
        assert!(
            best(0.8).confidence < 0.9,
            "between two categories nothing is sure"
        );
    }

    #[test]
    fn a_text_that_resembles_nothing_is_not_sure() {
        let categories = Categories::new(&[category("0.0", &[])], by_angle).unwrap();
        assert!(categories.best(&embedding(1.5)).unwrap().confidence < 0.3);
    }

    #[test]
    fn without_categories_there_is_no_best() {
        let categories = Categories::new(&[], by_angle).unwrap();
        assert_eq!(categories.best(&embedding(0.0)), None);
    }

    #[test]
    fn description_mmlu_names_and_examples_are_prototypes() {
        let config = CategoryConfig {
            name: "law".into(),
            description: "courts".into(),
            examples: vec!["May I sue?".into()],
            mmlu_categories: vec!["international law".into()],
        };
        assert_eq!(
            prototype_texts(&config),
            ["law: courts", "international law", "May I sue?"]
        );
    }
}
