use proptest::prelude::*;
use serde_json::json;

use super::*;

fn stop() -> Vec<String> {
    vec!["stop".into(), "tool_calls".into()]
}

fn stamp() -> Stamp {
    Stamp {
        id: "chatcmpl-new".into(),
        created: 7,
    }
}

fn events(chunks: &[Value]) -> String {
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn piece(index: u64, delta: Value, finish: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}], "usage": null})
}

fn completion(message: Value, reason: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_stream_becomes_the_completion_that_it_told() {
    let stream = events(&[
        piece(0, json!({"role": "assistant", "content": ""}), Value::Null),
        piece(0, json!({"reasoning_content": "Hm,"}), Value::Null),
        piece(0, json!({"reasoning_content": " so\n"}), Value::Null),
        piece(0, json!({"content": "```rust\n"}), Value::Null),
        piece(0, json!({"content": "  fn f() {}\n```"}), Value::Null),
        piece(0, json!({}), json!("stop")),
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
    ]);
    let kept = parsed(&complete(&stream, true, &stop()).unwrap());
    let message = &kept["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["content"], "```rust\n  fn f() {}\n```");
    assert_eq!(message["reasoning_content"], "Hm, so\n");
    assert_eq!(kept["choices"][0]["finish_reason"], "stop");
    assert_eq!(kept["usage"]["total_tokens"], 5);
    assert_eq!(kept["object"], "chat.completion");
    assert_eq!(kept["system_fingerprint"], "f");
}

#[test]
fn calls_of_tools_are_joined_by_their_index() {
    let call = |index: u64, value: Value| {
        let mut call = value;
        call["index"] = index.into();
        piece(0, json!({"tool_calls": [call]}), Value::Null)
    };
    let stream = events(&[
        call(
            0,
            json!({"id": "a", "type": "function", "function": {"name": "on", "arguments": ""}}),
        ),
        call(0, json!({"function": {"arguments": "{\"room\":"}})),
        call(
            1,
            json!({"id": "b", "type": "function", "function": {"name": "off", "arguments": "{}"}}),
        ),
        // Some servers repeat the names.
        call(
            0,
            json!({"id": "a", "type": "function", "function": {"name": "on", "arguments": "1}"}}),
        ),
        piece(0, json!({}), json!("tool_calls")),
    ]);
    let kept = parsed(&complete(&stream, true, &stop()).unwrap());
    let message = &kept["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    assert_eq!(
        message["tool_calls"],
        json!([
            {"id": "a", "type": "function", "function": {"name": "on", "arguments": "{\"room\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "off", "arguments": "{}"}}
        ])
    );
}

#[test]
fn what_is_not_complete_or_not_understood_is_not_kept() {
    let whole = |reason: &str| completion(json!({"role": "assistant", "content": "x"}), reason);
    let end = piece(0, json!({}), json!("stop"));
    let half = format!("data: {end}\n\n");
    let no_index = json!({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]});
    let changing = [
        piece(0, json!({"mood": "good"}), Value::Null),
        piece(0, json!({"mood": "bad"}), json!("stop")),
    ];
    let one_open = [
        piece(0, json!({"content": "a"}), json!("stop")),
        piece(1, json!({"content": "b"}), Value::Null),
    ];
    for (body, streamed, why) in [
        (
            whole("length").to_string(),
            false,
            "finish_reason is \"length\"",
        ),
        (whole("stop").to_string() + "x", false, "not a chat"),
        (json!({"choices": []}).to_string(), false, "no choices"),
        (
            completion(json!({"content": [{"type": "text", "text": "x"}]}), "stop").to_string(),
            false,
            "content that is no text",
        ),
        (
            json!({"error": {"message": "x"}, "choices": whole("stop")["choices"]}).to_string(),
            false,
            "it has an error",
        ),
        (half, true, "before [DONE]"),
        (
            events(&[piece(0, json!({"content": "x"}), Value::Null)]),
            true,
            "finish_reason is null",
        ),
        (events(&one_open), true, "finish_reason is null"),
        (
            events(&[piece(0, json!({}), json!("content_filter"))]),
            true,
            "content_filter",
        ),
        (events(&[no_index]), true, "without an index"),
        (events(&changing), true, "two values for `mood`"),
        (
            events(&[json!({"error": {"message": "overloaded"}}), end]),
            true,
            "it has an error",
        ),
        ("data: {\n\ndata: [DONE]\n\n".into(), true, "not a chat"),
        (String::new(), true, "before [DONE]"),
    ] {
        let error = complete(&body, streamed, &stop()).unwrap_err().to_string();
        assert!(error.contains(why), "{body}: {error}");
    }
}

#[test]
fn a_kept_body_is_given_byte_for_byte_but_for_id_and_time() {
    let body = r#"{"id":"chatcmpl-1", "created": 1,"choices":[ {"index":0,"message":{"role":"assistant","content":"a\u0062"},"finish_reason":"stop"}],"usage":{"total_tokens":1.50}}"#;
    assert_eq!(complete(body, false, &stop()).unwrap(), body);
    assert_eq!(
        render(body, Form::Whole, &stamp()).unwrap(),
        r#"{"id":"chatcmpl-new","created":7,"choices":[ {"index":0,"message":{"role":"assistant","content":"a\u0062"},"finish_reason":"stop"}],"usage":{"total_tokens":1.50}}"#
    );
    assert!(render("[]", Form::Whole, &stamp()).is_err());
    let (one, other) = (Stamp::now(), Stamp::now());
    assert!(one.id != other.id && one.id.len() == other.id.len() && one.created > 1_700_000_000);
}

#[test]
fn events_have_what_clients_expect() {
    let kept = completion(json!({"role": "assistant", "content": "Hello"}), "stop").to_string();
    let with = render(&kept, Form::Stream { usage: true }, &stamp()).unwrap();
    let chunks: Vec<&str> = with
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    let (done, chunks) = chunks.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| parsed(chunk)).collect();
    for chunk in &chunks {
        assert_eq!(chunk["id"], "chatcmpl-new");
        assert_eq!(chunk["created"], 7);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "m");
    }
    let (usage, others) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 5);
    assert!(
        others
            .iter()
            .all(|chunk| chunk.get("usage") == Some(&Value::Null))
    );
    assert_eq!(others[0]["choices"][0]["delta"]["role"], "assistant");
    let reasons: Vec<&Value> = others
        .iter()
        .map(|c| &c["choices"][0]["finish_reason"])
        .collect();
    assert_eq!(reasons, [&Value::Null, &Value::Null, &json!("stop")]);
    let without = render(&kept, Form::Stream { usage: false }, &stamp()).unwrap();
    assert!(!without.contains("usage") && without.ends_with("data: [DONE]\n\n"));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ \\n\\r\\t\"\\\\`é𝒳\u{0}]{0,40}",
        ("[a-zé\\n]{1,9}", 0..2000_usize).prop_map(|(text, times)| text.repeat(times)),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let calls = prop::collection::vec(("[a-z]{1,8}", text()), 0..3);
    let maybe = || prop::option::of(text());
    (maybe(), maybe(), maybe(), calls).prop_map(|(content, thoughts, refusal, calls)| {
        let mut message = json!({"role": "assistant", "content": content.unwrap_or_default()});
        // An empty text and none are told alike.
        if let Some(thoughts) = thoughts.filter(|thoughts| !thoughts.is_empty()) {
            message["reasoning_content"] = thoughts.into();
        }
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            message["refusal"] = refusal.into();
        }
        if !calls.is_empty() {
            let call = |(at, (name, arguments)): (usize, &(String, String))| {
                json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
            };
            message["tool_calls"] = calls.iter().enumerate().map(call).collect();
        }
        message
    })
}

proptest! {
    #[test]
    fn a_replayed_stream_tells_the_same_answer(messages in prop::collection::vec(message(), 1..3)) {
        let mut answer = completion(messages[0].clone(), "stop");
        let choice = |(at, message): (usize, &Value)| {
            json!({"index": at, "message": message, "logprobs": null, "finish_reason": "stop"})
        };
        answer["choices"] = messages.iter().enumerate().map(choice).collect();
        let kept = complete(&answer.to_string(), false, &stop()).unwrap();
        let stream = render(&kept, Form::Stream { usage: true }, &stamp()).unwrap();
        prop_assert!(stream.lines().all(|line| line.len() < 32_768));
        let again = parsed(&complete(&stream, true, &stop()).unwrap());
        prop_assert_eq!(&again["usage"], &answer["usage"]);
        for (at, message) in messages.iter().enumerate() {
            prop_assert_eq!(&again["choices"][at]["message"], message);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body in "\\PC{0,200}", lines in prop::collection::vec("(data: )?[\\[\\]{}\":,a-z0-9]{0,30}", 0..8)) {
        let _ = complete(&body, false, &stop());
        let _ = complete(&body, true, &stop());
        let _ = complete(&(lines.join("\n\n") + "\n\ndata: [DONE]\n\n"), true, &stop());
        let _ = render(&body, Form::Stream { usage: true }, &stamp());
    }
}
