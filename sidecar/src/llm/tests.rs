//! The classifier against servers that behave like vLLM, Ollama and OpenAI, good days and bad: what they saw, what the caller got.

mod answers;
mod embedded;
mod server;
mod thoughts;
mod trouble;

use turnpike_core::config::LlmLabelConfig;

use super::*;
use server::{meta, serve};

fn config(url: &str) -> LlmClassifierConfig {
    LlmClassifierConfig {
        url: url.into(),
        model: "m".into(),
        timeout_ms: 30_000,
        ..LlmClassifierConfig::default()
    }
}

fn labels(names: &[&str]) -> Vec<LlmLabelConfig> {
    let label = |name: &&str| LlmLabelConfig {
        name: (*name).into(),
        description: String::new(),
    };
    names.iter().map(label).collect()
}

/// A classifier and its metrics.
struct Asked {
    llm: LlmClassifier,
    metrics: Metrics,
}

fn ask(config: &LlmClassifierConfig) -> Asked {
    let metrics = Metrics::default();
    let llm = LlmClassifier::openai(config, Some("secret".into()), &metrics).unwrap();
    Asked { llm, metrics }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Asked {
    async fn of(&self, text: &str) -> LlmAnswer {
        self.llm.classify(text, Priority::Route, far()).await
    }

    #[track_caller]
    fn counted(&self, result: &str, count: u64) {
        self.has(&format!(
            "llm_requests_total{{engine=\"openai\",result=\"{result}\"}} {count}"
        ));
    }

    #[track_caller]
    fn has(&self, line: &str) {
        let text = self.metrics.text().unwrap();
        let line = format!("turnpike_sidecar_{line}");
        let llm: Vec<&str> = text.lines().filter(|l| l.contains("_llm_")).collect();
        assert!(
            text.lines().any(|l| l == line),
            "{line} is not among {llm:#?}"
        );
    }
}

fn default() -> LlmAnswer {
    LlmAnswer {
        label: "MODERATE".into(),
        probabilities: vec![],
        defaulted: true,
    }
}

#[track_caller]
fn is(answer: &LlmAnswer, label: &str, expected: &[f32]) {
    assert_eq!((answer.label.as_str(), answer.defaulted), (label, false));
    let found: Vec<f32> = answer.probabilities.iter().map(|(_, p)| *p).collect();
    assert_eq!(found.len(), expected.len());
    let near = found
        .iter()
        .zip(expected)
        .all(|(f, e)| (f - e).abs() < 1e-4);
    assert!(near, "{found:?} {expected:?}");
}

#[tokio::test]
async fn connections_are_kept() {
    let server = serve(|_, _| meta()).await;
    let asked = ask(&server.config());
    for _ in 0..10 {
        asked.of("Hi").await;
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nobody_is_asked_about_nothing() {
    let server = serve(|_, _| meta()).await;
    let asked = ask(&server.config());
    assert_eq!(asked.of(" \n\t").await, default());
    assert!(server.bodies().is_empty());
}

#[tokio::test]
async fn health_is_asked_with_the_key() {
    let server = serve(|_, _| meta()).await;
    let asked = ask(&server.config());
    assert_eq!(asked.llm.healthy(Duration::from_secs(5)).await, Ok(()));
    let metrics = Metrics::default();
    let stranger = LlmClassifier::openai(&server.config(), None, &metrics).unwrap();
    let error = stranger.healthy(Duration::from_secs(5)).await.unwrap_err();
    assert!(error.contains("401"), "{error}");
}

#[tokio::test]
async fn a_wrong_url_or_key_is_an_error_of_its_own() {
    let metrics = Metrics::default();
    let url = LlmClassifier::openai(&config("http://[::/v1"), None, &metrics).unwrap_err();
    assert!(matches!(url, LlmError::Url(_)), "{url}");
    let config = config("http://127.0.0.1:1/v1");
    let key = LlmClassifier::openai(&config, Some("a\nb".into()), &metrics).unwrap_err();
    assert!(matches!(key, LlmError::Key), "{key}");
}

#[test]
fn it_can_be_shared() {
    fn shared<T: std::fmt::Debug + Send + Sync + 'static>() {}
    shared::<LlmClassifier>();
}
