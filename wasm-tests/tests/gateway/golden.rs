//! Every series of a small traffic, letter by letter, in each mode; and the switch that changes nothing when it is off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use turnpike_core::metrics::{Kind, Metric};
use wasm_tests::harness::metrics::{Sample, scrape};
use wasm_tests::harness::ready::{Page, until};
use wasm_tests::harness::{Call, Reply, Stack};

use crate::gateways::{Case, maas, standalone};
use crate::metering_gateways::{GOLDEN_MODEL, disabled, hybrid};

/// Envoy merges the histograms of its workers every 5 s.
const DEADLINE: Duration = Duration::from_secs(30);

const TIER: &str = "golden";

/// One whole answer of 100 + 20 tokens, one stream of 10 + 6, one error of the server.
async fn traffic(gateway: &Case) {
    let calls: [Call; 3] = [
        gateway.ask(GOLDEN_MODEL, "Hello").order("usage", "100,20"),
        gateway
            .ask_streamed(GOLDEN_MODEL, "Hello")
            .order("usage", "10,6")
            .order("tokens", "6"),
        gateway.ask(GOLDEN_MODEL, "Hello").order("status", "400"),
    ];
    for call in calls {
        call.header("x-auth-request-tier", TIER)
            .send()
            .await
            .unwrap();
    }
}

/// The samples with this label; buckets without their counts, as these depend on the machine.
async fn series(page: Page<'_>, label: (&str, &str)) -> anyhow::Result<BTreeSet<String>> {
    let samples = scrape(page).await?;
    let ours = samples
        .iter()
        .filter(|s| s.labels.get(label.0).is_some_and(|value| value == label.1))
        .filter(|s| is_ours(&s.name));
    Ok(ours.map(shown).collect())
}

fn is_ours(name: &str) -> bool {
    ["semantic_router_", "llm_model_", "turnpike_"]
        .iter()
        .any(|start| name.starts_with(start))
}

fn shown(sample: &Sample) -> String {
    let whole = sample.labels.get("le").is_none_or(|le| le == "+Inf");
    let text = sample.to_string();
    if whole && !sample.name.ends_with("_sum") {
        text
    } else {
        text.rsplit_once(' ')
            .map_or(text.clone(), |(series, _)| series.to_owned())
    }
}

/// A histogram's samples as [`shown`].
fn histogram(metric: Metric, labels: &[(&str, &str)], count: u64) -> Vec<String> {
    let Kind::Histogram(bounds) = metric.kind() else {
        panic!("{} is no histogram", metric.name());
    };
    let sample = |end: &str, le: Option<String>| {
        let mut all: BTreeMap<&str, String> =
            labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        all.extend(le.map(|le| ("le", le)));
        let all: Vec<String> = all.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
        format!("{}_{end}{{{}}}", metric.name(), all.join(","))
    };
    let bounds = bounds
        .iter()
        .map(|le| sample("bucket", Some(le.to_string())));
    bounds
        .chain([
            format!("{} {count}", sample("bucket", Some("+Inf".into()))),
            format!("{} {count}", sample("count", None)),
            sample("sum", None),
        ])
        .collect()
}

/// Waits until both metric pages say exactly this about a label.
async fn says(stack: &Stack, label: (&str, &str), expected: Vec<String>) {
    let expected: BTreeSet<String> = expected.into_iter().collect();
    let ports = stack.plan().ports;
    for page in [
        Page::Tcp(ports.metrics, "/metrics"),
        Page::Tcp(ports.admin, "/stats/prometheus"),
    ] {
        until(DEADLINE, async || {
            let found = series(page, label).await?;
            let missing: Vec<_> = expected.difference(&found).collect();
            let surplus: Vec<_> = found.difference(&expected).collect();
            ensure!(
                missing.is_empty() && surplus.is_empty(),
                "missing: {missing:#?}\nsurplus: {surplus:#?}"
            );
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// What [`traffic`] counts without identity.
fn standard_series() -> Vec<String> {
    let model = [("model", GOLDEN_MODEL)];
    let mut lines: Vec<String> = [
        r#"llm_model_requests_total{model="golden-model"} 3"#,
        r#"llm_model_tokens_total{model="golden-model"} 136"#,
        r#"llm_model_prompt_tokens_total{model="golden-model"} 110"#,
        r#"llm_model_completion_tokens_total{model="golden-model"} 26"#,
        // 110 × 0.5 + 26 × 1.5 millionths
        r#"llm_model_cost_total{currency="EUR",model="golden-model"} 94"#,
    ]
    .map(String::from)
    .into();
    lines.extend(histogram(Metric::ModelLatency, &model, 3));
    lines.extend(histogram(Metric::ModelTimeToFirstToken, &model, 1));
    lines.extend(histogram(Metric::ModelTimePerOutputToken, &model, 1));
    lines
}

/// What [`traffic`] counts in this user's name.
fn maas_series(user: &str, model: &str) -> Vec<String> {
    let who = format!("model={model:?}");
    let whom = format!("tier={TIER:?}");
    let labels = [("model", model), ("tier", TIER)];
    let mut lines = vec![
        format!("semantic_router_requests_total{{decision=\"none\",{who},{whom},user={user:?}}} 3"),
        format!("semantic_router_tokens_total{{{who},{whom},type=\"prompt\",user={user:?}}} 110"),
        format!(
            "semantic_router_tokens_total{{{who},{whom},type=\"completion\",user={user:?}}} 26"
        ),
    ];
    lines.extend(histogram(Metric::RequestDuration, &labels, 3));
    lines.extend(histogram(Metric::TimeToFirstToken, &labels, 1));
    lines.extend(histogram(Metric::TimePerOutputToken, &labels, 1));
    lines
}

#[tokio::test]
async fn standalone_mode_counts_exactly_this() {
    let (absent, off) = (standalone().await, disabled().await);
    for gateway in [&absent, &off] {
        traffic(gateway).await;
        says(gateway.stack, ("model", GOLDEN_MODEL), standard_series()).await;
        let page = Page::Tcp(gateway.stack.plan().ports.metrics, "/metrics");
        let all = scrape(page).await.unwrap();
        let named = |start: &str| all.iter().filter(|s| s.name.starts_with(start)).count();
        assert_eq!(named("semantic_router_"), 0);
        assert!(all.iter().all(|s| !s.labels.contains_key("user")));
    }
}

#[tokio::test]
async fn maas_mode_counts_exactly_this() {
    let gateway = maas("golden-maas").await;
    let calls = [
        gateway.ask("qwen3-8b", "Hello").order("usage", "100,20"),
        gateway
            .ask_streamed("qwen3-8b", "Hello")
            .order("usage", "10,6")
            .order("tokens", "6"),
        gateway.ask("qwen3-8b", "Hello").order("status", "400"),
    ];
    for call in calls {
        call.header("x-auth-request-tier", TIER)
            .send()
            .await
            .unwrap();
    }
    let expected = maas_series("golden-maas", "qwen3-8b");
    says(gateway.stack, ("tier", TIER), expected).await;
    let page = Page::Tcp(gateway.stack.plan().ports.metrics, "/metrics");
    let all = scrape(page).await.unwrap();
    assert!(all.iter().all(|s| !s.name.starts_with("llm_model_")));
}

#[tokio::test]
async fn hybrid_mode_counts_cost_beside() {
    let gateway = hybrid("golden-hybrid").await;
    traffic(&gateway).await;
    let mut expected = maas_series("golden-hybrid", GOLDEN_MODEL);
    expected.push(r#"llm_model_cost_total{currency="EUR",model="golden-model"} 94"#.into());
    says(gateway.stack, ("model", GOLDEN_MODEL), expected).await;
}

#[tokio::test]
async fn routes_and_the_cache_have_their_series() {
    let gateway = maas("golden-routes").await;
    let tier = "golden-routes";
    let ask = async |prompt: &str| {
        let call = gateway.ask("auto", prompt).order("usage", "10,5");
        call.header("x-auth-request-tier", tier)
            .send()
            .await
            .unwrap()
    };
    ask("What is the derivative of x squared?").await;
    let mut misses = 0;
    // The answer is stored beside the request, not within it.
    while ask("How long does a sprained ankle take to heal?")
        .await
        .header("x-vsr-cache-hit")
        != "true"
    {
        misses += 1;
        assert!(misses < 1000, "the answer is never stored");
    }
    let (user, math) = (r#"tier="golden-routes",user="golden-routes""#, misses + 1);
    let lines = [
        format!(
            "semantic_router_requests_total{{decision=\"hard_reasoning\",model=\"gpt-oss-120b\",{user}}} 1"
        ),
        format!(
            "semantic_router_requests_total{{decision=\"health\",model=\"qwen3-8b\",{user}}} {math}"
        ),
        format!("semantic_router_reasoning_requests_total{{model=\"gpt-oss-120b\",{user}}} 1"),
        format!("semantic_router_cache_misses_total{{model=\"gpt-oss-120b\",{user}}} 1"),
        format!("semantic_router_cache_misses_total{{model=\"qwen3-8b\",{user}}} {misses}"),
        format!("semantic_router_cache_hits_total{{model=\"qwen3-8b\",{user}}} 1"),
        tokens("gpt-oss-120b", "prompt", 10),
        tokens("gpt-oss-120b", "completion", 5),
        tokens("qwen3-8b", "prompt", 10 * misses),
        tokens("qwen3-8b", "completion", 5 * misses),
    ];
    let label = ("user", "golden-routes");
    says(gateway.stack, label, lines.into()).await;
}

fn tokens(model: &str, kind: &str, number: u64) -> String {
    format!(
        "semantic_router_tokens_total{{model={model:?},tier=\"golden-routes\",type={kind:?},user=\"golden-routes\"}} {number}"
    )
}

/// What a client can tell two gateways apart by: time and id aside, which are the request's own.
fn visible(reply: &Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let own = ["date", "x-request-id", "x-envoy-upstream-service-time"];
    let names: BTreeSet<&str> = reply.headers.keys().map(|name| name.as_str()).collect();
    let headers = names
        .into_iter()
        .filter(|name| !own.contains(name))
        .map(|name| (name.to_owned(), reply.header(name)));
    (
        reply.status.as_u16(),
        headers.collect(),
        reply.body.to_vec(),
    )
}

#[tokio::test]
async fn switched_off_is_byte_for_byte_as_if_it_were_not_there() {
    let gateways = [standalone().await, disabled().await];
    let answer = |kind: &'static str, text: &'static str| {
        move |call: Call| {
            call.order("content-type", kind)
                .order("body", &Value::from(text).to_string())
        }
    };
    let whole = answer(
        "application/json",
        r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
    );
    let stream = answer(
        "text/event-stream",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
    );
    for round in 0..7 {
        let mut seen = Vec::new();
        for gateway in &gateways {
            let call = match round {
                0 => whole(gateway.ask("gpt-oss-120b", "Hello")),
                1 => stream(gateway.ask_streamed("gpt-oss-120b", "Hello")),
                2 => whole(gateway.ask("auto", "Hello, how are you today?")),
                3 => gateway.ask("gpt-oss-120b", "Hello").order("status", "400"),
                4 => gateway.ask("no-such-model", "Hello"),
                5 => gateway.post("/v1/chat/completions", "{"),
                _ => whole(gateway.chat(&json!({"model": "gpt-oss-120b", "messages": []})))
                    .also("x-auth-request-user", "twice"),
            };
            let reply = call.send().await.unwrap();
            let upstream = gateway.stack.records().tagged(&reply.tag);
            let asked: Vec<_> = upstream.iter().map(|r| r.body.clone()).collect();
            seen.push((visible(&reply), asked));
        }
        assert_eq!(seen[0], seen[1], "round {round}");
    }
}
