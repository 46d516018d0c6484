//! Which model and which server a request gets, and what the server sees.

use serde_json::json;

use crate::gateways::maas;

#[tokio::test]
async fn a_keyword_rule_chooses_the_model() {
    let gateway = maas("routing-keyword").await;
    let reply = gateway
        .ask("auto", "Explain this segfault, please.")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-decision"), "code");
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-coder");
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.json()["model"], "qwen3-coder");
    assert_eq!(received.header("x-selected-model"), ["qwen3-coder"]);
    assert_eq!(received.server, "large");
}

#[tokio::test]
async fn a_keyword_is_found_whatever_its_case() {
    let gateway = maas("routing-case").await;
    let reply = gateway
        .ask("auto", "help with a sql QUERY")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn a_keyword_within_a_word_does_not_count() {
    let gateway = maas("routing-word").await;
    let reply = gateway
        .ask("auto", "What does regexology mean?")
        .send()
        .await
        .unwrap();
    assert_ne!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn a_category_chooses_the_model() {
    let gateway = maas("routing-category").await;
    let reply = gateway
        .ask("auto", "What is the derivative of x squared times cos x?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-category"), "math");
    assert_eq!(reply.header("x-vsr-decision"), "hard_reasoning");
    assert_eq!(reply.header("x-vsr-model-selected"), "gpt-oss-120b");
    assert_eq!(gateway.upstream(&reply).await.server, "large");
}

#[tokio::test]
async fn the_higher_priority_wins_where_two_decisions_hold() {
    let gateway = maas("routing-priority").await;
    let reply = gateway
        .ask("auto", "Write a unit test for the derivative of x squared.")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn a_category_nobody_decides_on_goes_to_the_default_model() {
    let gateway = maas("routing-default").await;
    let reply = gateway
        .ask("auto", "Tell me a joke about two cats.")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "default");
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-8b");
    assert_eq!(gateway.upstream(&reply).await.server, "small");
}

#[tokio::test]
async fn the_configured_auto_name_works_as_auto_does() {
    let gateway = maas("routing-mom").await;
    let reply = gateway
        .ask("MoM", "Which regex matches a date?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
    assert_eq!(
        gateway.upstream(&reply).await.json()["model"],
        "qwen3-coder"
    );
}

#[tokio::test]
async fn reasoning_effort_is_set_where_the_decision_wants_it() {
    let gateway = maas("routing-effort").await;
    let reply = gateway
        .ask("auto", "What is the derivative of sin x over x?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-reasoning-enabled"), "on");
    let body = gateway.upstream(&reply).await.json();
    assert_eq!(body["reasoning_effort"], "high");
}

#[tokio::test]
async fn where_a_decision_has_an_opinion_the_clients_effort_does_not_count() {
    let gateway = maas("routing-own-effort").await;
    let reply = gateway
        .chat(&json!({
            "model": "auto", "reasoning_effort": "low",
            "messages": [{"role": "user", "content": "What is the derivative of x squared?"}],
        }))
        .send()
        .await
        .unwrap();
    let body = gateway.upstream(&reply).await.json();
    assert_eq!(body["reasoning_effort"], "high");
}

#[tokio::test]
async fn thinking_is_switched_off_where_the_decision_wants_none() {
    let gateway = maas("routing-no-thinking").await;
    let reply = gateway
        .ask("auto", "What are the symptoms of iron deficiency?")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "health");
    assert_eq!(reply.header("x-vsr-reasoning-enabled"), "off");
    let body = gateway.upstream(&reply).await.json();
    assert_eq!(body["chat_template_kwargs"]["enable_thinking"], false);
}

#[tokio::test]
async fn a_named_model_is_taken_and_its_body_arrives_byte_for_byte() {
    let gateway = maas("routing-named").await;
    let body = r#" { "messages" : [ {"role":"user","content":"Gr\u00fc\u00dfe \ud83d\ude42 \"x\"" } ] ,
        "seed": 12345678901234567890, "temperature": 1.0e0, "model":"qwen3-coder" , "x":{"b":1,"a":[ ]} } "#;
    let reply = gateway
        .post("/v1/chat/completions", body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-vsr-decision"), "none");
    assert_eq!(gateway.upstream(&reply).await.body, body);
}

#[tokio::test]
async fn everything_but_the_model_arrives_byte_for_byte() {
    let gateway = maas("routing-splice").await;
    let body = r#"{ "temperature": 0.70,"messages":[ {"role":"user","content":"a regex \u00e9 \n \/"}],"model" : "auto" ,"n":1 }"#;
    let reply = gateway
        .post("/v1/chat/completions", body)
        .send()
        .await
        .unwrap();
    let expected = body.replace("\"auto\"", "\"qwen3-coder\"");
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.body, expected);
    assert_eq!(
        received.header("content-length"),
        [expected.len().to_string()]
    );
}

#[tokio::test]
async fn text_parts_are_read_like_text() {
    let gateway = maas("routing-parts").await;
    let reply = gateway
        .chat(
            &json!({"model": "auto", "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "Why does this stack trace appear?"},
            ]}]}),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn escaped_text_is_read_as_what_it_says() {
    let gateway = maas("routing-escaped").await;
    let body =
        r#"{"model":"auto","messages":[{"role":"user","content":"\u0072eg\u0065x please"}]}"#;
    let reply = gateway
        .post("/v1/chat/completions", body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
}

#[tokio::test]
async fn a_completion_is_routed_by_its_prompt() {
    let gateway = maas("routing-completion").await;
    let body = json!({"model": "auto", "prompt": "kubectl get pods shows"});
    let reply = gateway
        .post("/v1/completions", body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(reply.header("x-vsr-decision"), "code");
    assert_eq!(reply.json()["object"], "text_completion");
    assert_eq!(gateway.upstream(&reply).await.path, "/v1/completions");
}

#[tokio::test]
async fn the_query_of_the_path_is_kept() {
    let gateway = maas("routing-query").await;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "regex"}]});
    let reply = gateway
        .post("/v1/chat/completions?api-version=1", body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    let path = gateway.upstream(&reply).await.path;
    assert_eq!(path, "/v1/chat/completions?api-version=1");
}

#[tokio::test]
async fn the_list_of_models_is_answered_here() {
    let gateway = maas("routing-models").await;
    let reply = gateway.get("/v1/models").send().await.unwrap();
    assert_eq!(reply.status, 200);
    let list = reply.json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["auto", "MoM", "gpt-oss-120b", "qwen3-8b", "qwen3-coder"]
    );
    assert!(!gateway.reached_upstream(&reply));
}

#[tokio::test]
async fn the_access_log_says_what_was_decided() {
    let gateway = maas("routing-log").await;
    let reply = gateway
        .ask("auto", "What is the derivative of tan x?")
        .send()
        .await
        .unwrap();
    let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
    for (field, value) in [
        ("user", "routing-log"),
        ("tier", "gold"),
        ("model", "gpt-oss-120b"),
        ("decision", "hard_reasoning"),
        ("category", "math"),
        ("reasoning", "on"),
        ("cache", "miss"),
        ("stream", "false"),
        ("upstream_cluster", "llm/gpt-oss-120b"),
        ("status", "200"),
    ] {
        assert_eq!(entry.text(field), value, "{field}");
    }
    assert!(entry.number("request_overhead_us").unwrap() > 0);
    assert!(entry.number("sidecar_us").unwrap() > 0);
    assert!(!entry.0.to_string().contains("derivative"));
}
