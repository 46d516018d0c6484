//! Answers that a decision gives by itself.

use serde_json::{Value, json};

use super::{APIS, Ask, ask, gateway, question};

const MESSAGE: &str = "We are closed.\n\"Bis morgen\" 🙂 \\ {date}";

pub(super) fn decisions() -> Value {
    json!([{"name": "fast", "modelRefs": [{"model": "plain"}],
        "plugins": [{"type": "fast_response", "configuration": {"message": MESSAGE}}]}])
}

#[tokio::test]
async fn an_answer_without_a_model_is_read_by_every_client() {
    let gateway = gateway("fast").await;
    let asks: Vec<Ask> = APIS
        .iter()
        .flat_map(|api| {
            let ask = || Ask::new("fast", api, "fast", question(api));
            [ask(), ask().streamed()]
        })
        .collect();
    for (fact, ask) in ask(&gateway, &asks).await.iter().zip(&asks) {
        let finish = match ask.api {
            "chat" => "stop",
            "responses" => "completed",
            _ => "end_turn",
        };
        assert_eq!(fact.read["text"], MESSAGE, "{}", fact.name);
        assert_eq!(fact.read["finish"], finish, "{}", fact.name);
        assert_eq!(fact.read["model"], "plain", "{}", fact.name);
        // A stream says nothing of tokens unless it is asked.
        let tokens = &fact.read["tokens"];
        assert!(
            *tokens == json!(0) || tokens.is_null() && ask.stream,
            "{}",
            fact.name
        );
        assert_eq!(fact.header("x-vsr-decision"), "fast");
        assert!(gateway.stack.records().tagged(&fact.tag).is_empty());
    }
    let metric = |name: &str| gateway.stack.metric(name).label("user", &gateway.user);
    let counted = metric("semantic_router_requests_total").label("decision", "fast");
    counted.value(asks.len() as u64).await.unwrap();
    gateway.requests(asks.len() as u64).await;
    let tokens = metric("semantic_router_tokens_total");
    assert_eq!(tokens.now().await.unwrap(), 0);
}

#[tokio::test]
async fn completions_have_such_answers_and_embeddings_an_error() {
    let gateway = gateway("fast-others").await;
    let post = |path: &str, body: Value| {
        gateway
            .post(path, body.to_string())
            .header(super::DECISION, "fast")
    };
    let reply = post(
        "/v1/completions",
        json!({"model": "auto", "prompt": "Hello"}),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(reply.json()["choices"][0]["text"], MESSAGE);
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "stop");
    let reply = post("/v1/embeddings", json!({"model": "auto", "input": "Hello"}))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(reply.error_code(), "not_served");
    gateway.requests(2).await;
}
