//! `turnpike check` as a user runs it: every kind of mistake, its exact text and exit status.

mod support;

use std::path::Path;

use support::{Result, turnpike};

const MINIMAL: &str = "
vllm_endpoints: [{name: local, address: 127.0.0.1, port: 8000}]
model_config: {qwen3: {preferred_endpoints: [local]}}
default_model: qwen3
";

/// What a run of the command left: exit status, standard output, standard error.
#[derive(Debug, PartialEq)]
struct Outcome(Option<i32>, String, String);

fn outcome(status: i32, stdout: &str, stderr: &str) -> Outcome {
    Outcome(Some(status), stdout.into(), stderr.into())
}

fn run(folder: &Path, arguments: &[&str]) -> Result<Outcome> {
    let output = turnpike(folder, arguments)?;
    let stdout = String::from_utf8(output.stdout)?;
    let stderr = String::from_utf8(output.stderr)?;
    Ok(Outcome(output.status.code(), stdout, stderr))
}

fn check(config: &str) -> Outcome {
    let write_and_run = || {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config.yaml"), config)?;
        run(folder.path(), &["check", "config.yaml"])
    };
    write_and_run().unwrap_or_else(|error| Outcome(None, String::new(), error.to_string()))
}

fn with(more: &str) -> String {
    format!("{MINIMAL}{more}")
}

#[test]
fn a_good_config_is_counted() {
    let ok = "config.yaml: ok (1 endpoint, 1 model, 0 decisions)\n";
    assert_eq!(check(MINIMAL), outcome(0, ok, ""));
}

#[test]
fn json_is_read_too() {
    let json = r#"{"vllm_endpoints": [{"name": "a", "address": "a.example", "port": 1}], "model_config": {"m": {}}, "default_model": "m"}"#;
    let ok = "config.yaml: ok (1 endpoint, 1 model, 0 decisions)\n";
    assert_eq!(check(json), outcome(0, ok, ""));
}

#[test]
fn the_shipped_config_is_good() {
    let ok = "envoy/config.yaml: ok (2 endpoints, 3 models, 3 decisions)\n";
    let outcome_of_shipped = run(&support::root(), &["check", "envoy/config.yaml"]).unwrap();
    assert_eq!(outcome_of_shipped, outcome(0, ok, ""));
}

#[test]
fn a_key_without_effect_is_noted() {
    assert_eq!(
        check(&with("clear_route_cache: true\n")),
        outcome(
            0,
            "config.yaml: ok (1 endpoint, 1 model, 0 decisions)\n",
            "note: clear_route_cache: accepted, no effect: Envoy clears its route cache when a filter changes request headers\n",
        )
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_reported_together() {
    assert_eq!(
        check(&with(
            "semantic_cache: {enabeld: true}\nsidecar: {enabled: yes, timeout_ms: soon}\n"
        )),
        outcome(
            1,
            "",
            "semantic_cache.enabeld: unknown key `enabeld`; did you mean `enabled`?\n\
             sidecar.enabled: invalid type: string \"yes\", expected a boolean\n\
             sidecar.timeout_ms: invalid type: string \"soon\", expected u32\n",
        )
    );
}

#[test]
fn a_missing_endpoint_and_an_unknown_model_are_reported_together() {
    let config = MINIMAL
        .replace("[local]", "[remote]")
        .replace("default_model: qwen3", "default_model: gpt");
    assert_eq!(
        check(&config),
        outcome(
            1,
            "",
            "model_config.qwen3.preferred_endpoints[0]: unknown endpoint `remote`; known: local\n\
             default_model: unknown model `gpt`; known: qwen3\n",
        )
    );
}

#[test]
fn a_duplicate_key_is_refused_at_any_depth() {
    let twice = "config.yaml:5:1: the key `default_model` comes twice\n";
    assert_eq!(
        check(&with("default_model: qwen3\n")),
        outcome(1, "", twice)
    );
    let inner = "config.yaml:5:26: the key `enabled` comes twice\n";
    assert_eq!(
        check(&with("sidecar: {enabled: true, enabled: false}\n")),
        outcome(1, "", inner)
    );
}

#[test]
fn a_second_document_is_refused() {
    let second = "config.yaml:6:1: a second document starts here; one is allowed\n";
    assert_eq!(check(&with("---\na: b\n")), outcome(1, "", second));
}

#[test]
fn bad_yaml_is_reported_with_line_and_column() {
    let tab = "config.yaml:6:2: tabs disallowed within this context (block indentation)\n";
    assert_eq!(
        check(&with("sidecar:\n\tenabled: true\n")),
        outcome(1, "", tab)
    );
}

#[test]
fn a_document_that_is_no_mapping_is_refused() {
    let text = "the document must be a mapping of keys to values\n";
    for config in ["", "[1]\n", "text\n"] {
        assert_eq!(check(config), outcome(1, "", text), "{config:?}");
    }
}

#[test]
fn an_unreadable_file_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        run(folder.path(), &["check", "missing.yaml"]).unwrap(),
        outcome(
            2,
            "",
            "cannot read missing.yaml: No such file or directory (os error 2)\n"
        )
    );
    std::fs::write(folder.path().join("latin1.yaml"), b"name: caf\xe9\n").unwrap();
    assert_eq!(
        run(folder.path(), &["check", "latin1.yaml"]).unwrap(),
        outcome(
            2,
            "",
            "cannot read latin1.yaml: stream did not contain valid UTF-8\n"
        )
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        vec!["check"],
        vec!["chek", "config.yaml"],
        vec!["render", "envoy", "config.yaml", "--filters", "metre"],
        vec!["render", "envoy", "config.yaml", "--listener", "8801"],
    ] {
        let Outcome(status, stdout, stderr) = run(&support::root(), &arguments).unwrap();
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
    }
}

#[test]
fn a_bad_config_is_not_rendered() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yaml"), with("x: 1\n")).unwrap();
    let arguments = ["render", "envoy", "config.yaml", "--output", "envoy.yaml"];
    let Outcome(status, _, stderr) = run(folder.path(), &arguments).unwrap();
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("x: unknown key `x`"), "{stderr}");
    assert!(!folder.path().join("envoy.yaml").exists());
}

#[test]
fn a_pattern_that_cannot_be_compiled_is_named() {
    let outcome = check(&with(
        "keyword_rules: [{name: k, keywords: [a]}, {name: l, patterns: ['ok', '(']}]",
    ));
    let expected = "keyword_rules[1].patterns[1]: unclosed group";
    assert!(
        outcome.0 == Some(1) && outcome.2.contains(expected),
        "{outcome:?}"
    );
}
