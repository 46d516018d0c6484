//! `maas_integration`: its headers, who a user is, and what is metered.

use super::*;

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
