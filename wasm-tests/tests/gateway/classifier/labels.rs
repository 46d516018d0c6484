//! Decisions by labels of heads and by patterns.

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use turnpike_core::Config;

use super::{ordinary, started};
use crate::gateways::{Case, Shared};

/// Decisions by labels of heads and by patterns, the sidecar gone.
async fn labelled(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let decision = |name: &str, priority: i32, rules: Value| json!({"name": name, "priority": priority, "rules": rules, "modelRefs": [{"model": "qwen3-8b"}]});
        let head = |name: &str| json!({"type": "head", "name": name});
        let decisions = json!([
            decision(
                "by_order_number",
                90,
                json!({"type": "keyword", "name": "order_number"})
            ),
            decision("calm_down", 80, head("toxicity:toxic")),
            decision("parcels", 70, head("intent:delivery")),
            decision(
                "look_it_up",
                60,
                json!({"operator": "AND", "conditions": [head("fresh:fresh"), head("toxicity:clean")]})
            ),
        ]);
        let rules = json!([{"name": "order_number", "patterns": [r"\b[A-Z]{2}-\d{4,}\b", r"^\p{Greek}+$"], "case_sensitive": true}]);
        config.prompt_guard.enabled = false;
        config.decisions = serde_json::from_value(decisions).expect("decisions");
        config.keyword_rules = serde_json::from_value(rules).expect("rules");
        config.classifier.heads = serde_json::from_value(
            json!([{"path": "intent.json", "threshold": 0.8, "content": intent()}]),
        )
        .expect("a head");
    };
    started(&STACK, user, change).await
}

/// A head as `turnpike train-head` writes it, of a few sentences.
fn intent() -> Value {
    let things = [
        "parcel", "package", "order", "shipment", "letter", "delivery",
    ];
    let others = [
        "Write a short poem about the sea.",
        "How do I cook rice?",
        "What is the weather in Paris today?",
        "Explain how a bicycle works.",
        "Which film should I watch tonight?",
        "Is it raining right now in London?",
    ];
    let rows = things.iter().zip(others).flat_map(|(thing, other)| {
        [
            json!({"text": format!("Where is my {thing}? It should have arrived by post yesterday."), "label": "delivery"}),
            json!({"text": other, "label": "other"}),
        ]
    });
    let rows: String = rows.map(|row| format!("{row}\n")).collect();
    let (head, _) =
        turnpike::train_head::train_head("intent", None, rows.as_bytes()).expect("enough rows");
    serde_json::from_str(&head).expect("JSON")
}

#[tokio::test]
async fn labels_of_heads_and_patterns_decide() {
    let gateway = labelled("classifier-labels").await;
    for (text, decision) in [
        ("What about AB-12345?", "by_order_number"),
        ("καλημέρα", "by_order_number"),
        ("Write a short poem about the sea and ab-12345.", "default"),
        (
            "You stupid fucking idiot, shut up, you worthless piece of garbage.",
            "calm_down",
        ),
        (
            "Where is my parcel? It should have arrived by post on Monday.",
            "parcels",
        ),
        ("What is the weather in Oslo right now?", "look_it_up"),
        ("Explain how a steam engine works.", "default"),
    ] {
        let reply = gateway.ask("auto", text).send().await.unwrap();
        assert_eq!(reply.status, 200, "{text}");
        assert_eq!(reply.header("x-vsr-decision"), decision, "{text}");
        assert_eq!(reply.header("x-vsr-fallback"), "", "{text}");
    }
}

#[tokio::test]
async fn a_budget_that_ends_early_neither_forgets_nor_invents_a_label() {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let toxic = json!({"type": "head", "name": "toxicity:toxic"});
        config.prompt_guard.enabled = false;
        config
            .model_config
            .values_mut()
            .for_each(|model| model.pii_policy = None);
        (config.guards.slice_ms, config.guards.budget_ms) = (1, 1);
        config.decisions = serde_json::from_value(json!([
            {"name": "toxic", "priority": 2, "rules": toxic, "modelRefs": [{"model": "qwen3-8b"}]},
            {"name": "polite", "priority": 1, "rules": {"operator": "NOT", "conditions": [toxic]}, "modelRefs": [{"model": "qwen3-8b"}]},
        ]))
        .expect("decisions");
    };
    let gateway = started(&STACK, "classifier-labels-budget", change).await;
    let insult = "You stupid fucking idiot, shut up, you worthless piece of garbage. ";
    for (text, decision, fallback) in [
        ("Explain how a steam engine works.".to_owned(), "polite", ""),
        (insult.repeat(12_000), "toxic", "topic_budget"),
        (ordinary(900_000), "fallback", "topic_budget"),
    ] {
        let reply = gateway.ask("auto", &text).send().await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-vsr-decision"), decision);
        assert_eq!(reply.header("x-vsr-fallback"), fallback);
    }
}
