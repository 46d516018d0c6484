//! Requests through the router, on a host in memory.

mod cache;
mod guards;
mod heads;
mod mask;
mod memory;
mod output;
mod request;
mod sidecar;

use super::words::Words;
use super::*;
use crate::config::Config;
use crate::host::memory::{Entry, MemoryHost};
use crate::host::{Flow, Host as _};
use crate::metrics::Metric;
use crate::record::Record;
use crate::request::Endpoint;

type RouterStream = super::RouterStream<Words>;

const CONFIG: &str = "
vllm_endpoints: [{name: l, address: a, port: 1}]
model_config: {small: {reasoning_family: qwen}, big: {reasoning_family: gpt}, coder: {}}
reasoning_families: {qwen: {type: chat_template_kwargs, parameter: enable_thinking}, gpt: {type: reasoning_effort, parameter: reasoning_effort}}
default_model: small
categories: [{name: math}, {name: health}]
keyword_rules: [{name: code, keywords: [SQL]}]
decisions:
  - {name: code, priority: 9, rules: {type: keyword, name: code}, modelRefs: [{model: coder}], plugins: [{type: semantic-cache, configuration: {enabled: false}}]}
  - {name: math, priority: 5, rules: {type: domain, name: math}, modelRefs: [{model: big, use_reasoning: true, reasoning_effort: high}], plugins: [{type: semantic-cache, configuration: {similarity_threshold: 0.95}}]}
  - {name: health, priority: 4, rules: {type: domain, name: health}, modelRefs: [{model: small}]}
";

/// Filters in the chain.
const BOTH: [&str; 2] = ["meter", "router"];
const ALONE: [&str; 1] = ["router"];

fn compiled(yaml: &str, filters: &[&str]) -> Router<Words> {
    let config = Config::from_value(serde_saphyr::from_str(yaml).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    let filters: Vec<String> = filters.iter().map(|f| (*f).to_owned()).collect();
    Router::compile(&config, &filters, Words)
}

fn router_with(more: &str) -> Router<Words> {
    compiled(&format!("{CONFIG}\n{more}"), &BOTH)
}

fn router() -> Router<Words> {
    router_with("")
}

fn cached() -> Router<Words> {
    router_with("semantic_cache: {enabled: true, scope: global}")
}

fn chat(model: &str, text: &str) -> MemoryHost {
    let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": text}]});
    MemoryHost::post("/v1/chat/completions", &[], &body.to_string())
}

fn run(router: &Router<Words>, host: &mut MemoryHost) -> (RouterStream, Flow) {
    let mut stream = RouterStream::default();
    let flow = stream.on_request_headers(router, host, false);
    if flow == Flow::Continue || host.reply.is_some() {
        return (stream, flow);
    }
    let flow = stream.on_request_body(router, host);
    (stream, flow)
}

/// What the sidecar says of a text.
fn category(label: &str, confidence: f32) -> serde_json::Value {
    serde_json::json!({"category": {"label": label, "confidence": confidence}})
}

fn hit(similarity: f32, model: &str, decision: &str) -> serde_json::Value {
    serde_json::json!({
        "category": {"label": "math", "confidence": 0.9},
        "cache": {"status": "hit", "similarity": similarity, "model": model, "decision": decision, "category": "math", "age_seconds": 7, "body": "{\"cached\": true}"}
    })
}

fn answer(
    router: &Router<Words>,
    stream: &mut RouterStream,
    host: &mut MemoryHost,
    body: serde_json::Value,
) {
    stream.on_sidecar_answer(router, host, Some(200), body.to_string().as_bytes());
}

fn missed(router: &Router<Words>) -> (RouterStream, MemoryHost) {
    let mut host = chat("auto", "2+2?");
    let (mut stream, _) = run(router, &mut host);
    answer(
        router,
        &mut stream,
        &mut host,
        serde_json::json!({"category": {"label": "math", "confidence": 0.9}, "cache": {"status": "miss"}}),
    );
    (stream, host)
}

fn respond(
    router: &Router<Words>,
    stream: &mut RouterStream,
    host: &mut MemoryHost,
    (status, content_type): (&str, &str),
    body: &str,
    complete: bool,
) {
    host.respond(status, content_type);
    stream.on_response_headers(router, host, false);
    let (a, b) = body.split_at(body.len() / 2);
    for (part, end) in [(a, false), (b, complete)] {
        host.chunk = part.into();
        stream.on_response_body(router, host, part.len(), end);
    }
}

/// Status and form of an answer.
const OK: (&str, &str) = ("200", JSON);
const JSON: &str = "application/json";
const COMPLETE: &str = r#"{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}"#;

fn upstream_body(host: &MemoryHost) -> serde_json::Value {
    serde_json::from_slice(&host.request_body).unwrap()
}

fn error_code(host: &MemoryHost) -> (u16, String) {
    let reply = host.reply.as_ref().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    (
        reply.status,
        body["error"]["code"].as_str().unwrap().to_owned(),
    )
}
