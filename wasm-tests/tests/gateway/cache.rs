//! Answers from the cache: the same bytes, to whom they belong, and only where they fit.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{Client, Reply};

use crate::gateways::{Case, MAX_CACHED_BODY_BYTES, maas};

pub(crate) const QUESTION: &str = "How long does a sprained ankle take to heal?";
pub(crate) const PARAPHRASE: &str = "How long does it take for a sprained ankle to heal?";

pub(crate) fn is_hit(reply: &Reply) -> bool {
    reply.header("x-vsr-cache-hit") == "true"
}

/// Asks until the answer comes from the cache; the answer is stored beside the request, not within it.
pub(crate) async fn stored(client: &Client, body: &Value) -> Reply {
    let hit = until(Duration::from_secs(20), async || {
        let reply = client.chat(body).send().await?;
        if is_hit(&reply) {
            return Ok(reply);
        }
        bail!("not stored");
    });
    hit.await.expect("the answer is stored")
}

pub(crate) fn question(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

pub(crate) async fn ask(gateway: &Case, body: &Value) -> Reply {
    gateway.chat(body).send().await.unwrap()
}

#[tokio::test]
async fn a_repeated_question_gets_the_stored_bytes() {
    let gateway = maas("cache-repeated").await;
    let first = ask(&gateway, &question(QUESTION)).await;
    assert!(!is_hit(&first));
    let again = stored(&gateway, &question(QUESTION)).await;
    assert_eq!(again.status, 200);
    assert!(!gateway.reached_upstream(&again));
    assert_eq!(again.json()["object"], "chat.completion");
    assert_eq!(again.content(), first.content());
    assert_eq!(again.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_paraphrase_gets_the_stored_answer() {
    let gateway = maas("cache-paraphrase").await;
    let known = stored(&gateway, &question(QUESTION)).await;
    let reply = ask(&gateway, &question(PARAPHRASE)).await;
    assert!(is_hit(&reply));
    assert_eq!(reply.content(), known.content());
    assert_ne!(
        reply.json()["id"],
        known.json()["id"],
        "each answer has its own"
    );
    assert_eq!(reply.header("x-vsr-decision"), "health");
    assert_eq!(reply.header("x-vsr-category"), "health");
    assert_eq!(reply.header("x-vsr-model-selected"), "qwen3-8b");
}

#[tokio::test]
async fn another_question_does_not() {
    let gateway = maas("cache-other").await;
    stored(&gateway, &question(QUESTION)).await;
    let reply = ask(
        &gateway,
        &question("How long does a broken arm take to heal?"),
    )
    .await;
    assert!(!is_hit(&reply));
}

#[tokio::test]
async fn one_users_answers_are_never_anothers() {
    let gateway = maas("cache-owner").await;
    stored(&gateway, &question(QUESTION)).await;
    let other = gateway.stack.client("cache-stranger", "gold");
    let reply = other.chat(&question(QUESTION)).send().await.unwrap();
    assert!(!is_hit(&reply));
}

#[tokio::test]
async fn a_caller_without_identity_is_not_cached() {
    let gateway = maas("cache-nobody").await;
    for _ in 0..3 {
        let call = gateway
            .chat(&question(QUESTION))
            .without("x-auth-request-user");
        assert!(!is_hit(&call.send().await.unwrap()));
    }
    let skipped = gateway.stack.metric("turnpike_cache_skipped_total");
    let skipped = skipped.label("reason", "no_identity");
    skipped.at_least(3).await.unwrap();
}

#[tokio::test]
async fn the_conversation_before_the_question_counts() {
    let gateway = maas("cache-conversation").await;
    stored(&gateway, &question(QUESTION)).await;
    for before in [
        json!([{"role": "system", "content": "Answer like a pirate."}]),
        json!([{"role": "user", "content": "I am a horse."}, {"role": "assistant", "content": "Noted."}]),
    ] {
        let mut messages = before.as_array().unwrap().clone();
        messages.push(json!({"role": "user", "content": QUESTION}));
        let reply = ask(&gateway, &json!({"model": "auto", "messages": messages})).await;
        assert!(!is_hit(&reply), "{before}");
    }
}

#[tokio::test]
async fn other_parameters_are_another_question() {
    let gateway = maas("cache-parameters").await;
    stored(&gateway, &question(QUESTION)).await;
    for (key, value) in [
        ("temperature", json!(0.9)),
        ("max_tokens", json!(5)),
        ("response_format", json!({"type": "json_object"})),
        ("tools", json!([])),
    ] {
        let mut body = question(QUESTION);
        body[key] = value;
        assert!(!is_hit(&ask(&gateway, &body).await), "{key}");
    }
}

#[tokio::test]
async fn a_hit_costs_no_tokens_and_is_counted() {
    let gateway = maas("cache-cost").await;
    let first = ask(&gateway, &question(QUESTION)).await;
    let usage = first.json()["usage"].clone();
    let hit = stored(&gateway, &question(PARAPHRASE)).await;
    let entry = gateway.stack.access(&hit.request_id()).await.unwrap();
    assert_eq!(entry.text("cache"), "hit");
    assert_eq!(entry.number("prompt_tokens"), Some(0));
    let hits = gateway.stack.metric("semantic_router_cache_hits_total");
    hits.label("user", "cache-cost").value(1).await.unwrap();
    let misses = gateway.stack.metric("semantic_router_cache_misses_total");
    let misses = misses.label("user", "cache-cost").now().await.unwrap();
    gateway.requests(1 + misses).await;
    let prompt = usage["prompt_tokens"].as_u64().unwrap();
    let served = gateway.stack.records().served();
    let mine = served.iter().filter(|((_, user), _)| user == "cache-cost");
    let prompts: u64 = mine.map(|(_, usage)| usage.prompt_tokens).sum();
    assert!(prompts >= prompt);
    gateway.counted("prompt", prompts).await;
}

#[tokio::test]
async fn a_decision_may_keep_the_cache_out() {
    let gateway = maas("cache-code").await;
    let code = question("Which regex matches an empty line?");
    ask(&gateway, &code).await;
    stored(&gateway, &question(QUESTION)).await;
    let reply = ask(&gateway, &code).await;
    assert_eq!(reply.header("x-vsr-decision"), "code");
    assert!(!is_hit(&reply));
}

#[tokio::test]
async fn a_named_model_is_never_answered_from_the_cache() {
    let gateway = maas("cache-named").await;
    stored(&gateway, &question(QUESTION)).await;
    let mut named = question(QUESTION);
    named["model"] = json!("qwen3-8b");
    for _ in 0..2 {
        assert!(!is_hit(&ask(&gateway, &named).await));
    }
    // What came later has been stored, so what came before would have been.
    stored(&gateway, &question("Why does my knee hurt after running?")).await;
    assert!(!is_hit(&ask(&gateway, &named).await));
}

#[tokio::test]
async fn what_is_no_whole_answer_is_not_stored() {
    let gateway = maas("cache-partial").await;
    let long = (MAX_CACHED_BODY_BYTES / 4).to_string();
    let questions = [
        ("status", "500", "What helps against hay fever?"),
        ("finish-reason", "length", "How do I sleep better at night?"),
        ("tokens", long.as_str(), "Which vitamins are in oranges?"),
        ("content-type", "text/plain", "Is running bad for my knees?"),
    ];
    for (order, value, text) in questions {
        let call = gateway.chat(&question(text)).order(order, value);
        assert!(!is_hit(&call.send().await.unwrap()), "{order}");
    }
    // What came later has been stored, so what came before would have been.
    stored(&gateway, &question(QUESTION)).await;
    for (order, _, text) in questions {
        assert!(!is_hit(&ask(&gateway, &question(text)).await), "{order}");
    }
}

fn streamed(text: &str) -> Value {
    let mut body = question(text);
    body["stream"] = json!(true);
    body
}

/// The chunks of a stream, which must end as one.
fn chunks(reply: &Reply) -> Vec<Value> {
    let text = reply.text();
    let events = text.strip_suffix("data: [DONE]\n\n").expect("complete");
    let events = events.split_terminator("\n\n");
    events
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn told(chunks: &[Value]) -> String {
    let pieces = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    pieces.map(Option::unwrap_or_default).collect()
}

#[tokio::test]
async fn an_answer_that_was_a_body_is_given_as_a_stream() {
    let gateway = maas("cache-to-stream").await;
    let first = ask(&gateway, &question(QUESTION)).await;
    stored(&gateway, &question(QUESTION)).await;
    let reply = ask(&gateway, &streamed(PARAPHRASE)).await;
    assert!(is_hit(&reply));
    assert!(!gateway.reached_upstream(&reply));
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let told_chunks = chunks(&reply);
    assert_eq!(told(&told_chunks), first.content());
    assert!(
        told_chunks
            .iter()
            .all(|chunk| chunk.get("usage").is_none_or(Value::is_null)),
        "nobody asked for the usage"
    );
    let last = told_chunks.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_ne!(last["id"], first.json()["id"], "each answer has its own");
    let mut with_usage = streamed(QUESTION);
    with_usage["stream_options"] = json!({"include_usage": true});
    let reply = ask(&gateway, &with_usage).await;
    assert!(is_hit(&reply));
    let told_chunks = chunks(&reply);
    let last = told_chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"]["total_tokens"],
        first.json()["usage"]["total_tokens"]
    );
}

#[tokio::test]
async fn an_answer_that_was_a_stream_is_given_as_a_body() {
    let gateway = maas("cache-from-stream").await;
    let first = ask(&gateway, &streamed(QUESTION)).await;
    assert!(!is_hit(&first));
    let content = told(&chunks(&first));
    assert!(content.len() > 20, "{content}");
    let hit = stored(&gateway, &question(QUESTION)).await;
    assert_eq!(hit.content(), content);
    assert_eq!(hit.json()["object"], "chat.completion");
    assert_eq!(hit.json()["choices"][0]["finish_reason"], "stop");
    let again = ask(&gateway, &streamed(PARAPHRASE)).await;
    assert!(is_hit(&again));
    assert_eq!(told(&chunks(&again)), content);
    let entry = gateway.stack.access(&again.request_id()).await.unwrap();
    assert_eq!(entry.text("cache"), "hit");
    assert_eq!(entry.number("completion_tokens"), Some(0));
}
