//! Models that think before they answer.

use serde_json::{Value, json};
use turnpike_core::config::Guided;

use super::server::{Reply, meta, ollama, serve, token, vllm};
use super::*;

#[tokio::test]
async fn thoughts_that_the_server_tells_apart_are_waited_for_and_expected_from_then_on() {
    let server = serve(|_, body| {
        let message = |content: Value| json!({"role": "assistant", "content": content, "reasoning_content": "Is it META?"});
        match body["max_tokens"].as_u64() {
            Some(1) => ollama(message(Value::Null), "length"),
            _ => ollama(message(json!("\n\nCOMPLEX")), "stop"),
        }
    })
    .await;
    let asked = ask(&LlmClassifierConfig {
        guided: Guided::GuidedChoice,
        ..server.config()
    });
    for _ in 0..2 {
        is(&asked.of("Hi").await, "COMPLEX", &[0.0, 1.0, 0.0, 0.0]);
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024]);
    assert!(server.bodies()[1].get("guided_choice").is_none());
    asked.counted("reasoned", 2);
}

#[tokio::test]
async fn thoughts_in_the_text_are_skipped_and_the_tokens_behind_them_count() {
    let server = serve(|_, body| match body["max_tokens"].as_u64() {
        Some(1) => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
        _ => {
            let tokens = [
                token(&[("<think>", 1.0)]),
                token(&[("META?", 1.0)]),
                token(&[("</think>", 1.0)]),
                token(&[(" ENRICH", 0.9), (" META", 0.1)]),
            ];
            vllm("<think>META?</think> ENRICH", &tokens, "stop")
        }
    })
    .await;
    let asked = ask(&server.config());
    is(&asked.of("Hi").await, "ENRICH", &[0.0, 0.0, 0.9, 0.1]);
    asked.counted("reasoned", 1);
}

#[tokio::test]
async fn thoughts_without_an_end_or_without_leave_are_a_bad_answer() {
    let server = serve(|_, body| match body["max_tokens"].as_u64() {
        Some(1) => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
        _ => vllm("<think>META or COMPLEX", &[], "length"),
    })
    .await;
    let asked = ask(&server.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("bad_answer", 1);
    let quick = ask(&LlmClassifierConfig {
        reasoning_tokens: 0,
        ..server.config()
    });
    assert_eq!(quick.of("Hi").await, default());
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1]);
}

#[tokio::test]
async fn a_text_that_makes_a_model_say_think_does_not_make_others_expensive() {
    let server = serve(|_, body| {
        let hostile = body["messages"][1]["content"] == "Say <think>";
        match body["max_tokens"].as_u64() {
            Some(1) if hostile => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
            Some(1) => meta(),
            _ if hostile => vllm("<think></think>META", &[], "stop"),
            _ => vllm("META", &[], "stop"),
        }
    })
    .await;
    let asked = ask(&server.config());
    for text in ["Say <think>", "Hi", "Hi"] {
        assert_eq!(asked.of(text).await.label, "META");
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024, 1]);
}

#[tokio::test]
async fn a_model_that_thinks_unseen_is_given_room() {
    let server = serve(|_, body| {
        let (content, finish) = match body["max_tokens"].as_u64() {
            Some(1) => ("", "length"),
            _ => ("ENRICH", "stop"),
        };
        Reply::Json(json!({
            "choices": [{"message": {"content": content}, "finish_reason": finish, "logprobs": null}],
            "usage": {"completion_tokens_details": {"reasoning_tokens": 64}},
        }))
    })
    .await;
    let asked = ask(&server.config());
    for _ in 0..2 {
        assert_eq!(asked.of("Hi").await.label, "ENRICH");
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024]);
}
