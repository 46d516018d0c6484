//! `/v1/analyze`: categories, and what is not run.

use std::time::Duration;

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::sidecar::{AnalyzeResponse, CacheAnswer};

use crate::harness::{ALICE, Outcome, Sidecar};

const PATH: &str = "/v1/analyze";

/// Of the example configuration.
const THRESHOLD: f32 = 0.45;

async fn category(sidecar: &Sidecar, text: &str) -> Outcome<(String, f32)> {
    let body = json!({"text": text, "heads": ["category"]});
    let answer = sidecar.post(PATH, &body).await?;
    let answer: AnalyzeResponse = serde_json::from_slice(&answer.body)?;
    let scored = answer.category.ok_or("no category")?;
    Ok((scored.label, scored.confidence))
}

#[tokio::test]
async fn clear_prompts_pass_the_threshold_of_their_category() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    for (expected, text) in [
        ("math", "What is the integral of x^2 from 0 to 3?"),
        ("math", "Integrate x sin x dx"),
        ("law", "My employer fired me without notice, is that legal?"),
        ("law", "Is this clause in my lease enforceable?"),
        (
            "health",
            "I have a sore throat and fever, what should I do?",
        ),
        ("health", "My knee hurts after running"),
    ] {
        let (label, confidence) = category(&sidecar, text).await?;
        assert!(
            label == expected && confidence >= 0.6,
            "{label} {confidence} for {text:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn code_and_small_talk_are_no_sure_case_of_another_category() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    for text in [
        "Write a Rust function that reverses a linked list",
        "Fix this: TypeError: undefined is not a function",
        "My borrow checker complains about a mutable reference",
        "How do I merge two git branches?",
        "Hi there!",
        "thanks, that was great",
        "Recommend a good science fiction movie",
        "How do I reset my router to factory settings?",
        "Translate 'good morning' into Japanese",
        "Who won the world cup in 2014?",
    ] {
        let (label, confidence) = category(&sidecar, text).await?;
        assert!(
            label == "other" || confidence < THRESHOLD,
            "{label} {confidence} for {text:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn only_what_is_asked_for_is_answered() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let answer = sidecar.post(PATH, &json!({"text": "x"})).await?.json()?;
    assert_eq!(answer["category"], Value::Null);
    assert_eq!(answer["cache"], Value::Null);
    assert_eq!(
        answer["timing"]["inference_us"], 0,
        "nothing asked, nothing run"
    );
    let tokens = sidecar
        .metric("turnpike_sidecar_tokens_total{model=\"encoder\"}")
        .await?;
    assert!(tokens.abs() < f64::EPSILON, "{tokens}");
    Ok(())
}

#[tokio::test]
async fn timing_says_where_the_time_went() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let lookup = json!({"partition": ALICE, "similarity_threshold": 0.9});
    let body = json!({"text": "Where did it go?", "heads": ["category"], "cache": lookup});
    let answer: AnalyzeResponse = serde_json::from_slice(&sidecar.post(PATH, &body).await?.body)?;
    assert!(
        answer.timing.inference_us > 0 && answer.timing.tokenization_us > 0,
        "{answer:?}"
    );
    assert_eq!(answer.cache, Some(CacheAnswer::Miss));
    for stage in ["tokenization", "cache"] {
        let line = format!("turnpike_sidecar_stage_duration_seconds_count{{stage=\"{stage}\"}}");
        assert!(sidecar.metric(&line).await? >= 1.0, "{stage}");
    }
    for metric in [
        "queue_duration_seconds_count",
        "forward_duration_seconds_count",
        "tokens_total",
    ] {
        let line = format!("turnpike_sidecar_{metric}{{model=\"encoder\"}}");
        assert!(sidecar.metric(&line).await? >= 1.0, "{metric}");
    }
    let of_path =
        |end: &str| format!("turnpike_sidecar_request_duration_seconds_{end}{{path=\"{PATH}\"}}");
    assert_eq!(sidecar.metric(&of_path("count")).await?, 1.0);
    let whole = Duration::from_secs_f64(sidecar.metric(&of_path("sum")).await?);
    assert!(
        whole >= Duration::from_micros(answer.timing.inference_us),
        "{whole:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_text_of_spaces_has_no_category_and_is_never_a_hit() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let lookup = json!({"partition": ALICE, "similarity_threshold": 0.0});
    for text in ["", "  \n"] {
        let store = json!({"partition": ALICE, "text": text, "model": "m", "body": "{}"});
        let stored = sidecar.post("/v1/cache/entries", &store).await?;
        assert_eq!(
            (stored.status, stored.text()),
            (200, r#"{"stored":false}"#.into())
        );
        let body = json!({"text": text, "heads": ["category"], "cache": lookup});
        let answer = sidecar.post(PATH, &body).await?.json()?;
        assert_eq!(answer["cache"], json!({"status": "miss"}));
        assert_eq!(answer["category"], Value::Null);
    }
    Ok(())
}

#[tokio::test]
async fn samples_tell_how_similar_a_text_is_and_a_reload_brings_others() -> Outcome<()> {
    let rules = |refunds: &str| -> Outcome<Config> {
        let mut config = crate::harness::config()?;
        config.embedding_rules = serde_json::from_value(json!([
            {"name": "refunds", "threshold": 0.6, "candidates": [refunds, "Please refund my last order."]},
            {"name": "weather", "threshold": 0.6, "candidates": ["What is the weather like tomorrow?"], "aggregation_method": "mean"},
        ]))?;
        config.complexity_rules = serde_json::from_value(json!([{
            "name": "reasoning", "threshold": 0.1,
            "hard": {"candidates": ["Compare several architectures and justify the trade-offs."]},
            "easy": {"candidates": ["What is the capital of France?"]},
        }]))?;
        Ok(config)
    };
    let sidecar =
        Sidecar::start_with(&rules("I want my money back.")?, crate::harness::encoder()?).await?;
    let heads = async |text: &str| -> Outcome<AnalyzeResponse> {
        let body = json!({"text": text, "heads": ["embedding", "complexity_rules"]});
        let answer = sidecar.post(PATH, &body).await?;
        assert_eq!(answer.status, 200);
        Ok(serde_json::from_slice(&answer.body)?)
    };
    let found = heads("I'd like to have my money back, please").await?;
    assert_eq!(found.category, None);
    let similarity = &found.heads["embedding"];
    assert!(
        similarity["refunds"] > 0.7 && similarity["weather"] < 0.4,
        "{similarity:?}"
    );
    let hard = heads("Compare these three designs and justify which trade-offs are right.").await?;
    let easy = heads("What is the capital of Spain?").await?;
    let (hard, easy) = (
        hard.heads["complexity_rules"]["reasoning"],
        easy.heads["complexity_rules"]["reasoning"],
    );
    assert!(hard > 0.1 && easy < -0.1, "{hard} {easy}");
    sidecar
        .reload(&rules("My parcel has not arrived.")?)
        .await?;
    let found = heads("Where is my parcel? It has not arrived.").await?;
    assert!(found.heads["embedding"]["refunds"] > 0.8, "{found:?}");
    Ok(())
}
