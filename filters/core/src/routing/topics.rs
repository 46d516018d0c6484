//! From the topics that the model knows to the categories of the configuration.

use crate::decision::CategoryConfig;

/// Which categories the model's topics make up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topics {
    /// For each topic, the place of its category.
    category: Vec<Option<usize>>,
    names: Vec<String>,
}

impl Topics {
    /// `known`: the labels of the model, in its order. `None` when the model cannot tell the categories: one of them is no topic that it knows.
    ///
    /// A category stands for the topics in `mmlu_categories`, or for the one of its own name. What belongs to no category belongs
    /// to `other`, if there is a category of that name.
    #[must_use]
    pub fn compile(categories: &[CategoryConfig], known: &[String]) -> Option<Self> {
        if categories.is_empty() || known.is_empty() {
            return None;
        }
        let mut category = vec![None; known.len()];
        for (at, config) in categories.iter().enumerate() {
            let own = std::slice::from_ref(&config.name);
            let topics = if config.mmlu_categories.is_empty() {
                own
            } else {
                &config.mmlu_categories
            };
            for topic in topics {
                let found = known.iter().position(|k| same(k, topic))?;
                *category.get_mut(found)? = Some(at);
            }
        }
        if let Some(other) = categories.iter().position(|c| same(&c.name, "other")) {
            for topic in &mut category {
                topic.get_or_insert(other);
            }
        }
        Some(Self {
            category,
            names: categories.iter().map(|c| c.name.clone()).collect(),
        })
    }

    /// The most probable category and its probability. `topics`: the probability of each label; none gives the first category 0.
    #[must_use]
    pub fn best(&self, topics: &[f32]) -> Option<(&str, f32)> {
        let mut sums = vec![0.0_f32; self.names.len()];
        for (category, probability) in self.category.iter().zip(topics) {
            if let Some(sum) = category.and_then(|at| sums.get_mut(at)) {
                *sum += probability;
            }
        }
        let best = self
            .names
            .iter()
            .zip(sums)
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map(|(name, probability)| (name.as_str(), probability))
    }
}

/// How unsure the probabilities of topics are: their entropy as a share of the highest possible one, 0 to 1 (Shannon 1948). 0 of nothing.
pub(super) fn entropy(topics: &[f32]) -> f32 {
    let most = f32::from(u16::try_from(topics.len()).unwrap_or(u16::MAX)).ln();
    if most <= 0.0 {
        return 0.0;
    }
    let parts = topics.iter().filter(|p| **p > 0.0);
    let sum: f32 = parts.map(|p| -p * p.ln()).sum();
    (sum / most).clamp(0.0, 1.0)
}

/// `computer science`, `computer_science` and `Computer Science` are one.
fn same(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.trim().to_lowercase().replace(['_', '-'], " ");
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(names: &[(&str, &[&str])]) -> Vec<CategoryConfig> {
        names
            .iter()
            .map(|(name, topics)| CategoryConfig {
                name: (*name).into(),
                mmlu_categories: topics.iter().map(|t| (*t).into()).collect(),
                ..Default::default()
            })
            .collect()
    }

    fn known() -> Vec<String> {
        ["computer science", "math", "other", "physics"]
            .map(String::from)
            .to_vec()
    }

    #[test]
    fn a_category_sums_its_topics_and_other_takes_the_rest() {
        let topics = Topics::compile(
            &categories(&[("science", &["math", "physics"]), ("other", &[])]),
            &known(),
        )
        .unwrap();
        assert_eq!(topics.best(&[0.3, 0.2, 0.1, 0.4]), Some(("science", 0.6)));
        assert_eq!(topics.best(&[0.5, 0.1, 0.25, 0.15]), Some(("other", 0.75)));
        let topics = Topics::compile(&categories(&[("Computer_Science", &[])]), &known()).unwrap();
        assert_eq!(
            topics.best(&[0.3, 0.2, 0.1, 0.4]),
            Some(("Computer_Science", 0.3))
        );
    }

    #[test]
    fn entropy_is_0_of_a_sure_topic_and_1_where_all_are_alike() {
        assert_eq!(entropy(&[]), 0.0);
        assert_eq!(entropy(&[1.0]), 0.0);
        assert_eq!(entropy(&[0.0, 1.0, 0.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 1.0).abs() < 1e-6);
        let half = entropy(&[0.5, 0.5, 0.0, 0.0]);
        assert!((half - 0.5).abs() < 1e-6, "{half}");
    }

    #[test]
    fn a_category_that_is_no_topic_needs_another_judge() {
        assert_eq!(
            Topics::compile(&categories(&[("billing", &[]), ("math", &[])]), &known()),
            None
        );
        assert_eq!(
            Topics::compile(&categories(&[("math", &["algebra"])]), &known()),
            None
        );
        assert_eq!(Topics::compile(&[], &known()), None);
        assert_eq!(Topics::compile(&categories(&[("math", &[])]), &[]), None);
    }
}
