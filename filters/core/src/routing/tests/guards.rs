//! No way around a guard: not by naming a model, not when the sidecar is gone.

use super::*;

/// Decisions beside those of [`CONFIG`], and other sections.
fn with_decisions(decisions: &[&str], sections: &str) -> Router<Words> {
    let mut yaml = CONFIG.to_owned();
    for decision in decisions {
        yaml.push_str(&format!("  - {decision}\n"));
    }
    compiled(&format!("{yaml}{sections}"), &BOTH)
}

const GUARDED: &str = "{name: guarded, priority: 1, rules: {type: domain, name: math}, modelRefs: [{model: coder}], plugins: [{type: jailbreak, configuration: {enabled: true}}]}";

/// What the client got in place of a model's answer.
fn refused(host: &MemoryHost) -> Option<String> {
    let reply = host.reply.as_ref()?;
    Some(String::from_utf8_lossy(&reply.body).into_owned())
}

fn asked(router: &Router<Words>, model: &str, text: &str) -> Option<String> {
    let mut host = chat(model, text);
    run(router, &mut host);
    assert!(host.asked.is_empty());
    refused(&host)
}

#[test]
fn who_names_a_model_skips_the_decisions_but_none_of_their_guards() {
    let router = with_decisions(&[GUARDED], "");
    let blocked = asked(&router, "coder", "ATTACK").unwrap();
    assert!(blocked.contains("content_filter"), "{blocked}");
    assert_eq!(asked(&router, "coder", "hello"), None);
    // No decision guards this one.
    assert_eq!(asked(&router, "small", "ATTACK"), None);
}

#[test]
fn a_decision_that_answers_for_what_guards_find_answers_named_models_too() {
    let refuse = "{name: refuse, priority: 99, rules: {operator: OR, conditions: [{type: jailbreak, name: any}]}, modelRefs: [{model: small}], plugins: [{type: fast_response, configuration: {message: Not here.}}]}";
    let words = "{name: words, priority: 98, rules: {type: keyword, name: code}, modelRefs: [{model: small}], plugins: [{type: fast_response, configuration: {message: No SQL.}}]}";
    let router = with_decisions(&[refuse, words], "jailbreak_rules: [{name: any}]");
    for model in ["big", "small", "auto"] {
        let answer = asked(&router, model, "ATTACK").unwrap();
        assert!(answer.contains("Not here."), "{model}: {answer}");
    }
    assert_eq!(asked(&router, "big", "SQL"), None, "that is routing");
    assert!(asked(&router, "auto", "SQL").unwrap().contains("No SQL."));
}

#[test]
fn without_the_sidecar_the_guards_of_what_is_open_stay() {
    let router = with_decisions(&[GUARDED], "");
    for (text, blocked) in [("ATTACK 2+2", true), ("2+2", false)] {
        let mut host = chat("auto", text);
        let (mut stream, _) = run(&router, &mut host);
        assert_eq!(host.asked.len(), 1);
        stream.on_sidecar_answer(&router, &mut host, None, b"");
        assert_eq!(refused(&host).is_some(), blocked, "{text}");
        if !blocked {
            assert_eq!(host.state["turnpike.decision"], "fallback");
        }
    }
}

#[test]
fn what_may_go_elsewhere_goes_there_whatever_guards_come_behind() {
    let decision = |plugins: &str| {
        let yaml = format!(
            "{CONFIG}  - {{name: moved, priority: 1, rules: {{type: keyword, name: code}}, modelRefs: [{{model: big}}], plugins: [{plugins}]}}"
        );
        compiled(&yaml, &BOTH)
    };
    let moves = "{type: pii, configuration: {enabled: true, action: route_to, model: small, pii_types_allowed: []}}";
    let blocks = "{type: pii, configuration: {enabled: true, pii_types_allowed: [PERSON]}}";
    for plugins in [format!("{moves}, {blocks}"), format!("{blocks}, {moves}")] {
        let router = decision(&plugins);
        let route = router.of_decision("moved", "big").unwrap();
        let elsewhere = route.elsewhere.as_ref().unwrap();
        assert_eq!(elsewhere.model, "small", "{plugins}");
    }
}

#[test]
fn what_one_side_says_in_pieces_is_no_turn() {
    use super::super::work::Work;
    let turns = |endpoint, body: serde_json::Value| -> Vec<(String, bool)> {
        let body = body.to_string().into_bytes();
        let request = crate::request::Request::parse(endpoint, &body).unwrap();
        let parts = Work::new(endpoint, request, body, 0).parts(true);
        parts.into_iter().map(|p| (p.text, p.turn)).collect()
    };
    let said = |role: &str, text: &str| serde_json::json!({"role": role, "content": text});
    let chat = |messages: &[serde_json::Value]| {
        let body = serde_json::json!({"model": "m", "messages": messages});
        turns(Endpoint::ChatCompletions, body)
    };
    let alternating = [said("user", "a"), said("assistant", "b"), said("user", "c")];
    assert!(chat(&alternating).iter().all(|(_, turn)| *turn));
    let in_pieces = [said("assistant", "b"), said("user", "c"), said("user", "d")];
    for (text, turn) in chat(&in_pieces) {
        assert_eq!(turn, text == "b", "{text}");
    }
    for role in ["system", "developer", "tool"] {
        let found = chat(&[said(role, "x"), said("user", "q")]);
        assert!(found.contains(&("x".into(), false)), "{role}: {found:?}");
    }
    let blocks = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [said("user", "q")],
        "system": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]});
    let found = turns(Endpoint::Messages, blocks);
    assert!(
        found.contains(&("x".into(), false)) && found.contains(&("y".into(), false)),
        "{found:?}"
    );
    let prompts = serde_json::json!({"model": "m", "prompt": ["x", "y"]});
    assert!(
        turns(Endpoint::Completions, prompts)
            .iter()
            .all(|(_, turn)| !turn)
    );
}
