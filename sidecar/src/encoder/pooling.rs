//! From token vectors to one vector per text.
//!
//! Source: mean pooling, Reimers & Gurevych 2019 (arXiv:1908.10084); the file `1_Pooling/config.json` of
//! sentence-transformers says which mode a model was trained with, its module `Pooling` what each of them means.

use serde::Deserialize;

/// How token vectors become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over all tokens that are not padding.
    #[default]
    Mean,
    /// The first token.
    Cls,
    /// The greatest value of each component.
    Max,
    /// The sum, divided by the square root of the number of tokens.
    MeanSqrtLength,
    /// Mean in which the first token counts once, the second twice, and so on.
    WeightedMean,
    /// The last token.
    LastToken,
}

/// `1_Pooling/config.json`. Unknown keys are allowed: the file belongs to sentence-transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolingFile {
    pooling_mode: Option<String>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
}

impl Pooling {
    /// Reads the text of a `1_Pooling/config.json`.
    ///
    /// # Errors
    /// What is wrong, when it is no such file or names no mode, an unknown one, or several.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let file: PoolingFile = serde_json::from_str(json).map_err(|e| e.to_string())?;
        if let Some(mode) = &file.pooling_mode {
            return Self::by_name(mode)
                .ok_or_else(|| format!("pooling_mode: `{mode}` is not supported"));
        }
        let modes = [
            (file.pooling_mode_mean_tokens, Self::Mean),
            (file.pooling_mode_cls_token, Self::Cls),
            (file.pooling_mode_max_tokens, Self::Max),
            (file.pooling_mode_mean_sqrt_len_tokens, Self::MeanSqrtLength),
            (file.pooling_mode_weightedmean_tokens, Self::WeightedMean),
            (file.pooling_mode_lasttoken, Self::LastToken),
        ];
        let mut set = modes.into_iter().filter(|(is_set, _)| *is_set);
        match (set.next(), set.next()) {
            (Some((_, mode)), None) => Ok(mode),
            _ => Err("exactly one pooling_mode must be true".into()),
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "mean" => Self::Mean,
            "cls" => Self::Cls,
            "max" => Self::Max,
            "mean_sqrt_len_tokens" => Self::MeanSqrtLength,
            "weightedmean" => Self::WeightedMean,
            "lasttoken" => Self::LastToken,
            _ => return None,
        })
    }

    /// Pools the tokens of one text.
    ///
    /// `hidden`: `[tokens, dimensions]`, row by row, without padding. Returns `dimensions` values, not normalised.
    #[must_use]
    pub fn pool(self, hidden: &[f32], dimensions: usize) -> Vec<f32> {
        let rows = hidden.chunks_exact(dimensions.max(1));
        let count = rows.len().max(1) as f32;
        match self {
            Self::Cls => rows.take(1).next().map(<[f32]>::to_vec).unwrap_or_default(),
            Self::LastToken => rows.last().map(<[f32]>::to_vec).unwrap_or_default(),
            Self::Max => rows.fold(vec![f32::NEG_INFINITY; dimensions], |mut max, row| {
                for (max, value) in max.iter_mut().zip(row) {
                    *max = max.max(*value);
                }
                max
            }),
            Self::Mean => sum(rows, dimensions, |_| 1.0, count),
            Self::MeanSqrtLength => sum(rows, dimensions, |_| 1.0, count.sqrt()),
            Self::WeightedMean => {
                let total = count * (count + 1.0) / 2.0;
                sum(rows, dimensions, |at| at as f32 + 1.0, total)
            }
        }
    }
}

/// The weighted sum of rows, divided by `total`.
fn sum<'r>(
    rows: impl Iterator<Item = &'r [f32]>,
    dimensions: usize,
    weight: impl Fn(usize) -> f32,
    total: f32,
) -> Vec<f32> {
    let mut sums = vec![0.0; dimensions];
    for (at, row) in rows.enumerate() {
        let weight = weight(at);
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    for sum in &mut sums {
        *sum /= total;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_from_the_file() {
        let of = |json| Pooling::from_json(json);
        let mean = r#"{"pooling_mode_mean_tokens": true, "x": 1}"#;
        assert_eq!(of(mean), Ok(Pooling::Mean));
        assert_eq!(of(r#"{"pooling_mode_cls_token": true}"#), Ok(Pooling::Cls));
        assert_eq!(
            of(r#"{"pooling_mode": "lasttoken"}"#),
            Ok(Pooling::LastToken)
        );
        let two = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true}"#;
        assert!(of(two).is_err());
        assert!(of(r#"{"pooling_mode": "median"}"#).is_err());
        assert!(of("{}").is_err());
    }

    #[test]
    fn each_mode_does_what_its_name_says() {
        let hidden = [1.0, 2.0, 3.0, 6.0];
        let of = |pooling: Pooling| pooling.pool(&hidden, 2);
        assert_eq!(of(Pooling::Mean), [2.0, 4.0]);
        assert_eq!(of(Pooling::Cls), [1.0, 2.0]);
        assert_eq!(of(Pooling::LastToken), [3.0, 6.0]);
        assert_eq!(of(Pooling::Max), [3.0, 6.0]);
        assert_eq!(of(Pooling::WeightedMean), [7.0 / 3.0, 14.0 / 3.0]);
        let root = 2.0_f32.sqrt();
        assert_eq!(of(Pooling::MeanSqrtLength), [4.0 / root, 8.0 / root]);
    }
}
