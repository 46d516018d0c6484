//! Decisions by what the sidecar's heads, classifiers and language model say: with the one call that is made anyway.

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use turnpike_core::Config;
use wasm_tests::harness::{StackOptions, root};

use crate::gateways::{Case, Shared, shared};

const ROUTES: [&str; 4] = ["MODERATE", "COMPLEX", "ENRICH", "META"];

/// First a classifier's label, then the language model's: the reference models, which answer by chance but always the same.
fn asks(config: &mut Config) {
    let models = root().join("models/reference");
    let classifier =
        json!({"name": "topic", "path": models.join("modernbert-topic"), "threshold": 0.42});
    let llm = json!({"engine": "onnx", "path": models.join("qwen3"), "timeout_ms": 15_000});
    config.sidecar.classifiers = vec![serde_json::from_value(classifier).unwrap()];
    config.sidecar.llm_classifier = Some(serde_json::from_value(llm).unwrap());
    config.semantic_cache.enabled = false;
    let decision = |name: &str, priority: usize, kind: &str, condition: &str, model: &str| {
        json!({
            "name": name, "priority": priority,
            "rules": {"type": kind, "name": condition},
            "modelRefs": [{"model": model}],
        })
    };
    let mut decisions = vec![decision(
        "refunds",
        9,
        "head",
        "topic:refund",
        "qwen3-coder",
    )];
    decisions.extend(ROUTES.map(|label| decision(label, 5, "llm", label, "gpt-oss-120b")));
    config.decisions = serde_json::from_value(Value::Array(decisions)).unwrap();
    assert_eq!(config.validate(), []);
}

async fn asking(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    Case::new(shared(&STACK, asks, StackOptions::default()).await, user)
}

/// What `models/reference` expects of a text: its best label and the probability of that.
fn texts() -> Vec<(String, String, f64)> {
    let path = root().join("models/reference/modernbert-topic/expected.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let labels = row["probabilities"].as_object().unwrap().iter();
        let labels = labels.map(|(label, p)| (label.clone(), p.as_f64().unwrap()));
        let (label, p) = labels.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        (row["text"].as_str().unwrap().to_owned(), label, p)
    };
    lines.lines().map(row).collect()
}

#[tokio::test]
async fn a_classifier_and_a_language_model_decide_with_one_call() {
    let gateway = asking("asking").await;
    let (mut refunds, mut others) = (0, 0);
    for (text, label, probability) in texts() {
        let reply = gateway.ask("auto", &text).send().await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let decision = reply.header("x-vsr-decision");
        let asked = gateway.stack.access(&reply.request_id()).await.unwrap();
        assert!(asked.number("sidecar_us").is_some());
        assert_eq!(reply.header("x-vsr-fallback"), "");
        if label == "refund" && probability >= 0.42 {
            refunds += 1;
            assert_eq!(decision, "refunds", "{text}");
            assert_eq!(
                gateway.upstream(&reply).await.json()["model"],
                "qwen3-coder"
            );
        } else {
            others += 1;
            assert!(ROUTES.contains(&decision.as_str()), "{text}: {decision}");
            assert_eq!(
                gateway.upstream(&reply).await.json()["model"],
                "gpt-oss-120b"
            );
        }
    }
    assert!(refunds > 0 && others > 0, "{refunds} {others}");
}
