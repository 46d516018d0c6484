//! Streams: nothing held back, nothing lost, nothing leaked, everything counted.

use serde_json::json;
use wasm_tests::standin::Outcome;

use crate::gateways::maas;

const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn the_first_event_arrives_before_the_server_sends_the_second() {
    let gateway = maas("streaming-first").await;
    let call = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("hold-after", "1");
    let mut stream = call.open().await.unwrap();
    stream.read_until("\"role\"").await.unwrap();
    let held = gateway.stack.arrived(&stream.tag).await.unwrap();
    assert_eq!(held.outcome, Outcome::Open);
    gateway.stack.records().release(&stream.tag);
    stream.finish().await.unwrap();
    assert!(stream.text().ends_with(DONE));
}

#[tokio::test]
async fn every_event_arrives_before_the_next_is_sent() {
    let gateway = maas("streaming-each").await;
    let call = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("hold-after", "4")
        .answered_with("one two three four");
    let mut stream = call.open().await.unwrap();
    stream.read_until("three").await.unwrap();
    assert!(!stream.text().contains("four"));
    gateway.stack.records().release(&stream.tag);
    stream.finish().await.unwrap();
    assert!(stream.text().contains("four"));
}

#[tokio::test]
async fn usage_is_asked_for_and_taken_out_where_the_client_did_not_ask() {
    let gateway = maas("streaming-hidden").await;
    let reply = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("usage", "21,8")
        .send()
        .await
        .unwrap();
    assert!(!reply.text().contains("usage"), "{}", reply.text());
    assert!(reply.text().ends_with(DONE));
    let asked = gateway.upstream(&reply).await.json();
    assert_eq!(asked["stream_options"]["include_usage"], true);
    gateway.counted("prompt", 21).await;
    gateway.counted("completion", 8).await;
    gateway.requests(1).await;
}

#[tokio::test]
async fn usage_reaches_a_client_that_asked() {
    let gateway = maas("streaming-asked").await;
    let reply = gateway
        .chat(&json!({
            "model": "qwen3-8b", "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "Hello"}],
        }))
        .order("usage", "21,8")
        .send()
        .await
        .unwrap();
    let chunks = reply.chunks();
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 8);
    gateway.counted("completion", 8).await;
}

#[tokio::test]
async fn usage_is_hidden_from_a_client_that_said_no() {
    let gateway = maas("streaming-no").await;
    let reply = gateway
        .chat(&json!({
            "model": "qwen3-8b", "stream": true, "stream_options": {"include_usage": false},
            "messages": [{"role": "user", "content": "Hello"}],
        }))
        .order("usage", "2,3")
        .send()
        .await
        .unwrap();
    assert!(!reply.text().contains("\"usage\""));
    let asked = gateway.upstream(&reply).await.json();
    assert_eq!(asked["stream_options"]["include_usage"], true);
    gateway.counted("completion", 3).await;
}

#[tokio::test]
async fn a_stream_is_the_same_whatever_the_chunks() {
    let gateway = maas("streaming-split").await;
    let content = "naïve café — 東京 🙂\n```rust\nfn f() {}\n```\n";
    let splits = ["1", "2", "3", "5", "7", "16", "61"];
    for split in splits {
        let reply = gateway
            .ask_streamed("qwen3-8b", "Hello")
            .answered_with(content)
            .order("usage", "10,2")
            .order("split", split)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.streamed_content(), content, "split {split}");
        assert!(!reply.text().contains("\"usage\""), "split {split}");
        assert!(reply.text().ends_with(DONE), "split {split}");
    }
    let number = splits.len() as u64;
    gateway.counted("prompt", 10 * number).await;
    gateway.counted("completion", 2 * number).await;
}

#[tokio::test]
async fn a_stream_with_crlf_is_counted_and_stays_as_it_is() {
    let gateway = maas("streaming-crlf").await;
    for split in ["1", "1000000"] {
        let reply = gateway
            .ask_streamed("qwen3-8b", "Hello")
            .order("crlf", "1")
            .order("split", split)
            .order("usage", "10,2")
            .send()
            .await
            .unwrap();
        assert!(reply.text().ends_with("data: [DONE]\r\n\r\n"));
        assert!(!reply.text().contains("\"usage\""));
        assert!(!reply.text().replace("\r\n", "").contains('\n'));
    }
    gateway.counted("prompt", 20).await;
}

#[tokio::test]
async fn continuous_usage_is_counted_at_its_last_value() {
    let gateway = maas("streaming-continuous").await;
    let reply = gateway
        .chat(&json!({
            "model": "qwen3-8b", "stream": true,
            "stream_options": {"include_usage": true, "continuous_usage_stats": true},
            "messages": [{"role": "user", "content": "Hello"}],
        }))
        .answered_with("one two three")
        .send()
        .await
        .unwrap();
    assert!(reply.chunks().iter().all(|c| c["usage"].is_object()));
    gateway.counted("completion", 3).await;
    gateway.requests(1).await;
}

#[tokio::test]
async fn null_usage_before_the_end_is_no_usage() {
    let gateway = maas("streaming-null").await;
    let reply = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("null-usage", "1")
        .order("usage", "9,4")
        .send()
        .await
        .unwrap();
    assert!(!reply.text().contains("prompt_tokens"));
    gateway.counted("prompt", 9).await;
    gateway.counted("completion", 4).await;
}

#[tokio::test]
async fn a_stream_without_usage_is_estimated() {
    let gateway = maas("streaming-estimated").await;
    gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("no-usage", "1")
        .send()
        .await
        .unwrap();
    let metric = gateway
        .stack
        .metric("semantic_router_tokens_estimated_total");
    let metric = metric.label("user", "streaming-estimated");
    metric.at_least(2).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_routed_like_any_request() {
    let gateway = maas("streaming-routed").await;
    let reply = gateway
        .ask_streamed("auto", "What is the derivative of ln x?")
        .send()
        .await
        .unwrap();
    assert_eq!(
        reply.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(reply.header("x-vsr-decision"), "hard_reasoning");
    assert_eq!(reply.header("x-vsr-cache-hit"), "false");
    let asked = gateway.upstream(&reply).await.json();
    assert_eq!(asked["model"], "gpt-oss-120b");
    assert_eq!(asked["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_long_stream_passes_whole() {
    let gateway = maas("streaming-long").await;
    let reply = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("tokens", "3000")
        .send()
        .await
        .unwrap();
    // role, tokens, finish_reason
    assert_eq!(reply.chunks().len(), 3002);
    gateway.counted("completion", 3000).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_once() {
    let gateway = maas("streaming-left").await;
    let call = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("hold-after", "3")
        .answered_with("one two three four five");
    let mut stream = call.open().await.unwrap();
    stream.read_until("two").await.unwrap();
    let tag = stream.tag.clone();
    drop(stream);
    let received = gateway.stack.received(&tag).await.unwrap();
    assert_eq!(received.outcome, Outcome::ClientLeft);
    gateway.requests(1).await;
    let metric = gateway
        .stack
        .metric("semantic_router_tokens_estimated_total");
    let metric = metric
        .label("user", "streaming-left")
        .label("type", "completion");
    metric.at_least(1).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_is_charged_the_continuous_usage_seen() {
    let gateway = maas("streaming-left-continuous").await;
    let call = gateway
        .chat(&json!({
            "model": "qwen3-8b", "stream": true,
            "stream_options": {"include_usage": true, "continuous_usage_stats": true},
            "messages": [{"role": "user", "content": "Hello"}],
        }))
        .order("hold-after", "3")
        .answered_with("one two three four five");
    let mut stream = call.open().await.unwrap();
    stream.read_until("two").await.unwrap();
    drop(stream);
    gateway.counted("completion", 2).await;
    gateway.requests(1).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_counted_once() {
    let gateway = maas("streaming-left-early").await;
    let call = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("hold-headers", "1");
    let tag = call.tag().to_owned();
    let waiting = tokio::spawn(call.open());
    gateway.stack.arrived(&tag).await.unwrap();
    waiting.abort();
    let received = gateway.stack.received(&tag).await.unwrap();
    assert_eq!(received.outcome, Outcome::ClientLeft);
    gateway.requests(1).await;
}

#[tokio::test]
async fn a_server_that_cuts_a_stream_is_counted_once() {
    let gateway = maas("streaming-cut").await;
    let call = gateway
        .ask_streamed("qwen3-8b", "Hello")
        .order("abort-after", "3");
    let mut stream = call.open().await.unwrap();
    assert!(stream.finish().await.is_err(), "the cut must be seen");
    assert!(!stream.text().contains("[DONE]"));
    gateway.requests(1).await;
    let metric = gateway
        .stack
        .metric("semantic_router_tokens_estimated_total");
    metric
        .label("user", "streaming-cut")
        .at_least(1)
        .await
        .unwrap();
}

#[tokio::test]
async fn streamed_completions_are_counted_too() {
    let gateway = maas("streaming-completion").await;
    let body = json!({"model": "qwen3-8b", "prompt": "once upon", "stream": true});
    let reply = gateway
        .post("/v1/completions", body.to_string())
        .order("usage", "5,6")
        .send()
        .await
        .unwrap();
    assert!(reply.text().ends_with(DONE));
    assert!(!reply.text().contains("\"usage\""));
    gateway.counted("prompt", 5).await;
    gateway.counted("completion", 6).await;
}
