//! The semantic cache: where its entries are kept, and its second opinion.

use super::*;

#[test]
fn a_shared_store_and_one_of_its_own_do_not_mix() {
    let redis = "redis: {url: 'redis://cache'}";
    for (cache, expected) in [
        (
            "redis: {url: 'redis://cache'}".to_owned(),
            "semantic_cache.redis: needs `backend_type: redis`",
        ),
        (
            "backend_type: redis".to_owned(),
            "semantic_cache.redis: is needed with `backend_type: redis`, with its `url` at least",
        ),
        (
            format!("backend_type: redis, path: cache, {redis}"),
            "semantic_cache.path: is a folder of `backend_type: memory`; Redis keeps the entries itself",
        ),
        (
            "backend_type: redis, redis: {url: 'redis://app:hunter2@cache'}".to_owned(),
            "semantic_cache.redis.url: must hold neither user nor password: name them in `username` and `password_file`",
        ),
        (
            "backend_type: redis, redis: {url: 'http://cache', key_prefix: 'a{b}', timeout_ms: 0}"
                .to_owned(),
            "\
semantic_cache.redis.url: must be `redis://host:port/database` or `rediss://host:port/database`
semantic_cache.redis.key_prefix: must be 1 to 64 letters, digits, `-`, `_`, `.` or `:`, got `a{b}`
semantic_cache.redis.timeout_ms: must be between 1 and 10000, got 0",
        ),
        (
            "backend_type: redis, redis: {url: 'redis://cache/2', cluster: true, ca_file: ca.pem}"
                .to_owned(),
            "\
semantic_cache.redis.url: a cluster has database 0 alone, got 2
semantic_cache.redis.ca_file: needs TLS: a `url` that begins with `rediss://`",
        ),
        (
            "backend_type: redis, redis: {url: 'redis://cache', password: hunter2}".to_owned(),
            "semantic_cache.redis.password: unknown key `password`; known: `url`, `cluster`, `username`, `password_file`, `ca_file`, `key_prefix`, `timeout_ms`",
        ),
    ] {
        let errors = read(&with(&format!("semantic_cache: {{{cache}}}"))).unwrap_err();
        assert_eq!(errors, expected, "{cache}");
    }
}

#[test]
fn what_redis_decides_itself_is_noted() {
    let config = read(&with(
        "semantic_cache: {backend_type: redis, max_bytes: 5, eviction_policy: lfu, redis: {url: 'rediss://cache:6380/1', timeout_ms: 1000}}",
    ))
    .unwrap();
    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    let decided = "accepted, no effect with `backend_type: redis`: Redis' `maxmemory` and `maxmemory-policy` decide";
    assert_eq!(
        notes,
        [
            format!("semantic_cache.max_bytes: {decided}"),
            format!("semantic_cache.eviction_policy: {decided}"),
            "semantic_cache.redis.timeout_ms: a request asks up to three times, and the proxy waits for 250 ms (`sidecar.timeout_ms`): a slow Redis leaves the rest little time".to_owned(),
        ]
    );
}

#[test]
fn a_second_opinion_that_could_not_be_had_or_would_never_be_asked_is_refused() {
    let check = |second_opinion: &str, more: &str| {
        let yaml = with(&format!(
            "semantic_cache: {{enabled: true, scope: global, similarity_threshold: 0.9, second_opinion: {second_opinion}}}\n{more}"
        ));
        read(&yaml).map(drop)
    };
    let wrong = |second_opinion: &str, more: &str| check(second_opinion, more).unwrap_err();
    assert_eq!(
        wrong(
            "{label: '', threshold: 0, below_similarity: 1.5}",
            "sidecar: {classifiers: [{name: second_opinion, path: x}]}"
        ),
        "\
sidecar.classifiers[0].name: `second_opinion` is taken by another head
semantic_cache.second_opinion.path: name a folder here, or a Hugging Face repository in `repository`
semantic_cache.second_opinion.label: must not be empty
semantic_cache.second_opinion.threshold: must be above 0 and at most 1, got 0
semantic_cache.second_opinion.below_similarity: must be between 0 and 1, got 1.5"
    );
    assert_eq!(
        wrong("{path: x, below_similarity: 0.9, threshold: 1.5}", ""),
        "\
semantic_cache.second_opinion.threshold: must be above 0 and at most 1, got 1.5
semantic_cache.second_opinion.below_similarity: must be above 0.9, the lowest `similarity_threshold`, or no question is ever checked; got 0.9"
    );
    assert_eq!(
        wrong("{path: x, accept_threshold: 0, below_similarity: 0}", ""),
        "semantic_cache.second_opinion.accept_threshold: must be above 0 and at most 1, got 0"
    );
    assert_eq!(
        wrong("{path: x, accept_threshold: 1.5}", ""),
        "semantic_cache.second_opinion.accept_threshold: must be above 0 and at most 1, got 1.5"
    );
    // What the rules accept is served as it is, and the model asked about the rest.
    let accepts = "{path: x, accept_threshold: 0.9, below_similarity: 0}";
    assert_eq!(check(accepts, ""), Ok(()));
    assert_eq!(
        wrong("{path: x, treshold: 0.9}", ""),
        "semantic_cache.second_opinion.treshold: unknown key `treshold`; did you mean `threshold`?"
    );
    let lower = "categories: [{name: math}]\ndecisions: [{name: d, rules: {type: domain, name: math}, modelRefs: [{model: qwen3}], plugins: [{type: semantic-cache, configuration: {similarity_threshold: 0.8}}]}]";
    assert_eq!(check("{path: x, below_similarity: 0.9}", lower), Ok(()));
    assert_eq!(
        check("{repository: owner/name, label: entailment}", ""),
        Ok(())
    );
}
