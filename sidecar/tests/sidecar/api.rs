//! What the sidecar says of itself.

use serde_json::{Value, json};

use crate::harness::{Outcome, Sidecar};

#[tokio::test]
async fn every_path_is_described_and_every_described_path_answers() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let api = sidecar.get("/openapi.json").await?.json()?;
    assert!(
        api["openapi"].as_str().is_some_and(|v| v.starts_with("3.")),
        "{api}"
    );
    let paths = api["paths"].as_object().ok_or("paths")?;
    let mut operations = 0;
    for (path, item) in paths {
        for method in item.as_object().ok_or("item")?.keys() {
            operations += 1;
            let answer = sidecar.send(&method.to_uppercase(), path, "").await?;
            assert!(![404, 405].contains(&answer.status), "{method} {path}");
        }
    }
    assert_eq!((paths.len(), operations), (11, 13));
    Ok(())
}

#[tokio::test]
async fn answers_are_as_described() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let api = sidecar.get("/openapi.json").await?.json()?;
    let analyze = json!({"text": "What is a tort?", "heads": ["category", "fresh"]});
    let embed = json!({"model": "all-MiniLM-L6-v2", "input": "x"});
    for (method, path, body, status) in [
        ("post", "/v1/analyze", analyze, "200"),
        ("post", "/v1/embeddings", embed, "200"),
        ("post", "/v1/classify", json!({"input": ["x", "y"]}), "200"),
        ("get", "/v1/models", Value::Null, "200"),
        ("get", "/v1/cache/stats", Value::Null, "200"),
        ("delete", "/v1/cache/entries", Value::Null, "200"),
        ("post", "/v1/classify", json!({"input": []}), "400"),
    ] {
        let answer = sidecar
            .send(&method.to_uppercase(), path, body.to_string())
            .await?;
        assert_eq!(answer.status.to_string(), status, "{path}");
        let response = &api["paths"][path][method]["responses"][status];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}: {response}");
        let mut root = schema.clone();
        root["components"] = api["components"].clone();
        let validator = jsonschema::validator_for(&root)?;
        let answer = answer.json()?;
        let problems: Vec<String> = validator
            .iter_errors(&answer)
            .map(|e| e.to_string())
            .collect();
        assert_eq!(problems, Vec::<String>::new(), "{path}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn models_are_listed_with_what_they_answer() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let list = sidecar.get("/v1/models").await?.json()?;
    let models = list["data"].as_array().ok_or("data")?;
    let ids: Vec<&Value> = models.iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["all-MiniLM-L6-v2", "category", "fresh"]);
    assert_eq!(
        (&models[0]["kind"], &models[0]["dimensions"]),
        (&json!("encoder"), &json!(384))
    );
    assert_eq!(models[2]["labels"], json!(["static", "fresh"]));
    Ok(())
}
