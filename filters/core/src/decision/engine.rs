//! Which decision takes a request: rules over signals that may not be known yet.
//!
//! 1. Decisions are tried in the order of their priority, the first written among equals.
//! 2. A rule over signals that are known is true or false; over others it may be unknown (Kleene's three-valued logic).
//! 3. The first decision that is true wins. One that is unknown before it must be settled first: the category is asked for.
//!
//! So a request that rules alone decide costs no call, and one that they do not costs one.

use super::config::{DecisionConfig, RuleConfig, RuleOperator, SignalKind};

/// What is known about the category of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category<'c> {
    /// Nobody was asked.
    Unasked,
    /// None was found with enough confidence, or nobody can be asked.
    None,
    /// This one.
    Is(&'c str),
}

/// Outcome of [`Engine::decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The decision with this index in the configuration.
    Decided(usize),
    /// No decision takes the request.
    NoneHolds,
    /// It depends on the category.
    NeedsCategory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Keyword(usize),
    Category(String),
    /// What validation refuses; never true.
    Never,
}

/// `None` = unknown.
type Truth = Option<bool>;

impl Rule {
    fn compile(config: &RuleConfig, keyword_rules: &[String]) -> Self {
        let nested = || {
            config
                .conditions
                .iter()
                .map(|c| Self::compile(c, keyword_rules))
        };
        let name = config.name.clone().unwrap_or_default();
        match (config.operator, config.signal) {
            (Some(RuleOperator::And), _) => Self::All(nested().collect()),
            (Some(RuleOperator::Or), _) => Self::Any(nested().collect()),
            (Some(RuleOperator::Not), _) => nested()
                .next()
                .map_or(Self::Never, |rule| Self::Not(Box::new(rule))),
            (None, Some(SignalKind::Domain)) => Self::Category(name),
            (None, Some(SignalKind::Keyword)) => keyword_rules
                .iter()
                .position(|r| *r == name)
                .map_or(Self::Never, Self::Keyword),
            (None, None) => Self::Never,
        }
    }

    fn truth(&self, keywords: &[bool], category: Category<'_>) -> Truth {
        match self {
            Self::All(rules) => all(rules.iter().map(|r| r.truth(keywords, category))),
            Self::Any(rules) => all(rules
                .iter()
                .map(|r| r.truth(keywords, category).map(|t| !t)))
            .map(|t| !t),
            Self::Not(rule) => rule.truth(keywords, category).map(|t| !t),
            Self::Keyword(rule) => Some(keywords.get(*rule).copied().unwrap_or_default()),
            Self::Category(name) => match category {
                Category::Unasked => None,
                Category::None => Some(false),
                Category::Is(found) => Some(found == name),
            },
            Self::Never => Some(false),
        }
    }
}

/// False if any is false, else unknown if any is unknown, else true.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut known = Some(true);
    for truth in truths {
        match truth {
            Some(false) => return Some(false),
            None => known = None,
            Some(true) => {}
        }
    }
    known
}

/// The compiled decisions.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    /// By falling priority: index in the configuration, rule.
    rules: Vec<(usize, Rule)>,
}

impl Engine {
    /// Compiles decisions; `keyword_rules` are the names of the rules in the order of their matches.
    #[must_use]
    pub fn compile(decisions: &[DecisionConfig], keyword_rules: &[String]) -> Self {
        let mut order: Vec<(usize, &DecisionConfig)> = decisions.iter().enumerate().collect();
        order.sort_by_key(|(_, decision)| std::cmp::Reverse(decision.priority));
        let rules = order
            .into_iter()
            .map(|(i, d)| (i, Rule::compile(&d.rules, keyword_rules)))
            .collect();
        Self { rules }
    }

    /// Decides with what is known. `keywords`: which keyword rules match, in their order.
    #[must_use]
    pub fn decide(&self, keywords: &[bool], category: Category<'_>) -> Verdict {
        for (index, rule) in &self.rules {
            match rule.truth(keywords, category) {
                Some(true) => return Verdict::Decided(*index),
                None => return Verdict::NeedsCategory,
                Some(false) => {}
            }
        }
        Verdict::NoneHolds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(yaml: &str) -> Engine {
        let decisions: Vec<DecisionConfig> = serde_saphyr::from_str(yaml).unwrap();
        Engine::compile(&decisions, &["code".into(), "urgent".into()])
    }

    const DECISIONS: &str = "
- {name: a, priority: 1, rules: {type: domain, name: math}, modelRefs: []}
- {name: b, priority: 9, rules: {type: keyword, name: code}, modelRefs: []}
- {name: c, priority: 5, rules: {operator: AND, conditions: [{type: keyword, name: urgent}, {operator: NOT, conditions: [{type: domain, name: law}]}]}, modelRefs: []}
";

    #[test]
    fn rules_that_are_certain_need_no_category() {
        assert_eq!(
            engine(DECISIONS).decide(&[true, true], Category::Unasked),
            Verdict::Decided(1)
        );
    }

    #[test]
    fn an_unknown_rule_of_higher_priority_must_be_settled_first() {
        let engine = engine(DECISIONS);
        assert_eq!(
            engine.decide(&[false, true], Category::Unasked),
            Verdict::NeedsCategory
        );
        assert_eq!(
            engine.decide(&[false, true], Category::Is("math")),
            Verdict::Decided(2)
        );
        assert_eq!(
            engine.decide(&[false, true], Category::Is("law")),
            Verdict::NoneHolds
        );
        assert_eq!(
            engine.decide(&[false, true], Category::None),
            Verdict::Decided(2)
        );
        assert_eq!(
            engine.decide(&[false, false], Category::Is("math")),
            Verdict::Decided(0)
        );
        assert_eq!(
            engine.decide(&[false, false], Category::None),
            Verdict::NoneHolds
        );
    }

    #[test]
    fn a_false_condition_settles_an_and_whatever_is_unknown() {
        let engine = engine(
            "[{name: a, rules: {operator: AND, conditions: [{type: domain, name: x}, {type: keyword, name: code}]}, modelRefs: []}]",
        );
        assert_eq!(
            engine.decide(&[false, false], Category::Unasked),
            Verdict::NoneHolds
        );
        assert_eq!(
            engine.decide(&[true, false], Category::Unasked),
            Verdict::NeedsCategory
        );
    }

    #[test]
    fn a_true_condition_settles_an_or_whatever_is_unknown() {
        let engine = engine(
            "[{name: a, rules: {operator: OR, conditions: [{type: domain, name: x}, {type: keyword, name: code}]}, modelRefs: []}]",
        );
        assert_eq!(
            engine.decide(&[true, false], Category::Unasked),
            Verdict::Decided(0)
        );
        assert_eq!(
            engine.decide(&[false, false], Category::Unasked),
            Verdict::NeedsCategory
        );
    }

    #[test]
    fn among_equal_priorities_the_first_written_wins() {
        let engine = engine(
            "[{name: a, rules: {type: keyword, name: code}, modelRefs: []}, {name: b, rules: {type: keyword, name: code}, modelRefs: []}]",
        );
        assert_eq!(
            engine.decide(&[true, false], Category::Unasked),
            Verdict::Decided(0)
        );
    }
}
