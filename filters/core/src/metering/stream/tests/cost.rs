//! Tokens by kind, answers of the cache, and what they cost.

use super::*;

/// A whole request of alice that the cache answers.
fn hit(meter: &Meter, answer: &str) -> MemoryHost {
    let (mut host, mut stream) = sent_with(meter, |r| r.cache = Cache::Hit);
    host.respond("200", "application/json");
    respond(&mut stream, meter, &mut host, &[answer]);
    stream.on_log(meter, &mut host);
    host
}

#[test]
fn cached_and_reasoning_tokens_are_told_apart_where_asked() {
    let mut host = alice("{}");
    settle(&maas(), &mut host, DETAILED);
    assert_eq!(
        (tokens(&host, "prompt"), tokens(&host, "completion")),
        (30, 50)
    );
    assert_eq!(
        (tokens(&host, "cached"), tokens(&host, "reasoning")),
        (0, 0)
    );
    let mut host = alice("{}");
    settle(
        &maas_with("metrics: {extra_token_types: [cached, reasoning]}"),
        &mut host,
        DETAILED,
    );
    assert_eq!(
        (
            tokens(&host, "prompt"),
            tokens(&host, "cached"),
            tokens(&host, "reasoning")
        ),
        (30, 10, 40)
    );
}

#[test]
fn cost_is_calculated_standalone_and_hybrid_but_not_in_maas_mode() {
    for (maas, cost) in [
        ("", 545),
        (
            ", maas_integration: {enabled: true, metrics: {internal_cost_calculation: true}}",
            545,
        ),
        (", maas_integration: {enabled: true}", 0),
    ] {
        let mut host = alice("{}");
        settle(&priced(maas), &mut host, DETAILED);
        // 20 × 2 + 10 × 0.5 + 50 × 10 millionths
        assert_eq!(
            host.counter(Metric::ModelCost, &["qwen3", "USD"]),
            cost,
            "{maas}"
        );
        let standard = host.counter(Metric::ModelTokens, &["qwen3"]);
        assert_eq!(
            standard > 0,
            maas.is_empty(),
            "hybrid mode keeps the standard token metrics off"
        );
    }
}

#[test]
fn a_cache_hit_costs_no_tokens() {
    let host = hit(&maas(), ANSWER);
    assert_eq!(
        host.counter(Metric::CacheHits, &["alice", "gold", "qwen3"]),
        1
    );
    assert_eq!(tokens(&host, "prompt"), 0);
    assert_eq!(
        host.response_header("x-vsr-cache-hit").as_deref(),
        Some("true")
    );
}

#[test]
fn a_cache_hit_counts_tokens_only_where_asked_and_has_its_own_price() {
    let prompt = |host: &MemoryHost| tokens(host, "prompt");
    assert_eq!(prompt(&hit(&maas(), DETAILED)), 0);
    let full = maas_with("metrics: {cache_hit_tokens: full}");
    assert_eq!(prompt(&hit(&full, DETAILED)), 30);
    let hybrid =
        priced(", maas_integration: {enabled: true, metrics: {internal_cost_calculation: true}}");
    let host = hit(&hybrid, DETAILED);
    // 80 tokens × 0.1 millionths
    assert_eq!(
        (
            prompt(&host),
            host.counter(Metric::ModelCost, &["qwen3", "USD"])
        ),
        (0, 8)
    );
}

#[test]
fn a_cache_hit_is_no_reasoning_request() {
    let host = hit(&maas(), ANSWER);
    assert_eq!(
        host.counter(Metric::ReasoningRequests, &["alice", "gold", "qwen3"]),
        0
    );
}

#[test]
fn embeddings_have_no_completion_to_estimate() {
    let mut host = alice("{}");
    settle(
        &maas(),
        &mut host,
        r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    );
    assert_eq!(tokens(&host, "prompt"), 8);
    assert!(!host.counters.keys().any(|k| k.contains("estimated")));
}
