use super::{check, mistake};

#[test]
fn servers_are_told_at_their_place() {
    let models =
        |models: &str| format!("providers: {{defaults: {{default_model: m}}, models: [{models}]}}");
    for (models_, expected) in [
        (
            "{name: m, backend_refs: [{endpoint: 'a:0'}]}",
            "providers.models[0].backend_refs[0].endpoint: must be between 1 and 65535, got 0",
        ),
        (
            "{name: m, backend_refs: [{endpoint: 'a b:80'}]}",
            "providers.models[0].backend_refs[0].endpoint: must be an IP address or a DNS name without scheme, port or path, got `a b`",
        ),
        (
            "{name: m, backend_refs: [{base_url: 'https://a/openai/v1'}]}",
            "providers.models[0].backend_refs[0].base_url: paths are not rewritten, so it must end with the host or with `/v1`, got `/openai/v1`",
        ),
        (
            "{name: m, backend_refs: [{name: x, endpoint: a}, {name: x, endpoint: b}]}",
            "providers.models[0].backend_refs[1].name: `m_x` is defined twice",
        ),
        (
            "{name: m, backend_refs: [{endpoint: a, weight: 1000}]}",
            "providers.models[0].backend_refs[0].weight: must be between 1 and 128, got 1000",
        ),
        (
            "{name: m, backend_refs: [{endpoint: a, extra_headers: {x-tenant: t}}]}",
            "providers.models[0].backend_refs[0].extra_headers: is not available here; set headers by the plugin `header_mutation` of the decisions",
        ),
        (
            "{name: m, backend_refs: [{endpoint: a, wieght: 2}]}",
            "providers.models[0].backend_refs[0].wieght: unknown key `wieght`; did you mean `weight`?",
        ),
        (
            "{name: m}",
            "providers.models[0].backend_refs: must name at least one server",
        ),
        (
            "{name: m, backend_refs: [{endpoint: a}]}, {name: m}",
            "providers.models[1].name: `m` is defined twice",
        ),
        (
            "{name: m, reasoning_family: claude, backend_refs: [{endpoint: a}]}",
            "providers.models[0].reasoning_family: unknown reasoning family `claude`; known: none",
        ),
        (
            "5",
            "providers.models[0]: must be a mapping of keys to values",
        ),
    ] {
        let found = mistake(&models(models_));
        assert!(found.lines().any(|line| line == expected), "{found}");
    }
}

fn only_endpoint(endpoint: &str) -> (String, u16, String) {
    let yaml = format!(
        "providers: {{defaults: {{default_model: m}}, models: [{{name: m, backend_refs: [{endpoint}]}}]}}"
    );
    let (config, _) = check(&yaml).unwrap();
    let endpoint = &config.vllm_endpoints[0];
    (
        endpoint.address.clone(),
        endpoint.port,
        format!("{:?}", endpoint.protocol),
    )
}

#[test]
fn addresses_are_read_in_every_form() {
    for (written, address, port, protocol) in [
        ("{endpoint: '10.0.0.1:8000'}", "10.0.0.1", 8000, "Http"),
        ("{endpoint: gpu}", "gpu", 80, "Http"),
        ("{endpoint: gpu, protocol: https}", "gpu", 443, "Https"),
        ("{endpoint: 'gpu:8000/v1'}", "gpu", 8000, "Http"),
        ("{endpoint: 'fd00::1'}", "fd00::1", 80, "Http"),
        ("{endpoint: '[fd00::1]:8000'}", "fd00::1", 8000, "Http"),
        ("{endpoint: '[fd00::1]'}", "fd00::1", 80, "Http"),
        (
            "{base_url: 'https://api.example.com/v1'}",
            "api.example.com",
            443,
            "Https",
        ),
        (
            "{base_url: 'HTTP://api.example.com:81'}",
            "api.example.com",
            81,
            "Http",
        ),
    ] {
        assert_eq!(
            only_endpoint(written),
            (address.into(), port, protocol.into()),
            "{written}"
        );
    }
}
