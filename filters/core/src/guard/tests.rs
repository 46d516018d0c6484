use super::*;
use crate::request::Endpoint;

fn config(yaml: &str) -> Config {
    let yaml =
        format!("vllm_endpoints: [{{name: l, address: a, port: 1}}]\ndefault_model: m\n{yaml}");
    let config = Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    config
}

fn found(jailbreak: f32, pii: &[(&'static str, f32)]) -> Findings {
    Findings {
        jailbreak: Some(jailbreak),
        pii: pii
            .iter()
            .map(|(kind, score)| PiiFinding {
                kind,
                score: *score,
                part: 0,
                start: 0,
                end: 1,
            })
            .collect(),
        ..Findings::default()
    }
}

#[test]
fn nothing_is_guarded_unless_configured() {
    let policy = Policy::compile(
        &config("model_config: {m: {pii_policy: {pii_types_allowed: [PERSON]}}}"),
        "m",
        None,
        0.6,
    );
    assert!(!policy.wants_jailbreak() && !policy.wants_pii());
    assert_eq!(policy.judge(&found(1.0, &[("US_SSN", 1.0)])), None);
}

#[test]
fn an_attack_counts_from_the_threshold_on() {
    let guarded = config("model_config: {m: {}}\nprompt_guard: {enabled: true}");
    let policy = Policy::compile(&guarded, "m", None, 0.6);
    assert_eq!(policy.judge(&found(0.59, &[])), None);
    assert_eq!(policy.judge(&found(0.6, &[])), Some(Block::Jailbreak));
    let stricter = config("model_config: {m: {}}\nprompt_guard: {enabled: true, threshold: 0.3}");
    assert_eq!(
        Policy::compile(&stricter, "m", None, 0.6).judge(&found(0.3, &[])),
        Some(Block::Jailbreak)
    );
}

#[test]
fn a_decision_has_its_own_guards() {
    let config = config(
        "model_config: {m: {pii_policy: {allow_by_default: false, pii_types_allowed: [EMAIL_ADDRESS, PHONE_NUMBER]}}}
prompt_guard: {enabled: true}
keyword_rules: [{name: k, keywords: [k]}]
decisions:
  - {name: lax, rules: {type: keyword, name: k}, modelRefs: [{model: m}], plugins: [{type: jailbreak, configuration: {enabled: false}}]}
  - {name: strict, rules: {type: keyword, name: k}, modelRefs: [{model: m}], plugins: [{type: pii, configuration: {pii_types_allowed: [PHONE_NUMBER]}}]}",
    );
    let of = |at: usize| Policy::compile(&config, "m", config.decisions.get(at), 0.6);
    let mail = found(
        0.9,
        &[
            ("EMAIL_ADDRESS", 1.0),
            ("PHONE_NUMBER", 0.6),
            ("EMAIL_ADDRESS", 0.7),
        ],
    );
    assert_eq!(of(0).judge(&mail), None);
    assert_eq!(of(1).judge(&mail), Some(Block::Jailbreak));
    let mail = Findings {
        jailbreak: None,
        ..mail
    };
    assert_eq!(of(1).judge(&mail), Some(Block::Pii(vec!["EMAIL_ADDRESS"])));
    let card = found(0.0, &[("CREDIT_CARD", 0.9), ("US_SSN", 0.4)]);
    assert_eq!(of(0).judge(&card), Some(Block::Pii(vec!["CREDIT_CARD"])));
}

#[test]
fn each_api_gets_an_answer_of_its_form() {
    let block = Block::Pii(vec!["US_SSN"]);
    let body = |endpoint, stream| {
        let reply = blocked(endpoint, stream, "auto", &block, 1_700_000_000).unwrap();
        assert_eq!(reply.status, 200);
        String::from_utf8(reply.body).unwrap()
    };
    let json =
        |endpoint| serde_json::from_str::<serde_json::Value>(&body(endpoint, false)).unwrap();
    let chat = json(Endpoint::ChatCompletions);
    assert_eq!(chat["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(chat["usage"]["total_tokens"], 0);
    assert_eq!(
        json(Endpoint::Completions)["choices"][0]["finish_reason"],
        "content_filter"
    );
    assert_eq!(
        json(Endpoint::Responses)["incomplete_details"]["reason"],
        "content_filter"
    );
    assert_eq!(json(Endpoint::Messages)["stop_reason"], "refusal");
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
        let stream = body(endpoint, true);
        assert_eq!(stream.matches("data: ").count(), 2);
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    }
    assert!(body(Endpoint::Responses, true).contains("event: response.incomplete\n"));
    assert!(
        body(Endpoint::Messages, true)
            .ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    );
    assert_eq!(blocked(Endpoint::Embeddings, false, "m", &block, 0), None);
}
