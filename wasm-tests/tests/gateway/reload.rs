//! A running Envoy with the real filters takes a new configuration over, or goes on with the one that it has.

use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;
use turnpike_core::Config;
use wasm_tests::harness::StackOptions;
use wasm_tests::harness::ready::{self, Page};

use crate::gateways::{Case, Shared, shared};

const DEADLINE: Duration = Duration::from_secs(30);

const PROMPT: &str = "reloadword Hello";

/// A decision of this name for [`PROMPT`]; no sidecar.
fn decide_as(config: &mut Config, name: &str) {
    let rule = json!({"name": "reloadword", "keywords": ["reloadword"]});
    let decision = json!({
        "name": name, "priority": 1000, "modelRefs": [{"model": "qwen3-8b"}],
        "rules": {"type": "keyword", "name": "reloadword"},
    });
    config.keyword_rules = vec![serde_json::from_value(rule).unwrap()];
    config.decisions = vec![serde_json::from_value(decision).unwrap()];
    config.sidecar.enabled = false;
    config.semantic_cache.enabled = false;
}

async fn gateway(stack: &'static Shared, user: &str) -> Case {
    let options = StackOptions {
        dynamic: true,
        ..StackOptions::default()
    };
    Case::new(
        shared(stack, |config| decide_as(config, "before"), options).await,
        user,
    )
}

/// How a request of somebody else is decided.
async fn decision(gateway: &Case) -> anyhow::Result<String> {
    let client = gateway.stack.client("reload-other", "gold");
    let reply = client.ask("auto", PROMPT).send().await?;
    anyhow::ensure!(reply.status == 200, "status {}", reply.status);
    Ok(reply.header("x-vsr-decision"))
}

#[tokio::test]
async fn requests_in_progress_end_as_they_began_and_new_ones_are_decided_anew() {
    static STACK: Shared = OnceCell::const_new();
    let gateway = gateway(&STACK, "reload-good").await;
    assert_eq!(decision(&gateway).await.unwrap(), "before");
    let call = gateway.ask_streamed("auto", PROMPT);
    let call = call.order("hold-after", "2").order("usage", "21,8");
    let call = call.answered_with("one two three four");
    let mut stream = call.open().await.unwrap();
    stream.read_until("one").await.unwrap();

    let change = |config: &mut Config| decide_as(config, "after");
    gateway.stack.reload(change).unwrap();
    let decided = ready::until(DEADLINE, async || {
        let decision = decision(&gateway).await?;
        anyhow::ensure!(decision == "after", "decided as {decision:?}");
        Ok(())
    });
    decided.await.unwrap();

    gateway.stack.records().release(&stream.tag);
    stream.finish().await.unwrap();
    assert_eq!(stream.headers["x-vsr-decision"], "before");
    assert!(stream.text().contains("four"), "{}", stream.text());
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
    gateway.requests(1).await;
    gateway.counted("prompt", 21).await;
    gateway.counted("completion", 8).await;
}

#[tokio::test]
async fn a_configuration_that_the_filters_refuse_changes_nothing() {
    static STACK: Shared = OnceCell::const_new();
    let gateway = gateway(&STACK, "reload-bad").await;
    let plan = gateway.stack.plan();
    let listeners = plan.watched().join("listeners.yaml");
    let good = std::fs::read_to_string(&listeners).unwrap();
    let bad = good.replace(r#"\"decisions\":"#, r#"\"decision\":"#);
    assert_ne!(good, bad);
    let part = plan.folder.join("bad.json");
    std::fs::write(&part, bad).unwrap();
    std::fs::rename(part, listeners).unwrap();
    let refused = ready::until(DEADLINE, async || {
        let page = "/stats?filter=lds.update_rejected";
        let stats = ready::get(Page::Tcp(plan.ports.admin, page)).await?;
        anyhow::ensure!(!stats.contains("update_rejected: 0"), "{stats}");
        Ok(())
    });
    refused.await.unwrap();
    assert_eq!(decision(&gateway).await.unwrap(), "before");
}
