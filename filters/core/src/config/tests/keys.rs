//! Keys that nobody knows and values of another type: each is refused by its path.

use super::*;

#[test]
fn all_mistakes_are_reported_at_once_with_their_paths() {
    let errors = read(&with("
semantic_cache: {enabeld: true, similarity_threshold: high}
maas_integration: {enabled: yes please, headers: {prefx: y}}
decisions:
  - {name: a, rules: {operator: AND, conditions: [{type: keyword, name: k, extra: 1}]}, modelRefs: []}
  - {name: b, rules: 5, modelRefs: [{model: qwen3, use_reasonin: true}]}
"))
    .unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn every_object_refuses_an_unknown_key_by_its_path() {
    let full = include_str!("../../../../../envoy/config.yaml");
    let document: serde_json::Value = serde_saphyr::from_str(full).unwrap();
    let mut objects = Vec::new();
    collect_objects(&document, String::new(), &mut objects);
    assert!(objects.len() > 20);
    for pointer in objects {
        let mut broken = document.clone();
        let Some(serde_json::Value::Object(map)) = broken.pointer_mut(&pointer) else {
            panic!()
        };
        // Maps whose keys are names take any key; there the value is wrong.
        map.insert("no_such_key".into(), serde_json::json!(7));
        let result = Config::from_value(broken).map(|c| c.validate());
        let errors = match result {
            Ok(errors) => ConfigErrors(errors),
            Err(errors) => errors,
        };
        let expected = format!(
            "{}.no_such_key",
            pointer.trim_start_matches('/').replace('/', ".")
        );
        let expected = expected.trim_start_matches('.');
        assert!(
            errors
                .0
                .iter()
                .any(|e| e.path.replace('[', ".").replace(']', "") == *expected),
            "{expected}: {errors}"
        );
    }
}

fn collect_objects(value: &serde_json::Value, at: String, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            out.push(at.clone());
            for (key, value) in map {
                collect_objects(value, format!("{at}/{key}"), out);
            }
        }
        serde_json::Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                collect_objects(value, format!("{at}/{i}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn mistakes_behind_a_decision_that_was_taken_out_keep_their_indices() {
    let errors = read(&with(
        "
decisions:
  - {name: a, modelRefs: [{model: qwen3, use_reasonin: true}, {model: 5}]}
  - {name: b, rules: {}, modelRefs: [{model: qwen3, use_reasonin: true}, {model: 5}]}
",
    ))
    .unwrap_err();
    let expected = "\
decisions[0].modelRefs[0].use_reasonin: unknown key `use_reasonin`; did you mean `use_reasoning`?
decisions[0].modelRefs[1].model: invalid type: integer `5`, expected a string
decisions[0]: missing field `rules`
decisions[1].modelRefs[0].use_reasonin: unknown key `use_reasonin`; did you mean `use_reasoning`?
decisions[1].modelRefs[1].model: invalid type: integer `5`, expected a string";
    assert_eq!(errors, expected);
}

#[test]
fn the_meter_knows_the_names_of_all_sections_and_reads_its_own() {
    let read = |config: serde_json::Value| {
        let document = serde_json::json!({"filters": ["meter"], "config": config});
        FilterConfig::read_for_meter(document.to_string().as_bytes())
    };
    let unknown = Config::from_value(serde_json::json!({"no_section": 1})).unwrap_err();
    let unknown = unknown.to_string();
    let sections: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(sections.len() > 30, "{unknown}");
    for section in sections {
        let others = ["model_config", "maas_integration", "telemetry"];
        if !others.contains(&section) {
            read(serde_json::json!({section: "whatever"})).unwrap();
        }
    }
    for (config, path) in [
        (serde_json::json!({"decisons": []}), "decisons"),
        (
            serde_json::json!({"model_config": {"m": {"pricing": {"prompt_per_1m": -1.0}}}}),
            "model_config.m.pricing.prompt_per_1m",
        ),
        (
            serde_json::json!({"maas_integration": {"metrics": {"sample_rate": 2}}}),
            "maas_integration.metrics.sample_rate",
        ),
        (serde_json::json!({"telemetry": 1}), "telemetry"),
    ] {
        let errors = read(config).unwrap_err().to_string();
        assert!(errors.starts_with(&format!("{path}:")), "{errors}");
    }
}
