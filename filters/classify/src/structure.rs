//! Structure rules: how often something is in a text, how dense, or in which order.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use regex::{Regex, RegexBuilder};
use turnpike_core::config::ConfigError;
use turnpike_core::decision::Signal;
use turnpike_core::signal::{
    Predicate, StructureKind, StructureRuleConfig, StructureSourceConfig, StructureSourceKind,
};

use crate::keywords::{MAX_PATTERN_BYTES, cases, one_line, stands_alone, writes_no_spaces};

/// The compiled structure rules.
#[derive(Debug)]
pub struct Structures(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    kind: StructureKind,
    source: Source,
    predicate: Predicate,
}

#[derive(Debug)]
enum Source {
    Pattern(Regex),
    Words(AhoCorasick),
    /// Each a row of phrases.
    Sequences(Vec<Vec<AhoCorasick>>),
    Bytes,
}

impl Structures {
    /// Compiles rules in their order.
    ///
    /// # Errors
    /// A pattern that is none, or is too large, with its path.
    pub fn compile(rules: &[StructureRuleConfig]) -> Result<Self, ConfigError> {
        let compiled = rules.iter().enumerate().map(|(at, rule)| {
            Ok(Rule {
                kind: rule.feature.kind,
                source: Source::compile(&rule.feature.source, at)?,
                predicate: rule.predicate,
            })
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// What the rules say: one entry for each, in their order.
    #[must_use]
    pub fn matches(&self, text: &str) -> Vec<Signal> {
        let rules = self.0.iter();
        rules.map(|rule| Signal::of(rule.holds(text))).collect()
    }
}

impl Source {
    fn compile(source: &StructureSourceConfig, rule: usize) -> Result<Self, ConfigError> {
        let at = |key: &str| format!("structure_rules[{rule}].feature.source.{key}");
        let words = |key: &str, words: &[String]| {
            let forms = words.iter().flat_map(|word| match source.case_sensitive {
                true => vec![word.trim().to_owned()],
                false => cases(word.trim()),
            });
            AhoCorasickBuilder::new()
                .ascii_case_insensitive(!source.case_sensitive)
                .build(forms)
                .map_err(|e| ConfigError::new(at(key), e.to_string()))
        };
        Ok(match source.kind {
            StructureSourceKind::Regex => {
                let pattern = source.pattern.as_deref().unwrap_or_default();
                let regex = RegexBuilder::new(pattern)
                    .size_limit(MAX_PATTERN_BYTES)
                    .build()
                    .map_err(|e| ConfigError::new(at("pattern"), one_line(&e)))?;
                Self::Pattern(regex)
            }
            StructureSourceKind::KeywordSet => Self::Words(words("keywords", &source.keywords)?),
            StructureSourceKind::Sequence => {
                let phrase = |phrase: &String| words("sequences", std::slice::from_ref(phrase));
                let rows = source.sequences.iter();
                let rows = rows.map(|row| row.iter().map(phrase).collect());
                Self::Sequences(rows.collect::<Result<_, _>>()?)
            }
            StructureSourceKind::TextBytes => Self::Bytes,
        })
    }

    fn count(&self, text: &str) -> usize {
        match self {
            Self::Pattern(regex) => regex.find_iter(text).count(),
            Self::Words(words) => words
                .find_iter(text)
                .filter(|found| stands_alone(text, found.start(), found.end()))
                .count(),
            Self::Sequences(rows) => rows.iter().filter(|row| in_order(row, text)).count(),
            Self::Bytes => text.len(),
        }
    }
}

fn in_order(phrases: &[AhoCorasick], text: &str) -> bool {
    let mut from = 0;
    phrases.iter().all(|phrase| {
        let rest = text.get(from..).unwrap_or_default();
        let found = phrase.find_iter(rest).find(|found| {
            let (start, end) = (
                from.saturating_add(found.start()),
                from.saturating_add(found.end()),
            );
            stands_alone(text, start, end)
        });
        if let Some(found) = found {
            from = from.saturating_add(found.end());
        }
        found.is_some()
    })
}

impl Rule {
    fn holds(&self, text: &str) -> bool {
        let count = number(self.source.count(text));
        let is_there = count > 0.0;
        match self.kind {
            StructureKind::Exists | StructureKind::Sequence if self.predicate.is_empty() => {
                is_there
            }
            StructureKind::Density => {
                let words = number(units(text));
                words > 0.0 && self.predicate.holds(count / words)
            }
            _ => self.predicate.holds(count),
        }
    }
}

/// Words, and characters of scripts that write no spaces.
fn units(text: &str) -> usize {
    let mut count: usize = 0;
    let mut in_word = false;
    for c in text.chars() {
        let alone = writes_no_spaces(c);
        let letter = c.is_alphanumeric();
        if letter && (alone || !in_word) {
            count = count.saturating_add(1);
        }
        in_word = letter && !alone;
    }
    count
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, text: &str) -> bool {
        let mut rule: serde_json::Value = serde_json::from_str(rule).unwrap();
        rule["name"] = "r".into();
        let rules = [serde_json::from_value(rule).unwrap()];
        Structures::compile(&rules).unwrap().matches(text) == [Signal::Yes(1.0)]
    }

    #[test]
    fn matches_are_counted() {
        let questions = r#"{"feature": {"type": "count", "source": {"type": "regex", "pattern": "[?？]"}}, "predicate": {"gte": 2}}"#;
        assert!(holds(questions, "Who? And 为什么？"));
        assert!(!holds(questions, "Who?"));
        let words = r#"{"feature": {"type": "count", "source": {"type": "keyword_set", "keywords": ["one", "two"]}}, "predicate": {"gt": 1, "lt": 3}}"#;
        assert!(holds(words, "One, TWO"));
        assert!(!holds(words, "one onerous"));
        assert!(!holds(words, "one two one"));
        let long = r#"{"feature": {"type": "count", "source": {"type": "text_bytes"}}, "predicate": {"lte": 3}}"#;
        assert!(holds(long, "abc") && !holds(long, "abcd"));
    }

    #[test]
    fn one_match_is_enough_to_exist() {
        let tag = r#"{"feature": {"type": "exists", "source": {"type": "regex", "pattern": "(?i)<system>"}}}"#;
        assert!(holds(tag, "a <SYSTEM> b"));
        assert!(!holds(tag, "a system b"));
    }

    #[test]
    fn density_is_by_word_or_by_character_where_no_spaces_are_written() {
        let dense = r#"{"feature": {"type": "density", "source": {"type": "keyword_set", "keywords": ["ignore", "忽略"]}}, "predicate": {"gt": 0.24}}"#;
        assert!(holds(dense, "ignore all the rules"));
        assert!(!holds(dense, "ignore all of the rules"));
        assert!(holds(dense, "忽略规则"), "one in four characters");
        assert!(!holds(dense, "忽略全部规则"));
        assert!(!holds(dense, " … "));
    }

    #[test]
    fn a_sequence_is_found_in_its_order_only() {
        let steps = r#"{"feature": {"type": "sequence", "source": {"type": "sequence", "sequences": [["first", "then"], ["先", "再"]]}}}"#;
        assert!(holds(steps, "First do this, then that"));
        assert!(holds(steps, "先做这个再做那个"));
        assert!(!holds(steps, "then this, first that"));
        assert!(!holds(steps, "firstly this, then that"));
        assert!(!holds(steps, ""));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_at_its_path() {
        let rule = r#"{"name": "r", "feature": {"type": "exists", "source": {"type": "regex", "pattern": "("}}}"#;
        let rules = [serde_json::from_str(rule).unwrap()];
        let error = Structures::compile(&rules).unwrap_err().to_string();
        assert_eq!(
            error,
            "structure_rules[0].feature.source.pattern: unclosed group"
        );
    }
}
