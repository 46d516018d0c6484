//! Requests through the meter, on a host in memory.

mod broken_off;
mod cost;
mod counting;
mod headers;
mod standalone;

use super::*;
use crate::config::Config;
use crate::host::memory::{Entry, MemoryHost};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;

const DETAILED: &str = r#"{"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":40}}}"#;

fn config(maas: &str) -> Config {
    let yaml = format!(
        "{{vllm_endpoints: [{{name: l, address: a, port: 1}}], model_config: {{qwen3: {{}}}}, default_model: qwen3{maas}}}"
    );
    Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap()
}

fn maas() -> Meter {
    with_router(&config(", maas_integration: {enabled: true}"))
}

fn maas_with(more: &str) -> Meter {
    with_router(&config(&format!(
        ", maas_integration: {{enabled: true, {more}}}"
    )))
}

fn with_router(config: &Config) -> Meter {
    let filters = ["meter".into(), "router".into()];
    Meter::compile(config, &filters, &mut MemoryHost::default())
}

fn priced(maas: &str) -> Meter {
    let yaml = format!(
        "{{vllm_endpoints: [{{name: l, address: a, port: 1}}], model_config: {{qwen3: {{pricing: {{currency: USD, prompt_per_1m: 2, completion_per_1m: 10, cached_input_per_1m: 0.5, cache_hit_per_1m: 0.1}}}}}}, default_model: qwen3{maas}}}"
    );
    with_router(&Config::from_value(serde_saphyr::from_str(&yaml).unwrap()).unwrap())
}

fn alone(maas: &str) -> Meter {
    Meter::compile(&config(maas), &["meter".into()], &mut MemoryHost::default())
}

fn alice(body: &str) -> MemoryHost {
    let headers = [
        ("x-auth-request-user", "alice"),
        ("x-auth-request-tier", "gold"),
    ];
    MemoryHost::post(CHAT, &headers, body)
}

fn request(host: &mut MemoryHost, meter: &Meter) -> MeterStream {
    let mut stream = MeterStream::default();
    stream.on_request_headers(meter, host, false);
    stream.on_request_body(meter, host);
    stream
}

/// What a router would have published.
fn routed(host: &mut MemoryHost) {
    routed_with(host, |_| {});
}

fn routed_with(host: &mut MemoryHost, change: impl Fn(&mut Record)) {
    let mut record = Record {
        model: "qwen3".into(),
        decision: "math".into(),
        category: "math".into(),
        reasoning: true,
        cache: Cache::Miss,
        ..Record::default()
    };
    change(&mut record);
    record.publish(host, true);
}

/// A request of alice that a router sent upstream; the answer has not begun.
fn sent(meter: &Meter) -> (MemoryHost, MeterStream) {
    sent_with(meter, |_| {})
}

fn sent_with(meter: &Meter, change: impl Fn(&mut Record)) -> (MemoryHost, MeterStream) {
    let mut host = alice("{}");
    let stream = request(&mut host, meter);
    routed_with(&mut host, change);
    (host, stream)
}

fn respond(
    stream: &mut MeterStream,
    meter: &Meter,
    host: &mut MemoryHost,
    chunks: &[&str],
) -> String {
    stream.on_response_headers(meter, host, false);
    let mut sent = String::new();
    for (i, chunk) in chunks.iter().enumerate() {
        host.chunk = chunk.as_bytes().into();
        stream.on_response_body(host, chunk.len(), i + 1 == chunks.len());
        sent.push_str(std::str::from_utf8(&host.chunk).unwrap());
    }
    sent
}

/// The headers of an event stream and its first `chunk`.
fn begin(
    stream: &mut MeterStream,
    meter: &Meter,
    host: &mut MemoryHost,
    chunk: &str,
    end_of_stream: bool,
) {
    host.respond("200", "text/event-stream");
    stream.on_response_headers(meter, host, false);
    host.chunk = chunk.into();
    stream.on_response_body(host, chunk.len(), end_of_stream);
}

/// A whole request of alice with this answer.
fn settle(meter: &Meter, host: &mut MemoryHost, answer: &str) {
    let mut stream = request(host, meter);
    routed(host);
    host.respond("200", "application/json");
    respond(&mut stream, meter, host, &[answer]);
    stream.on_log(meter, host);
}

fn tokens(host: &MemoryHost, kind: &str) -> u64 {
    host.counter(Metric::Tokens, &["alice", "gold", "qwen3", kind])
}

fn requests(host: &MemoryHost) -> u64 {
    host.counter(Metric::Requests, &["alice", "gold", "qwen3", "math"])
}
