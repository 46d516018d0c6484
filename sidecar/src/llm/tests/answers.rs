//! How a label and its probability are read from an answer, and what is asked for it.

use serde_json::{Value, json};
use turnpike_core::config::Guided;

use super::server::{Reply, error, meta, ollama, serve, token, vllm};
use super::*;

#[tokio::test]
async fn one_token_with_its_candidates_gives_every_label_its_probability() {
    let server = serve(|_, _| meta()).await;
    let asked = ask(&LlmClassifierConfig {
        guided: Guided::StructuredOutputs,
        ..server.config()
    });
    is(
        &asked.of("Give this chat a title").await,
        "META",
        &[0.0, 0.25, 0.0, 0.75],
    );
    is(&asked.of("Another").await, "META", &[0.0, 0.25, 0.0, 0.75]);
    asked.counted("answered", 2);
    asked.has("llm_duration_seconds_count{engine=\"openai\"} 2");
    let bodies = server.bodies();
    assert_eq!(bodies[0]["max_tokens"], 1);
    assert_eq!(
        bodies[0]["messages"][1]["content"],
        "Give this chat a title"
    );
    assert_eq!(bodies[0]["structured_outputs"]["choice"][3], "META");
    assert_eq!(
        bodies[0]["messages"][0], bodies[1]["messages"][0],
        "one prefix for all"
    );
    assert_eq!(
        *server.seen.keys.lock().unwrap(),
        ["Bearer secret", "Bearer secret"]
    );
}

#[tokio::test]
async fn a_server_without_candidates_is_taken_at_its_word() {
    let server =
        serve(|_, _| ollama(json!({"role": "assistant", "content": "COMP"}), "length")).await;
    is(
        &ask(&server.config()).of("Hi").await,
        "COMPLEX",
        &[0.0, 1.0, 0.0, 0.0],
    );
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test]
async fn labels_that_begin_alike_are_asked_for_whole_and_that_is_remembered() {
    let server = serve(|_, body| {
        let first = token(&[("META", 0.8), ("COM", 0.2)]);
        let second = token(&[("DATA", 0.75), ("<|im_end|>", 0.25)]);
        match body["max_tokens"].as_u64() {
            Some(1) => vllm("META", &[first], "length"),
            _ => vllm("METADATA", &[first, second], "stop"),
        }
    })
    .await;
    let asked = ask(&LlmClassifierConfig {
        labels: labels(&["META", "METADATA", "COMPLEX"]),
        ..server.config()
    });
    for _ in 0..2 {
        is(&asked.of("Hi").await, "METADATA", &[0.2, 0.6, 0.2]);
    }
    assert_eq!(server.lengths("max_tokens"), [1, 16, 16]);
}

#[tokio::test]
async fn a_server_that_wants_another_name_for_max_tokens_gets_it() {
    let server = serve(|_, body| match body.get("max_tokens") {
        Some(_) => error(
            400,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        ),
        None => meta(),
    })
    .await;
    let asked = ask(&server.config());
    for _ in 0..2 {
        assert_eq!(asked.of("Hi").await.label, "META");
    }
    assert_eq!(
        server.lengths("max_completion_tokens"),
        [Value::Null, json!(1), json!(1)]
    );
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_a_bad_one() {
    let bodies = [
        "",
        "<html>",
        "{}",
        r#"{"choices": []}"#,
        r#"{"choices": [{}]}"#,
        "[1]",
    ];
    let server = serve(move |number, _| Reply::Status(200, vec![], bodies[number].into())).await;
    for _ in bodies {
        let asked = ask(&server.config());
        assert_eq!(asked.of("Hi").await, default());
        asked.counted("bad_answer", 1);
    }
    let chatty = serve(|_, _| vllm("I cannot say.", &[], "stop")).await;
    let asked = ask(&chatty.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("bad_answer", 1);
}
