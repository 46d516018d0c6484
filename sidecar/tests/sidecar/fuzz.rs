//! Any bytes as a body: an answer below 500, and a service that still works.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::harness::{ALICE, Outcome, Sidecar};

const PATHS: [&str; 3] = ["/v1/analyze", "/v1/cache/entries", "/v1/embeddings"];

/// Bytes of three kinds: noise, almost the right JSON, and a right request with a strange text.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let valid = json!({"text": "x", "heads": ["category"], "input": "x", "model": "all-MiniLM-L6-v2",
        "partition": ALICE, "body": "{}", "cache": {"partition": ALICE, "similarity_threshold": 0.5}});
    let valid = valid.to_string().into_bytes();
    let mutated = (0..valid.len(), any::<u8>(), any::<bool>()).prop_map(move |(at, byte, cut)| {
        let mut bytes = valid.clone();
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        bytes
    });
    let texts = (".{0,300}", 0.0_f32..=1.0).prop_map(|(text, threshold)| {
        let cache = json!({"partition": ALICE, "similarity_threshold": threshold});
        json!({"text": text, "cache": cache})
            .to_string()
            .into_bytes()
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), mutated, texts]
}

#[test]
fn any_body_is_answered_and_the_service_lives_on() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let sidecar = runtime.block_on(Sidecar::start())?;
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(&(0..PATHS.len(), body()), |(path, body)| {
        let answer = runtime
            .block_on(sidecar.send("POST", PATHS[path], body))
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(answer.status < 500, "{} {}", answer.status, answer.text());
        if answer.status >= 400 {
            prop_assert!(answer.error_code().is_ok(), "{}", answer.text());
        }
        Ok(())
    })?;
    let answer = runtime.block_on(sidecar.get("/readyz"))?;
    assert_eq!(answer.status, 200);
    Ok(())
}
