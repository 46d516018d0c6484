//! The gateways that only tests of metering need, started as those of [`crate::gateways`] are.

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_core::decision::PricingConfig;
use turnpike_core::identity::{
    CacheHitTokens, ExtraTokenType, MaasIntegrationConfig, MetadataConfig, OnMissing, Preset,
    SourceConfig, Trust,
};
use wasm_tests::harness::StackOptions;

use crate::gateways::{Case, Shared, shared};

/// Model that only the golden tests ask for, so that everything counted under it is theirs.
pub(crate) const GOLDEN_MODEL: &str = "golden-model";

/// Users with a label of their own at [`capped`], fallback aside.
pub(crate) const MAX_USERS: u32 = 20;

/// The user that is pinned at [`capped`].
pub(crate) const PINNED: &str = "cap-pinned";

const METER: Filters = Filters {
    meter: true,
    router: false,
};

fn alone() -> StackOptions {
    StackOptions {
        filters: METER,
        without_sidecar: true,
        ..StackOptions::default()
    }
}

fn behind(first_filters: Vec<Value>) -> StackOptions {
    StackOptions {
        first_filters,
        ..alone()
    }
}

fn maas(config: &mut Config) -> &mut MaasIntegrationConfig {
    config
        .maas_integration
        .as_mut()
        .expect("the example is in MaaS mode")
}

/// Millionths of a euro: 0.5 for a prompt token, 0.05 for a cached one, 1.5 for a completion token, 0.01 for one of a hit.
fn pricing() -> PricingConfig {
    PricingConfig {
        currency: "EUR".into(),
        prompt_per_1m: 0.5,
        completion_per_1m: 1.5,
        cached_input_per_1m: Some(0.05),
        cache_hit_per_1m: Some(0.01),
    }
}

/// Adds [`GOLDEN_MODEL`], with a price.
pub(crate) fn add_golden_model(config: &mut Config) {
    let model = turnpike_core::decision::ModelConfig {
        preferred_endpoints: vec!["small".into()],
        pricing: Some(pricing()),
        ..Default::default()
    };
    config.model_config.insert(GOLDEN_MODEL.into(), model);
}

/// Hybrid mode with everything on: prices, further token types, tokens of hits, telemetry.
pub(crate) async fn hybrid(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        add_golden_model(config);
        let model = config.model_config.get_mut("qwen3-8b").expect("a model");
        model.pricing = Some(pricing());
        let metrics = &mut maas(config).metrics;
        metrics.internal_cost_calculation = true;
        metrics.extra_token_types = vec![ExtraTokenType::Cached, ExtraTokenType::Reasoning];
        metrics.cache_hit_tokens = CacheHitTokens::Full;
        let telemetry = &mut config.telemetry;
        telemetry.response_time_header = true;
        telemetry.session_header = Some("X-Session-Id".into());
        let slow = &mut telemetry.slow_request_ms_by_decision;
        slow.insert("code".into(), 100);
    };
    let stack = shared(&STACK, change, StackOptions::default()).await;
    Case::new(stack, user)
}

/// `maas_integration.enabled: false`, with everything else of that section set.
pub(crate) async fn disabled() -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        add_golden_model(config);
        let maas = maas(config);
        maas.enabled = false;
        maas.headers.prefix = "x-other-".into();
        maas.headers.export_security = true;
        maas.authentication.on_missing = OnMissing::Reject;
        maas.metrics.export_token_metrics = false;
        maas.metrics.sample_rate = 0.1;
    };
    let stack = shared(&STACK, change, StackOptions::default()).await;
    Case::new(stack, "nobody")
}

/// Both filters on two workers, no sidecar and no cache: what the servers serve is what is charged.
pub(crate) async fn billing(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let options = StackOptions {
        without_sidecar: true,
        ..StackOptions::default()
    };
    let change = |config: &mut Config| {
        config.sidecar.enabled = false;
        config.semantic_cache.enabled = false;
    };
    Case::new(shared(&STACK, change, options).await, user)
}

/// At most [`MAX_USERS`] users with a label of their own, one of them [`PINNED`].
pub(crate) async fn capped(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let metrics = &mut maas(config).metrics;
        metrics.max_users = MAX_USERS;
        metrics.pinned_users = vec![PINNED.into()];
    };
    Case::new(shared(&STACK, change, alone()).await, user)
}

/// Preset `models-as-a-service`; headers `x-test-*` stand for what Kuadrant's filter would put into filter state.
pub(crate) async fn models_as_a_service(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let authentication = &mut maas(config).authentication;
        *authentication = Default::default();
        authentication.preset = Preset::ModelsAsAService;
    };
    let kuadrant = |name: &str, header: &str| {
        filter_state(&format!("wasm.kuadrant.auth.identity.{name}"), header)
    };
    let options = behind(vec![set_filter_state(&[
        kuadrant("userid", "x-test-userid"),
        kuadrant("selected_subscription", "x-test-subscription"),
        kuadrant("groups_str", "x-test-groups"),
    ])]);
    Case::new(shared(&STACK, change, options).await, user)
}

/// Behind a filter that publishes what a guard found: what headers `x-test-*` say.
pub(crate) async fn guarded(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let maas = maas(config);
        maas.external_guards = true;
        maas.headers.export_security = true;
    };
    let options = behind(vec![set_filter_state(&[
        filter_state("wasm.turnpike.pii_types", "x-test-pii"),
        filter_state("wasm.turnpike.jailbreak", "x-test-jailbreak"),
    ])]);
    Case::new(shared(&STACK, change, options).await, user)
}

/// Preset `jwt` behind Envoy's own `jwt_authn`, and nobody without a user.
pub(crate) async fn jwt(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let authentication = &mut maas(config).authentication;
        *authentication = Default::default();
        authentication.preset = Preset::Jwt;
        authentication.on_missing = OnMissing::Reject;
    };
    let options = behind(vec![jwt_authn()]);
    Case::new(shared(&STACK, change, options).await, user)
}

/// Nobody's headers are trusted; filter state comes before metadata, and both before a header that is never read.
pub(crate) async fn untrusting(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let authentication = &mut maas(config).authentication;
        *authentication = Default::default();
        authentication.trust = Trust::Nobody;
        authentication.user_sources = vec![
            SourceConfig {
                filter_state: Some("tests.user".into()),
                ..SourceConfig::default()
            },
            SourceConfig {
                metadata: Some(MetadataConfig {
                    namespace: "tests.auth".into(),
                    path: vec!["name".into()],
                }),
                ..SourceConfig::default()
            },
            SourceConfig {
                header: Some("x-auth-request-user".into()),
                ..SourceConfig::default()
            },
        ];
    };
    let options = behind(vec![
        set_filter_state(&[filter_state("tests.user", "x-test-state")]),
        header_to_metadata("x-test-metadata", "tests.auth", "name"),
    ]);
    Case::new(shared(&STACK, change, options).await, user)
}

fn set_filter_state(values: &[Value]) -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": values,
        },
    })
}

/// A header's value as an object of filter state; none without the header.
fn filter_state(key: &str, header: &str) -> Value {
    json!({
        "object_key": key,
        "factory_key": "envoy.string",
        "skip_if_empty": true,
        "format_string": {
            "text_format_source": {"inline_string": format!("%REQ({header})%")},
            "omit_empty_values": true,
        },
    })
}

fn header_to_metadata(header: &str, namespace: &str, key: &str) -> Value {
    json!({
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
            "request_rules": [{
                "header": header,
                "on_header_present": {"metadata_namespace": namespace, "key": key, "type": "STRING"},
            }],
        },
    })
}

/// Checks tokens of the issuer `tests`, and lets requests without one pass.
fn jwt_authn() -> Value {
    let key = json!({"kty": "oct", "alg": "HS256", "k": crate::identity_sources::JWT_KEY});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"tests": {
                "issuer": "tests",
                "local_jwks": {"inline_string": json!({"keys": [key]}).to_string()},
                "payload_in_metadata": "jwt_payload",
            }},
            "rules": [{
                "match": {"prefix": "/"},
                "requires": {"requires_any": {"requirements": [
                    {"provider_name": "tests"}, {"allow_missing": {}},
                ]}},
            }],
        },
    })
}
