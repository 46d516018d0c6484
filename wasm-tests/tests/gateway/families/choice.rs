//! The model that is chosen among several.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{DECISION, gateway};

/// Decisions of these tests, and the models that they choose among.
pub(super) fn decisions(models: &mut Value) -> Value {
    for (name, price, quality) in [("dear", 10.0, 0.9), ("fair", 2.0, 0.7), ("cheap", 0.5, 0.3)] {
        models[name] = json!({"preferred_endpoints": ["small"], "quality_score": quality,
            "pricing": {"currency": "EUR", "prompt_per_1m": price, "completion_per_1m": price}});
    }
    let all = json!([{"model": "cheap"}, {"model": "dear"}, {"model": "fair"}]);
    json!([
        {"name": "best", "modelRefs": all, "algorithm": {"type": "score"}},
        {"name": "cheapest", "modelRefs": all, "algorithm": {"type": "cost_aware", "min_quality": 0.5}},
        {"name": "first", "modelRefs": all},
        {"name": "shares", "algorithm": {"type": "weighted"}, "modelRefs": [
            {"model": "cheap", "weight": 1}, {"model": "dear", "weight": 1}, {"model": "fair", "weight": 0}]},
    ])
}

#[tokio::test]
async fn the_first_the_best_or_the_cheapest_model_answers() {
    let gateway = gateway("choice").await;
    for (decision, model) in [("first", "cheap"), ("best", "dear"), ("cheapest", "fair")] {
        let reply = gateway
            .ask("auto", "Hello")
            .header(DECISION, decision)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.header("x-vsr-model-selected"), model, "{decision}");
        assert_eq!(gateway.upstream(&reply).await.json()["model"], model);
        let metric = gateway.stack.metric("semantic_router_requests_total");
        let metric = metric.label("user", &gateway.user).label("model", model);
        metric.label("decision", decision).value(1).await.unwrap();
    }
}

#[tokio::test]
async fn shares_are_of_conversations_and_nobody_has_a_share_of_none() {
    let gateway = gateway("shares").await;
    let mut models = BTreeSet::new();
    for number in 0..40 {
        let opening = json!({"role": "user", "content": format!("Question {number}?")});
        let mut turns = vec![opening];
        let mut chosen = BTreeSet::new();
        for _ in 0..2 {
            let body = json!({"model": "auto", "messages": turns});
            let reply = gateway
                .chat(&body)
                .header(DECISION, "shares")
                .send()
                .await
                .unwrap();
            chosen.insert(reply.header("x-vsr-model-selected"));
            turns.push(json!({"role": "assistant", "content": "So it is."}));
            turns.push(json!({"role": "user", "content": "And then?"}));
        }
        assert_eq!(chosen.len(), 1, "a conversation stays with its model");
        models.extend(chosen);
    }
    let wanted = ["cheap", "dear"].map(String::from);
    assert_eq!(models, BTreeSet::from(wanted));
}
