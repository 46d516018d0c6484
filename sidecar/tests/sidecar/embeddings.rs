//! `/v1/embeddings`.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};
use turnpike_sidecar::encoder::Embedding;

use crate::harness::{Outcome, Sidecar};

const PATH: &str = "/v1/embeddings";
const MODEL: &str = "all-MiniLM-L6-v2";

/// A sentence, embedded by `fixtures/reference_embeddings.py` in float64.
#[derive(Debug, Deserialize)]
struct Reference {
    text: String,
    tokens: usize,
    embedding: Vec<f32>,
}

fn references() -> Outcome<Vec<Reference>> {
    let json = include_str!("../fixtures/reference_embeddings.json");
    Ok(serde_json::from_str(json)?)
}

fn embedding(object: &Value) -> Outcome<Embedding> {
    let values: Vec<f32> = serde_json::from_value(object["embedding"].clone())?;
    Ok(Embedding::normalized(values))
}

#[tokio::test]
async fn embeddings_match_the_reference() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    for reference in references()? {
        let body = json!({"model": MODEL, "input": reference.text});
        let answer = sidecar.post(PATH, &body).await?.json()?;
        let expected = Embedding::normalized(reference.embedding);
        let similarity = embedding(&answer["data"][0])?.similarity(&expected);
        // f32 against float64, and six decimals in the fixture.
        assert!(similarity > 0.9999, "{similarity} for {:?}", reference.text);
        assert_eq!(answer["usage"]["prompt_tokens"], reference.tokens);
    }
    Ok(())
}

#[tokio::test]
async fn a_row_of_a_batch_is_what_the_text_gives_alone() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    // Lengths from 3 to 256 tokens, and more texts than one forward takes.
    let mut texts: Vec<String> = references()?.into_iter().map(|r| r.text).collect();
    texts.extend((1..8).map(|n| "again ".repeat(n * 5)));
    let batch = sidecar
        .post(PATH, &json!({"model": MODEL, "input": texts}))
        .await?;
    let batch = batch.json()?;
    for (index, text) in texts.iter().enumerate() {
        let alone = sidecar
            .post(PATH, &json!({"model": MODEL, "input": text}))
            .await?;
        let row = &batch["data"][index];
        assert_eq!(row["index"], index);
        let similarity = embedding(row)?.similarity(&embedding(&alone.json()?["data"][0])?);
        // Padding changes the order of f32 sums, nothing else.
        assert!(similarity > 0.99999, "{similarity} for {text:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_answer_has_openai_s_shape() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let body = json!({"model": MODEL, "input": ["a", "b"], "user": "u", "dimensions": 384});
    let answer = sidecar.post(PATH, &body).await?;
    assert_eq!(answer.status, 200);
    let mut answer = answer.json()?;
    for (index, object) in answer["data"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .enumerate()
    {
        assert_eq!(object["index"], index);
        assert_eq!(object["embedding"].as_array().map(Vec::len), Some(384));
        object["embedding"] = Value::Null;
    }
    let object = |index| json!({"object": "embedding", "index": index, "embedding": null});
    let expected = json!({
        "object": "list",
        "data": [object(0), object(1)],
        "model": MODEL,
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    });
    assert_eq!(answer, expected);
    Ok(())
}

#[tokio::test]
async fn base64_holds_the_same_floats() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let floats = sidecar
        .post(PATH, &json!({"model": MODEL, "input": "x"}))
        .await?;
    let body = json!({"model": MODEL, "input": "x", "encoding_format": "base64"});
    let base64 = sidecar.post(PATH, &body).await?.json()?;
    let text = base64["data"][0]["embedding"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let expected: Vec<f32> =
        serde_json::from_value(floats.json()?["data"][0]["embedding"].clone())?;
    assert_eq!(values, expected);
    Ok(())
}
