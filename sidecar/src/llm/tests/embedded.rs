//! The decoder within the process.

use std::path::PathBuf;

use turnpike_core::config::Precision;

use super::*;
use crate::onnx::{Device, ModelFiles, Source, runtime};

#[tokio::test]
async fn an_embedded_decoder_answers_many_at_once() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let library = std::env::var_os("ORT_DYLIB_PATH");
    let library = library.map_or_else(
        || root.join(".cache/onnxruntime/libonnxruntime.so"),
        PathBuf::from,
    );
    let environment = runtime::environment(Some(&library)).expect("make setup");
    let source = Source::Folder(root.join("models/reference/qwen3"));
    let files = ModelFiles::find(&source, Precision::Fp32).unwrap();
    let config = config("");
    let names: Vec<String> = config
        .labels
        .iter()
        .map(|label| label.name.clone())
        .collect();
    let system = prompt::system_message(&config);
    let decoder = Decoder::load(&environment, &files, &system, &names, Device::Cpu, 1).unwrap();
    let metrics = Metrics::default();
    let limits = Limits {
        max_batch_size: 8,
        max_tokens: 4096,
        max_wait: Duration::from_millis(1),
        queue: 64,
    };
    let llm = LlmClassifier::onnx(&config, decoder, limits, &metrics).unwrap();
    let texts: Vec<String> = (0..20).map(|n| format!("What is {n} times {n}?")).collect();
    let all = texts
        .iter()
        .map(|text| llm.classify(text, Priority::Route, far()));
    let all = futures_util::future::join_all(all).await;
    for (text, together) in texts.iter().zip(all) {
        let alone = llm.classify(text, Priority::Route, far()).await;
        let chances: Vec<f32> = alone.probabilities.iter().map(|(_, p)| *p).collect();
        is(&together, &alone.label, &chances);
        assert!((chances.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert_eq!(llm.classify("", Priority::Route, far()).await, default());
    let late = llm.classify("Hi", Priority::Route, Instant::now()).await;
    assert_eq!(late, default());
    assert_eq!(llm.healthy(Duration::ZERO).await, Ok(()));
    let text = metrics.text().unwrap();
    assert!(
        text.contains("llm_requests_total{engine=\"onnx\",result=\"answered\"} 40"),
        "{text}"
    );
    assert!(
        text.contains("llm_requests_total{engine=\"onnx\",result=\"timeout\"} 1"),
        "{text}"
    );
}
