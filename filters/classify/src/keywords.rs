//! Keyword rules: every keyword of every rule in one Aho-Corasick automaton, every pattern in a regular-expression set; a pass
//! over the text for each.
//!
//! 1. A keyword counts at word boundaries: `cat` is not in `concatenate`. Where a keyword begins or ends with a character of a
//!    script that writes no spaces (Han, Hiragana, Katakana, Thai …) or with punctuation, that end needs no boundary.
//! 2. Unless a rule is `case_sensitive`, ASCII letters match in any case; other letters in lower, upper and title case as written.
//! 3. A pattern counts wherever it matches; its case as that of keywords.
//! 4. Keywords of a fuzzy rule may be misspelt ([`fuzzy`]).
//! 5. `OR`, `AND`, `NOR` combine the keywords and patterns of a rule.
//!
//! Confidence, as in vLLM Semantic Router: an `OR` of which one of four keywords is there has 0.5 + 0.5 / 4; all others 1.
//!
//! Linear in the text: matches are counted once each, none is retried.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError, MatchKind};
use regex::{RegexBuilder, RegexSet, RegexSetBuilder};
use turnpike_core::config::ConfigError;
use turnpike_core::decision::{KeywordOperator, KeywordRuleConfig, Signal};

use crate::fuzzy::{self, Fuzzy};

/// The compiled keyword rules.
#[derive(Debug)]
pub struct Keywords {
    rules: Vec<Rule>,
    /// Keywords of rules for which case counts.
    exact: Automaton,
    /// Keywords of the others.
    folded: Automaton,
    exact_patterns: Patterns,
    folded_patterns: Patterns,
    /// Keywords that may be misspelt: rule, term.
    fuzzy: Vec<(usize, usize, Fuzzy)>,
}

#[derive(Debug)]
struct Rule {
    operator: KeywordOperator,
    /// Keywords and patterns.
    terms: usize,
}

/// Most bytes that all patterns together may take when compiled: each worker holds them.
pub(crate) const MAX_PATTERN_BYTES: usize = 2 << 20;

/// Why rules cannot be compiled.
#[derive(Debug)]
pub enum KeywordsError {
    /// Too many keywords.
    Keywords(BuildError),
    /// Rule, pattern, and what is wrong with it.
    Pattern(usize, usize, regex::Error),
    /// All patterns together are too large.
    Patterns(regex::Error),
}

impl KeywordsError {
    /// Where in the configuration, and what.
    #[must_use]
    pub fn located(&self) -> ConfigError {
        match self {
            Self::Keywords(e) => ConfigError::new("keyword_rules", e.to_string()),
            Self::Pattern(rule, pattern, e) => {
                let path = format!("keyword_rules[{rule}].patterns[{pattern}]");
                ConfigError::new(path, one_line(e))
            }
            Self::Patterns(e) => {
                ConfigError::new("keyword_rules", format!("the patterns of all rules: {e}"))
            }
        }
    }
}

/// The last line says what is wrong; those before draw the place.
pub(crate) fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// The patterns of all rules with the same case.
#[derive(Debug)]
struct Patterns {
    set: RegexSet,
    /// Rule and term of each.
    terms: Vec<(usize, usize)>,
}

impl Patterns {
    fn build(rules: &[KeywordRuleConfig], case_sensitive: bool) -> Result<Self, KeywordsError> {
        let (mut patterns, mut terms) = (Vec::new(), Vec::new());
        for (r, rule) in rules.iter().enumerate() {
            if rule.case_sensitive != case_sensitive {
                continue;
            }
            for (p, pattern) in rule.patterns.iter().enumerate() {
                // Alone first: the mistake of a set does not say whose it is.
                RegexBuilder::new(pattern)
                    .size_limit(MAX_PATTERN_BYTES)
                    .build()
                    .map_err(|e| KeywordsError::Pattern(r, p, e))?;
                patterns.push(pattern);
                terms.push((r, rule.keywords.len().saturating_add(p)));
            }
        }
        let set = RegexSetBuilder::new(patterns)
            .case_insensitive(!case_sensitive)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(KeywordsError::Patterns)?;
        Ok(Self { set, terms })
    }

    fn mark(&self, text: &str, found: &mut [Vec<bool>]) {
        if self.terms.is_empty() {
            return;
        }
        for matched in self.set.matches(text) {
            let slot = self.terms.get(matched).and_then(|(rule, term)| {
                let terms = found.get_mut(*rule)?;
                terms.get_mut(*term)
            });
            if let Some(slot) = slot {
                *slot = true;
            }
        }
    }
}

#[derive(Debug)]
struct Automaton {
    automaton: AhoCorasick,
    /// Rule and keyword of each pattern.
    patterns: Vec<(usize, usize)>,
}

impl Automaton {
    fn build(patterns: Vec<(String, usize, usize)>, ignore_case: bool) -> Result<Self, BuildError> {
        let automaton = AhoCorasickBuilder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(ignore_case)
            .build(patterns.iter().map(|(text, ..)| text))?;
        let patterns = patterns
            .into_iter()
            .map(|(_, rule, keyword)| (rule, keyword))
            .collect();
        Ok(Self {
            automaton,
            patterns,
        })
    }

    fn mark(&self, text: &str, found: &mut [Vec<bool>]) {
        if self.patterns.is_empty() {
            return;
        }
        for matched in self.automaton.find_overlapping_iter(text) {
            let Some(&(rule, keyword)) = self.patterns.get(matched.pattern().as_usize()) else {
                continue;
            };
            let slot = found
                .get_mut(rule)
                .and_then(|keywords| keywords.get_mut(keyword));
            if let Some(slot) = slot
                && !*slot
            {
                *slot = stands_alone(text, matched.start(), matched.end());
            }
        }
    }
}

impl Keywords {
    /// Compiles rules in their order.
    ///
    /// # Errors
    /// [`KeywordsError`], with the place of the pattern at fault.
    pub fn compile(rules: &[KeywordRuleConfig]) -> Result<Self, KeywordsError> {
        let (mut exact, mut folded, mut fuzzy) = (Vec::new(), Vec::new(), Vec::new());
        for (r, rule) in rules.iter().enumerate() {
            for (k, keyword) in rule.keywords.iter().enumerate() {
                let keyword = keyword.trim();
                if let Some(edits) = rule.most_edits() {
                    fuzzy.push((r, k, Fuzzy::new(keyword, edits, rule.case_sensitive)));
                }
                if rule.case_sensitive {
                    exact.push((keyword.to_owned(), r, k));
                } else {
                    folded.extend(cases(keyword).into_iter().map(|text| (text, r, k)));
                }
            }
        }
        Ok(Self {
            rules: rules
                .iter()
                .map(|r| Rule {
                    operator: r.operator,
                    terms: r.keywords.len().saturating_add(r.patterns.len()),
                })
                .collect(),
            exact: Automaton::build(exact, false).map_err(KeywordsError::Keywords)?,
            folded: Automaton::build(folded, true).map_err(KeywordsError::Keywords)?,
            exact_patterns: Patterns::build(rules, true)?,
            folded_patterns: Patterns::build(rules, false)?,
            fuzzy,
        })
    }
}

impl Keywords {
    /// What the rules say: one entry for each, in their order.
    #[must_use]
    pub fn matches(&self, text: &str) -> Vec<Signal> {
        let mut found: Vec<Vec<bool>> = self.rules.iter().map(|r| vec![false; r.terms]).collect();
        self.exact.mark(text, &mut found);
        self.folded.mark(text, &mut found);
        self.exact_patterns.mark(text, &mut found);
        self.folded_patterns.mark(text, &mut found);
        if !self.fuzzy.is_empty() {
            let words = fuzzy::words(text);
            for (rule, term, keyword) in &self.fuzzy {
                let terms = found.get_mut(*rule);
                if let Some(slot @ false) = terms.and_then(|terms| terms.get_mut(*term)) {
                    *slot = keyword.is_in(&words);
                }
            }
        }
        let rules = self.rules.iter().zip(&found);
        rules.map(|(rule, found)| rule.signal(found)).collect()
    }
}

impl Rule {
    fn signal(&self, found: &[bool]) -> Signal {
        let count = found.iter().filter(|f| **f).count();
        match self.operator {
            KeywordOperator::Or if count == 0 => Signal::No,
            KeywordOperator::Or => {
                let share = number(count) / number(found.len());
                Signal::Yes(0.5 + 0.5 * share)
            }
            KeywordOperator::And => Signal::of(count == found.len()),
            KeywordOperator::Nor => Signal::of(count == 0),
        }
    }
}

fn number(count: usize) -> f32 {
    f32::from(u16::try_from(count).unwrap_or(u16::MAX))
}

/// The forms that are looked for beside ASCII case.
pub(crate) fn cases(keyword: &str) -> Vec<String> {
    let mut forms = vec![keyword.to_owned()];
    if !keyword.is_ascii() {
        let mut chars = keyword.chars();
        let title: String = chars
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(chars.flat_map(char::to_lowercase))
            .collect();
        forms.extend([keyword.to_lowercase(), keyword.to_uppercase(), title]);
        forms.sort();
        forms.dedup();
    }
    forms
}

/// Whether the match at `start..end` is not part of a longer word.
pub(crate) fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let (before, matched, after) = (text.get(..start), text.get(start..end), text.get(end..));
    let (Some(before), Some(matched), Some(after)) = (before, matched, after) else {
        return false;
    };
    let joins = |a: Option<char>, b: Option<char>| matches!((a, b), (Some(a), Some(b)) if in_word(a) && in_word(b));
    !joins(before.chars().next_back(), matched.chars().next())
        && !joins(matched.chars().next_back(), after.chars().next())
}

/// Whether `c` is part of a word in a script that separates words.
fn in_word(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !writes_no_spaces(c)
}

/// Scripts without spaces between words: Thai to Myanmar, Khmer, Hiragana to CJK ideographs and their extensions.
pub(crate) fn writes_no_spaces(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(
        operator: KeywordOperator,
        keywords: &[&str],
        case_sensitive: bool,
    ) -> KeywordRuleConfig {
        KeywordRuleConfig {
            name: "r".into(),
            operator,
            keywords: keywords.iter().map(|k| (*k).to_owned()).collect(),
            patterns: Vec::new(),
            case_sensitive,
            ..serde_json::from_str(r#"{"name": "r"}"#).unwrap()
        }
    }

    impl Keywords {
        fn which(&self, text: &str) -> Vec<bool> {
            let signals = self.matches(text).into_iter();
            signals.map(|s| s != Signal::No).collect()
        }
    }

    fn any(keywords: &[&str], text: &str) -> bool {
        Keywords::compile(&[rule(KeywordOperator::Or, keywords, false)])
            .unwrap()
            .which(text)[0]
    }

    #[test]
    fn words_match_at_their_boundaries_in_any_case() {
        assert!(any(&["SQL query"], "Write a sql QUERY for me"));
        assert!(any(&["cat"], "cat"));
        assert!(any(&["cat"], "a (cat)."));
        assert!(!any(&["cat"], "concatenate"));
        assert!(!any(&["cat"], "cat_food"));
        assert!(any(&["c++"], "learn c++17"));
        assert!(!any(&["cat"], ""));
    }

    #[test]
    fn a_match_inside_a_word_does_not_hide_a_later_one() {
        assert!(any(&["cat"], "concatenate the cat"));
        assert!(any(&["ab", "abc"], "abc"));
    }

    #[test]
    fn other_scripts_match_too() {
        assert!(any(&["договор"], "Проверь ДОГОВОР аренды"));
        assert!(any(&["Über"], "über alles"));
        assert!(any(&["数据库"], "请优化我的数据库查询"));
        assert!(!any(&["кот"], "который"));
    }

    #[test]
    fn operators_combine_the_keywords_of_a_rule() {
        let rules = [
            rule(KeywordOperator::And, &["a", "b"], false),
            rule(KeywordOperator::Nor, &["a", "c"], false),
            rule(KeywordOperator::Or, &["ERROR"], true),
        ];
        let keywords = Keywords::compile(&rules).unwrap();
        assert_eq!(keywords.which("b a error"), [true, false, false]);
        assert_eq!(keywords.which("b ERROR"), [false, true, true]);
        assert_eq!(
            Keywords::compile(&[]).unwrap().which("a"),
            Vec::<bool>::new()
        );
    }

    fn patterns(
        operator: KeywordOperator,
        patterns: &[&str],
        case_sensitive: bool,
    ) -> KeywordRuleConfig {
        KeywordRuleConfig {
            patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
            ..rule(operator, &[], case_sensitive)
        }
    }

    #[test]
    fn patterns_count_as_keywords_do() {
        let both = KeywordRuleConfig {
            keywords: vec!["order".into()],
            ..patterns(KeywordOperator::And, &[r"\b[A-Z]{2}-\d{4,}\b"], true)
        };
        let rules = [
            patterns(
                KeywordOperator::Or,
                &[r"refund|money back", r"charge(d|s)? twice"],
                false,
            ),
            both,
            patterns(KeywordOperator::Nor, &["(?x) x \\d # a comment"], false),
            rule(KeywordOperator::Or, &["order"], false),
        ];
        let keywords = Keywords::compile(&rules).unwrap();
        assert_eq!(
            keywords.which("I was CHARGED TWICE"),
            [true, false, true, false]
        );
        assert_eq!(
            keywords.which("my order AB-12345"),
            [false, true, true, true]
        );
        assert_eq!(
            keywords.which("my order ab-12345 X7"),
            [false, false, false, true]
        );
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_named() {
        let wrong = |pattern: &str| {
            let rules = [
                rule(KeywordOperator::Or, &["a"], false),
                patterns(KeywordOperator::Or, &["b", pattern], false),
            ];
            Keywords::compile(&rules).unwrap_err().located().to_string()
        };
        assert!(
            wrong("(").starts_with("keyword_rules[1].patterns[1]: unclosed group"),
            "{}",
            wrong("(")
        );
        assert!(
            wrong(r"(?=a)").contains("look-around"),
            "{}",
            wrong(r"(?=a)")
        );
        assert!(
            wrong(r"\w{900}{90}").contains("size limit"),
            "{}",
            wrong(r"\w{900}{90}")
        );
    }

    #[test]
    fn a_hostile_text_is_searched_in_linear_time() {
        let rules = [patterns(
            KeywordOperator::Or,
            &["(a+)+$", "(a|aa)*b"],
            false,
        )];
        let text = "a".repeat(200_000) + "!";
        assert_eq!(Keywords::compile(&rules).unwrap().which(&text), [false]);
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_panic(text in ".{0,60}", keyword in ".{1,6}") {
            prop_assume!(!keyword.trim().is_empty());
            let keywords = Keywords::compile(&[rule(KeywordOperator::Or, &[&keyword], true)]).unwrap();
            let spaced = format!("{text} {} {text}", keyword.trim());
            prop_assert!(keywords.which(&spaced)[0]);
            let _ = keywords.which(&text);
        }
    }

    #[test]
    fn confidence_grows_with_the_share_of_keywords_that_are_there() {
        let matches = |operator, text| {
            let rules = [rule(operator, &["a", "b", "c", "d"], false)];
            Keywords::compile(&rules).unwrap().matches(text)
        };
        assert_eq!(matches(KeywordOperator::Or, "a"), [Signal::Yes(0.625)]);
        assert_eq!(matches(KeywordOperator::Or, "d c b a"), [Signal::Yes(1.0)]);
        assert_eq!(matches(KeywordOperator::And, "d c b a"), [Signal::Yes(1.0)]);
        assert_eq!(matches(KeywordOperator::Nor, "e"), [Signal::Yes(1.0)]);
    }

    #[test]
    fn a_fuzzy_rule_finds_what_is_misspelt_beside_what_is_not() {
        let mut fuzzy = rule(KeywordOperator::And, &["kubernetes", "ingress"], false);
        fuzzy.fuzzy_match = true;
        let mut one_edit = rule(KeywordOperator::Or, &["kubernetes"], false);
        (one_edit.fuzzy_match, one_edit.fuzzy_threshold) = (true, Some(1));
        let exact = rule(KeywordOperator::Or, &["kubernetes"], false);
        let keywords = Keywords::compile(&[fuzzy, one_edit, exact]).unwrap();
        assert_eq!(keywords.which("kubernets ingres"), [true, true, false]);
        assert_eq!(keywords.which("kubrnets ingress"), [true, false, false]);
        assert_eq!(keywords.which("kubernetes"), [false, true, true]);
    }
}
