//! Which decision takes a request: rules over signals that may not be known yet.
//!
//! 1. Decisions are tried in the order of their priority, the first written among equals.
//! 2. A rule over signals that are known is true or false; over others it may be unknown (Kleene's three-valued logic).
//! 3. The first decision that is true wins. One that is unknown before it must be settled first: the text is read, the category
//!    asked for.
//!
//! So a request that rules alone decide costs no reading and no call.

use crate::sidecar::{HeadScores, LLM_HEAD};

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

/// What is known about a request.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// Which keyword rules match, in their order.
    pub keywords: &'k [bool],
    /// The label of each head, if one is probable enough.
    pub labels: Labels<'k>,
    /// The category.
    pub category: Category<'k>,
    /// What heads of the sidecar say; `None` when it was not asked.
    pub asked: Option<&'k HeadScores>,
}

/// What is known of the labels of heads.
#[derive(Debug, Clone, Copy)]
pub enum Labels<'k> {
    /// Nothing was read.
    Unread,
    /// A part was read: a label that was found holds, of the others nothing is known.
    Partly(&'k [Option<usize>]),
    /// All was read.
    Read(&'k [Option<usize>]),
}

/// A label of a head, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelRef {
    /// The head.
    pub head: usize,
    /// The label.
    pub label: usize,
    /// Whether the head reads every part of a request rather than the one that tells its topic.
    pub every_part: bool,
}

impl LabelRef {
    fn is_in(self, labels: &[Option<usize>]) -> bool {
        labels.get(self.head).copied().flatten() == Some(self.label)
    }
}

/// Outcome of [`Engine::decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The decision with this index in the configuration.
    Decided(usize),
    /// No decision takes the request.
    NoneHolds,
    /// It depends on what is not known.
    Open,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Keyword(usize),
    Category(String),
    Label(LabelRef),
    Asked(AskedLabel),
    /// What validation refuses; never true.
    Never,
}

/// A label of a head of the sidecar.
#[derive(Debug, Clone, PartialEq)]
struct AskedLabel {
    head: String,
    label: String,
    /// Probability from which it counts; `None`: where it is the most probable.
    threshold: Option<f32>,
}

impl AskedLabel {
    fn is_in(&self, scores: &HeadScores) -> bool {
        let Some(labels) = scores.get(&self.head) else {
            return false;
        };
        let Some(probability) = labels.get(&self.label) else {
            return false;
        };
        match self.threshold {
            Some(threshold) => *probability >= threshold,
            None => labels.values().all(|other| other <= probability),
        }
    }
}

/// `None` = unknown.
type Truth = Option<bool>;

/// Finds what conditions name.
struct Names<'n> {
    keyword_rules: &'n [String],
    label: &'n dyn Fn(&str) -> Option<LabelRef>,
    sidecar_heads: &'n [(String, f32)],
}

impl Names<'_> {
    /// The `head:label` of a head of the sidecar.
    fn asked(&self, name: &str) -> Option<AskedLabel> {
        let (head, label) = name.split_once(':')?;
        let (head, threshold) = self.sidecar_heads.iter().find(|(known, _)| known == head)?;
        Some(AskedLabel {
            head: head.clone(),
            label: label.into(),
            threshold: Some(*threshold),
        })
    }
}

impl Rule {
    fn compile(config: &RuleConfig, names: &Names<'_>) -> Self {
        let nested = || config.conditions.iter().map(|c| Self::compile(c, names));
        let name = config.name.clone().unwrap_or_default();
        match (config.operator, config.signal) {
            (Some(RuleOperator::And), _) => Self::All(nested().collect()),
            (Some(RuleOperator::Or), _) => Self::Any(nested().collect()),
            (Some(RuleOperator::Not), _) => nested()
                .next()
                .map_or(Self::Never, |rule| Self::Not(Box::new(rule))),
            (None, Some(SignalKind::Domain)) => Self::Category(name),
            (None, Some(SignalKind::Keyword)) => {
                let rules = &mut names.keyword_rules.iter();
                rules
                    .position(|r| *r == name)
                    .map_or(Self::Never, Self::Keyword)
            }
            (None, Some(SignalKind::Head)) => match ((names.label)(&name), names.asked(&name)) {
                (Some(label), _) => Self::Label(label),
                (None, Some(asked)) => Self::Asked(asked),
                (None, None) => Self::Never,
            },
            (None, Some(SignalKind::Llm)) => Self::Asked(AskedLabel {
                head: LLM_HEAD.into(),
                label: name,
                threshold: None,
            }),
            (None, None) => Self::Never,
        }
    }

    fn truth(&self, known: &Known<'_>) -> Truth {
        match self {
            Self::All(rules) => all(rules.iter().map(|r| r.truth(known))),
            Self::Any(rules) => all(rules.iter().map(|r| r.truth(known).map(|t| !t))).map(|t| !t),
            Self::Not(rule) => rule.truth(known).map(|t| !t),
            Self::Keyword(rule) => Some(known.keywords.get(*rule).copied().unwrap_or_default()),
            Self::Category(name) => match known.category {
                Category::Unasked => None,
                Category::None => Some(false),
                Category::Is(found) => Some(found == name),
            },
            Self::Label(wanted) => match known.labels {
                Labels::Unread => None,
                Labels::Partly(labels) => wanted.is_in(labels).then_some(true),
                Labels::Read(labels) => Some(wanted.is_in(labels)),
            },
            Self::Asked(wanted) => known.asked.map(|scores| wanted.is_in(scores)),
            Self::Never => Some(false),
        }
    }

    fn reads_category(&self) -> bool {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().any(Self::reads_category),
            Self::Not(rule) => rule.reads_category(),
            Self::Category(_) => true,
            Self::Keyword(_) | Self::Label(_) | Self::Asked(_) | Self::Never => false,
        }
    }

    fn asked(&self, found: &mut Vec<String>) {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|r| r.asked(found)),
            Self::Not(rule) => rule.asked(found),
            Self::Asked(asked) => found.push(asked.head.clone()),
            Self::Keyword(_) | Self::Category(_) | Self::Label(_) | Self::Never => {}
        }
    }

    fn labels(&self, found: &mut Vec<LabelRef>) {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|r| r.labels(found)),
            Self::Not(rule) => rule.labels(found),
            Self::Label(label) => found.push(*label),
            Self::Keyword(_) | Self::Category(_) | Self::Asked(_) | Self::Never => {}
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
    /// Compiles decisions; `keyword_rules` are the names of the rules in the order of their matches, `label` finds the
    /// `head:label` of a condition in the proxy, `sidecar_heads` are those of the sidecar with their thresholds.
    #[must_use]
    pub fn compile(
        decisions: &[DecisionConfig],
        keyword_rules: &[String],
        label: &dyn Fn(&str) -> Option<LabelRef>,
        sidecar_heads: &[(String, f32)],
    ) -> Self {
        let names = Names {
            keyword_rules,
            label,
            sidecar_heads,
        };
        let mut order: Vec<(usize, &DecisionConfig)> = decisions.iter().enumerate().collect();
        order.sort_by_key(|(_, decision)| std::cmp::Reverse(decision.priority));
        let rules = order
            .into_iter()
            .map(|(i, d)| (i, Rule::compile(&d.rules, &names)))
            .collect();
        Self { rules }
    }

    /// The labels that conditions name.
    #[must_use]
    pub fn labels(&self) -> Vec<LabelRef> {
        let mut found = Vec::new();
        for (_, rule) in &self.rules {
            rule.labels(&mut found);
        }
        found
    }

    /// The heads of the sidecar that conditions name.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, rule) in &self.rules {
            rule.asked(&mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether some rule reads the category.
    #[must_use]
    pub fn reads_category(&self) -> bool {
        self.rules.iter().any(|(_, rule)| rule.reads_category())
    }

    /// Decides with what is known.
    #[must_use]
    pub fn decide(&self, known: &Known<'_>) -> Verdict {
        for (index, rule) in &self.rules {
            match rule.truth(known) {
                Some(true) => return Verdict::Decided(*index),
                None => return Verdict::Open,
                Some(false) => {}
            }
        }
        Verdict::NoneHolds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules `code` and `urgent`; one head, `tone`, with the labels `calm` and `angry`.
    fn engine(yaml: &str) -> Engine {
        let decisions: Vec<DecisionConfig> = serde_saphyr::from_str(yaml).unwrap();
        let label = |name: &str| {
            let label = ["tone:calm", "tone:angry"]
                .iter()
                .position(|l| *l == name)?;
            Some(LabelRef {
                head: 0,
                label,
                every_part: false,
            })
        };
        let rules = ["code".into(), "urgent".into()];
        Engine::compile(&decisions, &rules, &label, &[("intent".into(), 0.6)])
    }

    impl Engine {
        fn with(&self, keywords: &[bool], category: Category<'_>) -> Verdict {
            self.decide(&Known {
                keywords,
                labels: Labels::Unread,
                category,
                asked: None,
            })
        }
    }

    const DECISIONS: &str = "
- {name: a, priority: 1, rules: {type: domain, name: math}, modelRefs: []}
- {name: b, priority: 9, rules: {type: keyword, name: code}, modelRefs: []}
- {name: c, priority: 5, rules: {operator: AND, conditions: [{type: keyword, name: urgent}, {operator: NOT, conditions: [{type: domain, name: law}]}]}, modelRefs: []}
";

    #[test]
    fn rules_that_are_certain_need_no_category() {
        assert_eq!(
            engine(DECISIONS).with(&[true, true], Category::Unasked),
            Verdict::Decided(1)
        );
    }

    #[test]
    fn an_unknown_rule_of_higher_priority_must_be_settled_first() {
        let engine = engine(DECISIONS);
        assert_eq!(
            engine.with(&[false, true], Category::Unasked),
            Verdict::Open
        );
        assert_eq!(
            engine.with(&[false, true], Category::Is("math")),
            Verdict::Decided(2)
        );
        assert_eq!(
            engine.with(&[false, true], Category::Is("law")),
            Verdict::NoneHolds
        );
        assert_eq!(
            engine.with(&[false, true], Category::None),
            Verdict::Decided(2)
        );
        assert_eq!(
            engine.with(&[false, false], Category::Is("math")),
            Verdict::Decided(0)
        );
        assert_eq!(
            engine.with(&[false, false], Category::None),
            Verdict::NoneHolds
        );
    }

    #[test]
    fn a_false_condition_settles_an_and_whatever_is_unknown() {
        let engine = engine(
            "[{name: a, rules: {operator: AND, conditions: [{type: domain, name: x}, {type: keyword, name: code}]}, modelRefs: []}]",
        );
        assert_eq!(
            engine.with(&[false, false], Category::Unasked),
            Verdict::NoneHolds
        );
        assert_eq!(
            engine.with(&[true, false], Category::Unasked),
            Verdict::Open
        );
    }

    #[test]
    fn a_true_condition_settles_an_or_whatever_is_unknown() {
        let engine = engine(
            "[{name: a, rules: {operator: OR, conditions: [{type: domain, name: x}, {type: keyword, name: code}]}, modelRefs: []}]",
        );
        assert_eq!(
            engine.with(&[true, false], Category::Unasked),
            Verdict::Decided(0)
        );
        assert_eq!(
            engine.with(&[false, false], Category::Unasked),
            Verdict::Open
        );
    }

    #[test]
    fn among_equal_priorities_the_first_written_wins() {
        let engine = engine(
            "[{name: a, rules: {type: keyword, name: code}, modelRefs: []}, {name: b, rules: {type: keyword, name: code}, modelRefs: []}]",
        );
        assert_eq!(
            engine.with(&[true, false], Category::Unasked),
            Verdict::Decided(0)
        );
    }

    #[test]
    fn a_label_is_unknown_until_the_text_was_read() {
        let engine = engine(
            "[{name: a, rules: {type: head, name: 'tone:angry'}, modelRefs: []}, {name: b, rules: {operator: NOT, conditions: [{type: head, name: 'tone:calm'}]}, modelRefs: []}]",
        );
        let with = |labels: Labels<'_>| {
            engine.decide(&Known {
                keywords: &[],
                labels,
                category: Category::Unasked,
                asked: None,
            })
        };
        assert_eq!(with(Labels::Unread), Verdict::Open);
        assert_eq!(with(Labels::Read(&[Some(1)])), Verdict::Decided(0));
        assert_eq!(with(Labels::Read(&[Some(0)])), Verdict::NoneHolds);
        assert_eq!(
            with(Labels::Read(&[None])),
            Verdict::Decided(1),
            "not sure of calm"
        );
        assert_eq!(with(Labels::Partly(&[Some(1)])), Verdict::Decided(0));
        assert_eq!(
            with(Labels::Partly(&[None])),
            Verdict::Open,
            "what was not read may be angry"
        );
        assert_eq!(engine.labels().len(), 2);
    }

    #[test]
    fn a_head_of_the_sidecar_is_unknown_until_it_was_asked() {
        let engine = engine(
            "[{name: a, rules: {type: head, name: 'intent:refund'}, modelRefs: []}, {name: b, rules: {type: llm, name: COMPLEX}, modelRefs: []}]",
        );
        assert_eq!(engine.asked(), ["intent", "llm"]);
        let with = |asked: Option<serde_json::Value>| {
            let asked: Option<HeadScores> =
                asked.map(|asked| serde_json::from_value(asked).unwrap());
            engine.decide(&Known {
                keywords: &[],
                labels: Labels::Unread,
                category: Category::Unasked,
                asked: asked.as_ref(),
            })
        };
        let scores = |refund: f32, complex: f32| {
            Some(serde_json::json!({
                "intent": {"refund": refund, "other": 1.0 - refund},
                "llm": {"COMPLEX": complex, "MODERATE": 0.4},
            }))
        };
        assert_eq!(with(None), Verdict::Open);
        assert_eq!(with(scores(0.6, 0.0)), Verdict::Decided(0));
        assert_eq!(
            with(scores(0.59, 0.41)),
            Verdict::Decided(1),
            "the most probable"
        );
        assert_eq!(with(scores(0.59, 0.39)), Verdict::NoneHolds);
        assert_eq!(with(Some(serde_json::json!({}))), Verdict::NoneHolds);
    }
}
