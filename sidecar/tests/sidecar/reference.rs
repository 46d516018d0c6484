//! The models of `models/reference`, against what PyTorch computes with them.

use serde_json::{Value, json};
use turnpike_core::Config;

use crate::harness::{Outcome, Sidecar, config, root};

/// `models/reference/README.md`: numbers are rounded, and runtimes add in another order.
const TOLERANCE: f64 = 1e-4;

pub(crate) fn expected(model: &str) -> Outcome<Vec<Value>> {
    let path = root().join(format!("models/reference/{model}/expected.jsonl"));
    let lines = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(Value::as_f64).collect()
}

#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64], what: &Value) {
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(!expected.is_empty(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < TOLERANCE,
            "{found} is not {expected}: {what}"
        );
    }
}

/// With the tiny XLM-R in place of MiniLM.
fn xlm_roberta(prefix: &str, passage_prefix: &str) -> Outcome<Config> {
    let mut config = config()?;
    let encoder = &mut config.sidecar.encoder;
    encoder.name = "tiny".into();
    encoder.path = "models/reference/xlm-roberta".into();
    encoder.max_tokens = 64;
    encoder.prefix = prefix.into();
    encoder.passage_prefix = passage_prefix.into();
    Ok(config)
}

async fn embeddings(sidecar: &Sidecar, body: Value) -> Outcome<(Vec<Vec<f64>>, u64)> {
    let answer = sidecar.post("/v1/embeddings", &body).await?.json()?;
    let data = answer["data"]
        .as_array()
        .ok_or_else(|| answer.to_string())?;
    let vectors = data
        .iter()
        .map(|item| numbers(&item["embedding"]))
        .collect();
    let tokens = answer["usage"]["prompt_tokens"].as_u64();
    Ok((vectors, tokens.ok_or("no usage")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn minilm_embeds_as_sentence_transformers_does_alone_and_in_a_batch() -> Outcome<()> {
    let sidecar = Sidecar::start_from(&config()?).await?;
    let rows = expected("minilm")?;
    let texts: Vec<&Value> = rows.iter().map(|row| &row["text"]).collect();
    let body = json!({"model": "all-MiniLM-L6-v2", "input": texts});
    let (batched, tokens) = embeddings(&sidecar, body).await?;
    assert_eq!(batched.len(), rows.len());
    let all: u64 = rows.iter().filter_map(|row| row["tokens"].as_u64()).sum();
    assert_eq!(tokens, all);
    for (row, batched) in rows.iter().zip(&batched) {
        let wanted = numbers(&row["embedding"]);
        assert_close(batched, &wanted, &row["text"]);
        let body = json!({"model": "all-MiniLM-L6-v2", "input": row["text"]});
        let (alone, tokens) = embeddings(&sidecar, body).await?;
        assert_close(&alone[0], &wanted, &row["text"]);
        assert_eq!(Some(tokens), row["tokens"].as_u64(), "{}", row["text"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_with_prefixes_cls_pooling_and_other_padding_embeds_as_its_own_library()
-> Outcome<()> {
    let rows = expected("xlm-roberta")?;
    for (prefix, passage_prefix) in [("query: ", "passage: "), ("", "")] {
        let sidecar = Sidecar::start_from(&xlm_roberta(prefix, passage_prefix)?).await?;
        for (input_type, prefix) in [("query", prefix), ("passage", passage_prefix)] {
            let rows: Vec<&Value> = rows.iter().filter(|row| row["prefix"] == prefix).collect();
            assert!(rows.len() >= 8, "{} rows with `{prefix}`", rows.len());
            let texts: Vec<&Value> = rows.iter().map(|row| &row["text"]).collect();
            let body = json!({"model": "tiny", "input": texts, "input_type": input_type});
            let (found, _) = embeddings(&sidecar, body).await?;
            for (row, found) in rows.iter().zip(&found) {
                assert_close(found, &numbers(&row["embedding"]), row);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shortened_vectors_are_the_first_components_scaled_to_length_one() -> Outcome<()> {
    let rows = expected("xlm-roberta")?;
    let row = rows
        .iter()
        .find(|row| row["prefix"] == "")
        .ok_or("no row")?;
    let full = numbers(&row["embedding"]);
    let length = full[..8].iter().map(|x| x * x).sum::<f64>().sqrt();
    let wanted: Vec<f64> = full[..8].iter().map(|x| x / length).collect();
    let mut config = xlm_roberta("", "")?;
    let by_request = Sidecar::start_from(&config).await?;
    let body = json!({"model": "tiny", "input": row["text"], "dimensions": 8});
    assert_close(&embeddings(&by_request, body).await?.0[0], &wanted, row);
    config.sidecar.encoder.dimensions = 8;
    let by_config = Sidecar::start_from(&config).await?;
    let body = json!({"model": "tiny", "input": row["text"]});
    assert_close(&embeddings(&by_config, body).await?.0[0], &wanted, row);
    let body = json!({"model": "tiny", "input": row["text"], "dimensions": 9});
    assert_eq!(by_config.post("/v1/embeddings", &body).await?.status, 400);
    Ok(())
}

fn with_classifiers(more: &str) -> Outcome<Config> {
    let mut config = config()?;
    let models: Vec<_> = ["modernbert-topic", "bert-pii", "multilabel"]
        .iter()
        .map(|name| {
            format!("{{\"name\": \"{name}\", \"path\": \"models/reference/{name}\"{more}}}")
        })
        .map(|json| serde_json::from_str(&json))
        .collect::<Result<_, _>>()?;
    config.sidecar.classifiers = models;
    Ok(config)
}

async fn classify(sidecar: &Sidecar, input: Value, head: &str) -> Outcome<Vec<Value>> {
    let body = json!({"input": input, "heads": [head]});
    let answer = sidecar.post("/v1/classify", &body).await?.json()?;
    let data = answer["data"]
        .as_array()
        .ok_or_else(|| answer.to_string())?;
    Ok(data
        .iter()
        .map(|item| item["heads"][head].clone())
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn sequence_models_give_the_probabilities_of_transformers_alone_and_in_a_batch() -> Outcome<()>
{
    let sidecar = Sidecar::start_from(&with_classifiers("")?).await?;
    for model in ["modernbert-topic", "multilabel"] {
        let rows = expected(model)?;
        let texts: Value = rows.iter().map(|row| row["text"].clone()).collect();
        let batched = classify(&sidecar, texts, model).await?;
        for (row, batched) in rows.iter().zip(&batched) {
            let alone = classify(&sidecar, row["text"].clone(), model).await?;
            for found in [batched, &alone[0]] {
                let labels = row["probabilities"].as_object().ok_or("labels")?;
                assert_eq!(
                    found["probabilities"].as_object().map(serde_json::Map::len),
                    Some(labels.len())
                );
                for (label, wanted) in labels {
                    let found = found["probabilities"][label].as_f64().ok_or("a number")?;
                    assert_close(&[found], &[wanted.as_f64().ok_or("a number")?], row);
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_model_finds_the_entities_of_transformers_at_their_places() -> Outcome<()> {
    let sidecar = Sidecar::start_from(&with_classifiers("")?).await?;
    let mut found_any = false;
    for row in expected("bert-pii")? {
        let found = classify(&sidecar, row["text"].clone(), "bert-pii").await?;
        let found = found[0]["entities"].as_array().ok_or("entities")?.clone();
        let wanted = row["entities"].as_array().ok_or("entities")?;
        assert_eq!(found.len(), wanted.len(), "{found:?} {row}");
        for (found, wanted) in found.iter().zip(wanted) {
            found_any = true;
            assert_eq!(found["label"], wanted["entity_group"], "{row}");
            assert_eq!(
                (&found["start"], &found["end"]),
                (&wanted["start"], &wanted["end"]),
                "{row}"
            );
            let scores =
                [&found["score"], &wanted["score"]].map(|score| score.as_f64().unwrap_or(9.0));
            assert_close(&scores[..1], &scores[1..], &row);
        }
    }
    assert!(found_any);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_of_a_long_text_are_those_of_its_windows_and_none_is_lost_or_doubled()
-> Outcome<()> {
    let sidecar = Sidecar::start_from(&with_classifiers("")?).await?;
    let rows = expected("bert-pii")?;
    let with_entities = rows
        .iter()
        .filter(|row| row["entities"].as_array().is_some_and(|e| !e.is_empty()));
    let piece = with_entities
        .filter_map(|row| row["text"].as_str())
        .collect::<Vec<_>>()
        .join(". ");
    let text = [piece.as_str(); 8].join(". ");
    let found = classify(&sidecar, json!(text), "bert-pii").await?;
    let entities = found[0]["entities"].as_array().ok_or("entities")?;
    let points: Vec<char> = text.chars().collect();
    let mut end = 0;
    for entity in entities {
        let place = |key: &str| {
            usize::try_from(entity[key].as_u64().unwrap_or_default()).unwrap_or_default()
        };
        assert!(
            place("start") >= end && place("end") > place("start"),
            "{entities:?}"
        );
        end = place("end");
        let part: String = points[place("start")..end].iter().collect();
        assert_eq!(entity["text"], part);
    }
    // The pattern of the text comes again eight times: so do its entities, up to what windows see differently.
    let half = points.len() / 2;
    let first = entities
        .iter()
        .filter(|e| e["end"].as_u64() < Some(half as u64))
        .count();
    assert!(
        first.abs_diff(entities.len() - first) <= entities.len() / 4 && first >= 8,
        "{first} of {}",
        entities.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_longer_than_the_model_reads_is_refused_by_its_key() -> Outcome<()> {
    let config = with_classifiers(", \"max_tokens\": 4096")?;
    let error = Sidecar::start_from(&config).await.err().ok_or("no error")?;
    assert!(
        error
            .to_string()
            .starts_with("sidecar.classifiers[0].max_tokens: must be at most "),
        "{error}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn classifiers_answer_analyses_by_name() -> Outcome<()> {
    let sidecar = Sidecar::start_from(&with_classifiers("")?).await?;
    let rows = expected("modernbert-topic")?;
    let body = json!({"text": rows[0]["text"], "heads": ["category", "modernbert-topic"]});
    let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
    assert!(answer["category"]["label"].is_string(), "{answer}");
    for (label, wanted) in rows[0]["probabilities"].as_object().ok_or("labels")? {
        let found = answer["heads"]["modernbert-topic"][label]
            .as_f64()
            .ok_or_else(|| answer.to_string())?;
        assert_close(&[found], &[wanted.as_f64().ok_or("a number")?], &answer);
    }
    let body = json!({"text": "x", "heads": ["astrology"]});
    let refused = sidecar.post("/v1/analyze", &body).await?;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("there is no head `astrology`"),
        "{}",
        refused.text()
    );
    Ok(())
}
