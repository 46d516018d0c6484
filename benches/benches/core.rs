//! The core's hot paths, natively, each beside the obvious alternative.

use std::hint::black_box;

use benches::host::{Calls, CountingHost};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use turnpike_classify::keywords::Keywords;
use turnpike_core::Config;
use turnpike_core::cache::{Caller, Partitioner, Scope, SemanticCacheConfig};
use turnpike_core::decision::KeywordRuleConfig;
use turnpike_core::host::Headers;
use turnpike_core::metering::{Form, Meter, MeterStream, ResponseMeter};
use turnpike_core::metrics::Metric;
use turnpike_core::request::{Edits, Endpoint, PromptMode, Request};

fn request_body(text_bytes: usize) -> String {
    let text = "What is the \"derivative\" of x squared?\n".repeat(text_bytes / 38 + 1);
    serde_json::json!({"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0.2}).to_string()
}

fn answer_body(text_bytes: usize) -> String {
    let text = "The derivative is 2x, since d/dx x^n = n x^(n-1).\n".repeat(text_bytes / 50 + 1);
    serde_json::json!({"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 12, "completion_tokens": 345, "total_tokens": 357}}).to_string()
}

fn stream_body(chunks: usize) -> Vec<String> {
    let mut events: Vec<String> = (0..chunks)
        .map(|i| format!("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word{i} \"}},\"finish_reason\":null}}]}}\n\n"))
        .collect();
    events.push(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":2000}}\n\n"
            .into(),
    );
    events.push("data: [DONE]\n\n".into());
    events
}

fn bytes(length: usize) -> Throughput {
    Throughput::Bytes(length.try_into().unwrap_or(u64::MAX))
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    for size in [1 << 10, 32 << 10, 256 << 10] {
        let body = request_body(size);
        group.throughput(bytes(body.len()));
        group.bench_with_input(BenchmarkId::new("turnpike", size), &body, |b, body| {
            b.iter(|| Request::parse(Endpoint::ChatCompletions, black_box(body.as_bytes())));
        });
        group.bench_with_input(
            BenchmarkId::new("serde_json::Value", size),
            &body,
            |b, body| {
                b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(body.as_bytes())));
            },
        );
    }
    group.finish();
}

/// A chat completion of 400 KB whose text is written in one of three ways.
fn long_body(kind: &str) -> String {
    const BYTES: usize = 400_000;
    let (line, escaped) = match kind {
        "prose" => (
            "The harbour was quiet that morning, and the fishermen mended their nets. ",
            false,
        ),
        "code" => (
            "fn main() {\n\tlet path = \"C:\\\\x\";\n\tprintln!(\"{path}\");\n}\n",
            false,
        ),
        _ => ("Grüße aus Köln ", true),
    };
    let written = |text: &str| -> String {
        if escaped {
            text.chars()
                .map(|c| format!("\\u{:04x}", u32::from(c)))
                .collect()
        } else {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    };
    let line = written(line);
    let text = line.repeat(BYTES / line.len());
    format!(
        "{{\"model\":\"auto\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"max_tokens\":512}}"
    )
}

/// What a request with a long prompt costs beside its guards: read, and edited as a decision with all edits wants it.
fn edits(c: &mut Criterion) {
    let mut group = c.benchmark_group("edit_400KB");
    for kind in ["prose", "code", "every letter escaped"] {
        let body = long_body(kind).into_bytes();
        group.throughput(bytes(body.len()));
        group.bench_with_input(BenchmarkId::new("read", kind), &body, |b, body| {
            b.iter(|| Request::parse(Endpoint::ChatCompletions, black_box(body)));
        });
        group.bench_with_input(BenchmarkId::new("read and edit", kind), &body, |b, body| {
            b.iter(|| read_and_edit(black_box(body)));
        });
    }
    group.finish();
}

fn read_and_edit(body: &[u8]) -> Option<Vec<u8>> {
    let endpoint = Endpoint::ChatCompletions;
    let request = Request::parse(endpoint, body).ok()?;
    let mut edits = Edits::default();
    edits.set_model("qwen3-8b");
    edits.set_in_object("chat_template_kwargs", "enable_thinking", "true");
    edits.limit(&request, body, "max_tokens", 256);
    edits.set_system_prompt(endpoint, &request, body, PromptMode::Insert, "Be brief.");
    Some(edits.apply(&request, body))
}

fn responses(c: &mut Criterion) {
    let mut group = c.benchmark_group("usage_json");
    for size in [1 << 10, 64 << 10, 1 << 20] {
        let body = answer_body(size);
        group.throughput(bytes(body.len()));
        group.bench_with_input(BenchmarkId::new("turnpike", size), &body, |b, body| {
            b.iter(|| {
                let mut meter = ResponseMeter::new(Form::Json, false);
                for chunk in black_box(body.as_bytes()).chunks(16 << 10) {
                    meter.push(chunk, false);
                }
                meter.seen()
            });
        });
        group.bench_with_input(
            BenchmarkId::new("serde_json::Value", size),
            &body,
            |b, body| {
                b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(body.as_bytes())));
            },
        );
    }
    group.finish();
    let events = stream_body(2000);
    let mut group = c.benchmark_group("usage_stream_2000_chunks");
    group.throughput(bytes(events.iter().map(String::len).sum()));
    for strip in [false, true] {
        group.bench_function(
            BenchmarkId::new("turnpike", if strip { "strip" } else { "watch" }),
            |b| {
                b.iter(|| {
                    let mut meter = ResponseMeter::new(Form::Sse, strip);
                    for event in black_box(&events) {
                        meter.push(event.as_bytes(), false);
                    }
                    meter.seen()
                });
            },
        );
    }
    group.bench_function("serde_json::Value", |b| {
        b.iter(|| {
            black_box(&events)
                .iter()
                .filter_map(|event| serde_json::from_str::<serde_json::Value>(event.get(6..)?).ok())
                .filter(|value| value.get("usage").is_some())
                .count()
        });
    });
    group.finish();
}

/// A meter alone, in the mode that `maas` says, and a request of alice with its answer.
fn metered(maas: &str) -> Option<(Meter, CountingHost)> {
    let yaml = format!(
        "{{vllm_endpoints: [{{name: a, address: 10.0.0.1, port: 8000}}], model_config: {{qwen3-8b: {{preferred_endpoints: [a]}}}}, default_model: qwen3-8b, maas_integration: {maas}}}"
    );
    let config = Config::from_value(serde_saphyr::from_str(&yaml).ok()?).ok()?;
    let mut host = CountingHost {
        request_headers: Headers::of(&[
            (":method", b"POST"),
            (":path", b"/v1/chat/completions"),
            (":authority", b"llm.example.com"),
            (":scheme", b"https"),
            ("content-type", b"application/json"),
            ("content-length", b"1100"),
            ("user-agent", b"OpenAI/Python 2.8.1"),
            ("x-request-id", b"2b1f3a1c-7f5e-4c57-9a3e-0d6b1c1f2a3b"),
            ("x-forwarded-for", b"10.1.2.3"),
            ("x-auth-request-user", b"alice@example.com"),
            ("x-auth-request-tier", b"gold"),
        ])?,
        request_body: request_body(1 << 10)
            .replace("auto", "qwen3-8b")
            .into_bytes(),
        response_headers: Headers::of(&[
            (":status", b"200"),
            ("content-type", b"application/json"),
            ("content-length", b"1200"),
            ("server", b"uvicorn"),
        ])?,
        response_body: answer_body(1 << 10).into_bytes(),
        ..CountingHost::default()
    };
    let meter = Meter::compile(&config, &["meter".into()], &mut host);
    Some((meter, host))
}

/// The part of a request that ends with the caller's identity.
fn identify(meter: &Meter, host: &mut CountingHost) -> MeterStream {
    let mut stream = MeterStream::default();
    let _ = stream.on_request_headers(meter, host, false);
    stream
}

/// A whole request.
fn meter_one(meter: &Meter, host: &mut CountingHost) {
    let mut stream = identify(meter, host);
    let _ = stream.on_request_body(meter, host);
    stream.on_response_headers(meter, host, false);
    let size = host.response_body.len();
    stream.on_response_body(host, size, true);
    stream.on_log(meter, host);
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
fn meters(c: &mut Criterion) {
    let mut group = c.benchmark_group("meter_alone");
    for (mode, maas) in [
        ("standalone", "{enabled: false}"),
        ("MaaS", "{enabled: true}"),
    ] {
        let Some((meter, mut host)) = metered(maas) else {
            println!("meter_alone/{mode}: the configuration is refused");
            return;
        };
        // The first request of a user enters the list of users.
        meter_one(&meter, &mut host);
        host.calls = Calls::default();
        meter_one(&meter, &mut host);
        println!(
            "meter_alone/{mode}: {} host calls a request: {:?}",
            host.calls.total(),
            host.calls
        );
        group.bench_function(BenchmarkId::new(mode, "identity and headers"), |b| {
            b.iter(|| identify(&meter, black_box(&mut host)));
        });
        group.bench_function(BenchmarkId::new(mode, "request and answer of 1 KB"), |b| {
            b.iter(|| meter_one(&meter, black_box(&mut host)));
        });
    }
    group.finish();
}

fn decisions(c: &mut Criterion) {
    let rule = |i: usize| {
        let keywords: Vec<String> = (0..20).map(|k| format!("keyword {i} {k}")).collect();
        serde_json::from_value(
            serde_json::json!({"name": format!("rule{i}"), "keywords": keywords}),
        )
    };
    let rules: Result<Vec<KeywordRuleConfig>, _> = (0..20).map(rule).collect();
    let Some(Ok(keywords)) = rules.ok().map(|rules| Keywords::compile(&rules)) else {
        return;
    };
    let mut group = c.benchmark_group("keywords_400_in_20_rules");
    for size in [1 << 10, 32 << 10] {
        let text = "What is the derivative of x squared? ".repeat(size / 37 + 1);
        group.throughput(bytes(text.len()));
        group.bench_with_input(BenchmarkId::from_parameter(size), &text, |b, text| {
            b.iter(|| keywords.matches(black_box(text)));
        });
    }
    group.finish();
    let body = request_body(1 << 10);
    let Ok(request) = Request::parse(Endpoint::ChatCompletions, body.as_bytes()) else {
        return;
    };
    let config = SemanticCacheConfig {
        scope: Scope::User,
        ..SemanticCacheConfig::default()
    };
    let partitioner = Partitioner::compile(&config, "all-MiniLM-L6-v2", b"");
    c.bench_function("cache_partition_1KB", |b| {
        b.iter(|| {
            partitioner.partition(
                Endpoint::ChatCompletions,
                &request,
                black_box(body.as_bytes()),
                Caller {
                    user: Some("alice"),
                    ..Caller::default()
                },
            )
        });
    });
    c.bench_function("stat_name", |b| {
        b.iter(|| {
            Metric::Tokens.stat_name(black_box(&[
                "alice@example.com",
                "gold",
                "qwen3-8b",
                "prompt",
            ]))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = requests, edits, responses, meters, decisions
}
criterion_main!(benches);
