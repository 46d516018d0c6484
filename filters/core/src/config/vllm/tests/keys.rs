use super::super::{Document, KeyState, rest, table};
use super::{canonical, flat};
use crate::config::Config;

fn keys(yaml: &str) -> String {
    let document = Document::read(serde_saphyr::from_str(yaml).unwrap());
    let config = document.config();
    let errors = match &config {
        Ok(config) => document.located(config.validate()).0,
        Err(errors) => errors.0.clone(),
    };
    let notes = document.notes(config.as_ref().ok());
    let line = |(path, state): (String, KeyState<'_>)| match state {
        KeyState::Used => format!("used {path}"),
        KeyState::NoEffect(_) => format!("no effect {path}"),
        KeyState::Mistake(_) => format!("mistake {path}"),
    };
    let lines: Vec<String> = document
        .keys(&notes, &errors)
        .into_iter()
        .map(line)
        .collect();
    lines.join("\n")
}

#[test]
fn every_key_of_a_file_has_its_state() {
    insta::assert_snapshot!(keys(&canonical(
        "
routing:
  modelCards: [{name: small, param_size: 8B}]
  decisions:
    - {name: d, annotations: {a: {b: c}}, rules: {type: reask, name: r}, modelRefs: [{model: small}], plugins: [{type: router_replay, configuration: {enabled: true}}]}
global:
  services: {observability: {tracing: {enabled: true}}}
  stores: {response_cache: {enabled: true, similarty_threshold: 0.9}}
"
    )));
}

#[test]
fn a_key_without_effect_in_our_own_words_is_told_too() {
    assert_eq!(
        keys(&flat(
            "clear_route_cache: true\nclassifier: {category_model: {use_cpu: true, threshold: 0.5}}"
        )),
        "used classifier\nused classifier.category_model\nused classifier.category_model.threshold\nno effect classifier.category_model.use_cpu\n\
         no effect clear_route_cache\nused default_model\nused model_config\nused model_config.large\nused model_config.large.preferred_endpoints\n\
         used model_config.small\nused model_config.small.preferred_endpoints\nused vllm_endpoints\nused vllm_endpoints[0].address\n\
         used vllm_endpoints[0].name\nused vllm_endpoints[0].port"
    );
}

/// The names of all keys of the flat family, as serde knows them.
fn fields() -> Vec<String> {
    let error = serde_json::from_value::<Config>(serde_json::json!({"?": 0})).unwrap_err();
    let message = error.to_string();
    message
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn sections_of_the_flat_family_are_known_to_be_such() {
    let ours = [
        "sidecar",
        "envoy",
        "guards",
        "routing_cache",
        "limits",
        "telemetry",
        "maas_integration",
        "explain",
    ];
    for field in fields() {
        assert!(
            rest::is_flat(&field) != ours.contains(&field.as_str()),
            "{field}"
        );
    }
}

#[test]
fn no_key_of_ours_is_taken_for_one_that_has_no_effect() {
    for (path, _) in table::SECTIONS {
        assert!(!fields().iter().any(|field| field == path), "{path}");
    }
}
