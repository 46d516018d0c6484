//! What a client asks of the cache: `cache-control` as RFC 9111 has it for requests, and a similarity of its own.

use crate::host::Headers;

/// A higher similarity than the configured one, 0 to 1.
pub const SIMILARITY_HEADER: &str = "x-turnpike-cache-similarity";

/// Wishes of one client. They can only make the cache answer less.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Control {
    /// Neither answer from the cache nor keep the answer.
    pub no_store: bool,
    /// Do not answer from the cache; the new answer replaces the kept one.
    pub no_cache: bool,
    /// Answers older than this many seconds do not count.
    pub max_age: Option<u64>,
    /// Similarity from which a question counts as the same, where the configured one is lower.
    pub similarity: f32,
}

impl Control {
    /// Reads the headers of a request. Directives that are not known are ignored; a number that is none asks for the most careful
    /// reading.
    #[must_use]
    pub fn read(headers: &Headers) -> Self {
        let mut control = Self::default();
        for header in headers.iter() {
            if header.name.eq_ignore_ascii_case(b"cache-control") {
                control.directives(header.value);
            } else if header
                .name
                .eq_ignore_ascii_case(SIMILARITY_HEADER.as_bytes())
            {
                control.similarity = control.similarity.max(similarity(header.value));
            }
        }
        control
    }

    fn directives(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let argument = argument.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => self.no_store = true,
                "no-cache" => self.no_cache = true,
                "max-age" => {
                    let age = argument.parse().unwrap_or(0);
                    self.max_age = Some(self.max_age.map_or(age, |known| known.min(age)));
                }
                _ => {}
            }
        }
    }
}

fn similarity(value: &[u8]) -> f32 {
    let value = std::str::from_utf8(value).ok();
    let value = value.and_then(|value| value.trim().parse::<f32>().ok());
    value
        .filter(|value| value.is_finite())
        .unwrap_or(1.0)
        .clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Control {
        let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        Control::read(&Headers::of(&pairs).unwrap())
    }

    #[test]
    fn directives_are_read_whatever_their_case_and_order() {
        assert_eq!(of(&[("content-type", "x")]), Control::default());
        assert!(of(&[("cache-control", "No-Store")]).no_store);
        let control = of(&[("cache-control", "max-age=\"60\", no-cache , only-if-cached")]);
        assert!(control.no_cache && !control.no_store);
        assert_eq!(control.max_age, Some(60));
        let twice = of(&[
            ("cache-control", "max-age=9"),
            ("cache-control", "max-age=5"),
        ]);
        assert_eq!(twice.max_age, Some(5));
    }

    #[test]
    fn what_is_no_number_is_read_with_care() {
        assert_eq!(of(&[("cache-control", "max-age=soon")]).max_age, Some(0));
        assert_eq!(of(&[("cache-control", "max-age")]).max_age, Some(0));
        let similarity = |value| of(&[(SIMILARITY_HEADER, value)]).similarity;
        assert!((similarity("0.95") - 0.95).abs() < 1e-6);
        for wrong in ["high", "NaN", "7", ""] {
            assert!((similarity(wrong) - 1.0).abs() < 1e-6, "{wrong}");
        }
        assert!(similarity("-1").abs() < 1e-6);
    }
}
