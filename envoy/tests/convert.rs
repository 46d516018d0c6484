//! `turnpike convert` and `turnpike check --keys` as a user runs them, on files of vLLM Semantic Router of both families.

mod support;

use std::path::Path;

use support::{Result, turnpike};

/// A file in the canonical family, with a secret and some keys without effect.
const CANONICAL: &str = r#"
version: v0.3
listeners: [{name: http, address: 127.0.0.1, port: 8899, timeout: 300s}]
providers:
  defaults: {default_model: small}
  models:
    - name: small
      reasoning_family: qwen3
      backend_refs: [{name: a, endpoint: "10.0.0.1:8000", api_key: sk-secret}]
    - {name: large, backend_refs: [{endpoint: "10.0.0.2:8000"}]}
routing:
  modelCards: [{name: small, param_size: 8B}]
  signals:
    keywords: [{name: code, operator: OR, keywords: [regex, "SQL query"]}]
    jailbreak: [{name: attack, threshold: 0.8}]
  decisions:
    - name: stop
      priority: 900
      rules: {type: jailbreak, name: attack}
      modelRefs: [{model: small}]
      plugins: [{type: fast_response, configuration: {message: "No."}}]
    - name: code
      priority: 100
      rules: {operator: OR, conditions: [{type: keyword, name: code}]}
      modelRefs: [{model: large, use_reasoning: false}]
      plugins: [{type: router_replay, configuration: {enabled: true}}]
global: {services: {observability: {tracing: {enabled: true}}}}
sidecar: {enabled: false}
"#;

/// A file in the flat family, older than decisions.
const FLAT: &str = "
vllm_endpoints: [{name: a, address: 10.0.0.1, port: 8000, models: [small, large]}]
categories:
  - {name: math, model_scores: [{model: small, score: 0.2}, {model: large, score: 0.9}], system_prompt: Count.}
  - {name: other, model_scores: [{model: small, score: 0.7}]}
default_model: small
semantic_cache: {enabled: false, use_hnsw: true}
tools: {enabled: true, top_k: 3}
sidecar: {enabled: false}
";

/// Exit status, standard output, standard error.
type Outcome = (Option<i32>, String, String);

fn run(folder: &Path, arguments: &[&str]) -> Result<Outcome> {
    let output = turnpike(folder, arguments)?;
    let text = |bytes| String::from_utf8(bytes);
    Ok((
        output.status.code(),
        text(output.stdout)?,
        text(output.stderr)?,
    ))
}

fn folder_with(yaml: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("theirs.yaml"), yaml)?;
    Ok(folder)
}

#[test]
fn what_is_converted_passes_the_check_and_renders() {
    for (yaml, expected) in [
        (
            CANONICAL,
            "ours.yaml: ok (2 endpoints, 2 models, 2 decisions)\n",
        ),
        (FLAT, "ours.yaml: ok (1 endpoint, 2 models, 2 decisions)\n"),
    ] {
        let folder = folder_with(yaml).unwrap();
        let convert = ["convert", "theirs.yaml", "--output", "ours.yaml"];
        assert_eq!(
            run(folder.path(), &convert).unwrap(),
            (Some(0), String::new(), String::new())
        );
        let (status, stdout, stderr) = run(folder.path(), &["check", "ours.yaml"]).unwrap();
        assert_eq!(
            (status, stdout.as_str(), stderr.as_str()),
            (Some(0), expected, "")
        );
        let (_, ours, _) = run(folder.path(), &["render", "envoy", "ours.yaml"]).unwrap();
        let (status, theirs, _) = run(folder.path(), &["render", "envoy", "theirs.yaml"]).unwrap();
        assert_eq!((status, &theirs), (Some(0), &ours), "both say the same");
    }
}

#[test]
fn a_converted_file_says_what_it_left_out_and_holds_no_secret() {
    let folder = folder_with(CANONICAL).unwrap();
    let (status, yaml, stderr) = run(folder.path(), &["convert", "theirs.yaml"]).unwrap();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(!yaml.contains("sk-secret"), "{yaml}");
    let (heading, body) = yaml.split_once("\n\n").unwrap();
    let (_, heading) = heading.split_once('\n').unwrap();
    insta::assert_snapshot!(format!("{heading}\n\n{body}"));
}

#[test]
fn a_file_with_mistakes_is_not_converted() {
    let wrong = CANONICAL.replace("keywords: [{name: code", "keywords: [{nam: code");
    let folder = folder_with(&wrong).unwrap();
    let convert = ["convert", "theirs.yaml", "--output", "ours.yaml"];
    let (status, stdout, stderr) = run(folder.path(), &convert).unwrap();
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "routing.signals.keywords[0].nam: unknown key `nam`; did you mean `name`?\nrouting.signals.keywords[0]: missing field `name`\n"
    );
    assert!(!folder.path().join("ours.yaml").exists());
}

#[test]
fn every_key_is_listed_on_request() {
    let folder = folder_with(FLAT).unwrap();
    let (status, stdout, stderr) = run(folder.path(), &["check", "--keys", "theirs.yaml"]).unwrap();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(stdout);
}

#[test]
fn every_key_is_listed_beside_mistakes() {
    let folder = folder_with(&FLAT.replace("default_model", "defaultModel")).unwrap();
    let (status, stdout, stderr) = run(folder.path(), &["check", "--keys", "theirs.yaml"]).unwrap();
    assert_eq!(status, Some(1));
    assert!(
        stdout.contains("used       vllm_endpoints[0].name\n"),
        "{stdout}"
    );
    assert!(stdout.contains("no effect  tools: "), "{stdout}");
    let mistake = "defaultModel: unknown key `defaultModel`; did you mean `default_model`?\n";
    assert!(
        stdout.contains(&format!("mistake    {mistake}")),
        "{stdout}"
    );
    assert_eq!(stderr, mistake);
}

#[test]
fn a_canonical_file_is_checked_at_its_own_places() {
    let wrong = CANONICAL.replace("type: jailbreak, name: attack", "type: reask, name: again");
    let folder = folder_with(&wrong).unwrap();
    let (status, stdout, stderr) = run(folder.path(), &["check", "theirs.yaml"]).unwrap();
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "routing.decisions[0].rules.type: there is no signal `reask` here; a head of your own tells dissatisfied turns: `turnpike train-head` and a condition of type `head`\n"
    );
}

#[test]
fn a_pattern_is_named_at_its_own_place() {
    let wrong = CANONICAL.replace(
        "operator: OR, keywords: [regex",
        "operator: OR, patterns: ['('], keywords: [regex",
    );
    let folder = folder_with(&wrong).unwrap();
    let (status, _, stderr) = run(folder.path(), &["check", "theirs.yaml"]).unwrap();
    assert_eq!(status, Some(1));
    assert!(
        stderr.starts_with("routing.signals.keywords[0].patterns[0]: "),
        "{stderr}"
    );
}
