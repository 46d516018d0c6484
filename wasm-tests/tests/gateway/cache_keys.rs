//! What must be the same for two requests to share an answer, and what is never cached.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use wasm_tests::harness::ready::until;

use crate::cache::{QUESTION, ask, is_hit, question, stored};
use crate::cache_gateways::controlled;
use crate::gateways::{Case, maas};

/// Once it hits, everything before it would have been stored.
const LATER: &str = "Why does my knee hurt after running?";

fn tools(name: &str) -> Value {
    json!([{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}])
}

fn with(key: &str, value: Value) -> Value {
    let mut body = question(QUESTION);
    body[key] = value;
    body
}

fn looking_at(url: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": [
        {"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}},
    ]}]})
}

fn after(turns: Value) -> Value {
    let mut messages = turns.as_array().unwrap().clone();
    messages.push(json!({"role": "user", "content": QUESTION}));
    json!({"model": "auto", "messages": messages})
}

/// Requests that ask the same of which no two share an answer.
fn unlike() -> Vec<Value> {
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    vec![
        question(QUESTION),
        after(json!([turn("system", "Answer like a pirate.")])),
        after(json!([turn("system", "Answer like a nurse.")])),
        after(json!([turn("developer", "Answer like a nurse.")])),
        after(json!([
            turn("user", "I am a horse."),
            turn("assistant", "Noted.")
        ])),
        after(json!([
            turn("user", "I am a house."),
            turn("assistant", "Noted.")
        ])),
        after(json!([
            turn("user", "I am a horse."),
            turn("assistant", "Noted!")
        ])),
        with("tools", tools("healing_time")),
        with("tools", tools("healing_times")),
        with("temperature", json!(0.2)),
        with("temperature", json!(0)),
        with("seed", json!(7)),
        with("n", json!(2)),
        with("max_tokens", json!(400)),
        with("response_format", json!({"type": "json_object"})),
        looking_at("data:image/png;base64,AAAA"),
        looking_at("data:image/png;base64,AAAB"),
    ]
}

#[tokio::test]
async fn everything_that_shapes_an_answer_is_part_of_the_question() {
    let gateway = maas("keys-unlike").await;
    let answer = |at: usize| format!("the answer to request {at}");
    for (at, body) in unlike().iter().enumerate() {
        let send = async || gateway.chat(body).answered_with(&answer(at)).send().await;
        assert!(!is_hit(&send().await.unwrap()), "{body}");
        let hit = until(Duration::from_secs(20), async || {
            let reply = send().await?;
            ensure!(is_hit(&reply), "not stored");
            Ok(reply)
        });
        let content = hit.await.unwrap().content();
        assert_eq!(content, answer(at), "{body}");
    }
    // With all of them stored, each still gets its own.
    for (at, body) in unlike().iter().enumerate() {
        let reply = ask(&gateway, body).await;
        let content = reply.content();
        assert!(is_hit(&reply) && content == answer(at), "{body}: {content}");
    }
}

/// Asks twice, with time to store between, and expects no hit and so many skipped for that reason.
async fn is_never_cached(gateway: &Case, body: &Value, reason: &str) {
    let skipped = gateway.stack.metric("turnpike_cache_skipped_total");
    let skipped = skipped.label("reason", reason);
    let before = skipped.now().await.unwrap();
    assert!(!is_hit(&ask(gateway, body).await), "{body}");
    stored(gateway, &question(LATER)).await;
    let again = ask(gateway, body).await;
    assert!(
        !is_hit(&again) && gateway.reached_upstream(&again),
        "{body}"
    );
    skipped.at_least(before + 2).await.unwrap();
}

#[tokio::test]
async fn personal_data_is_never_cached_even_where_it_may_pass() {
    let gateway = controlled("keys-personal").await;
    let mail = "How long does the sprained ankle of bob@example.org take to heal?";
    is_never_cached(&gateway, &question(mail), "personal_data").await;
    let earlier = after(json!([{"role": "user", "content": "I am bob@example.org."}]));
    is_never_cached(&gateway, &earlier, "personal_data").await;
}

#[tokio::test]
async fn answers_that_shall_vary_are_not_cached() {
    let gateway = maas("keys-temperature").await;
    is_never_cached(&gateway, &with("temperature", json!(1.01)), "temperature").await;
}

#[tokio::test]
async fn a_message_without_text_of_the_user_is_not_cached() {
    let gateway = maas("keys-no-text").await;
    let image = json!({"model": "auto", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]}]});
    is_never_cached(&gateway, &image, "no_text").await;
    let result = json!({"model": "auto", "messages": [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "1", "content": "six weeks"},
    ]});
    is_never_cached(&gateway, &result, "no_text").await;
}
