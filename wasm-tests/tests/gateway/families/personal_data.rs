//! Personal data that a decision masks, lets pass, or sends to a model that may see it.

use serde_json::{Value, json};

use super::{APIS, Ask, ask, assert_golden, gateway, question};
use crate::gateways::Case;

const TEXT: &str = "Mail alice@example.org and Bob@example.org, \"then\" alice@example.org;\n\tcard 4111 1111 1111 1111 🙂, again 4111 1111 1111 1111.";

/// Decisions of these tests; the cache is on, so that only the data keeps their answers out of it.
pub(super) fn decisions() -> Value {
    let pii = |configuration: Value| json!([{"type": "pii", "configuration": configuration}]);
    let plain = json!([{"model": "plain"}]);
    json!([
        {"name": "mask", "modelRefs": plain, "plugins": pii(json!({"action": "mask", "pii_types_allowed": ["PERSON", "GPE"]})), "cached": true},
        {"name": "elsewhere", "modelRefs": plain, "plugins": pii(json!({"action": "route_to", "model": "mistral"})), "cached": true},
        {"name": "allow", "modelRefs": plain, "plugins": pii(json!({"action": "allow"})), "cached": true},
    ])
}

fn request(api: &str) -> Value {
    let mut request = question(api);
    match api {
        "chat" => {
            request["messages"] = json!([
                {"role": "system", "content": "Customer: alice@example.org"},
                {"role": "user", "content": [{"type": "text", "text": TEXT}, {"type": "text", "text": "carol@example.org"}]},
            ]);
        }
        "responses" => {
            request["instructions"] = json!("Customer: alice@example.org");
            request["input"][0]["content"][0]["text"] = json!(TEXT);
        }
        _ => {
            request["system"] = json!("Customer: alice@example.org");
            request["messages"][0]["content"] = json!(TEXT);
        }
    }
    request
}

/// What tools were called with and gave back.
fn with_tools(api: &str) -> Value {
    let mut request = question(api);
    if api == "chat" {
        let function = json!({"name": "mail", "arguments": "{\"to\": \"alice@example.org\", \"cc\": [\"Bob@example.org\"]}"});
        request["messages"] = json!([
            {"role": "user", "content": "Write to them."},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "alice@example.org did not answer, carol@example.org did."},
        ]);
    } else {
        let input = json!({"to": "alice@example.org", "cc": ["Bob@example.org"]});
        request["messages"] = json!([
            {"role": "user", "content": "Write to them."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "mail", "input": input}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1",
                "content": "alice@example.org did not answer, carol@example.org did."}]},
        ]);
    }
    request
}

/// Waits until Envoy has counted so many findings of this user.
async fn found(gateway: &Case, kind: &str, times: u64) {
    let metric = gateway.stack.metric("semantic_router_pii_detections_total");
    let metric = metric.label("user", &gateway.user).label("pii_type", kind);
    metric.value(times).await.unwrap();
}

#[tokio::test]
async fn masks_stand_in_place_of_data_and_nothing_else_changes() {
    let gateway = gateway("masks").await;
    let mut asks: Vec<Ask> = APIS
        .iter()
        .map(|api| Ask::new("mask", api, "whole", request(api)))
        .collect();
    asks.push(Ask::new("mask", "chat", "whole", request("chat")).streamed());
    for api in ["chat", "messages"] {
        asks.push(Ask::new("mask", api, "tools", with_tools(api)));
    }
    let mut golden = String::new();
    for (fact, ask) in ask(&gateway, &asks).await.iter().zip(&asks) {
        fact.assert_answered(ask.api);
        let body = fact.received(&gateway).await.body;
        let body = String::from_utf8(body.to_vec()).unwrap();
        for secret in ["@example.org", "4111"] {
            assert!(!body.contains(secret), "{body}");
        }
        golden += &format!("# {}\n> {}\n< {body}\n\n", fact.name, fact.sent);
    }
    assert_golden("masks", &golden);
    let requests = asks.len() as u64;
    gateway.requests(requests).await;
    found(&gateway, "EMAIL_ADDRESS", requests).await;
    found(&gateway, "CREDIT_CARD", requests - 2).await;
}

#[tokio::test]
async fn nothing_with_masks_is_cached() {
    let gateway = gateway("masks-cached").await;
    let say = |decision: &'static str, text: &str| {
        gateway.ask("auto", text).header(super::DECISION, decision)
    };
    for decision in ["mask", "allow", "elsewhere"] {
        for _ in 0..2 {
            let reply = say(decision, "Write to alice@example.org about the harvest.")
                .send()
                .await
                .unwrap();
            assert!(gateway.reached_upstream(&reply), "{decision}");
            assert_eq!(reply.header("x-vsr-cache-hit"), "false");
        }
    }
    // What is stored later is there, so the others would be.
    let mut hit = false;
    for _ in 0..200 {
        let reply = say("mask", "What grows on sandy soil?")
            .send()
            .await
            .unwrap();
        hit = reply.header("x-vsr-cache-hit") == "true";
        if hit {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(hit, "a question without data is answered from the cache");
    for decision in ["mask", "allow", "elsewhere"] {
        let reply = say(decision, "Write to alice@example.org about the harvest.")
            .send()
            .await
            .unwrap();
        assert!(gateway.reached_upstream(&reply), "{decision}");
    }
}

#[tokio::test]
async fn data_goes_to_the_model_that_may_see_it() {
    let gateway = gateway("elsewhere").await;
    for (text, model, served) in [
        (
            "Write to alice@example.org.",
            "mistral",
            "mistral-medium-latest",
        ),
        ("What grows in the shade?", "plain", "plain"),
    ] {
        let call = gateway
            .ask("auto", text)
            .header(super::DECISION, "elsewhere");
        let reply = call.send().await.unwrap();
        assert_eq!(reply.header("x-vsr-model-selected"), model);
        assert_eq!(reply.header("x-vsr-decision"), "elsewhere");
        let body = gateway.upstream(&reply).await.json();
        assert_eq!(body["model"], served);
        assert_eq!(body["messages"][0]["content"], text);
    }
    found(&gateway, "EMAIL_ADDRESS", 1).await;
}

#[tokio::test]
async fn data_that_is_allowed_passes_and_is_counted() {
    let gateway = gateway("allowed").await;
    let call = gateway.ask("auto", TEXT).header(super::DECISION, "allow");
    let reply = call.send().await.unwrap();
    let body = gateway.upstream(&reply).await.json();
    assert_eq!(body["messages"][0]["content"], TEXT);
    found(&gateway, "EMAIL_ADDRESS", 1).await;
    found(&gateway, "CREDIT_CARD", 1).await;
}
