//! `/v1/classify`, and trained heads in `/v1/analyze`.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_core::decision::CategoryConfig;
use turnpike_sidecar::encoder::{Embedding, Encoder};
use turnpike_sidecar::model::{ForwardError, Model, TokenizedText};

use crate::harness::{Outcome, Sidecar, config, encoder};

const PATH: &str = "/v1/classify";

const PHYSICS: &str = "A block slides down a frictionless inclined plane. What is its acceleration under gravity, and with which velocity \
     and kinetic energy does it leave the plane? ";
const SMALL_TALK: &str =
    "Good morning! I hope you had a nice weekend with your family at the lake. ";

#[tokio::test]
async fn every_head_answers_with_probabilities_that_add_up_to_one() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let texts = json!([PHYSICS, "What is the weather in Oslo right now?"]);
    let answer = sidecar.post(PATH, &json!({"input": texts})).await?.json()?;
    assert_eq!(answer["object"], "list");
    let heads = sidecar.metric("turnpike_sidecar_trained_heads").await?;
    assert!((heads - 2.0).abs() < f64::EPSILON, "{heads}");
    assert_eq!(answer["model"], "all-MiniLM-L6-v2");
    let data = answer["data"].as_array().ok_or("no data")?;
    assert_eq!(data.len(), 2);
    for (index, item) in data.iter().enumerate() {
        assert_eq!(item["index"], index);
        for (head, labels) in [("category", 14), ("fresh", 2)] {
            let probabilities = item["heads"][head]["probabilities"]
                .as_object()
                .ok_or("none")?;
            let sum: f64 = probabilities.values().filter_map(Value::as_f64).sum();
            assert_eq!(probabilities.len(), labels, "{head}");
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }
    assert_eq!(data[0]["heads"]["category"]["label"], "physics");
    assert_eq!(data[1]["heads"]["fresh"]["label"], "fresh");
    assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(20));
    Ok(())
}

#[tokio::test]
async fn only_the_heads_that_were_asked_for_answer() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let body = json!({"input": "hello", "heads": ["fresh"]});
    let answer = sidecar.post(PATH, &body).await?.json()?;
    let heads = answer["data"][0]["heads"].as_object().ok_or("no heads")?;
    assert_eq!(heads.keys().collect::<Vec<_>>(), ["fresh"]);
    Ok(())
}

#[tokio::test]
async fn a_text_of_spaces_has_no_label() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let answer = sidecar.post(PATH, &json!({"input": " \n"})).await?.json()?;
    let category = &answer["data"][0]["heads"]["category"];
    assert_eq!(
        *category,
        json!({"label": null, "probability": null, "probabilities": {}})
    );
    Ok(())
}

#[tokio::test]
async fn bad_requests_name_the_mistake() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    for (body, message) in [
        (json!({}), "missing field `input`"),
        (
            json!({"input": []}),
            "input: must have 1 to 2048 texts, got 0",
        ),
        (json!({"input": ["a", ""]}), "input[1]: must not be empty"),
        (
            json!({"input": "a", "heads": ["fresh", "mood"]}),
            "heads[1]: there is no head `mood`; known: category, fresh",
        ),
        (
            json!({"input": "a", "head": "fresh"}),
            "unknown field `head`",
        ),
    ] {
        let answer = sidecar.post(PATH, &body).await?;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(message), "{}", answer.text());
    }
    let long = "long ".repeat(210_000);
    let reason = "has 1050000 bytes; heads and classifiers read at most 1048576";
    for (path, body, key) in [
        (PATH, json!({"input": ["a", long]}), "input[1]"),
        (
            "/v1/analyze",
            json!({"text": long, "heads": ["fresh"]}),
            "text",
        ),
    ] {
        let answer = sidecar.post(path, &body).await?;
        assert_eq!(answer.status, 400, "what is not read must not pass as read");
        assert!(answer.text().contains(&format!("{key}: {reason}")));
    }
    Ok(())
}

#[tokio::test]
async fn a_long_text_is_read_to_its_end() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    // The encoder reads 256 tokens at once: these are small talk.
    let text = SMALL_TALK.repeat(14) + &PHYSICS.repeat(60);
    let answer = sidecar.post(PATH, &json!({"input": text})).await?.json()?;
    assert_eq!(answer["data"][0]["heads"]["category"]["label"], "physics");
    let mut config = config()?;
    config.categories = ["physics", "other"].map(category).to_vec();
    let sidecar = Sidecar::start_with(&config, encoder()?).await?;
    let body = json!({"text": text, "heads": ["category"]});
    let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
    assert_eq!(answer["category"]["label"], "physics", "{answer}");
    let text = SMALL_TALK.to_owned() + &PHYSICS.repeat(5_000);
    let body = json!({"text": text, "heads": ["category"]});
    let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
    assert_eq!(answer["category"]["label"], "physics", "{answer}");
    Ok(())
}

#[tokio::test]
async fn categories_that_are_no_topics_of_the_head_are_told_by_resemblance() -> Outcome<()> {
    let mut config = config()?;
    config.categories = vec![
        CategoryConfig {
            description: "plants, flower beds, soil and seeds".into(),
            ..category("gardening")
        },
        CategoryConfig {
            description: "cars, engines and repairs".into(),
            ..category("motoring")
        },
    ];
    let sidecar = Sidecar::start_with(&config, encoder()?).await?;
    let body = json!({"text": "When should I plant tulip bulbs?", "heads": ["category"]});
    let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
    assert_eq!(answer["category"]["label"], "gardening");
    Ok(())
}

fn category(name: &str) -> CategoryConfig {
    CategoryConfig {
        name: name.into(),
        ..CategoryConfig::default()
    }
}

/// Not the encoder that the heads were trained on.
struct Other;

impl Encoder for Other {
    fn dimensions(&self) -> usize {
        384
    }
}

impl Model for Other {
    type Output = Embedding;

    fn forward(&self, batch: &[&TokenizedText]) -> Result<Vec<Embedding>, ForwardError> {
        let vector = || Embedding::normalized(vec![1.0; 384]);
        Ok(batch.iter().map(|_| vector()).collect())
    }
}

#[tokio::test]
async fn with_another_encoder_there_are_no_trained_heads_and_a_metric_says_so() -> Outcome<()> {
    let sidecar = Sidecar::start_with(&config()?, Arc::new(Other)).await?;
    let answer = sidecar.post(PATH, &json!({"input": "hello"})).await?;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("there are no heads for the encoder"),
        "{}",
        answer.text()
    );
    let page = sidecar.get("/metrics").await?.text();
    assert!(
        page.contains("turnpike_sidecar_trained_heads 0\n"),
        "{page}"
    );
    Ok(())
}
