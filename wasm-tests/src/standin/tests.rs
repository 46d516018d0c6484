//! The stand-in over real connections.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Outcome, Received, Records, StandIn};

async fn standin() -> Result<StandIn> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(StandIn::start(
        listener,
        "s",
        vec!["m".into()],
        Records::default(),
    )?)
}

async fn send(
    standin: &StandIn,
    path: &str,
    orders: &[(&str, &str)],
    body: Value,
) -> Result<Response<Incoming>> {
    let stream = TcpStream::connect(standin.address()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::post(path).header("host", "standin");
    for (name, value) in orders {
        request = request.header(format!("x-standin-{name}"), *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())))?;
    Ok(sender.send_request(request).await?)
}

fn chat(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello, world!"}], "stream": stream})
}

/// The frames of a body, as they arrived, and whether it ended well.
async fn frames(response: Response<Incoming>) -> (Vec<Bytes>, bool) {
    let mut body = response.into_body();
    let mut frames = Vec::new();
    loop {
        match body.frame().await {
            None => return (frames, true),
            Some(Err(_)) => return (frames, false),
            Some(Ok(frame)) => frames.extend(frame.into_data().ok()),
        }
    }
}

async fn settled(standin: &StandIn, tag: &str) -> Result<Received> {
    let settled = standin.records().wait(tag, |r| r.outcome != Outcome::Open);
    timeout(Duration::from_secs(10), settled)
        .await
        .context("the request was not settled")
}

#[tokio::test]
async fn a_json_answer_counts_its_tokens() {
    let standin = standin().await.unwrap();
    let response = send(
        &standin,
        "/v1/chat/completions",
        &[("tag", "t")],
        chat(false),
    )
    .await
    .unwrap();
    assert!(response.headers().contains_key("content-length"));
    let body = response.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    // "Hello" "," " world" "!" + 4 around the message + 3 before the answer.
    assert_eq!(answer["usage"]["prompt_tokens"], 11);
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(
        answer["usage"]["completion_tokens"],
        super::text_tokens(content)
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        settled(&standin, "t").await.unwrap().outcome,
        Outcome::Complete
    );
}

#[tokio::test]
async fn max_tokens_ends_with_length() {
    let standin = standin().await.unwrap();
    let mut request = chat(false);
    request["max_tokens"] = json!(3);
    let response = send(&standin, "/v1/chat/completions", &[], request)
        .await
        .unwrap();
    let body = response.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn each_event_arrives_alone() {
    let standin = standin().await.unwrap();
    let orders = [("content", r#""one two""#)];
    let response = send(&standin, "/v1/chat/completions", &orders, chat(true))
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let (frames, whole) = frames(response).await;
    assert!(whole);
    assert_eq!(frames.len(), 5, "role, two tokens, finish_reason, [DONE]");
    assert_eq!(frames[4], "data: [DONE]\n\n");
}

#[tokio::test]
async fn a_split_cuts_across_events_and_characters() {
    let standin = standin().await.unwrap();
    let mut bodies = Vec::new();
    for split in ["1", "7", "100000"] {
        let orders = [("split", split), ("content", r#""東京 🙂""#), ("crlf", "1")];
        let response = send(&standin, "/v1/chat/completions", &orders, chat(true))
            .await
            .unwrap();
        let (frames, _) = frames(response).await;
        let size: usize = split.parse().unwrap();
        assert!(frames.iter().all(|f| f.len() <= size));
        let body = String::from_utf8(frames.concat()).unwrap();
        let (_, events) = body.split_once("\"created\":").unwrap();
        assert!(events.contains("data: [DONE]\r\n\r\n"));
        bodies.push(body.len());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn an_abort_cuts_the_connection_after_so_many_pieces() {
    let standin = standin().await.unwrap();
    let orders = [("abort-after", "2"), ("tag", "t")];
    let response = send(&standin, "/v1/chat/completions", &orders, chat(true))
        .await
        .unwrap();
    let (frames, whole) = frames(response).await;
    assert_eq!((frames.len(), whole), (2, false));
    assert_eq!(
        settled(&standin, "t").await.unwrap().outcome,
        Outcome::Aborted
    );
    assert!(standin.records().served().is_empty());
}

#[tokio::test]
async fn a_held_stream_goes_on_when_released() {
    let standin = standin().await.unwrap();
    let orders = [("hold-after", "1"), ("tag", "t")];
    let response = send(&standin, "/v1/chat/completions", &orders, chat(true))
        .await
        .unwrap();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "));
    assert_eq!(standin.records().tagged("t")[0].outcome, Outcome::Open);
    standin.records().release("t");
    body.collect().await.unwrap();
    assert_eq!(
        settled(&standin, "t").await.unwrap().outcome,
        Outcome::Complete
    );
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let standin = standin().await.unwrap();
    let orders = [("hold-after", "1"), ("tag", "t")];
    let response = send(&standin, "/v1/chat/completions", &orders, chat(true))
        .await
        .unwrap();
    drop(response);
    assert_eq!(
        settled(&standin, "t").await.unwrap().outcome,
        Outcome::ClientLeft
    );
}

#[tokio::test]
async fn errors_look_like_those_of_vllm() {
    let standin = standin().await.unwrap();
    let orders = [("status", "503"), ("error", "no memory")];
    let response = send(&standin, "/v1/chat/completions", &orders, chat(false))
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    let body = response.collect().await.unwrap().to_bytes();
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(error["error"]["message"], "no memory");
}

#[tokio::test]
async fn usage_options_need_a_stream_as_in_vllm() {
    let standin = standin().await.unwrap();
    let mut request = chat(false);
    request["stream_options"] = json!({"include_usage": true});
    let response = send(&standin, "/v1/chat/completions", &[], request)
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn complete_answers_are_in_the_books() {
    let standin = standin().await.unwrap();
    let orders = [("usage", "11,3"), ("tag", "t")];
    for _ in 0..2 {
        let response = send(
            &standin,
            "/v1/completions",
            &orders,
            json!({"model": "m", "prompt": "x"}),
        )
        .await
        .unwrap();
        response.collect().await.unwrap();
    }
    settled(&standin, "t").await.unwrap();
    let served = standin.records().served();
    let usage = served[&("m".to_owned(), String::new())];
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (22, 6));
}

/// The chunks of a stream, `[DONE]` left out.
fn payloads(frames: &[Bytes]) -> Vec<Value> {
    let texts = frames
        .iter()
        .map(|frame| std::str::from_utf8(frame).unwrap());
    let payloads = texts.filter_map(|text| text.strip_prefix("data: {"));
    payloads
        .map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap())
        .collect()
}

#[tokio::test]
async fn several_choices_say_different_things_and_are_told_in_turn() {
    let standin = standin().await.unwrap();
    let mut request = chat(false);
    request["n"] = json!(2);
    let orders = [("content", r#""one two""#)];
    let path = "/v1/chat/completions";
    let response = send(&standin, path, &orders, request.clone())
        .await
        .unwrap();
    let body = response.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let content = |at: usize| {
        answer["choices"][at]["message"]["content"]
            .as_str()
            .unwrap()
    };
    assert_eq!((content(0), content(1)), ("one two", "one two\n(choice 1)"));
    assert_eq!(answer["choices"][1]["index"], 1);
    request["stream"] = json!(true);
    let response = send(&standin, path, &orders, request).await.unwrap();
    let (frames, _) = frames(response).await;
    let chunks = payloads(&frames);
    let order: Vec<u64> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap())
        .collect();
    assert_eq!(order[..6], [0, 1, 0, 1, 0, 1]);
    for at in 0..2 {
        let own = chunks.iter().map(|chunk| &chunk["choices"][0]);
        let own = own.filter(|choice| choice["index"] == at);
        let told: String = own
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect();
        assert_eq!(told, content(at));
    }
}

#[tokio::test]
async fn tools_are_called_whole_and_streamed() {
    let standin = standin().await.unwrap();
    let arguments = r#"{"room": "bath"}"#;
    let calls = json!([{"name": "on", "arguments": arguments}]).to_string();
    let orders = [("tool-calls", calls.as_str())];
    let path = "/v1/chat/completions";
    let response = send(&standin, path, &orders, chat(false)).await.unwrap();
    let body = response.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "on");
    assert_eq!(call["function"]["arguments"], arguments);
    let response = send(&standin, path, &orders, chat(true)).await.unwrap();
    let (frames, _) = frames(response).await;
    let chunks = payloads(&frames);
    let told: String = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"])
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(told, arguments);
}
