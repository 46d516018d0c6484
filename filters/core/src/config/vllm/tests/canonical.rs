use super::{canonical, check, mistake};

/// A gateway as its users write it: all that is translated, and what has no effect.
const WHOLE: &str = r#"
version: v0.3
listeners:
  - {name: http, address: 0.0.0.0, port: 8899, timeout: 300s}
providers:
  defaults:
    default_model: qwen-small
    default_reasoning_effort: low
    reasoning_families:
      mistral: {type: top_level_reasoning_effort, parameter: reasoning_effort}
  models:
    - name: qwen-small
      reasoning_family: qwen3
      provider_model_id: Qwen/Qwen3-8B
      pricing: {currency: USD, prompt_per_1m: 0.2, completion_per_1m: 0.4, cache_write_per_1m: 0.3}
      reliability: {health_check_path: /health, retry_count: 2}
      backend_refs:
        - {name: primary, endpoint: "10.0.0.1:8000", protocol: http, weight: 80, api_key_env: A_KEY}
        - {endpoint: "[fd00::2]:8001", weight: 20}
    - name: gpt-large
      external_model_ids: {openai: gpt-4.1}
      backend_refs:
        - {name: cloud, base_url: "https://api.example.com/v1", provider: openai, api_key: not-to-be-shown}
routing:
  strategy: priority
  modelCards:
    - {name: qwen-small, param_size: 8B, quality_score: 0.7, capabilities: [chat]}
    - {name: gone}
  signals:
    keywords: [{name: urgent, operator: or, method: regex, keywords: [urgent, asap]}]
    domains: [{name: law, mmlu_categories: [law], model_scores: [{model: gpt-large, score: 0.9}]}]
    embeddings: [{name: support, threshold: 0.7, candidates: [how do I install it], prototype_scoring: {enabled: true}}]
    language: [{name: es, threshold: 0.0}]
    context: [{name: long, min_tokens: 32K}]
    structure: [{name: steps, feature: {type: exists, source: {type: regex, pattern: '(?m)^\d+\.'}}}]
    conversation: [{name: tools, feature: {type: count, source: {type: tool_definition}}, predicate: {gte: 1}}]
    complexity: [{name: hard_work, hard_above: 0.2, easy_below: -0.2, hard: {candidates: [prove it]}, easy: {candidates: [say hello]}}]
    jailbreak: [{name: attack, threshold: 0.8, include_history: true}]
    pii: [{name: secrets, threshold: 0.9, pii_types_allowed: [EMAIL_ADDRESS]}]
    metadata: [{name: batch, key: kind, predicate: {equals: batch}}]
    user_feedbacks: [{name: wrong_answer}]
  projections:
    scores:
      - name: difficulty
        method: weighted_sum
        inputs:
          - {type: complexity, name: "hard_work:hard", weight: 0.6, value_source: confidence, match: 1.0, miss: 0}
          - {type: context, name: long, weight: 0.4}
    mappings:
      - {name: band, source: difficulty, method: threshold_bands, outputs: [{name: easy_work, lt: 0.5}, {name: hard_band, gte: 0.5}]}
  decisions:
    - name: stop
      priority: 1000
      rules: {operator: or, conditions: [{type: Jailbreak, name: attack}, {type: pii, name: secrets}]}
      modelRefs: [{model: qwen-small}]
      plugins: [{type: fast_response, configuration: {message: "No."}}]
    - name: law
      priority: 100
      annotations: {owner: legal}
      rules: {operator: AND, conditions: [{type: domain, name: law}, {operator: NOT, conditions: [{type: language, name: es}]}]}
      modelRefs: [{model: gpt-large, weight: 0.6, use_reasoning: false}]
      algorithm: {type: knn}
      plugins:
        - {type: router_replay, configuration: {enabled: true}}
        - {type: rag, configuration: {enabled: false}}
        - {type: response_cache, configuration: {enabled: true, mode: exact_then_semantic, scope: global, semantic: {similarity_threshold: 0.9}, ttl_seconds: 7200}}
        - {type: system_prompt, configuration: {mode: insert, system_prompt: You know the law.}}
    - name: rest
      rules: {operator: AND, conditions: []}
      modelRefs: [{model: qwen-small, use_reasoning: true, reasoning_mode: enabled}, {model: gpt-large}]
      algorithm: {type: latency_aware, latency_aware: {ttft_percentile: 95}}
entrypoints: [{model_names: [company/auto], recipe: default}]
global:
  router: {auto_model_name: MoM, include_config_models_in_list: false, clear_route_cache: true, streamed_body: {enabled: true}}
  services:
    observability: {tracing: {enabled: true}}
    response_api: {enabled: true}
  stores:
    response_cache: {enabled: true, similarity_threshold: 0.86, ttl_seconds: 7200, embedding_model: mmbert, scope: global, use_hnsw: true}
    memory: {enabled: false}
  integrations: {tools: {enabled: true}, looper: {endpoint: "http://localhost:8899"}}
  model_catalog:
    embeddings: {semantic: {use_cpu: true}}
    modules:
      prompt_guard: {enabled: true, threshold: 0.6, use_cpu: true, model_ref: prompt_guard}
      classifier: {domain: {threshold: 0.5, model_id: models/domain}, pii: {threshold: 0.9}}
sidecar: {timeout_ms: 300}
"#;

#[test]
fn a_whole_file_is_translated() {
    let document = super::Document::read(serde_saphyr::from_str(WHOLE).unwrap());
    assert_eq!(
        document.config().map(|config| config.validate()),
        Ok(Vec::new())
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(document.flat()).unwrap());
}

#[test]
fn what_has_no_effect_is_told_at_its_place() {
    let (_, notes) = check(WHOLE).unwrap();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn a_secret_is_neither_translated_nor_told() {
    let document = super::Document::read(serde_saphyr::from_str(WHOLE).unwrap());
    assert!(!document.flat().to_string().contains("not-to-be-shown"));
    assert!(!format!("{:?}", document.notes(None)).contains("not-to-be-shown"));
}

#[test]
fn the_sections_of_turnpike_stand_beside_either_family() {
    let (config, _) = check(&canonical(
        "sidecar: {timeout_ms: 300}\nenvoy: {admin: {address: 127.0.0.1, port: 9902}}",
    ))
    .unwrap();
    assert_eq!(
        (config.sidecar.timeout_ms, config.envoy.admin.port),
        (300, 9902)
    );
}

#[test]
fn the_two_families_do_not_mix() {
    for (more, expected) in [
        (
            "decisions: []",
            "decisions: is a key of the flat family, and `providers` one of v0.3: a file is written in one of them; `turnpike convert` brings v0.3 into the flat one",
        ),
        (
            "semantic_cache: {enabled: true}",
            "semantic_cache: is a key of the flat family, and `providers` one of v0.3: a file is written in one of them; `turnpike convert` brings v0.3 into the flat one",
        ),
        (
            "tools: {enabled: true}",
            "tools: is a key of the flat family, and `providers` one of v0.3: a file is written in one of them; `turnpike convert` brings v0.3 into the flat one",
        ),
    ] {
        assert_eq!(mistake(&canonical(more)), expected);
    }
    assert_eq!(
        mistake("version: v0.3\nvllm_endpoints: []"),
        "vllm_endpoints: is a key of the flat family, and `version` one of v0.3: a file is written in one of them; `turnpike convert` brings v0.3 into the flat one"
    );
}

#[test]
fn other_versions_are_refused() {
    for version in ["v0.1", "v0.4", "3", "''", "null"] {
        let yaml = canonical("decisions: []").replace("v0.3", version);
        let found = mistake(&yaml);
        assert!(
            found.starts_with("version: must be `v0.3`, got `"),
            "{found}"
        );
        assert_eq!(
            found.lines().count(),
            1,
            "of another version nothing is known"
        );
    }
}

#[test]
fn a_version_may_be_missing() {
    let yaml = canonical("").replace("version: v0.3", "");
    assert_eq!(check(&yaml).map(|_| ()), Ok(()));
}

#[test]
fn unknown_keys_are_told_with_the_nearest_one() {
    for (more, expected) in [
        (
            "rotuing: {}",
            "rotuing: unknown key `rotuing`; did you mean `routing`?",
        ),
        (
            "routing: {decisons: []}",
            "routing.decisons: unknown key `decisons`; did you mean `decisions`?",
        ),
        (
            "routing: {signals: {keyword: []}}",
            "routing.signals.keyword: unknown key `keyword`; did you mean `keywords`?",
        ),
        (
            "global: {stores: {response_cach: {}}}",
            "global.stores.response_cach: unknown key `response_cach`; did you mean `response_cache`?",
        ),
        (
            "global: {integrations: {zzz: 1}}",
            "global.integrations.zzz: unknown key `zzz`; known: `kv_transfer`, `looper`, `tools`",
        ),
        (
            "routing: {signals: {keywords: [{name: k, keyword: [a]}]}}",
            "routing.signals.keywords[0].keyword: unknown key `keyword`; did you mean `keywords`?",
        ),
        (
            "global: {stores: {response_cache: {enabeld: true}}}",
            "global.stores.response_cache.enabeld: unknown key `enabeld`; did you mean `enabled`?",
        ),
        (
            "routing: {decisions: [{name: d, rules: {type: keyword, nam: k}, modelRefs: []}]}",
            "routing.decisions[0].rules.nam: unknown key `nam`; did you mean `name`?",
        ),
        ("routing: 5", "routing: must be a mapping of keys to values"),
        (
            "routing: {signals: []}",
            "routing.signals: must be a mapping of keys to values",
        ),
    ] {
        assert_eq!(mistake(&canonical(more)), expected);
    }
}

#[test]
fn what_validation_finds_is_told_at_its_place() {
    for (more, expected) in [
        (
            "routing: {signals: {domains: [{name: math}]}, decisions: [{name: d, rules: {type: domain, name: law}, modelRefs: [{model: gone}]}]}",
            "routing.decisions[0].rules.name: unknown category `law`; known: math\n\
             routing.decisions[0].modelRefs[0].model: unknown model `gone`; known: large, small",
        ),
        (
            "global: {stores: {response_cache: {similarity_threshold: 7}}}",
            "global.stores.response_cache.similarity_threshold: must be between 0 and 1, got 7",
        ),
        (
            "global: {stores: {response_cache: {backend_type: milvus}}}",
            "global.stores.response_cache.backend_type: unknown variant `milvus`, expected `memory` or `redis`",
        ),
        (
            "routing: {decisions: [{name: d, modelRefs: [{model: small}], plugins: [{type: router_replay}, {type: jailbreak, configuration: {threshold: 2}}]}]}",
            "routing.decisions[0].plugins[1].configuration.threshold: must be between 0 and 1, got 2",
        ),
    ] {
        assert_eq!(mistake(&canonical(more)), expected);
    }
}

#[test]
fn a_reader_that_is_off_and_asked_for_is_a_contradiction() {
    let yaml = |enabled: &str| {
        canonical(&format!(
            "
routing:
  signals: {{jailbreak: [{{name: attack}}]}}
  decisions: [{{name: d, rules: {{type: jailbreak, name: attack}}, modelRefs: [{{model: small}}]}}]
global: {{model_catalog: {{modules: {{prompt_guard: {{enabled: {enabled}}}}}}}}}
"
        ))
    };
    assert_eq!(
        mistake(&yaml("false")),
        "global.model_catalog.modules.prompt_guard.enabled: is off, but a decision has a condition of type `jailbreak`: switch it on, or take the condition out"
    );
    let (config, _) = check(&yaml("true")).unwrap();
    assert!(
        !config.prompt_guard.enabled,
        "decisions say what happens to attacks"
    );
}

#[test]
fn what_would_change_the_answering_model_or_drop_a_guard_is_refused() {
    for (more, path) in [
        (
            "routing: {candidate_requirements: {context: known_limits}}",
            "routing.candidate_requirements",
        ),
        (
            "routing: {projections: {partitions: [{name: p}]}}",
            "routing.projections.partitions",
        ),
        (
            "routing: {signals: {embeddings: [{name: e, threshold: 0.5, candidates: [a], query_modality: image}]}}",
            "routing.signals.embeddings[0].query_modality",
        ),
        (
            "routing: {signals: {keywords: [{name: k, keywords: [a], method: bm25}]}}",
            "routing.signals.keywords[0].method",
        ),
        (
            "routing: {signals: {jailbreak: [{name: j, direction: response}]}}",
            "routing.signals.jailbreak[0].direction",
        ),
        (
            "routing: {signals: {complexity: [{name: c, threshold: 0.1, hard: {candidates: [a]}, easy: {candidates: [b]}, composer: {operator: AND}}]}}",
            "routing.signals.complexity[0].composer",
        ),
        (
            "global: {services: {ratelimit: {providers: [{type: local-limiter}]}}}",
            "global.services.ratelimit",
        ),
        (
            "global: {services: {authz: {providers: [{type: header-injection}]}}}",
            "global.services.authz.providers",
        ),
        (
            "global: {stores: {memory: {enabled: true}}}",
            "global.stores.memory",
        ),
        (
            "global: {router: {learning: {enabled: true}}}",
            "global.router.learning",
        ),
        (
            "global: {router: {config_source: kubernetes}}",
            "global.router.config_source",
        ),
        (
            "global: {model_catalog: {modules: {classifier: {mcp: {enabled: true}}}}}",
            "global.model_catalog.modules.classifier.mcp",
        ),
        (
            "listeners: [{port: 1, address: 127.0.0.1, api_keys: [k]}]",
            "listeners[0].api_keys",
        ),
    ] {
        let found = mistake(&canonical(more));
        assert!(found.starts_with(&format!("{path}: ")), "{found}");
        assert!(
            found.contains("available here") || found.contains("there is no"),
            "{found}"
        );
    }
}

#[test]
fn the_same_switched_off_is_accepted() {
    for more in [
        "routing: {candidate_requirements: {}}",
        "routing: {projections: {partitions: []}}",
        "routing: {signals: {embeddings: [{name: e, threshold: 0.5, candidates: [a], query_modality: text, image_candidates: []}]}}",
        "global: {services: {ratelimit: {}, authz: {fail_open: false, providers: []}}}",
        "global: {stores: {memory: {enabled: false, backend: milvus}}}",
        "global: {router: {learning: {enabled: false}, config_source: file}}",
        "listeners: [{port: 1, address: 127.0.0.1, api_keys: []}]",
    ] {
        assert_eq!(check(&canonical(more)).map(|_| ()), Ok(()), "{more}");
    }
}

#[test]
fn topics_that_decisions_name_need_no_list() {
    let decision = "routing: {decisions: [{name: d, rules: {operator: OR, conditions: [{type: domain, name: law}]}, modelRefs: [{model: large}]}]}";
    let (config, _) = check(&canonical(decision)).unwrap();
    assert_eq!(config.categories[0].name, "law");
}
