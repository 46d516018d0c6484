//! The gateways that tests share, each started by the first test that needs it.

use std::ops::Deref;

use serde_json::json;
use tokio::sync::OnceCell;
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_core::cache::Scope;
use turnpike_core::decision::{CategoryConfig, OnError};
use turnpike_core::identity::SourceConfig;
use wasm_tests::harness::{Client, Reply, Stack, StackOptions, root};
use wasm_tests::standin::Received;

use crate::metering_gateways::add_golden_model;

/// Largest request body of the test gateways: small, so that tests of the limit are quick.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;

/// Largest answer that the test gateways keep for the cache.
pub(crate) const MAX_CACHED_BODY_BYTES: usize = 16 << 10;

/// A gateway, or why it did not start: the second test must not wait for the same failure again.
pub(crate) type Shared = OnceCell<Result<Stack, String>>;

/// `envoy/config.yaml` with small limits, and time enough for a sidecar on a busy machine.
fn config() -> Config {
    let path = root().join("envoy/config.yaml");
    let mut config = turnpike::config::load(path).expect("the example configuration is good");
    config.limits.max_body_bytes = u32::try_from(MAX_BODY_BYTES).unwrap_or(u32::MAX);
    config.limits.max_cached_body_bytes = u32::try_from(MAX_CACHED_BODY_BYTES).unwrap_or(u32::MAX);
    config.sidecar.timeout_ms = 20_000;
    config
}

pub(crate) async fn shared(
    cell: &'static Shared,
    change: impl FnOnce(&mut Config),
    options: StackOptions,
) -> &'static Stack {
    let started = cell.get_or_init(async || {
        let mut config = config();
        change(&mut config);
        let stack = Stack::start_config(config, options).await;
        stack.map_err(|e| format!("{e:#}"))
    });
    match started.await {
        Ok(stack) => stack,
        Err(error) => panic!("the gateway did not start: {error}"),
    }
}

/// The example configuration, MaaS mode.
pub(crate) async fn maas(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let stack = shared(&STACK, |_| (), StackOptions::default()).await;
    Case::new(stack, user)
}

/// No identity, standard metrics and headers.
pub(crate) async fn standalone() -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        config.maas_integration = None;
        add_golden_model(config);
    };
    let stack = shared(&STACK, change, StackOptions::default()).await;
    Case::new(stack, "nobody")
}

/// The meter alone, as a gateway without routing uses it.
pub(crate) async fn meter_only(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let options = StackOptions {
        filters: Filters {
            meter: true,
            router: false,
        },
        without_sidecar: true,
        ..StackOptions::default()
    };
    Case::new(shared(&STACK, |_| (), options).await, user)
}

/// The router alone.
pub(crate) async fn router_only(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let options = StackOptions {
        filters: Filters {
            meter: false,
            router: true,
        },
        without_sidecar: true,
        ..StackOptions::default()
    };
    let change = |config: &mut Config| {
        config.sidecar.enabled = false;
        config.semantic_cache.enabled = false;
        let hours = json!({"name": "hours", "keywords": ["opening hours"]});
        let of_hours = json!({
            "name": "hours", "priority": 1000, "rules": {"type": "keyword", "name": "hours"}, "modelRefs": [{"model": "qwen3-8b"}],
            "plugins": [{"type": "fast_response", "configuration": {"message": "From nine to five."}}],
        });
        config
            .keyword_rules
            .push(serde_json::from_value(hours).expect("a rule"));
        config
            .decisions
            .push(serde_json::from_value(of_hours).expect("a decision"));
    };
    Case::new(shared(&STACK, change, options).await, user)
}

/// Adds a category that the model in the router does not know, so that the sidecar judges all of them, every time: what it said to
/// one test is not remembered for the next.
fn needs_sidecar(config: &mut Config) {
    config.routing_cache.max_bytes = 0;
    config.categories.push(CategoryConfig {
        name: "gardening".into(),
        description: "gardens, flowers, vegetables and their care".into(),
        ..CategoryConfig::default()
    });
}

/// A sidecar that never comes, and `on_error: block`.
pub(crate) async fn blocking(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let options = StackOptions {
        without_sidecar: true,
        ..StackOptions::default()
    };
    let change = |config: &mut Config| {
        needs_sidecar(config);
        config.sidecar.on_error = OnError::Block;
    };
    Case::new(shared(&STACK, change, options).await, user)
}

/// A gateway that waits 300 ms for its sidecar, which takes connections and never answers.
pub(crate) async fn frozen(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        needs_sidecar(config);
        config.sidecar.timeout_ms = 300;
    };
    let stack = shared(&STACK, change, StackOptions::default()).await;
    stack.freeze_sidecar();
    Case::new(stack, user)
}

/// A gateway whose sidecar tests may kill, one test at a time; it runs when a test begins.
pub(crate) async fn fragile(user: &str) -> (Case, tokio::sync::MutexGuard<'static, ()>) {
    static STACK: Shared = OnceCell::const_new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    let options = StackOptions {
        without_sidecar: true,
        ..StackOptions::default()
    };
    let stack = shared(&STACK, needs_sidecar, options).await;
    stack.kill_sidecar();
    stack
        .start_sidecar()
        .await
        .expect("the sidecar starts again");
    (Case::new(stack, user), turn)
}

/// Answers are shared within a tenant, whose name a header has; the same request waits for its answer.
pub(crate) async fn tenants(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        let maas = config.maas_integration.get_or_insert_default();
        maas.authentication.tenant_sources = vec![SourceConfig {
            header: Some("x-tenant".into()),
            ..SourceConfig::default()
        }];
        config.semantic_cache.scope = Scope::Tenant;
        config.semantic_cache.coalesce_wait_ms = 30_000;
        config.semantic_cache.export_similarity = true;
    };
    Case::new(shared(&STACK, change, StackOptions::default()).await, user)
}

/// One test at one gateway.
pub(crate) struct Case {
    pub(crate) stack: &'static Stack,
    client: Client,
}

impl Case {
    pub(crate) fn new(stack: &'static Stack, user: &str) -> Self {
        Self {
            stack,
            client: stack.client(user, "gold"),
        }
    }

    /// What the LLM server got of an answered request.
    pub(crate) async fn upstream(&self, reply: &Reply) -> Received {
        let received = self.stack.received(&reply.tag).await;
        received.expect("the LLM server was asked")
    }

    /// Whether an LLM server was asked.
    pub(crate) fn reached_upstream(&self, reply: &Reply) -> bool {
        !self.stack.records().tagged(&reply.tag).is_empty()
    }

    /// Waits until Envoy has counted so many tokens of this user.
    pub(crate) async fn counted(&self, kind: &str, tokens: u64) {
        let metric = self.stack.metric("semantic_router_tokens_total");
        let metric = metric.label("user", &self.client.user).label("type", kind);
        metric.value(tokens).await.expect("tokens are counted");
    }

    /// Waits until Envoy has counted so many requests of this user.
    pub(crate) async fn requests(&self, number: u64) {
        let metric = self.stack.metric("semantic_router_requests_total");
        let metric = metric.label("user", &self.client.user);
        metric.value(number).await.expect("requests are counted");
    }
}

impl Deref for Case {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Case {
    /// A failed test shows the logs; nobody else does.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut out = std::io::stderr().lock();
            let _ = std::io::Write::write_all(&mut out, self.stack.logs().as_bytes());
        }
    }
}
