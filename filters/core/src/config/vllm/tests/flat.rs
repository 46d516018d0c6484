use super::{check, flat, mistake};

#[test]
fn a_file_of_the_first_release_is_accepted() {
    let (config, notes) = check(&flat(
        "
response_api: {enabled: true, store_backend: memory}
semantic_cache: {enabled: true, backend_type: memory, use_hnsw: true, hnsw_m: 16, embedding_model: bert}
tools: {enabled: true, top_k: 3}
prompt_guard: {enabled: true, threshold: 0.7, use_cpu: true}
jailbreak_mapping_path: models/x.json
classifier:
  category_model: {model_id: m, threshold: 0.6}
  pii_model: {threshold: 0.9, use_cpu: true}
  pii_mapping_path: models/y.json
categories: [{name: law, mmlu_categories: [law]}]
strategy: priority
decisions:
  - name: law
    priority: 100
    rules: {operator: AND, conditions: [{type: domain, name: law}]}
    modelRefs: [{model: large, use_reasoning: false}]
    plugins:
      - {type: pii, configuration: {enabled: true, pii_types_allowed: [], include_history: true}}
      - {type: hallucination, configuration: {enabled: false}}
      - {type: semantic-cache, configuration: {enabled: true, similarity_threshold: 0.9}}
api: {batch_classification: {metrics: {enabled: true}}}
observability: {tracing: {enabled: false}}
hallucination_mitigation: {enabled: true}
looper: {endpoint: 'http://localhost'}
jailbreak: [{name: attack, threshold: 0.7}]
",
    ))
    .unwrap();
    assert!(
        config.prompt_guard.enabled,
        "in this family it stops attacks by itself"
    );
    assert_eq!(config.decisions[0].plugins.len(), 2);
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn mistakes_are_told_at_their_places() {
    for (more, expected) in [
        (
            "decisons: []",
            "decisons: unknown key `decisons`; did you mean `decisions`?",
        ),
        (
            "jailbreak: [{name: a, nam: b}]",
            "jailbreak[0].nam: unknown key `nam`; did you mean `name`?",
        ),
        (
            "decisions: [{name: d, rules: {operator: AND}, modelRefs: [{model: small}], plugins: [{type: router_replay}, {type: semantic_cache, configuration: {similarity_treshold: 1}}]}]",
            "decisions[0].plugins[1].configuration.similarity_treshold: unknown key `similarity_treshold`; did you mean `similarity_threshold`?",
        ),
        (
            "semantic_cache: {backend_type: redis, redis: {connection: {host: cache, password: hunter2}}}",
            "semantic_cache.redis.connection.password: must not stand in the file: write it into a file of its own and name that in `semantic_cache.redis.password_file`",
        ),
        (
            "classifier: {category_model: {fallback_category: other}}\ncategories: [{name: other}]\ndecisions: [{name: d, rules: {type: domain, name: other}, modelRefs: [{model: small}]}]",
            "classifier.category_model.fallback_category: is not available here: a request without a topic goes to `default_model`, not to the decision about `other`; take the key out",
        ),
        (
            "model_selection: {enabled: true, method: elo}\ndecisions: [{name: d, rules: {operator: AND}, modelRefs: [{model: small}, {model: large}]}]",
            "model_selection.method: there is no `elo` here; choose by `score`, `cost_aware` or `latency_aware`, with `score` or `quality_score` as measured",
        ),
    ] {
        assert_eq!(mistake(&flat(more)), expected, "{more}");
    }
}

#[test]
fn an_address_of_redis_is_put_together() {
    let (config, _) = check(&flat(
        "semantic_cache: {backend_type: redis, redis: {connection: {host: cache, port: 6380, database: 2, timeout: 30, tls: {enabled: true, ca_file: ca.pem}}, index: {name: i}}}",
    ))
    .unwrap();
    let redis = config.semantic_cache.redis.unwrap();
    assert_eq!(
        (redis.url.as_str(), redis.ca_file.as_str()),
        ("rediss://cache:6380/2", "ca.pem")
    );
}

#[test]
fn models_of_endpoints_are_those_that_prefer_them() {
    let (config, notes) = check(
        "
vllm_endpoints:
  - {name: a, address: 10.0.0.1, port: 8000, models: [small, both]}
  - {name: b, address: 10.0.0.2, port: 8000, models: [both, said]}
model_config: {said: {preferred_endpoints: [a]}}
default_model: small
",
    )
    .unwrap();
    let endpoints = |model: &str| config.model_config[model].preferred_endpoints.join(" ");
    assert_eq!(
        (endpoints("small"), endpoints("both"), endpoints("said")),
        ("a".into(), "a b".into(), "a".into())
    );
    assert_eq!(
        notes,
        [
            "vllm_endpoints[1].models[1]: accepted, no effect: `preferred_endpoints` of the model decides"
        ]
    );
}

const CATEGORIES: &str = "
categories:
  - name: math
    description: numbers
    system_prompt: You are a mathematician.
    system_prompt_mode: insert
    semantic_cache_enabled: false
    jailbreak_enabled: true
    jailbreak_threshold: 0.8
    pii_enabled: true
    reasoning_effort: high
    model_scores:
      - {model: small, score: 0.4}
      - {model: large, score: 0.9, use_reasoning: true}
  - name: law
    system_prompt: You are a lawyer.
  - name: other
";

#[test]
fn categories_with_models_become_decisions() {
    let (config, notes) = check(&flat(CATEGORIES)).unwrap();
    assert_eq!(config.categories.len(), 3);
    insta::assert_snapshot!(serde_json::to_string_pretty(&config.decisions).unwrap());
    assert_eq!(
        notes,
        [
            "categories[0].pii_enabled: accepted, no effect: `pii_policy` of the model and `classifier.pii_model` decide",
            "categories[0].model_scores[1].use_reasoning: accepted, no effect: the model has no `reasoning_family`, so nobody knows how to tell it"
        ]
    );
}

#[test]
fn written_decisions_come_before_categories() {
    let (config, _) = check(&flat(&format!(
        "{CATEGORIES}
decisions:
  - {{name: math, priority: -5, rules: {{type: domain, name: math}}, modelRefs: [{{model: small}}]}}
"
    )))
    .unwrap();
    let order: Vec<_> = config
        .decisions
        .iter()
        .map(|d| (d.name.as_str(), d.priority))
        .collect();
    assert_eq!(order, [("math", -5), ("math_category", -6), ("law", -6)]);
}

#[test]
fn mistakes_of_categories_are_told_in_them() {
    let wrong = CATEGORIES
        .replace("{model: small, score", "{model: gone, score")
        .replace("jailbreak_threshold: 0.8", "jailbreak_threshold: 8");
    let found = mistake(&flat(&wrong));
    assert!(
        found.contains("categories[0].model_scores[0].model: unknown model `gone`"),
        "{found}"
    );
    assert!(
        found.contains("categories[0].jailbreak_threshold: must be between 0 and 1, got 8"),
        "{found}"
    );
}

#[test]
fn a_decision_without_rules_is_a_mistake() {
    assert_eq!(
        mistake(&flat("decisions: [{name: d, modelRefs: [{model: small}]}]")),
        "decisions[0]: missing field `rules`"
    );
}
