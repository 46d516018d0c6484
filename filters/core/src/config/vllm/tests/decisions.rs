use super::{canonical, check};
use crate::config::Config;

fn with_decision(decision: &str) -> Result<(Config, Vec<String>), String> {
    check(&canonical(&format!(
        "routing: {{decisions: [{{name: d, {decision}}}]}}"
    )))
}

#[test]
fn a_decision_without_rules_takes_every_request() {
    for rules in [
        "",
        "rules: {},",
        "rules: null,",
        "rules: {operator: AND, conditions: []},",
    ] {
        let (config, _) = with_decision(&format!("{rules} modelRefs: [{{model: large}}]")).unwrap();
        assert!(config.decisions[0].rules.conditions.is_empty(), "{rules}");
    }
    let found = with_decision("rules: {operator: OR, conditions: []}, modelRefs: [{model: large}]")
        .unwrap_err();
    assert_eq!(
        found,
        "routing.decisions[0].rules.conditions: must hold at least one condition"
    );
}

#[test]
fn a_condition_on_a_signal_that_is_not_there_is_refused_alone() {
    let found = with_decision(
        "rules: {operator: AND, conditions: [{type: reask, name: r}, {operator: OR, conditions: [{type: kb, name: k}]}, {type: context, nam: c}]}, modelRefs: [{model: large}]",
    )
    .unwrap_err();
    assert_eq!(
        found,
        "routing.decisions[0].rules.conditions[0].type: there is no signal `reask` here; a head of your own tells dissatisfied turns: `turnpike train-head` and a condition of type `head`\n\
         routing.decisions[0].rules.conditions[1].conditions[0].type: there is no signal `kb` here; write its samples as `candidates` of an embedding rule, or train a head on them: `turnpike train-head`\n\
         routing.decisions[0].rules.conditions[2].nam: unknown key `nam`; did you mean `name`?"
    );
}

#[test]
fn a_condition_on_a_signal_that_is_not_there_may_be_all_rules() {
    let found =
        with_decision("rules: {type: kb, name: k}, modelRefs: [{model: large}]").unwrap_err();
    assert!(
        found.starts_with("routing.decisions[0].rules.type: there is no signal `kb` here"),
        "{found}"
    );
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn algorithms_and_plugins_are_refused_where_they_matter() {
    let refs = "modelRefs: [{model: small}, {model: large}]";
    for (decision, path) in [
        (
            format!("algorithm: {{type: router_dc}}, {refs}"),
            "algorithm.type",
        ),
        (
            format!("algorithm: {{type: fusion}}, {refs}"),
            "algorithm.type",
        ),
        (
            format!("{refs}, plugins: [{{type: rag}}]"),
            "plugins[0].type",
        ),
        (
            format!("{refs}, plugins: [{{type: hallucination, configuration: {{enabled: true}}}}]"),
            "plugins[0].type",
        ),
        (
            format!("{refs}, plugins: [{{type: tools, configuration: {{mode: filtered}}}}]"),
            "plugins[0].type",
        ),
        (
            format!(
                "{refs}, plugins: [{{type: response_cache, configuration: {{scope: global}}}}]"
            ),
            "plugins[0].configuration.scope",
        ),
        (
            format!(
                "{refs}, plugins: [{{type: response_cache, configuration: {{ttl_seconds: 60}}}}]"
            ),
            "plugins[0].configuration.ttl_seconds",
        ),
        (
            format!("{refs}, plugins: [{{type: response_cache, configuration: {{mode: exact}}}}]"),
            "plugins[0].configuration.mode",
        ),
        (
            format!("{refs}, action: {{type: route, destination: small}}"),
            "action",
        ),
        (
            format!("{refs}, emits: [{{kind: retention, retention: {{drop: true}}}}]"),
            "emits[0].retention.drop",
        ),
    ] {
        let found = with_decision(&decision).map(|_| ()).unwrap_err();
        assert!(
            found.starts_with(&format!("routing.decisions[0].{path}: ")),
            "{found}"
        );
    }
    for decision in [
        "algorithm: {type: router_dc, router_dc: {temperature: 0.1}}, modelRefs: [{model: large}]",
        "modelRefs: [{model: large}], plugins: [{type: tools, configuration: {mode: passthrough}}, {type: rag, configuration: {enabled: false}}]",
        "modelRefs: [{model: large}], emits: [{kind: retention, retention: {drop: false, ttl_turns: 4}}]",
        "algorithm: {type: static, on_error: skip}, modelRefs: [{model: large}, {model: small}]",
    ] {
        assert_eq!(with_decision(decision).map(|_| ()), Ok(()), "{decision}");
    }
}

#[test]
fn an_answer_that_is_kept_for_no_time_is_not_kept() {
    let (config, _) = with_decision(
        "modelRefs: [{model: large}], plugins: [{type: response_cache, configuration: {enabled: true, ttl_seconds: 0}}]",
    )
    .unwrap();
    assert_eq!(
        config.decisions[0].plugins[0].configuration["enabled"],
        false
    );
}

#[test]
fn tiers_become_priorities() {
    let (config, notes) = check(&canonical(
        "
routing:
  decisions:
    - {name: c, tier: 2, priority: 900, modelRefs: [{model: small}]}
    - {name: a, tier: 1, priority: 10, modelRefs: [{model: small}]}
    - {name: b, tier: 1, priority: 5, modelRefs: [{model: small}]}
    - {name: z, modelRefs: [{model: small}]}
",
    ))
    .unwrap();
    let mut order: Vec<_> = config
        .decisions
        .iter()
        .map(|d| (d.priority, d.name.as_str()))
        .collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(
        order.iter().map(|(_, name)| *name).collect::<String>(),
        "zabc"
    );
    assert!(
        notes[0].starts_with("routing.decisions[0].tier: all tiers became priorities"),
        "{notes:?}"
    );
}

#[test]
fn who_is_calling_is_read_where_decisions_ask() {
    let routing = "
routing:
  signals: {role_bindings: [{name: admins, role: admin, subjects: [{kind: Group, name: ops}]}]}
  decisions: [{name: d, rules: {type: authz, name: admins}, modelRefs: [{model: large}]}]
";
    let (config, notes) = check(&canonical(routing)).unwrap();
    let maas = config.maas_integration.unwrap();
    assert!(maas.enabled);
    assert_eq!(
        maas.authentication.user_header.as_deref(),
        Some("x-authz-user-id")
    );
    assert_eq!(
        maas.authentication.tier_header.as_deref(),
        Some("x-authz-user-groups")
    );
    assert!(
        notes[0].starts_with("routing.signals.role_bindings: `maas_integration` is on with it"),
        "{notes:?}"
    );
    let own = format!(
        "{routing}\nglobal: {{services: {{authz: {{identity: {{user_id_header: x-user}}}}}}}}"
    );
    let (config, _) = check(&canonical(&own)).unwrap();
    assert_eq!(
        config
            .maas_integration
            .unwrap()
            .authentication
            .user_header
            .as_deref(),
        Some("x-user")
    );
    let ours = format!("{own}\nmaas_integration: {{enabled: true}}");
    let (config, notes) = check(&canonical(&ours)).unwrap();
    assert_eq!(
        config.maas_integration.unwrap().authentication.user_header,
        None
    );
    assert!(
        notes[0].starts_with("global.services.authz.identity: accepted, no effect"),
        "{notes:?}"
    );
}
