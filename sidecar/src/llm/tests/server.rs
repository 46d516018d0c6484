//! A server that answers as a test wants it to and keeps what it saw, and answers as vLLM, Ollama and OpenAI write them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use turnpike_core::config::LlmClassifierConfig;

use super::config;

/// What a server does with a request.
pub(super) enum Reply {
    Json(Value),
    Status(u16, Vec<(&'static str, &'static str)>, String),
    Hang,
}

/// The number of the request, counted from 0, and its body.
type Script = dyn Fn(usize, &Value) -> Reply + Send + Sync;

#[derive(Clone)]
pub(super) struct Seen {
    script: Arc<Script>,
    bodies: Arc<Mutex<Vec<Value>>>,
    pub(super) keys: Arc<Mutex<Vec<String>>>,
}

pub(super) struct Server {
    address: SocketAddr,
    pub(super) seen: Seen,
    pub(super) connections: Arc<AtomicUsize>,
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

pub(super) async fn serve(
    script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
) -> Server {
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
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// `max_tokens` of every request, or the name that newer models have for it.
    pub(super) fn lengths(&self, key: &str) -> Vec<Value> {
        self.bodies().iter().map(|body| body[key].clone()).collect()
    }

    pub(super) fn config(&self) -> LlmClassifierConfig {
        config(&format!("http://{}/v1/", self.address))
    }
}

pub(super) fn token(candidates: &[(&str, f64)]) -> Value {
    let entry = |(token, chance): &(&str, f64)| json!({"token": token, "logprob": chance.ln(), "bytes": null});
    let mut first = entry(&candidates[0]);
    first["top_logprobs"] = candidates.iter().map(entry).collect();
    first
}

/// vLLM: content, candidates, and why it ended.
pub(super) fn vllm(content: &str, tokens: &[Value], finish: &str) -> Reply {
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
pub(super) fn ollama(message: Value, finish: &str) -> Reply {
    Reply::Json(json!({
        "object": "chat.completion", "model": "m", "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }))
}

pub(super) fn error(status: u16, message: &str) -> Reply {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}});
    Reply::Status(status, vec![], body.to_string())
}

pub(super) fn meta() -> Reply {
    vllm(
        "META",
        &[token(&[("META", 0.6), ("COM", 0.2), ("The", 0.2)])],
        "length",
    )
}
