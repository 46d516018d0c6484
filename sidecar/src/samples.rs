//! `embedding_rules` and `complexity_rules`: how similar a text is to the samples of each rule.
//!
//! Samples are embedded at start. A text is compared by the vector that the cache and the heads read too; of one that is longer than the
//! encoder's window, that is the vector of its beginning.

use std::collections::BTreeMap;

use turnpike_core::Config;
use turnpike_core::signal::Aggregation;

use crate::encoder::Embedding;

/// The samples of all rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    embeddings: Vec<(String, Aggregation, Vec<Embedding>)>,
    /// Hard and easy ones.
    complexities: Vec<(String, Vec<Embedding>, Vec<Embedding>)>,
}

impl Samples {
    /// Embeds the samples of a configuration with one call of `embed`.
    ///
    /// # Errors
    /// What `embed` says.
    pub fn new<E>(
        config: &Config,
        embed: impl FnOnce(&[String]) -> Result<Vec<Embedding>, E>,
    ) -> Result<Self, E> {
        let of_embeddings = config.embedding_rules.iter().map(|r| &r.candidates);
        let of_complexities = config
            .complexity_rules
            .iter()
            .flat_map(|r| [&r.hard.candidates, &r.easy.candidates]);
        let texts: Vec<String> = of_embeddings
            .chain(of_complexities)
            .flatten()
            .cloned()
            .collect();
        let mut all = embed(&texts)?.into_iter();
        let mut next = |texts: &[String]| all.by_ref().take(texts.len()).collect();
        Ok(Self {
            embeddings: config
                .embedding_rules
                .iter()
                .map(|r| (r.name.clone(), r.aggregation_method, next(&r.candidates)))
                .collect(),
            complexities: config
                .complexity_rules
                .iter()
                .map(|r| {
                    let hard = next(&r.hard.candidates);
                    (r.name.clone(), hard, next(&r.easy.candidates))
                })
                .collect(),
        })
    }

    /// For each of `embedding_rules`, the cosine to its samples, -1 to 1.
    #[must_use]
    pub fn similarities(&self, text: &Embedding) -> BTreeMap<String, f32> {
        let rules = self.embeddings.iter();
        rules
            .map(|(name, how, samples)| {
                let similarity = match how {
                    Aggregation::Max | Aggregation::Any => nearest(text, samples),
                    Aggregation::Mean => mean(text, samples),
                };
                (name.clone(), similarity)
            })
            .collect()
    }

    /// For each of `complexity_rules`, how much nearer the text is to its nearest hard sample than to its nearest easy one, -2 to 2.
    #[must_use]
    pub fn margins(&self, text: &Embedding) -> BTreeMap<String, f32> {
        let rules = self.complexities.iter();
        rules
            .map(|(name, hard, easy)| (name.clone(), nearest(text, hard) - nearest(text, easy)))
            .collect()
    }
}

fn nearest(text: &Embedding, samples: &[Embedding]) -> f32 {
    let similarities = samples.iter().map(|sample| sample.similarity(text));
    similarities.fold(-1.0, f32::max)
}

fn mean(text: &Embedding, samples: &[Embedding]) -> f32 {
    let sum: f32 = samples.iter().map(|sample| sample.similarity(text)).sum();
    sum / samples.len().max(1) as f32
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

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({
            "embedding_rules": [
                {"name": "near", "threshold": 0.7, "candidates": ["0.0", "1.0"]},
                {"name": "mean", "threshold": 0.7, "candidates": ["0.0", "1.0"], "aggregation_method": "mean"},
            ],
            "complexity_rules": [
                {"name": "deep", "threshold": 0.1, "hard": {"candidates": ["0.0", "0.5"]}, "easy": {"candidates": ["2.0"]}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn samples_of_all_rules_are_embedded_at_once_and_kept_apart() {
        let samples = Samples::new(&config(), by_angle).unwrap();
        let similarities = samples.similarities(&embedding(1.0));
        assert!((similarities["near"] - 1.0).abs() < 1e-6);
        let expected = f32::midpoint(1.0, 1.0_f32.cos());
        assert!((similarities["mean"] - expected).abs() < 1e-6);
        let margin = samples.margins(&embedding(0.5))["deep"];
        assert!((margin - (1.0 - 1.5_f32.cos())).abs() < 1e-6);
        assert!(samples.margins(&embedding(2.0))["deep"] < -0.5);
    }

    #[test]
    fn without_rules_there_is_nothing_to_tell() {
        let samples = Samples::new(&Config::default(), by_angle).unwrap();
        assert!(samples.similarities(&embedding(0.0)).is_empty());
        assert!(samples.margins(&embedding(0.0)).is_empty());
    }

    #[test]
    fn what_cannot_be_embedded_is_an_error() {
        let mut config = config();
        config.embedding_rules[0].candidates[1] = "no angle".into();
        assert_eq!(Samples::new(&config, by_angle), Err("no angle".to_owned()));
    }
}
