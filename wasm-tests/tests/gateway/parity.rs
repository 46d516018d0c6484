//! The classifier gives the same numbers inside Envoy as where it was trained.

use serde_json::{Value, json};
use turnpike_core::Config;
use wasm_tests::harness::{Paths, Stack, StackOptions};

const TOLERANCE: f64 = 1e-3;

/// A gateway whose first filter is the probe.
async fn probe() -> Stack {
    let module = Paths::find().unwrap().wasm.join("turnpike_probe.wasm");
    assert!(
        module.exists(),
        "{} is missing; run: scripts/wasm.sh probe",
        module.display()
    );
    let filter = json!({
        "name": "probe",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "turnpike_probe",
                "root_id": "turnpike_probe",
                "allow_on_headers_stop_iteration": true,
                "vm_config": {
                    "vm_id": "turnpike_probe",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
            },
        },
    });
    let config = turnpike::config::parse(include_str!("../../../envoy/config.yaml")).unwrap();
    let options = StackOptions {
        filters: "none".parse().unwrap(),
        without_sidecar: true,
        first_filters: vec![filter],
        ..StackOptions::default()
    };
    Stack::start_config(Config::from_value(config).unwrap(), options)
        .await
        .unwrap()
}

fn rows(file: &str) -> Vec<Value> {
    let path = wasm_tests::harness::root()
        .join("models/classifier")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn inside(stack: &Stack, text: &str) -> Value {
    let call = stack.client("parity", "gold").post("/", text.to_owned());
    call.send().await.unwrap().json()
}

#[tokio::test]
async fn python_and_envoy_agree() {
    let stack = probe().await;
    let all = rows("parity.jsonl");
    assert_eq!(all.len(), 1000);
    for row in all {
        let text = row["text"].as_str().unwrap();
        let found = inside(&stack, text).await;
        for (head, theirs) in row["scores"].as_object().unwrap() {
            let ours = found["scores"][head].as_array().unwrap();
            let theirs = theirs.as_array().unwrap();
            assert_eq!(ours.len(), theirs.len(), "{head} of {text}");
            for (a, b) in ours.iter().zip(theirs) {
                let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                assert!((a - b).abs() < TOLERANCE, "{head}: {a} and {b} for {text}");
            }
        }
    }
    let mut compared = 0;
    for row in rows("names-parity.jsonl") {
        let text = row["text"].as_str().unwrap();
        let found = inside(&stack, text).await;
        // A name within a form is a part of it, so only texts without forms are compared.
        let ours = found["found"].as_array().unwrap();
        let names = ["PERSON", "GPE", "STREET_ADDRESS"];
        if ours
            .iter()
            .any(|f| !names.contains(&f["type"].as_str().unwrap()))
        {
            continue;
        }
        compared += 1;
        let theirs = row["found"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{text}: {found} {row}");
        for (a, b) in ours.iter().zip(theirs) {
            assert_eq!(
                (&a["type"], &a["start"], &a["end"]),
                (&b["type"], &b["start"], &b["end"]),
                "{text}"
            );
            assert!(
                (a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap()).abs() < TOLERANCE,
                "{text}"
            );
        }
    }
    assert!(compared > 200, "{compared}");
}
