use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;
use serde_json::json;

use super::*;
use crate::decision::SignalKind;
use crate::routing::words::tone;

const RULES: &str = "
keyword_rules: [{name: code, keywords: [a]}, {name: urgent, keywords: [b]}]
context_rules: [{name: long, min_tokens: 1K}]
embedding_rules: [{name: near, threshold: 0.7, candidates: [x]}]
complexity_rules: [{name: deep, threshold: 0.1, hard: {candidates: [x]}, easy: {candidates: [y]}}]
sidecar: {heads: [{name: intent, path: x, threshold: 0.6}]}
";

/// One head in the proxy, `tone`, with the labels `calm` and `angry`.
fn engine(yaml: &str) -> Engine {
    let config: Config = serde_saphyr::from_str(&format!("{RULES}{yaml}")).unwrap();
    Engine::compile(&config, &tone)
}

impl Engine {
    /// Decides with these signals, `kind:name`, known; all others are unknown.
    fn with(&self, known: &[(&str, Signal)]) -> Verdict {
        let mut signals: Vec<Signal> = self
            .signals()
            .iter()
            .map(|s| {
                let kind = serde_json::to_value(s.kind).unwrap();
                let name = format!("{}:{}", kind.as_str().unwrap(), s.name);
                let found = known.iter().find(|(known, _)| *known == name);
                found.map_or(Signal::Unknown, |(_, signal)| *signal)
            })
            .collect();
        self.derive(&mut signals);
        self.decide(&signals)
    }
}

const YES: Signal = Signal::Yes(1.0);
const NO: Signal = Signal::No;

fn decided(index: usize) -> Verdict {
    Verdict::Decided(index, 1.0)
}

const DECISIONS: &str = "
decisions:
- {name: a, priority: 1, rules: {type: domain, name: math}, modelRefs: []}
- {name: b, priority: 9, rules: {type: keyword, name: code}, modelRefs: []}
- {name: c, priority: 5, rules: {operator: AND, conditions: [{type: keyword, name: urgent}, {operator: NOT, conditions: [{type: domain, name: law}]}]}, modelRefs: []}
";

#[test]
fn rules_that_are_certain_need_no_category() {
    let verdict = engine(DECISIONS).with(&[("keyword:code", YES)]);
    assert_eq!(verdict, decided(1));
}

#[test]
fn what_is_open_before_must_be_settled_first_by_its_own_steps() {
    let engine = engine(DECISIONS);
    let words = [("keyword:code", NO), ("keyword:urgent", YES)];
    let category = Stages::READING.with(Stages::SIDECAR);
    assert_eq!(engine.with(&[]), Verdict::Open(Stages::TEXT));
    assert_eq!(engine.with(&words), Verdict::Open(category));
    let with = |law, math| {
        let [a, b] = words;
        engine.with(&[a, b, ("domain:law", law), ("domain:math", math)])
    };
    assert_eq!(with(NO, YES), decided(2));
    assert_eq!(with(YES, NO), Verdict::NoneHolds);
    assert_eq!(with(YES, YES), decided(0));
}

#[test]
fn one_condition_settles_an_and_or_an_or_whatever_is_unknown() {
    for (operator, settles, verdict) in [("AND", NO, Verdict::NoneHolds), ("OR", YES, decided(0))] {
        let yaml = format!(
            "decisions: [{{name: a, rules: {{operator: {operator}, conditions: [{{type: domain, name: x}}, {{type: keyword, name: code}}]}}, modelRefs: []}}]"
        );
        let engine = engine(&yaml);
        assert_eq!(engine.with(&[("keyword:code", settles)]), verdict);
        let other = if settles == NO { YES } else { NO };
        let open = engine.with(&[("keyword:code", other)]);
        assert!(matches!(open, Verdict::Open(_)), "{operator}");
    }
}

#[test]
fn among_equal_priorities_the_first_written_wins() {
    let engine = engine(
        "decisions: [{name: a, rules: {type: keyword, name: code}, modelRefs: []}, {name: b, rules: {type: keyword, name: code}, modelRefs: []}]",
    );
    assert_eq!(engine.with(&[("keyword:code", YES)]), decided(0));
    assert_eq!(engine.signals().len(), 1, "a signal is known once");
}

#[test]
fn confidence_is_the_mean_of_and_the_best_of_or_and_1_of_not() {
    let engine = engine(
        "
decisions:
- name: a
  rules:
    operator: AND
    conditions:
    - {type: keyword, name: code}
    - operator: OR
      conditions: [{type: keyword, name: urgent}, {type: context, name: long}]
    - {operator: NOT, conditions: [{type: domain, name: law}]}
  modelRefs: []
strategy: confidence
",
    );
    let verdict = engine.with(&[
        ("keyword:code", Signal::Yes(0.5)),
        ("keyword:urgent", Signal::Yes(0.6)),
        ("context:long", Signal::Yes(0.9)),
        ("domain:law", NO),
    ]);
    let Verdict::Decided(0, confidence) = verdict else {
        panic!("{verdict:?}");
    };
    assert!((confidence - 0.8).abs() < 1e-6, "{confidence}");
}

#[test]
fn the_surest_wins_where_the_strategy_says_so() {
    let engine = engine(
        "
strategy: confidence
decisions:
- {name: a, priority: 9, rules: {type: keyword, name: code}, modelRefs: []}
- {name: b, priority: 1, rules: {type: domain, name: math}, modelRefs: []}
- {name: c, priority: 0, rules: {type: context, name: long}, modelRefs: []}
",
    );
    let with = |code, math, long| {
        engine.with(&[
            ("keyword:code", code),
            ("domain:math", math),
            ("context:long", long),
        ])
    };
    let yes = Signal::Yes;
    assert_eq!(with(yes(0.7), yes(0.9), NO), Verdict::Decided(1, 0.9));
    assert_eq!(
        with(yes(0.9), yes(0.9), NO),
        Verdict::Decided(0, 0.9),
        "priority among equals"
    );
    assert_eq!(with(NO, NO, YES), decided(2));
    assert_eq!(with(NO, NO, NO), Verdict::NoneHolds);
    assert_eq!(
        with(YES, Signal::Unknown, Signal::Unknown),
        decided(0),
        "nothing is surer"
    );
    let open = with(yes(0.9), Signal::Unknown, Signal::Unknown);
    assert!(matches!(open, Verdict::Open(_)), "{open:?}");
}

#[test]
fn a_head_of_the_sidecar_is_unknown_until_it_was_asked() {
    let engine = engine(
        "
decisions:
- {name: a, rules: {type: head, name: 'intent:refund'}, modelRefs: []}
- {name: b, rules: {type: llm, name: COMPLEX}, modelRefs: []}
- {name: c, rules: {type: embedding, name: near}, modelRefs: []}
- {name: d, rules: {type: complexity, name: 'deep:hard'}, modelRefs: []}
- {name: e, rules: {type: complexity, name: 'deep:easy'}, modelRefs: []}
- {name: f, rules: {type: complexity, name: 'deep:medium'}, modelRefs: []}
",
    );
    assert_eq!(
        engine.asked(),
        ["complexity_rules", "embedding", "intent", "llm"]
    );
    assert_eq!(engine.with(&[]), Verdict::Open(Stages::SIDECAR));
    let with = |answer: serde_json::Value| {
        let scores = serde_json::from_value(answer).unwrap();
        let signals: Vec<Signal> = engine
            .signals()
            .iter()
            .map(|s| match &s.source {
                Source::Asked(asked) => asked.signal(&scores),
                _ => panic!("{s:?}"),
            })
            .collect();
        engine.decide(&signals)
    };
    let scores = |refund: f32, complex: f32, near: f32, margin: f32| {
        with(serde_json::json!({
            "intent": {"refund": refund, "other": 1.0 - refund},
            "llm": {"COMPLEX": complex, "MODERATE": 0.4},
            "embedding": {"near": near},
            "complexity_rules": {"deep": margin},
        }))
    };
    assert_eq!(scores(0.6, 0.0, 0.0, 0.0), Verdict::Decided(0, 0.6));
    assert_eq!(
        scores(0.59, 0.41, 0.0, 0.0),
        Verdict::Decided(1, 0.41),
        "the most probable"
    );
    assert_eq!(scores(0.0, 0.0, 0.7, 0.0), Verdict::Decided(2, 0.7));
    assert_eq!(scores(0.0, 0.0, 0.69, 0.11), decided(3));
    assert_eq!(scores(0.0, 0.0, 0.0, -0.2), decided(4));
    assert_eq!(
        scores(0.0, 0.0, 0.0, 0.1),
        decided(5),
        "the bound is medium"
    );
    assert_eq!(with(serde_json::json!({})), Verdict::NoneHolds);
}

#[test]
fn a_band_of_a_score_is_a_signal_once_all_its_inputs_are_known() {
    let engine = engine(
        "
projections:
  scores:
  - name: risk
    inputs:
    - {type: keyword, name: code, weight: 0.5, value_source: confidence}
    - {type: domain, name: law, weight: 0.3}
    - {type: context, name: long, weight: -0.1}
  mappings:
  - name: band
    source: risk
    outputs: [{name: high, gte: 0.5}, {name: some, gt: 0.2}, {name: low}]
decisions:
- {name: a, rules: {type: projection, name: high}, modelRefs: []}
- {name: b, rules: {type: projection, name: low}, modelRefs: []}
",
    );
    let with = |code, law, long| {
        engine.with(&[
            ("keyword:code", code),
            ("domain:law", law),
            ("context:long", long),
        ])
    };
    assert_eq!(with(YES, YES, NO), decided(0));
    assert_eq!(with(YES, NO, NO), decided(0));
    assert_eq!(
        with(YES, NO, YES),
        Verdict::NoneHolds,
        "0.4 is the band between"
    );
    assert_eq!(with(Signal::Yes(0.2), NO, NO), decided(1));
    let steps = Stages::REQUEST
        .with(Stages::TEXT)
        .with(Stages::READING)
        .with(Stages::SIDECAR);
    assert_eq!(with(YES, YES, Signal::Unknown), Verdict::Open(steps));
    let kinds: Vec<SignalKind> = engine.signals().iter().map(|s| s.kind).collect();
    assert_eq!(kinds.len(), 5, "two bands and three inputs: {kinds:?}");
}

#[test]
fn rules_that_validation_refuses_never_hold() {
    for rules in [
        "{operator: NOT, conditions: []}",
        "{type: keyword, name: nobody}",
        "{type: keyword}",
        "{}",
    ] {
        let yaml = format!("decisions: [{{name: a, rules: {rules}, modelRefs: []}}]");
        let verdict = engine(&yaml).with(&[]);
        assert_eq!(verdict, Verdict::NoneHolds, "{rules}");
    }
}

#[test]
fn and_of_nothing_takes_what_no_other_decision_takes() {
    for strategy in ["priority", "confidence"] {
        let yaml = format!(
            "
strategy: {strategy}
decisions:
  - {{name: all, priority: 900, rules: {{operator: AND, conditions: []}}, modelRefs: []}}
  - {{name: some, priority: 1, rules: {{type: keyword, name: code}}, modelRefs: []}}
"
        );
        let with = |signal| engine(&yaml).with(&[("keyword:code", signal)]);
        assert_eq!(
            with(Signal::Yes(0.2)),
            Verdict::Decided(1, 0.2),
            "{strategy}"
        );
        assert_eq!(with(NO), Verdict::Decided(0, 0.0), "{strategy}");
        assert!(
            matches!(with(Signal::Unknown), Verdict::Open(_)),
            "{strategy}"
        );
    }
}

fn any_rule() -> impl Generate<Value = serde_json::Value> {
    // More signals than a glance sees.
    let signal = (0..70_usize).prop_map(|i| json!({"type": "header", "name": format!("h{i}")}));
    signal.prop_recursive(3, 12, 4, |inner| {
        let operator = prop::sample::select(vec!["AND", "OR"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|rules| json!({"operator": "NOT", "conditions": rules})),
            (operator, prop::collection::vec(inner, 0..4)).prop_map(|(operator, rules)| {
                json!({"operator": operator, "conditions": rules})
            }),
        ]
    })
}

fn any_signal() -> impl Generate<Value = Signal> {
    prop::sample::select(vec![Signal::Unknown, NO, YES, Signal::Yes(0.5)])
}

proptest! {
    #[test]
    fn what_is_ruled_out_at_a_glance_does_not_hold(
        rules in prop::collection::vec(any_rule(), 1..6),
        signals in prop::collection::vec(any_signal(), 70),
    ) {
        let headers: Vec<_> = (0..70).map(|i| json!({"name": format!("h{i}"), "header": "x"})).collect();
        let decisions: Vec<_> = rules
            .iter()
            .map(|rules| json!({"name": "d", "rules": rules, "modelRefs": []}))
            .collect();
        let config = json!({"header_rules": headers, "decisions": decisions});
        let engine = Engine::compile(&serde_json::from_value(config).unwrap(), &|_| None);
        let signals = &signals[..engine.signals().len()];
        let known = Known::of(signals);
        for decision in &engine.decisions {
            if decision.glance.rules_out(known) {
                prop_assert_eq!(engine.truth(decision.first, signals).0, Truth::No);
            }
        }
        let tried = engine.each(signals).find(|(_, holds)| *holds != Some(None));
        let verdict = engine.decide(signals);
        match tried {
            Some((index, Some(Some(confidence)))) => prop_assert_eq!(verdict, Verdict::Decided(index, confidence)),
            Some((_, _)) => prop_assert!(matches!(verdict, Verdict::Open(_)), "{:?}", verdict),
            None => prop_assert_eq!(verdict, Verdict::NoneHolds),
        }
    }
}

#[test]
fn a_glance_knows_each_kind_of_condition() {
    let rules = "{operator: AND, conditions: [{type: keyword, name: code}, {operator: NOT, conditions: [{type: keyword, name: urgent}]}, {operator: OR, conditions: [{type: domain, name: law}, {type: domain, name: math}]}]}";
    let engine = engine(&format!(
        "decisions: [{{name: a, rules: {rules}, modelRefs: []}}]"
    ));
    let glance = engine.decisions[0].glance;
    for (signals, is_ruled_out) in [
        ([Signal::Unknown; 4], false),
        ([YES, NO, YES, NO], false),
        (
            [NO, Signal::Unknown, Signal::Unknown, Signal::Unknown],
            true,
        ),
        (
            [Signal::Unknown, YES, Signal::Unknown, Signal::Unknown],
            true,
        ),
        (
            [Signal::Unknown, Signal::Unknown, NO, Signal::Unknown],
            false,
        ),
        ([Signal::Unknown, Signal::Unknown, NO, NO], true),
    ] {
        assert_eq!(
            glance.rules_out(Known::of(&signals)),
            is_ruled_out,
            "{signals:?}"
        );
    }
}
