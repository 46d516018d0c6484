use super::*;

fn read(yaml: &str) -> Result<Config, String> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let config = Config::from_value(value).map_err(|e| e.to_string())?;
    let errors = config.validate();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors).to_string())
    }
}

const MINIMAL: &str = "
vllm_endpoints: [{name: local, address: 127.0.0.1, port: 8000}]
model_config: {qwen3: {preferred_endpoints: [local]}}
default_model: qwen3
";

fn with(more: &str) -> String {
    format!("{MINIMAL}\n{more}")
}

#[test]
fn a_minimal_config_is_accepted() {
    let config = read(MINIMAL).unwrap();
    assert!(config.is_auto("auto") && config.is_auto("MoM") && !config.is_auto("qwen3"));
    assert_eq!(config.notes(), []);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_paths() {
    let errors = read(&with("
semantic_cache: {enabeld: true, similarity_threshold: high}
maas_integration: {enabled: yes please, headers: {prefx: y}}
decisions:
  - {name: a, rules: {operator: AND, conditions: [{type: keyword, name: k, extra: 1}]}, modelRefs: []}
  - {name: b, rules: 5, modelRefs: [{model: qwen3, use_reasonin: true}]}
"))
    .unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn references_and_ranges_are_checked() {
    let errors = read(
        "
vllm_endpoints:
  - {name: local, address: 'http://x/', port: 0, weight: 0}
  - {name: local, address: x, port: 1}
model_config: {qwen3: {preferred_endpoints: [remote], reasoning_family: q}, auto: {}}
default_model: gpt
categories: [{name: math}]
keyword_rules: [{name: k, keywords: ['', a]}, {name: l, keywords: []}, {name: m, patterns: ['']}]
classifier: {heads: [{path: '', threshold: 3, content: {name: own, labels: [x, y]}}]}
decisions:
  - name: a
    rules: {operator: NOT, conditions: [{type: keyword, name: zzz}, {type: domain, name: law}]}
    modelRefs: [{model: nope, reasoning_effort: extreme}]
    plugins:
      - {type: semantic-cache, configuration: {similarity_treshold: 0.9}}
      - {type: semantic-cache, configuration: {similarity_threshold: 9}}
      - {type: jailbreak, configuration: {enabled: true}}
  - {name: b, rules: {}, modelRefs: []}
  - {name: c, rules: {operator: OR, conditions: [{type: head, name: 'toxicity:rude'}, {type: head, name: 'complexity:complex'}]}, modelRefs: []}
semantic_cache: {similarity_threshold: 1.5, max_entries: 0}
prompt_guard: {enabled: true}
maas_integration: {enabled: true, authentication: {user_header: 'a b', fallback_tier: ''}}
sidecar: {timeout_ms: 0}
limits: {max_body_bytes: 1}
",
    )
    .unwrap_err();
    insta::assert_snapshot!(errors);
}

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
fn addresses_that_nothing_can_listen_on_or_reach_are_refused() {
    let errors = read(
        "
vllm_endpoints:
  - {name: port-in-it, address: '10.0.0.5:8000', port: 8000}
  - {name: space-in-it, address: 'gpu 1', port: 8000}
  - {name: name, address: gpu-1.internal, port: 8000}
  - {name: ipv6, address: 'fd00::1', port: 8000}
model_config: {qwen3: {}}
default_model: qwen3
maas_integration: {authentication: {user_header: X-Who, tier_header: x-who}}
sidecar: {tcp: {address: localhost, port: 9191}}
envoy:
  listener: {address: gateway, port: 8801}
  admin: {address: 127.0.0.1, port: 0}
  metrics: {address: 0.0.0.0, port: 8801}
",
    )
    .unwrap_err();
    let expected = "\
vllm_endpoints[0].address: must be an IP address or a DNS name without scheme, port or path, got `10.0.0.5:8000`
vllm_endpoints[1].address: must be an IP address or a DNS name without scheme, port or path, got `gpu 1`
maas_integration.authentication.tier_header: must be another header than `user_header`, got `x-who` for both
envoy.listener.address: must be an IP address, got `gateway`
sidecar.tcp.address: must be an IP address, got `localhost`
envoy.admin.port: must be between 1 and 65535, got 0
envoy.metrics.port: 8801 is taken by `envoy.listener`";
    assert_eq!(errors, expected);
}

#[test]
fn access_over_tcp_names_what_it_lacks() {
    for (access, expected) in [
        (
            "{certificate_file: a.pem}",
            "sidecar.tcp_access.private_key_file: is needed with `certificate_file`",
        ),
        (
            "{private_key_file: a.key}",
            "sidecar.tcp_access.certificate_file: is needed with `private_key_file`",
        ),
        (
            "{bearer_token_file: token, client_ca_file: ca.pem}",
            "sidecar.tcp_access.client_ca_file: needs TLS: `certificate_file` and `private_key_file`",
        ),
        (
            "{client_ca_file: ca.pem, private_key_file: a.key}",
            "\
sidecar.tcp_access.certificate_file: is needed with `private_key_file`
sidecar.tcp_access.client_ca_file: needs TLS: `certificate_file` and `private_key_file`",
        ),
    ] {
        let errors = read(&with(&format!("sidecar: {{tcp_access: {access}}}"))).unwrap_err();
        assert_eq!(errors, expected, "{access}");
    }
}

#[test]
fn access_over_tcp_leaves_envoy_the_unix_socket() {
    let errors = read(&with(
        "
sidecar: {unix_socket: '', tcp_access: {bearer_token_file: token}}
",
    ))
    .unwrap_err();
    assert_eq!(
        errors,
        "sidecar.unix_socket: must be set with `sidecar.tcp_access`: Envoy reaches the sidecar by it, and shows neither \
         token nor certificate"
    );
    assert!(read(&with("sidecar: {unix_socket: ''}")).is_ok());
}

#[test]
fn access_over_tcp_is_accepted_whole_and_in_its_parts() {
    for access in [
        "{}",
        "{bearer_token_file: token}",
        "{certificate_file: a.pem, private_key_file: a.key}",
        "{certificate_file: a.pem, private_key_file: a.key, client_ca_file: ca.pem}",
        "{bearer_token_file: token, certificate_file: a.pem, private_key_file: a.key, client_ca_file: ca.pem}",
    ] {
        let yaml = with(&format!("sidecar: {{tcp_access: {access}}}"));
        assert_eq!(read(&yaml).err(), None, "{access}");
    }
}

#[test]
fn a_sidecar_that_others_reach_is_noted_until_it_asks_who_they_are() {
    let notes = |access: &str| {
        let yaml =
            format!("sidecar: {{tcp: {{address: 10.0.0.9, port: 9191}}, tcp_access: {access}}}");
        let notes = read(&with(&yaml)).unwrap().notes();
        notes.into_iter().map(|n| n.path).collect::<Vec<_>>()
    };
    assert_eq!(notes("{}"), ["sidecar.tcp.address"]);
    assert_eq!(
        notes("{certificate_file: a.pem, private_key_file: a.key}"),
        ["sidecar.tcp.address"],
        "TLS alone asks nobody"
    );
    for identifies in [
        "{bearer_token_file: token}",
        "{certificate_file: a.pem, private_key_file: a.key, client_ca_file: ca.pem}",
    ] {
        assert_eq!(notes(identifies), [] as [&str; 0], "{identifies}");
    }
}

#[test]
fn one_port_on_two_addresses_is_two_listeners() {
    let addresses = "
envoy:
  listener: {address: 10.0.0.5, port: 8080}
  admin: {address: 127.0.0.1, port: 8080}
";
    assert!(read(&with(addresses)).is_ok());
}

#[test]
fn what_others_can_reach_unasked_is_noted() {
    let open = "
vllm_endpoints: [{name: a, address: 127.0.0.1, port: 1}]
model_config: {qwen3: {}}
default_model: qwen3
envoy: {admin: {address: 0.0.0.0, port: 9901}}
sidecar: {tcp: {address: 10.0.0.9, port: 9191}}
";
    let document: serde_json::Value = serde_saphyr::from_str(open).unwrap();
    let notes = Config::from_value(document).unwrap().notes();
    let paths: Vec<&str> = notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(paths, ["envoy.admin.address", "sidecar.tcp.address"]);
    let document: serde_json::Value =
        serde_saphyr::from_str(include_str!("../../../../envoy/config.yaml")).unwrap();
    assert_eq!(Config::from_value(document).unwrap().notes(), []);
}

#[test]
fn what_a_decision_says_in_vain_is_noted() {
    let config = |family: &str, kind: &str| {
        read(&format!(
            "
vllm_endpoints: [{{name: local, address: 127.0.0.1, port: 8000}}]
model_config: {{qwen3: {{preferred_endpoints: [local], quality_score: 1.0{family}}}}}
reasoning_families: {{qwen: {{type: chat_template_kwargs, parameter: enable_thinking}}}}
default_model: qwen3
keyword_rules: [{{name: k, operator: OR, keywords: [x]}}]
decisions:
  - name: d
    rules: {{operator: AND, conditions: [{{type: keyword, name: k}}]}}
    modelRefs: [{{model: qwen3}}, {{model: qwen3, use_reasoning: true}}]
    algorithm: {{type: {kind}, sticky: true}}
"
        ))
        .unwrap()
    };
    let notes = config("", "score").notes();
    let paths: Vec<&str> = notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "decisions[0].modelRefs[1].use_reasoning",
            "decisions[0].algorithm.sticky"
        ]
    );
    let notes = config(", reasoning_family: qwen", "latency_aware").notes();
    assert_eq!(notes, []);
}

#[test]
fn endpoints_of_a_model_share_one_health_check_path() {
    let endpoints = |path: &str| {
        read(&format!(
            "
vllm_endpoints:
  - {{name: a, address: 127.0.0.1, port: 1}}
  - {{name: b, address: 127.0.0.1, port: 2, health_check_path: '{path}'}}
model_config: {{qwen3: {{preferred_endpoints: [a, b]}}}}
default_model: qwen3
"
        ))
    };
    assert!(endpoints("").is_ok());
    assert!(endpoints("/v1/models").is_ok());
    assert_eq!(
        endpoints("/health").unwrap_err(),
        "model_config.qwen3.preferred_endpoints: endpoints of one model must share one `health_check_path` (or have an empty one), got `/v1/models` of `a` and `/health` of `b`"
    );
}

#[test]
fn every_object_refuses_an_unknown_key_by_its_path() {
    let full = include_str!("../../../../envoy/config.yaml");
    let document: serde_json::Value = serde_saphyr::from_str(full).unwrap();
    let mut objects = Vec::new();
    collect_objects(&document, String::new(), &mut objects);
    assert!(objects.len() > 20);
    for pointer in objects {
        let mut broken = document.clone();
        let Some(serde_json::Value::Object(map)) = broken.pointer_mut(&pointer) else {
            panic!()
        };
        // Maps whose keys are names take any key; there the value is wrong.
        map.insert("no_such_key".into(), serde_json::json!(7));
        let result = Config::from_value(broken).map(|c| c.validate());
        let errors = match result {
            Ok(errors) => ConfigErrors(errors),
            Err(errors) => errors,
        };
        let expected = format!(
            "{}.no_such_key",
            pointer.trim_start_matches('/').replace('/', ".")
        );
        let expected = expected.trim_start_matches('.');
        assert!(
            errors
                .0
                .iter()
                .any(|e| e.path.replace('[', ".").replace(']', "") == *expected),
            "{expected}: {errors}"
        );
    }
}

fn collect_objects(value: &serde_json::Value, at: String, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            out.push(at.clone());
            for (key, value) in map {
                collect_objects(value, format!("{at}/{key}"), out);
            }
        }
        serde_json::Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                collect_objects(value, format!("{at}/{i}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn mistakes_behind_a_decision_that_was_taken_out_keep_their_indices() {
    let errors = read(&with(
        "
decisions:
  - {name: a, modelRefs: [{model: qwen3, use_reasonin: true}, {model: 5}]}
  - {name: b, rules: {}, modelRefs: [{model: qwen3, use_reasonin: true}, {model: 5}]}
",
    ))
    .unwrap_err();
    let expected = "\
decisions[0].modelRefs[0].use_reasonin: unknown key `use_reasonin`; did you mean `use_reasoning`?
decisions[0].modelRefs[1].model: invalid type: integer `5`, expected a string
decisions[0]: missing field `rules`
decisions[1].modelRefs[0].use_reasonin: unknown key `use_reasonin`; did you mean `use_reasoning`?
decisions[1].modelRefs[1].model: invalid type: integer `5`, expected a string";
    assert_eq!(errors, expected);
}

#[test]
fn names_that_become_headers_hold_no_control_characters() {
    let errors = read(&with("
categories: [{name: \"math\\n\"}]
decisions: [{name: \"a\\r\\nx-forged: 1\", rules: {type: domain, name: \"math\\n\"}, modelRefs: [{model: qwen3}]}]
"))
    .unwrap_err();
    let expected = "\
categories[0].name: must not hold control characters
decisions[0].name: must not hold control characters";
    assert_eq!(errors, expected);
}

#[test]
fn a_prefix_must_not_cover_headers_that_requests_need() {
    for prefix in ["x-", "c", "X-Auth-", "x-maas"] {
        let errors = read(&with(&format!(
            "maas_integration: {{headers: {{prefix: {prefix}}}}}"
        )))
        .unwrap_err();
        assert!(
            errors.starts_with("maas_integration.headers.prefix: "),
            "{prefix}: {errors}"
        );
    }
    for prefix in ["x-vsr-", "x-bill-", "acme-"] {
        read(&with(&format!(
            "maas_integration: {{headers: {{prefix: {prefix}}}}}"
        )))
        .unwrap();
    }
}

#[test]
fn sampling_caps_sources_and_prices_are_checked() {
    let errors = read("
vllm_endpoints: [{name: local, address: x, port: 1}]
model_config: {qwen3: {pricing: {prompt_per_1m: -1, completion_per_1m: 2000000}}}
default_model: qwen3
telemetry: {slow_request_ms_by_decision: {nobody: 5}}
maas_integration:
  enabled: true
  authentication:
    user_header: x-user
    user_sources: [{header: x-user}, {}, {header: a b, filter_state: z}, {metadata: {namespace: '', path: []}}]
  metrics: {sample_rate: 0.5, require_exact: true, max_users: 0, pinned_users: [a]}
")
    .unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn what_the_sidecar_loads_is_checked_key_by_key() {
    let errors = read(&with(
        "
sidecar:
  device: gpu
  batching: {max_batch_size: 1025, max_wait_ms: 101, max_tokens: 1048577, queue: 0}
  heads:
    - {name: intent, path: '', threshold: 2}
    - {name: category, path: a.json}
    - {name: 'a:b', path: a.json}
    - {name: toxicity, path: a.json}
  classifiers:
    - {name: intent, path: x}
    - {name: topic, max_tokens: 4}
    - {name: llm, repository: owner/name}
  llm_classifier:
    url: 127.0.0.1:8000
    labels: [{name: ' A'}, {name: A}, {name: A}]
    default_label: B
    max_tokens: 1
    timeout_ms: 0
    max_concurrent: 0
    max_retries: 99
",
    ))
    .unwrap_err();
    insta::assert_snapshot!(errors);
    for (yaml, expected) in [
        (
            "{llm_classifier: {engine: onnx}}",
            "sidecar.llm_classifier.path: name a folder here",
        ),
        (
            "{classifiers: [{name: x, path: y, prefix: z}]}",
            "sidecar.classifiers[0].prefix: unknown key",
        ),
        (
            "{llm_classifier: {guided: maybe}}",
            "sidecar.llm_classifier.guided: unknown variant",
        ),
        (
            "{encoder: {precision: fp8}}",
            "sidecar.encoder.precision: unknown variant",
        ),
    ] {
        let value = serde_saphyr::from_str(&with(&format!("sidecar: {yaml}"))).unwrap();
        let errors = match Config::from_value(value) {
            Ok(config) => ConfigErrors(config.validate()),
            Err(errors) => errors,
        };
        assert!(errors.to_string().contains(expected), "{errors}");
    }
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

#[test]
fn conditions_on_heads_of_the_sidecar_are_checked_by_what_it_loads() {
    let rule = |kind: &str, name: &str| {
        format!(
            "decisions: [{{name: d, rules: {{type: {kind}, name: '{name}'}}, modelRefs: [{{model: qwen3}}]}}]"
        )
    };
    let asks = "sidecar: {heads: [{name: intent, path: i.json}], llm_classifier: {url: 'http://a/v1', model: m}}";
    for (kind, name) in [
        ("head", "intent:refund"),
        ("llm", "COMPLEX"),
        ("head", "toxicity:toxic"),
    ] {
        let yaml = with(&format!("{asks}\n{}", rule(kind, name)));
        assert!(read(&yaml).is_ok(), "{kind} {name}: {:?}", read(&yaml));
    }
    for (kind, name) in [("head", "mood:bad"), ("llm", "SIMPLE")] {
        let yaml = with(&format!("{asks}\n{}", rule(kind, name)));
        assert!(read(&yaml).unwrap_err().contains(name), "{kind} {name}");
    }
    let off = with(&format!(
        "sidecar: {{enabled: false, heads: [{{name: intent, path: i.json}}]}}\n{}",
        rule("head", "intent:refund")
    ));
    assert!(
        read(&off).unwrap_err().contains("unknown head and label"),
        "nobody can be asked"
    );
}

#[test]
fn a_language_model_that_is_slower_than_the_proxy_waits_is_noted() {
    let yaml = with(
        "sidecar: {timeout_ms: 300, llm_classifier: {url: 'http://a/v1', model: m, timeout_ms: 301}}",
    );
    let notes = read(&yaml).unwrap().notes();
    assert_eq!(notes[0].path, "sidecar.llm_classifier.timeout_ms");
}

#[test]
fn the_meter_knows_the_names_of_all_sections_and_reads_its_own() {
    let read = |config: serde_json::Value| {
        let document = serde_json::json!({"filters": ["meter"], "config": config});
        FilterConfig::read_for_meter(document.to_string().as_bytes())
    };
    let unknown = Config::from_value(serde_json::json!({"no_section": 1})).unwrap_err();
    let unknown = unknown.to_string();
    let sections: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(sections.len() > 30, "{unknown}");
    for section in sections {
        let others = ["model_config", "maas_integration", "telemetry"];
        if !others.contains(&section) {
            read(serde_json::json!({section: "whatever"})).unwrap();
        }
    }
    for (config, path) in [
        (serde_json::json!({"decisons": []}), "decisons"),
        (
            serde_json::json!({"model_config": {"m": {"pricing": {"prompt_per_1m": -1.0}}}}),
            "model_config.m.pricing.prompt_per_1m",
        ),
        (
            serde_json::json!({"maas_integration": {"metrics": {"sample_rate": 2}}}),
            "maas_integration.metrics.sample_rate",
        ),
        (serde_json::json!({"telemetry": 1}), "telemetry"),
    ] {
        let errors = read(config).unwrap_err().to_string();
        assert!(errors.starts_with(&format!("{path}:")), "{errors}");
    }
}

#[test]
fn a_plugin_of_which_one_could_count_stands_once() {
    let decision = |plugins: &str| {
        let yaml = format!(
            "decisions: [{{name: a, rules: {{operator: AND, conditions: []}}, modelRefs: [{{model: qwen3}}], plugins: [{plugins}]}}]\n"
        );
        let models = "model_config: {qwen3: {preferred_endpoints: [local]}, one: {preferred_endpoints: [local]}, two: {preferred_endpoints: [local]}}";
        let minimal = MINIMAL.replace(
            "model_config: {qwen3: {preferred_endpoints: [local]}}",
            models,
        );
        read(&format!("{minimal}{yaml}")).map(|_| ())
    };
    let fast = "{type: fast_response, configuration: {message: x}}";
    assert_eq!(
        decision(&format!("{fast}, {fast}")).unwrap_err(),
        "decisions[0].plugins[1].type: `fast_response` stands twice in this decision"
    );
    let pii = |more: &str| format!("{{type: pii, configuration: {{enabled: true{more}}}}}");
    let to = |model: &str| pii(&format!(", action: route_to, model: {model}"));
    assert_eq!(decision(&format!("{}, {}", to("one"), pii(""))), Ok(()));
    assert_eq!(
        decision(&format!("{}, {}", to("one"), to("two"))).unwrap_err(),
        "decisions[0].plugins[1].configuration.model: personal data already goes to `one`"
    );
}
