//! The official OpenAI client for Python against the real Envoy: `wasm-tests/clients/openai_client.py` is the program, here stands
//! what it must see.

use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use wasm_tests::harness::{clients_python, root};

use crate::cache_gateways::controlled;
use crate::classifier::guard_with_errors;
use crate::gateways::blocking;

/// Runs the program, once for all tests.
async fn facts(scenario: &str) -> &'static Value {
    static FACTS: OnceCell<Result<Value, String>> = OnceCell::const_new();
    let facts = FACTS.get_or_init(async || {
        let (cached, refusing, bare) = (
            controlled("openai").await,
            guard_with_errors("openai").await,
            blocking("openai").await,
        );
        let port = |case: &crate::gateways::Case| case.stack.plan().ports.listener;
        let ports = json!({
            "cached": port(&cached), "refusing": port(&refusing), "without_sidecar": port(&bare),
        });
        tokio::task::spawn_blocking(move || run(&ports))
            .await
            .unwrap()
    });
    let facts = match facts.await {
        Ok(facts) => &facts[scenario],
        Err(error) => panic!("{error}"),
    };
    if let Some(failed) = facts["failed"].as_str() {
        panic!("{failed}");
    }
    facts
}

fn run(ports: &Value) -> Result<Value, String> {
    let python = clients_python().map_err(|error| error.to_string())?;
    let output = Command::new(python)
        .arg(root().join("wasm-tests/clients/openai_client.py"))
        .arg(ports.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}\n{}", String::from_utf8_lossy(&output.stderr)))
}

async fn markdown() -> &'static str {
    facts("markdown").await.as_str().unwrap()
}

/// The one choice of a completion.
fn message(fact: &Value) -> &Value {
    assert_eq!(fact["completion"]["choices"].as_array().unwrap().len(), 1);
    &fact["completion"]["choices"][0]["message"]
}

fn assert_hit(fact: &Value) {
    assert_eq!(fact["hit"], "true", "{fact}");
    let age = fact["age"].as_str().unwrap();
    assert!(age.parse::<u64>().unwrap() < 60, "{age}");
}

fn assert_no_hit(fact: &Value) {
    assert_eq!(fact["hit"], "false", "{fact}");
    assert_eq!(fact["age"], Value::Null);
}

#[tokio::test]
async fn a_hit_is_a_completion_of_its_own_with_the_content_and_usage_of_the_first() {
    let seen = facts("a_body_is_repeated").await;
    let (first, now) = (&seen["first"], seen["now"].as_f64().unwrap());
    assert_no_hit(first);
    assert_eq!(message(first)["content"], markdown().await);
    for hit in [&seen["hit"], &seen["paraphrase"]] {
        assert_hit(hit);
        assert_eq!(hit["type"], "application/json");
        assert_eq!(message(hit), message(first));
        let (hit, first) = (&hit["completion"], &first["completion"]);
        assert_eq!(hit["usage"], first["usage"]);
        assert_eq!(hit["model"], first["model"]);
        assert_eq!(hit["object"], "chat.completion");
        assert_ne!(hit["id"], first["id"]);
        let created = hit["created"].as_f64().unwrap();
        assert!((now - created).abs() < 60.0, "{created} at {now}");
    }
    assert_ne!(
        seen["hit"]["completion"]["id"],
        seen["paraphrase"]["completion"]["id"]
    );
}

/// A stream of one choice that tells the text and ends well.
fn assert_tells(stream: &Value, content: &str) {
    assert_eq!(stream["choices"].as_array().unwrap().len(), 1, "{stream}");
    assert_eq!(stream["choices"][0]["content"], content);
    assert_eq!(stream["choices"][0]["finish_reason"], "stop");
    assert_eq!(stream["ids"].as_array().unwrap().len(), 1, "{stream}");
    assert_eq!(stream["created"].as_array().unwrap().len(), 1, "{stream}");
    assert!(
        stream["type"]
            .as_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
}

#[tokio::test]
async fn what_was_a_body_streams_with_usage_for_who_asks() {
    let seen = facts("a_body_is_told_as_a_stream").await;
    for stream in [&seen["hit"], &seen["with_usage"]] {
        assert_hit(stream);
        assert_tells(stream, markdown().await);
        assert_ne!(stream["ids"][0], seen["first"]["completion"]["id"]);
    }
    assert_eq!(seen["hit"]["usages"], json!([]));
    let mut usage = seen["first"]["completion"]["usage"].clone();
    usage["choices"] = json!(0);
    assert_eq!(seen["with_usage"]["usages"], json!([usage]));
}

#[tokio::test]
async fn what_streamed_is_a_body() {
    let seen = facts("a_stream_is_told_as_a_body").await;
    let (first, hit) = (&seen["first"], &seen["hit"]);
    assert_no_hit(first);
    assert_tells(first, markdown().await);
    assert_hit(hit);
    assert_eq!(message(hit)["content"], markdown().await);
    assert_eq!(message(hit)["role"], "assistant");
    assert_eq!(hit["completion"]["choices"][0]["finish_reason"], "stop");
    let mut usage = hit["completion"]["usage"].clone();
    usage["choices"] = json!(0);
    assert_eq!(first["usages"], json!([usage]));
    assert_hit(&seen["again"]);
    assert_tells(&seen["again"], markdown().await);
}

#[tokio::test]
async fn calls_of_tools_come_whole_and_streamed() {
    let seen = facts("tools_are_called_again").await;
    assert_no_hit(&seen["first"]);
    assert_hit(&seen["hit"]);
    assert_hit(&seen["stream"]);
    assert_eq!(message(&seen["hit"]), message(&seen["first"]));
    let calls = seen["calls"].as_array().unwrap();
    for choice in [
        &seen["first"]["completion"]["choices"][0],
        &seen["accumulated"]["choices"][0],
    ] {
        assert_eq!(choice["finish_reason"], "tool_calls");
        let made = choice["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(made.len(), calls.len());
        for (made, call) in made.iter().zip(calls) {
            assert_eq!(made["function"]["name"], call["name"]);
            assert_eq!(made["function"]["arguments"], call["arguments"]);
        }
    }
    let streamed = &seen["stream"]["choices"][0];
    assert_eq!(streamed["finish_reason"], "tool_calls");
    for (at, call) in calls.iter().enumerate() {
        let made = &streamed["tool_calls"][at];
        assert_eq!(made["name"], call["name"]);
        assert_eq!(made["arguments"], call["arguments"]);
        let first = &message(&seen["first"])["tool_calls"][at];
        assert_eq!(made["id"], first["id"]);
    }
    assert_no_hit(&seen["without"]);
}

#[tokio::test]
async fn every_choice_is_repeated() {
    let seen = facts("several_choices_are_repeated").await;
    let markdown = markdown().await;
    let contents = [markdown.to_owned(), format!("{markdown}\n(choice 1)")];
    assert_no_hit(&seen["first"]);
    assert_hit(&seen["hit"]);
    assert_hit(&seen["stream"]);
    for (at, content) in contents.iter().enumerate() {
        for stream in [&seen["first"], &seen["stream"]] {
            assert_eq!(stream["choices"][at]["content"], content.as_str());
        }
        let choice = &seen["hit"]["completion"]["choices"][at];
        assert_eq!(choice["index"], at);
        assert_eq!(choice["message"]["content"], content.as_str());
    }
    assert_no_hit(&seen["one"]);
}

#[tokio::test]
async fn headers_are_there_before_the_body_is_read() {
    let seen = facts("a_response_is_read_as_it_comes").await;
    assert_hit(seen);
    assert_eq!(seen["last_line"], "data: [DONE]");
    assert!(!seen["request_id"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_hit_of_a_form_is_parsed() {
    let seen = facts("an_answer_is_parsed").await;
    assert_no_hit(&seen["first"]);
    assert_hit(&seen["hit"]);
    for fact in [&seen["first"], &seen["hit"]] {
        assert_eq!(fact["parsed"], json!({"weeks": 6, "advice": "Rest.\n🙂"}));
    }
    assert_no_hit(&seen["unformed"]);
}

#[tokio::test]
async fn many_at_once_get_the_same_answer_under_different_ids() {
    let seen = facts("many_ask_at_once").await.as_array().unwrap();
    let mut ids: Vec<&str> = Vec::new();
    for fact in seen {
        assert_hit(fact);
        assert_eq!(message(fact)["content"], markdown().await);
        ids.push(fact["completion"]["id"].as_str().unwrap());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 16);
}

#[tokio::test]
async fn what_the_client_did_not_get_whole_is_not_repeated() {
    let seen = facts("what_is_not_whole_is_not_repeated").await;
    for short in seen["short"].as_array().unwrap() {
        assert_no_hit(short);
        let choice = &short["completion"]["choices"][0];
        assert_eq!(choice["finish_reason"], "length");
    }
    assert!(seen["broken"].is_string(), "the stream broke: {seen}");
    assert_eq!(seen["failed"]["class"], "InternalServerError");
    for later in seen["later"].as_array().unwrap() {
        assert_no_hit(later);
    }
}

#[tokio::test]
async fn refusals_are_the_exceptions_that_programs_catch() {
    let seen = facts("refusals_are_exceptions").await;
    for (case, class, status, code) in [
        (
            "bad_request",
            "BadRequestError",
            400,
            json!("invalid_request"),
        ),
        (
            "unknown_model",
            "NotFoundError",
            404,
            json!("model_not_found"),
        ),
        (
            "too_large",
            "APIStatusError",
            413,
            json!("request_too_large"),
        ),
        (
            "blocked",
            "PermissionDeniedError",
            403,
            json!("jailbreak_detected"),
        ),
        (
            "blocked_stream",
            "PermissionDeniedError",
            403,
            json!("jailbreak_detected"),
        ),
        (
            "no_sidecar",
            "InternalServerError",
            503,
            json!("sidecar_unavailable"),
        ),
        ("rate_limit", "RateLimitError", 429, json!("429")),
        ("server_error", "InternalServerError", 500, json!("500")),
    ] {
        let error = &seen[case];
        assert_eq!(error["class"], class, "{case}: {error}");
        assert_eq!(error["status_code"], status, "{case}");
        assert_eq!(error["code"], code, "{case}");
        assert_eq!(error["is_api_error"], true, "{case}");
        assert!(error["type"].is_string(), "{case}: {error}");
        assert!(error["request_id"].is_string(), "{case}: {error}");
    }
    assert_eq!(seen["unknown_model"]["param"], "model");
    let message = seen["unknown_model"]["message"].as_str().unwrap();
    assert!(message.contains("gpt-17"), "{message}");
}

#[tokio::test]
async fn a_block_is_a_completion_that_the_client_reads() {
    let seen = facts("a_block_is_a_completion").await;
    for whole in seen["whole"].as_array().unwrap() {
        assert_no_hit(whole);
        let choice = &whole["completion"]["choices"][0];
        assert_eq!(choice["finish_reason"], "content_filter");
        assert!(!choice["message"]["content"].as_str().unwrap().is_empty());
    }
    assert_no_hit(&seen["stream"]);
    let choice = &seen["stream"]["choices"][0];
    assert_eq!(choice["finish_reason"], "content_filter");
    let response = json!({"status": "incomplete", "reason": "content_filter"});
    assert_eq!(seen["response"], response);
    assert_eq!(seen["completion"], "content_filter");
    assert_eq!(seen["embedding"]["class"], "PermissionDeniedError");
}

#[tokio::test]
async fn other_apis_pass_and_are_not_cached() {
    let seen = facts("other_apis_pass_and_are_not_cached").await;
    let markdown = markdown().await;
    for response in seen["responses"].as_array().unwrap() {
        assert_no_hit(response);
        assert_eq!(response["text"], markdown);
    }
    assert_no_hit(&seen["response_stream"]);
    assert_eq!(seen["response_stream"]["text"], markdown);
    assert_eq!(seen["embedding"], json!([0.5, -0.25]));
    assert_eq!(seen["completion"], markdown);
    let models = seen["models"].as_array().unwrap();
    for model in ["qwen3-8b", "qwen3-coder", "gpt-oss-120b"] {
        assert!(models.iter().any(|known| known == model), "{models:?}");
    }
}
