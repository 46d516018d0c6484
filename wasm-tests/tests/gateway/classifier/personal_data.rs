//! Personal data: the policy of the model decides what may reach it.

use super::{CARD, assert_blocked, guard, ordinary};

#[tokio::test]
async fn personal_data_passes_where_the_models_policy_lets_it() {
    let gateway = guard("classifier-pii").await;
    let mail = "Write to alice@example.org about lunch.";
    let reply = gateway.ask("qwen3-8b", mail).send().await.unwrap();
    assert!(gateway.reached_upstream(&reply));
    assert_eq!(reply.header("x-vsr-pii-types"), "EMAIL_ADDRESS");
    let reply = gateway.ask("qwen3-coder", mail).send().await.unwrap();
    assert_blocked(&gateway, &reply);
    let reply = gateway.ask("qwen3-8b", CARD).send().await.unwrap();
    assert_blocked(&gateway, &reply);
    assert!(
        reply.content().contains("CREDIT_CARD"),
        "{}",
        reply.content()
    );
    // No policy, no look.
    let reply = gateway.ask("gpt-oss-120b", CARD).send().await.unwrap();
    assert!(gateway.reached_upstream(&reply));
    for (kind, times) in [("EMAIL_ADDRESS", 2), ("CREDIT_CARD", 1)] {
        let found = gateway.stack.metric("semantic_router_pii_detections_total");
        let found = found
            .label("user", "classifier-pii")
            .label("tier", "gold")
            .label("pii_type", kind);
        found.value(times).await.unwrap();
    }
}

#[tokio::test]
async fn names_pass_where_the_models_policy_lets_them() {
    let gateway = guard("classifier-names").await;
    let names = "Please write a letter to Maria Schneider in Lisbon.";
    let reply = gateway.ask("qwen3-8b", names).send().await.unwrap();
    assert!(gateway.reached_upstream(&reply), "{}", reply.text());
    assert_eq!(reply.header("x-vsr-pii-types"), "GPE,PERSON");
    let reply = gateway.ask("qwen3-coder", names).send().await.unwrap();
    assert_blocked(&gateway, &reply);
    assert!(reply.content().contains("PERSON"), "{}", reply.content());
    let address = "Please write a letter to 12 Baker Street, London.";
    let reply = gateway.ask("qwen3-8b", address).send().await.unwrap();
    assert_blocked(&gateway, &reply);
    assert!(
        reply.content().contains("STREET_ADDRESS"),
        "{}",
        reply.content()
    );
}

#[tokio::test]
async fn streamed_requests_with_personal_data_are_stopped_too() {
    let gateway = guard("classifier-pii-stream").await;
    let reply = gateway.ask_streamed("auto", CARD).send().await.unwrap();
    assert_eq!(
        reply.chunks()[0]["choices"][0]["finish_reason"],
        "content_filter"
    );
    assert!(!gateway.reached_upstream(&reply));
}

#[tokio::test]
async fn personal_data_at_the_end_of_a_long_text_is_found() {
    let gateway = guard("classifier-pii-long").await;
    let text = format!("{}{CARD}", ordinary(200_000));
    let reply = gateway.ask("qwen3-8b", &text).send().await.unwrap();
    assert_blocked(&gateway, &reply);
}
