//! From token vectors to one vector per text.
//!
//! Source: mean pooling, Reimers & Gurevych 2019 (arXiv:1908.10084); the file `1_Pooling/config.json` of
//! sentence-transformers says which mode a model was trained with.

use serde::Deserialize;

/// How token vectors become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over all tokens that are not padding.
    #[default]
    Mean,
    /// The first token.
    Cls,
}

/// `1_Pooling/config.json`. Unknown keys are allowed: the file belongs to sentence-transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolingFile {
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
    /// What is wrong, when it is no such file or names another mode than mean or cls, or several.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let file: PoolingFile = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let others = file.pooling_mode_max_tokens
            || file.pooling_mode_mean_sqrt_len_tokens
            || file.pooling_mode_weightedmean_tokens
            || file.pooling_mode_lasttoken;
        match (
            file.pooling_mode_mean_tokens,
            file.pooling_mode_cls_token,
            others,
        ) {
            (true, false, false) => Ok(Self::Mean),
            (false, true, false) => Ok(Self::Cls),
            _ => Err(
                "exactly one of pooling_mode_mean_tokens and pooling_mode_cls_token must be true, no other mode is supported"
                    .into(),
            ),
        }
    }

    /// Pools the tokens of one text.
    ///
    /// `hidden`: `[tokens, dimensions]`, row by row, without padding. Returns `dimensions` values, not normalised.
    #[must_use]
    pub fn pool(self, hidden: &[f32], dimensions: usize) -> Vec<f32> {
        let mut rows = hidden.chunks_exact(dimensions.max(1));
        match self {
            Self::Cls => rows.next().map(<[f32]>::to_vec).unwrap_or_default(),
            Self::Mean => {
                let count = rows.len().max(1) as f32;
                let mut sum = vec![0.0; dimensions];
                for row in rows {
                    for (sum, value) in sum.iter_mut().zip(row) {
                        *sum += value;
                    }
                }
                for sum in &mut sum {
                    *sum /= count;
                }
                sum
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_cls_are_read_from_the_file() {
        let of = |json| Pooling::from_json(json);
        assert_eq!(
            of(r#"{"pooling_mode_mean_tokens": true, "x": 1}"#),
            Ok(Pooling::Mean)
        );
        assert_eq!(of(r#"{"pooling_mode_cls_token": true}"#), Ok(Pooling::Cls));
        assert!(of(r#"{"pooling_mode_max_tokens": true}"#).is_err());
        assert!(
            of(r#"{"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true}"#).is_err()
        );
        assert!(of("{}").is_err());
    }

    #[test]
    fn mean_divides_by_the_tokens_and_cls_takes_the_first() {
        let hidden = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(Pooling::Mean.pool(&hidden, 2), [2.0, 4.0]);
        assert_eq!(Pooling::Cls.pool(&hidden, 2), [1.0, 2.0]);
    }
}
