//! The language model as callers meet it: by the decoder of `models/reference/qwen3`, and by a server that is gone.

use std::time::Instant;

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::config::LlmClassifierConfig;

use crate::harness::{Outcome, Sidecar, config, root};

fn with_llm(llm: Value) -> Outcome<Config> {
    let mut config = config()?;
    let llm: LlmClassifierConfig = serde_json::from_value(llm)?;
    config.sidecar.llm_classifier = Some(llm);
    Ok(config)
}

fn decoder(model: &str) -> Outcome<Config> {
    let path = root().join("models/reference").join(model);
    with_llm(json!({"engine": "onnx", "path": path, "timeout_ms": 20_000}))
}

/// A port that nobody listens on.
fn gone() -> Outcome<Config> {
    with_llm(
        json!({"url": "http://127.0.0.1:9/v1", "model": "m", "timeout_ms": 500, "max_retries": 1}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_of_its_own_gives_every_label_its_probability_in_one_call_with_the_category()
-> Outcome<()> {
    for model in ["qwen3", "llama"] {
        let sidecar = Sidecar::start_from(&decoder(model)?).await?;
        let body = json!({"text": "What is a tort?", "heads": ["category", "llm"]});
        let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
        assert!(answer["category"]["label"].is_string(), "{answer}");
        let scores = answer["heads"]["llm"]
            .as_object()
            .ok_or_else(|| answer.to_string())?;
        let mut labels: Vec<&String> = scores.keys().collect();
        labels.sort();
        assert_eq!(labels, ["COMPLEX", "ENRICH", "META", "MODERATE"]);
        let sum: f64 = scores.values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{answer}");
        let texts = ["What is a tort?", "Hello", "  ", "What is a tort?"];
        let body = json!({"input": texts, "heads": ["llm"]});
        let found = sidecar.post("/v1/classify", &body).await?.json()?;
        let of = |at: usize| found["data"][at]["heads"]["llm"].clone();
        for (label, probability) in scores {
            let together = of(0)["probabilities"][label].as_f64().ok_or("a number")?;
            assert!(
                (together - probability.as_f64().ok_or("a number")?).abs() < 1e-4,
                "{found}"
            );
        }
        assert_eq!(of(0), of(3));
        assert_eq!(
            (&of(2)["label"], &of(2)["defaulted"]),
            (&json!("MODERATE"), &json!(true))
        );
        assert_ne!(of(0)["probabilities"], of(1)["probabilities"]);
        assert_eq!(sidecar.get("/health").await?.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_by_name_alone() -> Outcome<()> {
    let sidecar = Sidecar::start_from(&gone()?).await?;
    let answer = sidecar
        .post("/v1/classify", &json!({"input": "hello"}))
        .await?
        .json()?;
    let heads = answer["data"][0]["heads"].as_object().ok_or("heads")?;
    assert!(
        heads.contains_key("category") && !heads.contains_key("llm"),
        "{answer}"
    );
    let models = sidecar.get("/v1/models").await?.json()?;
    let listed = models["data"].as_array().ok_or("data")?;
    assert!(listed.iter().any(|model| model["id"] == "llm"), "{models}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_server_the_default_label_is_given_in_time_and_a_metric_says_so() -> Outcome<()>
{
    let mut config = gone()?;
    config.sidecar.timeout_ms = 1000;
    let sidecar = Sidecar::start_from(&config).await?;
    let started_at = Instant::now();
    let body = json!({"text": "What is a tort?", "heads": ["category", "llm"]});
    let answer = sidecar.post("/v1/analyze", &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(started_at.elapsed().as_millis() < 900);
    assert_eq!(answer.json()?["heads"]["llm"], json!({"MODERATE": 1.0}));
    let line = "turnpike_sidecar_llm_requests_total{engine=\"openai\",result=\"unavailable\"}";
    sidecar.until_metric(line, 1.0).await?;
    let health = sidecar.get("/health").await?;
    assert_eq!(health.status, 503);
    let health = health.json()?;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["dependencies"]["llm_classifier"]["healthy"], false);
    assert_eq!(
        sidecar.get("/readyz").await?.status,
        200,
        "it serves nevertheless"
    );
    Ok(())
}
