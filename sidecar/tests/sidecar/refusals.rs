//! Everything that is refused: status, and a whole OpenAI error object.

use serde_json::json;
use turnpike_core::sidecar::MAX_BODY_BYTES;

use crate::harness::{ALICE, Outcome, Sidecar};

const ANALYZE: &str = "/v1/analyze";
const ENTRIES: &str = "/v1/cache/entries";
const EMBEDDINGS: &str = "/v1/embeddings";

#[tokio::test]
async fn bad_requests_are_refused_with_the_place_of_the_mistake() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let too_many = json!({"model": "all-MiniLM-L6-v2", "input": vec![""; 1_000_000]}).to_string();
    let partition =
        format!(r#"{{"text":"x","cache":{{"partition":"{ALICE}","similarity_threshold":1.5}}}}"#);
    let cases = [
        (ANALYZE, "", "EOF while parsing a value at line 1 column 0"),
        (
            ANALYZE,
            "{\"text\":\n oops}",
            "text: expected value at line 2 column 2",
        ),
        (ANALYZE, "{}", "missing field `text` at line 1 column 2"),
        (
            ANALYZE,
            r#"{"text":1}"#,
            "text: invalid type: integer `1`, expected a string at line 1 column 9",
        ),
        (
            ANALYZE,
            r#"{"text":"x"} {}"#,
            "trailing characters at line 1 column 14",
        ),
        (
            ANALYZE,
            r#"{"text":"a","text":"b"}"#,
            "duplicate field `text` at line 1 column 18",
        ),
        (
            ANALYZE,
            r#"{"text":"x","heads":["mood"]}"#,
            "heads[0]: there is no head `mood`; known: category, fresh",
        ),
        (ANALYZE, r#"{"text":"x","txt":"y"}"#, "unknown field `txt`"),
        (
            ANALYZE,
            r#"{"text":"x","cache":{"partition":"abc","similarity_threshold":0.5}}"#,
            "cache.partition: must be 64 hex digits, got 3 bytes",
        ),
        (
            ANALYZE,
            &partition,
            "cache.similarity_threshold: must be between 0 and 1, got 1.5",
        ),
        (
            ENTRIES,
            r#"{"partition":"abc","text":"x","model":"m","body":""}"#,
            "partition: must be 64 hex digits, got 3 bytes",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":[]}"#,
            "input: must have 1 to 2048 texts, got 0",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":""}"#,
            "input[0]: must not be empty",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":["a",""]}"#,
            "input[1]: must not be empty",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":[1,2]}"#,
            "input[0]: invalid type: integer `1`, expected a string or an array of strings (token ids are not taken",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":["a",[1]]}"#,
            "input[1]: invalid type: sequence, expected a string",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":{}}"#,
            "input: invalid type: map, expected a string or an array of strings",
        ),
        (
            EMBEDDINGS,
            &too_many,
            "input: must have 1 to 2048 texts, got more",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":"x","dimensions":385}"#,
            "dimensions: must be between 1 and 384, got 385",
        ),
        (
            EMBEDDINGS,
            r#"{"model":"all-MiniLM-L6-v2","input":"x","encoding_format":"hex"}"#,
            "encoding_format: unknown variant `hex`, expected `float` or `base64`",
        ),
    ];
    for (path, body, message) in cases {
        let answer = sidecar.send("POST", path, body.to_owned()).await?;
        assert_eq!(
            (answer.status, answer.error_code()?.as_str()),
            (400, "invalid_request"),
            "{body}"
        );
        assert_eq!(answer.headers["content-type"], "application/json");
        let found = answer.json()?["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            found.contains(message),
            "{body}\n found {found}\n expected {message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn unknown_models_paths_and_methods_are_refused() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let unknown = json!({"model": "text-embedding-3-small", "input": "x"}).to_string();
    for (method, path, body, status, code) in [
        ("POST", EMBEDDINGS, unknown.as_str(), 404, "model_not_found"),
        ("GET", "/v1/moderations", "", 404, "unknown_url"),
        ("POST", "/v1/analyze/", "{}", 404, "unknown_url"),
        ("GET", ANALYZE, "", 405, "method_not_allowed"),
        ("PUT", ENTRIES, "{}", 405, "method_not_allowed"),
        ("POST", "/metrics", "", 405, "method_not_allowed"),
    ] {
        let answer = sidecar.send(method, path, body.to_owned()).await?;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.error_code()?, code, "{method} {path}");
    }
    let paths = sidecar
        .metric(r#"turnpike_sidecar_requests_total{path="other",code="404"}"#)
        .await?;
    assert!(paths >= 2.0, "unknown paths share one label, got {paths}");
    Ok(())
}

#[tokio::test]
async fn too_large_is_413() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let body = json!({"text": "x".repeat(MAX_BODY_BYTES)}).to_string();
    let answer = sidecar.send("POST", ANALYZE, body).await?;
    assert_eq!(
        (answer.status, answer.error_code()?.as_str()),
        (413, "request_too_large")
    );
    // An answer that the proxy would not have kept: limits.max_cached_body_bytes.
    let large = "x".repeat(256 << 10);
    let large =
        json!({"choices": [{"message": {"content": large}, "finish_reason": "stop"}]}).to_string();
    let body = json!({"partition": ALICE, "text": "x", "model": "m", "body": large});
    let answer = sidecar.post(ENTRIES, &body).await?;
    assert_eq!(
        (answer.status, answer.error_code()?.as_str()),
        (413, "request_too_large")
    );
    Ok(())
}

#[tokio::test]
async fn the_largest_text_is_analyzed() -> Outcome<()> {
    let sidecar = Sidecar::start().await?;
    let text = "é".repeat((MAX_BODY_BYTES - 100) / 2);
    let answer = sidecar
        .post(ANALYZE, &json!({"text": text, "heads": ["category"]}))
        .await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}
