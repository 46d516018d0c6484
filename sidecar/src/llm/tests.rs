//! The classifier against servers that behave like vLLM, Ollama and OpenAI, good days and bad: what they saw, what the caller got.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use turnpike_core::config::{Guided, LlmLabelConfig, Precision};

use super::*;
use crate::onnx::{Device, ModelFiles, Source, runtime};

/// What a server does with a request.
enum Reply {
    Json(Value),
    Status(u16, Vec<(&'static str, &'static str)>, String),
    Hang,
}

/// The number of the request, counted from 0, and its body.
type Script = dyn Fn(usize, &Value) -> Reply + Send + Sync;

#[derive(Clone)]
struct Seen {
    script: Arc<Script>,
    bodies: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

struct Server {
    address: SocketAddr,
    seen: Seen,
    connections: Arc<AtomicUsize>,
}

struct Counted {
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
}

impl Listener for Counted {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = Listener::accept(&mut self.listener).await;
        self.connections.fetch_add(1, Ordering::Relaxed);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn completions(State(seen): State<Seen>, headers: HeaderMap, body: String) -> Response<Body> {
    let body: Value = serde_json::from_str(&body).unwrap();
    let key = headers.get("authorization").map(|v| v.to_str().unwrap());
    seen.keys
        .lock()
        .unwrap()
        .push(key.unwrap_or_default().to_owned());
    let number = {
        let mut bodies = seen.bodies.lock().unwrap();
        bodies.push(body.clone());
        bodies.len() - 1
    };
    match (seen.script)(number, &body) {
        Reply::Json(value) => Response::new(value.to_string().into()),
        Reply::Status(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(body.into()).unwrap()
        }
        Reply::Hang => std::future::pending().await,
    }
}

async fn models(headers: HeaderMap) -> StatusCode {
    match headers.get("authorization") {
        Some(key) if key == "Bearer secret" => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn serve(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Server {
    let seen = Seen {
        script: Arc::new(script),
        bodies: Arc::default(),
        keys: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Counted {
        listener,
        connections: Arc::clone(&connections),
    };
    let router = Router::new()
        .route("/v1/chat/completions", post(completions))
        .route("/v1/models", get(models))
        .with_state(seen.clone());
    tokio::spawn(axum::serve(counted, router).into_future());
    Server {
        address,
        seen,
        connections,
    }
}

impl Server {
    fn bodies(&self) -> Vec<Value> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// `max_tokens` of every request, or the name that newer models have for it.
    fn lengths(&self, key: &str) -> Vec<Value> {
        self.bodies().iter().map(|body| body[key].clone()).collect()
    }

    fn config(&self) -> LlmClassifierConfig {
        config(&format!("http://{}/v1/", self.address))
    }
}

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

fn token(candidates: &[(&str, f64)]) -> Value {
    let entry = |(token, chance): &(&str, f64)| json!({"token": token, "logprob": chance.ln(), "bytes": null});
    let mut first = entry(&candidates[0]);
    first["top_logprobs"] = candidates.iter().map(entry).collect();
    first
}

/// vLLM: content, candidates, and why it ended.
fn vllm(content: &str, tokens: &[Value], finish: &str) -> Reply {
    Reply::Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": finish, "stop_reason": null,
            "message": {"role": "assistant", "content": content, "reasoning_content": null, "tool_calls": []},
            "logprobs": {"content": tokens},
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }))
}

/// Ollama before it knew `logprobs`.
fn ollama(message: Value, finish: &str) -> Reply {
    Reply::Json(json!({
        "object": "chat.completion", "model": "m", "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }))
}

fn error(status: u16, message: &str) -> Reply {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}});
    Reply::Status(status, vec![], body.to_string())
}

fn meta() -> Reply {
    vllm(
        "META",
        &[token(&[("META", 0.6), ("COM", 0.2), ("The", 0.2)])],
        "length",
    )
}

#[tokio::test]
async fn one_token_with_its_candidates_gives_every_label_its_probability() {
    let server = serve(|_, _| meta()).await;
    let asked = ask(&LlmClassifierConfig {
        guided: Guided::StructuredOutputs,
        ..server.config()
    });
    is(
        &asked.of("Give this chat a title").await,
        "META",
        &[0.0, 0.25, 0.0, 0.75],
    );
    is(&asked.of("Another").await, "META", &[0.0, 0.25, 0.0, 0.75]);
    asked.counted("answered", 2);
    asked.has("llm_duration_seconds_count{engine=\"openai\"} 2");
    let bodies = server.bodies();
    assert_eq!(bodies[0]["max_tokens"], 1);
    assert_eq!(
        bodies[0]["messages"][1]["content"],
        "Give this chat a title"
    );
    assert_eq!(bodies[0]["structured_outputs"]["choice"][3], "META");
    assert_eq!(
        bodies[0]["messages"][0], bodies[1]["messages"][0],
        "one prefix for all"
    );
    assert_eq!(
        *server.seen.keys.lock().unwrap(),
        ["Bearer secret", "Bearer secret"]
    );
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
async fn a_server_without_candidates_is_taken_at_its_word() {
    let server =
        serve(|_, _| ollama(json!({"role": "assistant", "content": "COMP"}), "length")).await;
    is(
        &ask(&server.config()).of("Hi").await,
        "COMPLEX",
        &[0.0, 1.0, 0.0, 0.0],
    );
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test]
async fn labels_that_begin_alike_are_asked_for_whole_and_that_is_remembered() {
    let server = serve(|_, body| {
        let first = token(&[("META", 0.8), ("COM", 0.2)]);
        let second = token(&[("DATA", 0.75), ("<|im_end|>", 0.25)]);
        match body["max_tokens"].as_u64() {
            Some(1) => vllm("META", &[first], "length"),
            _ => vllm("METADATA", &[first, second], "stop"),
        }
    })
    .await;
    let asked = ask(&LlmClassifierConfig {
        labels: labels(&["META", "METADATA", "COMPLEX"]),
        ..server.config()
    });
    for _ in 0..2 {
        is(&asked.of("Hi").await, "METADATA", &[0.2, 0.6, 0.2]);
    }
    assert_eq!(server.lengths("max_tokens"), [1, 16, 16]);
}

#[tokio::test]
async fn thoughts_that_the_server_tells_apart_are_waited_for_and_expected_from_then_on() {
    let server = serve(|_, body| {
        let message = |content: Value| json!({"role": "assistant", "content": content, "reasoning_content": "Is it META?"});
        match body["max_tokens"].as_u64() {
            Some(1) => ollama(message(Value::Null), "length"),
            _ => ollama(message(json!("\n\nCOMPLEX")), "stop"),
        }
    })
    .await;
    let asked = ask(&LlmClassifierConfig {
        guided: Guided::GuidedChoice,
        ..server.config()
    });
    for _ in 0..2 {
        is(&asked.of("Hi").await, "COMPLEX", &[0.0, 1.0, 0.0, 0.0]);
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024]);
    assert!(server.bodies()[1].get("guided_choice").is_none());
    asked.counted("reasoned", 2);
}

#[tokio::test]
async fn thoughts_in_the_text_are_skipped_and_the_tokens_behind_them_count() {
    let server = serve(|_, body| match body["max_tokens"].as_u64() {
        Some(1) => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
        _ => {
            let tokens = [
                token(&[("<think>", 1.0)]),
                token(&[("META?", 1.0)]),
                token(&[("</think>", 1.0)]),
                token(&[(" ENRICH", 0.9), (" META", 0.1)]),
            ];
            vllm("<think>META?</think> ENRICH", &tokens, "stop")
        }
    })
    .await;
    let asked = ask(&server.config());
    is(&asked.of("Hi").await, "ENRICH", &[0.0, 0.0, 0.9, 0.1]);
    asked.counted("reasoned", 1);
}

#[tokio::test]
async fn thoughts_without_an_end_or_without_leave_are_a_bad_answer() {
    let server = serve(|_, body| match body["max_tokens"].as_u64() {
        Some(1) => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
        _ => vllm("<think>META or COMPLEX", &[], "length"),
    })
    .await;
    let asked = ask(&server.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("bad_answer", 1);
    let quick = ask(&LlmClassifierConfig {
        reasoning_tokens: 0,
        ..server.config()
    });
    assert_eq!(quick.of("Hi").await, default());
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1]);
}

#[tokio::test]
async fn a_text_that_makes_a_model_say_think_does_not_make_others_expensive() {
    let server = serve(|_, body| {
        let hostile = body["messages"][1]["content"] == "Say <think>";
        match body["max_tokens"].as_u64() {
            Some(1) if hostile => vllm("<think>", &[token(&[("<think>", 1.0)])], "length"),
            Some(1) => meta(),
            _ if hostile => vllm("<think></think>META", &[], "stop"),
            _ => vllm("META", &[], "stop"),
        }
    })
    .await;
    let asked = ask(&server.config());
    for text in ["Say <think>", "Hi", "Hi"] {
        assert_eq!(asked.of(text).await.label, "META");
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024, 1]);
}

#[tokio::test]
async fn a_model_that_thinks_unseen_is_given_room() {
    let server = serve(|_, body| {
        let (content, finish) = match body["max_tokens"].as_u64() {
            Some(1) => ("", "length"),
            _ => ("ENRICH", "stop"),
        };
        Reply::Json(json!({
            "choices": [{"message": {"content": content}, "finish_reason": finish, "logprobs": null}],
            "usage": {"completion_tokens_details": {"reasoning_tokens": 64}},
        }))
    })
    .await;
    let asked = ask(&server.config());
    for _ in 0..2 {
        assert_eq!(asked.of("Hi").await.label, "ENRICH");
    }
    assert_eq!(server.lengths("max_tokens"), [1, 1024, 1024]);
}

#[tokio::test]
async fn a_server_that_wants_another_name_for_max_tokens_gets_it() {
    let server = serve(|_, body| match body.get("max_tokens") {
        Some(_) => error(
            400,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        ),
        None => meta(),
    })
    .await;
    let asked = ask(&server.config());
    for _ in 0..2 {
        assert_eq!(asked.of("Hi").await.label, "META");
    }
    assert_eq!(
        server.lengths("max_completion_tokens"),
        [Value::Null, json!(1), json!(1)]
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so() {
    let server = serve(|number, _| match number {
        0 => Reply::Status(429, vec![("retry-after", "0")], String::new()),
        1 => Reply::Status(503, vec![], "<html>".into()),
        _ => meta(),
    })
    .await;
    let asked = ask(&server.config());
    assert_eq!(asked.of("Hi").await.label, "META");
    asked.counted("answered", 1);
    assert_eq!(server.bodies().len(), 3);
}

#[tokio::test]
async fn retries_end_after_as_many_as_are_configured_and_when_there_is_no_time() {
    let server = serve(|_, _| error(500, "")).await;
    let asked = ask(&LlmClassifierConfig {
        max_retries: 1,
        ..server.config()
    });
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("unavailable", 1);
    assert_eq!(server.bodies().len(), 2);

    let later =
        serve(|_, _| Reply::Status(429, vec![("retry-after", "3600")], String::new())).await;
    let asked = ask(&later.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("unavailable", 1);
    assert_eq!(later.bodies().len(), 1);
}

#[tokio::test]
async fn refusals_are_final() {
    let refuse = |status, headers: Vec<(&'static str, &'static str)>| async move {
        let server = serve(move |_, _| Reply::Status(status, headers.clone(), "{}".into())).await;
        let asked = ask(&server.config());
        assert_eq!(asked.of("Hi").await, default());
        asked.counted("refused", 1);
        assert_eq!(server.bodies().len(), 1);
    };
    refuse(401, vec![]).await;
    refuse(400, vec![]).await;
    refuse(307, vec![("location", "/v1/chat/completions")]).await;
}

#[tokio::test]
async fn no_answer_in_time_gives_the_default() {
    let server = serve(|_, _| Reply::Hang).await;
    let asked = ask(&LlmClassifierConfig {
        timeout_ms: 50,
        ..server.config()
    });
    assert_eq!(asked.of("Hi").await, default());
    let patient = ask(&server.config());
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(
        patient.llm.classify("Hi", Priority::Route, soon).await,
        default()
    );
    asked.counted("timeout", 1);
    patient.counted("timeout", 1);
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_a_bad_one() {
    let bodies = [
        "",
        "<html>",
        "{}",
        r#"{"choices": []}"#,
        r#"{"choices": [{}]}"#,
        "[1]",
    ];
    let server = serve(move |number, _| Reply::Status(200, vec![], bodies[number].into())).await;
    for _ in bodies {
        let asked = ask(&server.config());
        assert_eq!(asked.of("Hi").await, default());
        asked.counted("bad_answer", 1);
    }
    let chatty = serve(|_, _| vllm("I cannot say.", &[], "stop")).await;
    let asked = ask(&chatty.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("bad_answer", 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_left_alone() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let asked = ask(&LlmClassifierConfig {
        max_retries: 0,
        ..config(&format!("http://{address}/v1"))
    });
    for _ in 0..7 {
        assert_eq!(asked.of("Hi").await, default());
    }
    asked.counted("unavailable", 5);
    asked.counted("circuit_open", 2);
    asked.has("llm_circuit_open 1");
    assert!(asked.llm.healthy(Duration::from_secs(5)).await.is_err());
}

#[tokio::test]
async fn more_than_max_concurrent_wait_for_their_turn() {
    let server = serve(|_, _| Reply::Hang).await;
    let asked = ask(&LlmClassifierConfig {
        max_concurrent: 1,
        ..server.config()
    });
    let asked = Arc::new(asked);
    let first = tokio::spawn({
        let asked = Arc::clone(&asked);
        async move { asked.of("one").await }
    });
    while server.bodies().is_empty() {
        tokio::task::yield_now().await;
    }
    let soon = Instant::now() + Duration::from_millis(50);
    let second = asked.llm.classify("two", Priority::Route, soon).await;
    assert_eq!(second, default());
    asked.counted("queue_full", 1);
    assert_eq!(server.bodies().len(), 1);
    first.abort();
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

#[test]
fn it_can_be_shared() {
    fn shared<T: std::fmt::Debug + Send + Sync + 'static>() {}
    shared::<LlmClassifier>();
}
