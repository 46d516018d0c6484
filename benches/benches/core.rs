//! The core's hot paths, natively, each beside the obvious alternative.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use turnpike_classify::keywords::Keywords;
use turnpike_core::cache::{Partitioner, Scope, SemanticCacheConfig};
use turnpike_core::decision::{KeywordOperator, KeywordRuleConfig};
use turnpike_core::metering::{Form, ResponseMeter};
use turnpike_core::metrics::Metric;
use turnpike_core::request::{Endpoint, Request};
use turnpike_core::routing::KeywordMatcher as _;

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

fn decisions(c: &mut Criterion) {
    let rule = |i: usize| KeywordRuleConfig {
        name: format!("rule{i}"),
        operator: KeywordOperator::Or,
        keywords: (0..20).map(|k| format!("keyword {i} {k}")).collect(),
        case_sensitive: false,
    };
    let rules: Vec<KeywordRuleConfig> = (0..20).map(rule).collect();
    let Ok(keywords) = Keywords::compile(&rules) else {
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
    let partitioner = Partitioner::compile(&config, "all-MiniLM-L6-v2");
    c.bench_function("cache_partition_1KB", |b| {
        b.iter(|| {
            partitioner.partition(
                Endpoint::ChatCompletions,
                &request,
                black_box(body.as_bytes()),
                Some("alice"),
                None,
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
    targets = requests, responses, decisions
}
criterion_main!(benches);
