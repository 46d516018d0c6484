//! Dashboard, rules and documents say what the code has: names of metrics, labels and tests, and configurations.

#[path = "support/promql.rs"]
mod promql;
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use promql::{Known, Reads};
use serde_json::Value;
use support::{Result, root};
use turnpike::config::parse;
use turnpike_core::Config;
use turnpike_core::metrics::{Kind, Metric};

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}").into())
}

fn yaml(path: &str) -> Result<Value> {
    parse(&read(path)?).map_err(|e| format!("{path}: {e:?}").into())
}

/// Entries of a list below `value`; none where there is no list.
fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What Envoy, the sidecar and Prometheus itself have.
fn exported() -> Result<Known> {
    let mut known = Known::new();
    for metric in Metric::ALL {
        let mut labels: BTreeSet<String> =
            metric.labels().iter().map(|l| l.name().into()).collect();
        labels.insert("job".into());
        match metric.kind() {
            Kind::Counter => {
                known.insert(metric.name().into(), labels);
            }
            Kind::Histogram(_) => {
                for end in ["sum", "count", "bucket"] {
                    if end == "bucket" {
                        labels.insert("le".into());
                    }
                    known.insert(format!("{}_{end}", metric.name()), labels.clone());
                }
            }
        }
    }
    known.insert("up".into(), ["job".into()].into());
    known.extend(of_the_sidecar()?);
    Ok(known)
}

/// The sidecar's metrics that are used here, with the names that its registry knows.
fn of_the_sidecar() -> Result<Known> {
    let source = read("sidecar/src/metrics.rs")?;
    let mut known = Known::new();
    for (name, registered, labels) in [
        ("requests_shed_total", "requests_shed", vec!["reason"]),
        (
            "stage_duration_seconds_bucket",
            "stage_duration",
            vec!["stage", "le"],
        ),
        ("cache_entries", "cache_entries", vec![]),
    ] {
        if !source.contains(&format!("(\"{registered}\"")) {
            return Err(format!("the sidecar has no metric {registered}").into());
        }
        let labels = labels.into_iter().map(String::from).collect();
        known.insert(format!("turnpike_sidecar_{name}"), labels);
    }
    Ok(known)
}

/// A rule: what it records (empty for an alert), from what, and its own labels.
struct Rule {
    record: String,
    expression: String,
    labels: BTreeSet<String>,
}

fn rules() -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for file in ["rules", "prices", "alerts"] {
        let file = yaml(&format!("envoy/prometheus/{file}.yaml"))?;
        for rule in list(&file, "/groups").flat_map(|group| list(group, "/rules")) {
            let labels = rule.get("labels").and_then(Value::as_object);
            rules.push(Rule {
                record: text(rule, "record").into(),
                expression: text(rule, "expr").into(),
                labels: labels
                    .map(|l| l.keys().cloned().collect())
                    .unwrap_or_default(),
            });
        }
    }
    Ok(rules)
}

/// Adds what the rules record: with the labels that they aggregate by, or else all of what they read.
fn with_recorded(mut known: Known, rules: &[Rule]) -> Known {
    for rule in rules.iter().filter(|rule| !rule.record.is_empty()) {
        let reads = Reads::of(&rule.expression);
        let mut labels = rule.labels.clone();
        if reads.aggregated.is_empty() {
            let read = reads.series.iter().filter_map(|(name, _)| known.get(name));
            labels.extend(read.flatten().cloned());
        }
        labels.extend(reads.aggregated);
        labels.extend(reads.joined);
        known.entry(rule.record.clone()).or_default().extend(labels);
    }
    known
}

fn dashboard_expressions() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&read("envoy/grafana/turnpike.json")?)?;
    let panels = list(&dashboard, "/panels").flat_map(|panel| {
        let title = text(panel, "title").to_owned();
        list(panel, "/targets").map(move |target| (title.clone(), text(target, "expr").to_owned()))
    });
    Ok(panels.collect())
}

#[test]
fn dashboard_and_rules_read_what_is_counted() {
    let rules = rules().unwrap();
    let known = with_recorded(exported().unwrap(), &rules);
    let rules = rules.into_iter().map(|rule| (rule.record, rule.expression));
    let panels = dashboard_expressions().unwrap();
    assert!(panels.len() > 30);
    let mistakes: Vec<String> = rules
        .chain(panels)
        .flat_map(|(name, expression)| {
            let mistakes = Reads::of(&expression).mistakes(&known);
            mistakes.into_iter().map(move |m| format!("{name}: {m}"))
        })
        .collect();
    assert_eq!(mistakes, Vec::<String>::new());
}

#[test]
fn a_wrong_name_or_label_is_a_mistake() {
    let known = exported().unwrap();
    let wrong = "sum by (model, usr) (rate(semantic_router_tokens_total{teir=~\"a|model\"}[5m])) / llm_model_token_total";
    assert_eq!(
        Reads::of(wrong).mistakes(&known),
        [
            "semantic_router_tokens_total has no label teir",
            "there is no series llm_model_token_total",
            "nothing has the label usr",
        ]
    );
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let panels = dashboard_expressions().unwrap();
    let shown: BTreeSet<String> = panels
        .iter()
        .flat_map(|(_, expression)| Reads::of(expression).series)
        .map(|(name, _)| name)
        .collect();
    let missing: Vec<&str> = Metric::ALL
        .iter()
        .map(|metric| metric.name())
        .filter(|name| !shown.iter().any(|shown| shown.starts_with(name)))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Mistakes of a configuration that has `part`, and what every configuration needs.
fn mistakes(part: &Value) -> Result<Vec<String>> {
    let mut config = parse(MINIMAL).map_err(|e| format!("{e:?}"))?;
    let (Some(map), Some(part)) = (config.as_object_mut(), part.as_object()) else {
        return Err("no mapping".into());
    };
    map.extend(part.clone());
    Ok(match Config::from_value(config) {
        Ok(config) => config.validate().iter().map(ToString::to_string).collect(),
        Err(mistakes) => vec![mistakes.to_string()],
    })
}

const MINIMAL: &str = "{vllm_endpoints: [{name: vllm, address: 127.0.0.1, port: 8000}], \
    model_config: {qwen3-8b: {}}, default_model: qwen3-8b}";

#[test]
fn configurations_in_the_documents_are_good() {
    let mut seen = 0;
    for page in ["metering", "maas-migration", "troubleshooting"] {
        let page = read(&format!("docs/{page}.md")).unwrap();
        for block in page.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            assert_eq!(
                mistakes(&parse(block).unwrap()).unwrap(),
                Vec::<String>::new(),
                "{block}"
            );
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn the_reference_configuration_is_good_and_complete() {
    let written = yaml("envoy/config.maas.yaml").unwrap();
    let config = Config::from_value(written.clone()).unwrap();
    assert_eq!(config.validate(), []);
    let text = read("envoy/config.maas.yaml").unwrap();
    let complete = serde_json::to_value(turnpike_core::identity::MaasIntegrationConfig::default());
    let mut keys = Vec::new();
    for (section, value) in complete.unwrap().as_object().unwrap() {
        keys.push(section.clone());
        keys.extend(
            value
                .as_object()
                .into_iter()
                .flat_map(|map| map.keys().cloned()),
        );
    }
    // Not written where they are empty.
    for optional in [
        "user_header",
        "tier_header",
        "user_sources",
        "tier_sources",
        "group_sources",
        "tenant_sources",
        "extra_token_types",
        "pinned_users",
        "cached_input_per_1m",
        "cache_hit_per_1m",
        "session_header",
        "slow_request_ms_by_decision",
    ] {
        keys.push(optional.into());
    }
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !text.contains(&format!("{key}:")))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn kubernetes_examples_fit_the_reference_configuration() {
    let config = yaml("envoy/config.maas.yaml").unwrap();
    let auth = yaml("envoy/kuadrant/authconfig.yaml").unwrap();
    let headers = auth.pointer("/spec/response/success/headers").unwrap();
    for key in ["user_header", "tier_header"] {
        let name = config
            .pointer(&format!("/maas_integration/authentication/{key}"))
            .and_then(Value::as_str)
            .unwrap();
        let source = headers.pointer(&format!("/{name}/plain/expression"));
        assert!(source.is_some(), "{name}");
    }
    let policy = yaml("envoy/kuadrant/networkpolicy.yaml").unwrap();
    let open: Vec<u64> = list(&policy, "/spec/ingress")
        .flat_map(|rule| list(rule, "/ports"))
        .filter_map(|port| port.get("port")?.as_u64())
        .collect();
    let ports = [
        "/envoy/listener/port",
        "/envoy/metrics/port",
        "/sidecar/tcp/port",
    ];
    let wanted: Vec<u64> = ports
        .iter()
        .filter_map(|port| config.pointer(port)?.as_u64())
        .collect();
    assert_eq!(open, wanted);
}

/// Every `.rs` and rule test below these folders, in one text.
fn sources(folder: &Path, into: &mut String) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "yaml") {
            into.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// What stands between `open` and `close`, each time.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    text.split(open)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(close)?.0))
        .collect()
}

#[test]
fn every_statement_of_the_seeds_is_listed_once() {
    let page = read("docs/seeds.md").unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.split_once(" | ")?.0))
        .filter(|id| id.starts_with(['A', 'F']))
        .collect();
    let statements = (1..=96).map(|n| format!("A{n}"));
    let wanted: Vec<String> = statements
        .chain((1..=13).map(|n| format!("F{n}")))
        .collect();
    assert_eq!(listed, wanted);
}

#[test]
fn every_test_that_the_table_of_the_seeds_names_exists() {
    let page = read("docs/seeds.md").unwrap();
    let mut code = String::new();
    for folder in ["filters", "wasm-tests", "envoy", "sidecar", "benches"] {
        sources(&root().join(folder), &mut code).unwrap();
    }
    let tests: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.strip_suffix("()"))
        .collect();
    assert!(tests.len() > 100, "{}", tests.len());
    let promtool = between(&page, "promtool “", "”");
    assert!(promtool.len() > 3);
    let missing: Vec<&str> = tests
        .into_iter()
        .filter(|test| !code.contains(&format!("fn {test}(")))
        .chain(
            promtool
                .into_iter()
                .filter(|name| !code.contains(&format!("- name: {name}\n"))),
        )
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
