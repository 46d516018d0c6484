//! What becomes of the metrics' names behind the tag regexes of Istio and of plain Envoy.
//!
//! Envoy runs every regex on the original name; group 1 leaves the name, group 2 is the label's value (group 1 where there is no
//! second). The regexes of Istio are those of its bootstrap (`tools/packaging/common/envoy_bootstrap.json`), with the tags of
//! `extraStatTags` among them; those of Envoy are its defaults (`source/common/config/well_known_names.cc`) that are not bound to the
//! start of the name, which is `wasmcustom.` here. Not shown here: that Envoy's own engine agrees; the tests of the gateway do that.

use std::collections::BTreeMap;

use regex::Regex;
use turnpike_core::metrics::{Label, Metric, escape_label};

type Tags = Vec<(String, Regex)>;

/// Users who would break a careless encoding.
const USERS: [&str; 16] = [
    "alice",
    "alice@example.com",
    "a.b;.;c=.=d",
    "tier=.=gold;.;",
    "my-cache.v1",
    "my-cache.v1.2",
    "component.x.",
    "tag.a;.b",
    "wasm_filter.z.y",
    "rbac.allowed",
    "x.istio_dry_run_allow_",
    "алиса",
    "x_rq_200",
    "cluster.a.b",
    "a;.;b;",
    "100%=.;",
];

fn tags(list: &[(&str, &str)]) -> Tags {
    let compile =
        |(name, regex): &(&str, &str)| Some(((*name).to_owned(), Regex::new(regex).ok()?));
    let compiled: Tags = list.iter().filter_map(compile).collect();
    assert_eq!(compiled.len(), list.len());
    compiled
}

/// Istio's, in its order.
fn istio() -> Tags {
    let mut all = tags(&[
        (
            "cluster_name",
            r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)",
        ),
        ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
        ("response_code", r"_rq(_(\d{3}))$"),
        ("response_code_class", r"_rq(_(\dxx))$"),
    ]);
    for label in Label::ALL {
        let regex = format!(r"({}=\.=(.*?);\.;)", label.key());
        all.extend(tags(&[(label.key(), &regex)]));
    }
    all.extend(tags(&[
        ("cache", r"(cache\.(.+?)\.)"),
        ("component", r"(component\.(.+?)\.)"),
        ("tag", r"(tag\.(.+?);\.)"),
        ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
        ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
        ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
        ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
    ]));
    all
}

/// Plain Envoy's, with the rendered `stats_tags`.
fn envoy() -> Tags {
    let mut all = tags(&[
        ("envoy.response_code", r"_rq(_(\d{3}))$"),
        ("envoy.response_code_class", r"_rq_(\d)xx$"),
        ("envoy.cluster_name", r"^cluster\.(([^\.]+)\.).*"),
        ("envoy.tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ]);
    for label in Label::ALL {
        all.extend(tags(&[(label.name(), &label.stats_tag_regex())]));
    }
    all
}

/// Name and labels as Prometheus shows them, before it replaces what it does not take in names.
fn cut(stat: &str, tags: &Tags) -> (String, BTreeMap<String, String>) {
    let full = format!("wasmcustom.{stat}");
    let mut labels = BTreeMap::new();
    let mut gone = Vec::new();
    for (name, regex) in tags {
        let Some(found) = regex.captures(&full) else {
            continue;
        };
        let removed = found.get(1).map(|m| m.range()).unwrap_or_default();
        let value = found.get(2).or(found.get(1)).map(|m| m.as_str());
        labels.insert(name.clone(), value.unwrap_or_default().to_owned());
        gone.push(removed);
    }
    let kept = full
        .char_indices()
        .filter(|(at, _)| !gone.iter().any(|range| range.contains(at)));
    let name: String = kept.map(|(_, c)| c).collect();
    (name.trim_start_matches("wasmcustom.").to_owned(), labels)
}

/// Every metric, with `value` in each of its labels, comes out with its own name and exactly its own labels.
fn assert_survives(value: &str, tags: &Tags, label_name: impl Fn(Label) -> &'static str) {
    for metric in Metric::ALL {
        let values = vec![value; metric.labels().len()];
        let (name, labels) = cut(&metric.stat_name(&values), tags);
        assert_eq!(name, metric.name(), "{value}");
        let expected: BTreeMap<String, String> = metric
            .labels()
            .iter()
            .map(|label| (label_name(*label).to_owned(), escape_label(value)))
            .collect();
        assert_eq!(labels, expected, "{value}");
    }
}

#[test]
fn every_metric_keeps_its_name_and_labels_on_istio() {
    let tags = istio();
    for user in USERS {
        assert_survives(user, &tags, Label::key);
    }
}

#[test]
fn any_three_parts_of_the_encoding_and_of_the_regexes_survive_in_a_user() {
    const PARTS: [&str; 19] = [
        "a",
        ".",
        ";",
        "=",
        "%",
        "_",
        ";.;",
        "=.=",
        "cache",
        "component",
        "tag",
        "wasm_filter",
        "rbac",
        "allowed",
        "istio_dry_run_allow_",
        "shadow_denied",
        "_rq_200",
        "user",
        "tier",
    ];
    let (istio, envoy) = (istio(), envoy());
    for (a, b, c) in PARTS.iter().flat_map(|a| {
        PARTS
            .iter()
            .flat_map(move |b| PARTS.iter().map(move |c| (a, b, c)))
    }) {
        let user = format!("{a}{b}{c}");
        for tags in [&istio, &envoy] {
            let (name, labels) = cut(
                &Metric::Tokens.stat_name(&[&user, "gold", "m", "prompt"]),
                tags,
            );
            assert_eq!(name, Metric::Tokens.name(), "{user}");
            assert_eq!(labels.len(), 4, "{user}: {labels:?}");
            assert_eq!(labels["user"], escape_label(&user));
            assert_eq!(labels["tier"], "gold", "{user}");
        }
    }
}

#[test]
fn every_metric_keeps_its_name_and_labels_on_plain_envoy() {
    let tags = envoy();
    for user in USERS {
        assert_survives(user, &tags, Label::name);
    }
}

#[test]
fn one_label_is_named_otherwise_on_istio() {
    let differ: Vec<(&str, &str)> = Label::ALL
        .iter()
        .map(|label| (label.name(), label.key()))
        .filter(|(envoy, istio)| envoy != istio)
        .collect();
    assert_eq!(differ, [("pii_type", "pii")]);
    let stat = Metric::PiiDetections.stat_name(&["alice", "gold", "EMAIL_ADDRESS"]);
    let (name, labels) = cut(&stat, &istio());
    assert_eq!(name, "semantic_router_pii_detections_total");
    assert_eq!(labels["pii"], "EMAIL_ADDRESS");
}

#[test]
fn without_escapes_istio_would_cut_a_model_apart() {
    let stat = "model=.=my-cache.v1.2;.;llm_model_requests_total";
    let (name, labels) = cut(stat, &istio());
    assert_eq!(labels["cache"], "v1");
    assert_eq!(name, "llm_model_requests_total");
}

#[test]
fn without_extra_stat_tags_the_labels_stay_in_the_name() {
    let none: Tags = istio()
        .into_iter()
        .filter(|(name, _)| Label::ALL.iter().all(|l| l.key() != name))
        .collect();
    let stat = Metric::ModelRequests.stat_name(&["m"]);
    assert_eq!(cut(&stat, &none).0, stat);
}

#[test]
fn istio_includes_the_metrics_without_further_settings() {
    // `requiredEnvoyStatsMatcherInclusionPrefixes` of Istio's pkg/bootstrap/config.go.
    let prefixes = [
        "cluster_manager",
        "listener_manager",
        "server",
        "cluster.xds-grpc",
        "wasm",
    ];
    let stat = format!(
        "wasmcustom.{}",
        Metric::Tokens.stat_name(&["u", "t", "m", "prompt"])
    );
    assert!(prefixes.iter().any(|prefix| stat.starts_with(prefix)));
}
