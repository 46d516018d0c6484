//! Every API that is metered, as its servers answer it: whole and streamed, through the real Envoy.
//!
//! The answers are written out here, because what matters is the form that other servers give them.

use serde_json::{Value, json};
use wasm_tests::harness::{Call, Reply};

use crate::gateways::{Case, meter_only};
use crate::metering_gateways::hybrid;

const SSE: &str = "text/event-stream";

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi {\"usage\":{\"input_tokens\":9}}"}]}],"usage":{"input_tokens":31,"input_tokens_details":{"cached_tokens":4},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":43}}"#;

const RESPONSE_STREAM: &str = concat!(
    "event: response.created\n",
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"usage\":null}}\n\n",
    "event: response.output_text.delta\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
    "event: response.completed\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":31,\"output_tokens\":12,\"total_tokens\":43}}}\n\n",
);

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":20,"cache_creation_input_tokens":3,"cache_read_input_tokens":8,"output_tokens":12}}"#;

const MESSAGE_STREAM: &str = concat!(
    "event: message_start\r\n",
    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":20,\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":8,\"output_tokens\":1}}}\r\n\r\n",
    "event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n",
    "event: content_block_delta\r\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\r\n\r\n",
    "event: message_delta\r\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":12}}\r\n\r\n",
    "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);

const EMBEDDING: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"model":"m","usage":{"prompt_tokens":31,"total_tokens":31}}"#;

const CHAT_DETAILS: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":31,"prompt_tokens_details":{"cached_tokens":11,"audio_tokens":0},"completion_tokens":12,"completion_tokens_details":{"reasoning_tokens":9},"total_tokens":43}}"#;

/// Gemini's OpenAI form: usage in every chunk, cumulative, none apart.
const GEMINI_STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"index\":0}],\"object\":\"chat.completion.chunk\",\"usage\":{\"completion_tokens\":5,\"prompt_tokens\":31,\"total_tokens\":36}}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"!\"},\"finish_reason\":\"stop\",\"index\":0}],\"object\":\"chat.completion.chunk\",\"usage\":{\"completion_tokens\":12,\"prompt_tokens\":31,\"total_tokens\":43}}\n\n",
    "data: [DONE]\n\n",
);

/// A stream of whose usage chunk the client knows nothing.
const CHAT_STREAM: [&str; 3] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"index\":0}],\"object\":\"chat.completion.chunk\"}\n\n",
    "data: {\"choices\":[],\"object\":\"chat.completion.chunk\",\"usage\":{\"completion_tokens\":12,\"prompt_tokens\":31,\"total_tokens\":43}}\n\n",
    "data: [DONE]\n\n",
];

fn request(path: &str, stream: bool) -> Value {
    match path {
        "/v1/embeddings" => json!({"model": "qwen3-coder", "input": "Hello"}),
        "/v1/responses" => json!({"model": "qwen3-coder", "input": "Hello", "stream": stream}),
        "/v1/completions" => json!({"model": "qwen3-coder", "prompt": "Hello", "stream": stream}),
        _ => json!({
            "model": "qwen3-coder", "stream": stream, "messages": [{"role": "user", "content": "Hello"}],
        }),
    }
}

fn call(gateway: &Case, path: &str, answer: &str, stream: bool) -> Call {
    let call = gateway
        .post(path, request(path, stream).to_string())
        .order("body", &Value::from(answer).to_string())
        .order("split", "50");
    if stream {
        call.order("content-type", SSE).order("chunked", "1")
    } else {
        call
    }
}

async fn unchanged(gateway: &Case, path: &str, answer: &str, stream: bool) -> Reply {
    let reply = call(gateway, path, answer, stream).send().await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), answer);
    reply
}

#[tokio::test]
async fn every_api_is_counted_whole_and_streamed() {
    for (user, path, answer, stream, prompt, completion) in [
        ("api-responses", "/v1/responses", RESPONSE, false, 31, 12),
        (
            "api-responses-s",
            "/v1/responses",
            RESPONSE_STREAM,
            true,
            31,
            12,
        ),
        ("api-messages", "/v1/messages", MESSAGE, false, 31, 12),
        (
            "api-messages-s",
            "/v1/messages",
            MESSAGE_STREAM,
            true,
            31,
            12,
        ),
        ("api-embeddings", "/v1/embeddings", EMBEDDING, false, 31, 0),
        (
            "api-chat",
            "/v1/chat/completions",
            CHAT_DETAILS,
            false,
            31,
            12,
        ),
        (
            "api-gemini-s",
            "/v1/chat/completions",
            GEMINI_STREAM,
            true,
            31,
            12,
        ),
    ] {
        let gateway = meter_only(user).await;
        let reply = unchanged(&gateway, path, answer, stream).await;
        gateway.counted("prompt", prompt).await;
        gateway.counted("completion", completion).await;
        gateway.requests(1).await;
        let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
        assert_ne!(entry.text("estimated"), "true", "{user}");
        assert_eq!(entry.text("model"), "qwen3-coder", "{user}");
    }
}

#[tokio::test]
async fn the_usage_chunk_is_taken_out_of_a_stream_that_announced_its_length() {
    let gateway = meter_only("api-length").await;
    let reply = call(
        &gateway,
        "/v1/chat/completions",
        &CHAT_STREAM.concat(),
        true,
    )
    .order("chunked", "0")
    .send()
    .await
    .unwrap();
    assert_eq!(reply.text(), [CHAT_STREAM[0], CHAT_STREAM[2]].concat());
    assert_eq!(reply.header("content-length"), "");
    gateway.counted("prompt", 31).await;
    gateway.counted("completion", 12).await;
}

#[tokio::test]
async fn parts_of_tokens_have_types_of_their_own_where_they_are_asked_for() {
    let gateway = hybrid("api-types").await;
    let path = "/v1/chat/completions";
    unchanged(&gateway, path, CHAT_DETAILS, false).await;
    for (kind, tokens) in [
        ("prompt", 31),
        ("completion", 12),
        ("cached", 11),
        ("reasoning", 9),
    ] {
        gateway.counted(kind, tokens).await;
    }
    let plain = meter_only("api-no-types").await;
    unchanged(&plain, path, CHAT_DETAILS, false).await;
    plain.counted("completion", 12).await;
    plain.counted("cached", 0).await;
    plain.counted("reasoning", 0).await;
}

#[tokio::test]
async fn servers_are_not_asked_to_compress() {
    let gateway = meter_only("api-encodings").await;
    let call = gateway.ask("qwen3-coder", "Hello");
    let reply = call.header("accept-encoding", "gzip").send().await.unwrap();
    let received = gateway.upstream(&reply).await;
    assert!(received.header("accept-encoding").is_empty());
}

#[tokio::test]
async fn a_compressed_answer_passes_as_it_is_and_is_counted_as_unreadable() {
    let gateway = meter_only("api-gzip").await;
    let unreadable = || {
        let metric = gateway.stack.metric("turnpike_responses_unreadable_total");
        metric.label("reason", "content_encoding")
    };
    let before = unreadable().now().await.unwrap();
    let path = "/v1/chat/completions";
    // Whatever its bytes look like, what is said to be compressed is not read.
    for (stream, answer) in [
        (false, CHAT_DETAILS.to_owned()),
        (true, CHAT_STREAM.concat()),
    ] {
        let reply = call(&gateway, path, &answer, stream)
            .order("content-encoding", "gzip")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.header("content-encoding"), "gzip");
        assert_eq!(reply.text(), answer);
        let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
        assert_eq!(entry.text("estimated"), "true");
    }
    unreadable().at_least(before + 2).await.unwrap();
    gateway.requests(2).await;
    // "Hello" is 5 bytes: 2 tokens by the rule of four bytes.
    gateway.counted("prompt", 4).await;
    gateway.counted("completion", 0).await;
}

#[tokio::test]
async fn what_no_server_can_mean_is_not_counted() {
    let gateway = meter_only("api-absurd").await;
    for usage in [
        r#"{"prompt_tokens":-5,"completion_tokens":2}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2}"#,
    ] {
        let answer = format!("{{\"choices\":[],\"usage\":{usage}}}");
        unchanged(&gateway, "/v1/chat/completions", &answer, false).await;
    }
    // Two estimated prompts of "Hello", two reported completions.
    gateway.counted("prompt", 4).await;
    gateway.counted("completion", 4).await;
}
