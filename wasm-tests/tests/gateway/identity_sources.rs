//! Where the caller's name comes from: headers, filter state, dynamic metadata, in their order, and who is believed.

use wasm_tests::harness::Call;
use wasm_tests::harness::access_log::Entry;

use crate::gateways::{Case, meter_only};
use crate::metering_gateways::{jwt, models_as_a_service, untrusting};

/// Key of the tokens below, as a JSON Web Key has it.
pub(crate) const JWT_KEY: &str =
    "YSBrZXkgdGhhdCBvbmx5IHRoaXMgdGVzdCBrbm93cywgMzIgYnl0ZXMgb3IgbW9yZQ";

/// `{"iss":"tests","sub":"alice@example.com","tier":"gold","groups":"staff"}`, HS256, without an end.
const ALICE: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFsaWNlQGV4YW1wbGUuY29tIiwidGllciI6ImdvbGQiLCJncm91cHMiOiJzdGFmZiJ9.xglMTpgba_Hxm9PJBPxEqKGDKuSIGbwDz8B9rEupF4I";

/// `{"iss":"tests","sub":"","tier":"gold"}`, signed like the other.
const NAMELESS: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6IiIsInRpZXIiOiJnb2xkIn0.mzoRM67Be9e9fg3HvPMNXWk9-rsb8FflXizQWsZgF6U";

/// A request without the identity headers of the other tests.
fn anonymous(gateway: &Case) -> Call {
    gateway
        .ask("qwen3-8b", "Hello")
        .order("usage", "7,1")
        .without("x-auth-request-user")
        .without("x-auth-request-tier")
}

/// Sends it and gives its line of the access log.
async fn logged(gateway: &Case, call: Call) -> Entry {
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    gateway.stack.access(&reply.request_id()).await.unwrap()
}

fn who(entry: &Entry) -> [String; 3] {
    ["user", "tier", "groups"].map(|field| entry.text(field))
}

#[tokio::test]
async fn names_that_others_reject_or_merge_are_users_exactly() {
    let gateway = meter_only("names").await;
    let long = "a".repeat(300);
    let users = [
        ("a--b", "a--b"),
        ("SELECT", "SELECT"),
        ("x", "x"),
        ("алиса", "алиса"),
        ("a.b;.;c=.=d", "a.b;%2E;c=%2E=d"),
        ("alice@example.com", "alice@example.com"),
        ("alice_example.com", "alice_example.com"),
        // Not the label of those above the cap.
        ("other", " other"),
    ];
    for (tokens, (user, label)) in users.into_iter().enumerate() {
        let usage = format!("{},1", tokens + 1);
        let call = gateway
            .ask("qwen3-8b", "Hello")
            .header("x-auth-request-user", user)
            .order("usage", &usage);
        let entry = logged(&gateway, call).await;
        assert_eq!(entry.text("user"), user);
        let metric = gateway.stack.metric("semantic_router_tokens_total");
        let metric = metric.label("user", label).label("type", "prompt");
        metric.value(tokens as u64 + 1).await.unwrap();
    }
    let call = gateway
        .ask("qwen3-8b", "Hello")
        .header("x-auth-request-user", &long)
        .order("usage", "99,1");
    assert_eq!(logged(&gateway, call).await.text("user"), long);
    // 110 bytes, and the start of its SHA-256.
    let cut = format!("{}%~9835fa6bf4e20a9b", "a".repeat(110));
    let metric = gateway.stack.metric("semantic_router_tokens_total");
    let metric = metric.label("user", &cut).label("type", "prompt");
    metric.value(99).await.unwrap();
}

#[tokio::test]
async fn maas_headers_name_user_subscription_and_group() {
    let gateway = models_as_a_service("maas-headers").await;
    let call = anonymous(&gateway)
        .header("x-maas-username", "maas-headers")
        .header("x-maas-subscription", "premium")
        .header("x-maas-group", "staff");
    let entry = logged(&gateway, call).await;
    assert_eq!(who(&entry), ["maas-headers", "premium", "staff"]);
    let metric = gateway.stack.metric("semantic_router_tokens_total");
    let metric = metric
        .label("user", "maas-headers")
        .label("tier", "premium")
        .label("type", "prompt");
    metric.value(7).await.unwrap();
}

#[tokio::test]
async fn kuadrants_filter_state_comes_before_the_headers() {
    let gateway = models_as_a_service("maas-state").await;
    let call = anonymous(&gateway)
        .header("x-test-userid", "maas-state")
        .header("x-test-subscription", "granted")
        .header("x-test-groups", "a,b")
        .header("x-maas-username", "wished")
        .header("x-maas-subscription", "wished")
        .header("x-maas-group", "wished");
    let entry = logged(&gateway, call).await;
    assert_eq!(who(&entry), ["maas-state", "granted", "a,b"]);
    gateway.counted("prompt", 7).await;
}

#[tokio::test]
async fn each_of_user_and_tier_has_its_own_order() {
    let gateway = models_as_a_service("maas-mixed").await;
    let call = anonymous(&gateway)
        .header("x-test-userid", "maas-mixed")
        .header("x-maas-subscription", "basic");
    let entry = logged(&gateway, call).await;
    assert_eq!(who(&entry), ["maas-mixed", "basic", "-"]);
}

#[tokio::test]
async fn headers_of_another_preset_name_nobody() {
    let gateway = models_as_a_service("maas-seed").await;
    let entry = logged(&gateway, gateway.ask("qwen3-8b", "Hello")).await;
    assert_eq!(who(&entry), ["unknown", "free", "-"]);
}

#[tokio::test]
async fn the_claims_of_a_checked_token_are_the_caller() {
    let gateway = jwt("alice@example.com").await;
    let call = anonymous(&gateway).header("authorization", format!("Bearer {ALICE}"));
    let entry = logged(&gateway, call).await;
    assert_eq!(who(&entry), ["alice@example.com", "gold", "staff"]);
    gateway.counted("prompt", 7).await;
}

#[tokio::test]
async fn without_a_user_a_request_is_refused_where_the_configuration_says_so() {
    let gateway = jwt("jwt-refused").await;
    let nameless = format!("Bearer {NAMELESS}");
    for call in [
        anonymous(&gateway),
        anonymous(&gateway).header("authorization", nameless),
        // Headers are no source of this preset.
        gateway.ask("qwen3-8b", "Hello"),
    ] {
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status, 401);
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
        assert!(!gateway.reached_upstream(&reply));
    }
    // Other paths are not ours to refuse.
    let models = gateway.get("/v1/models").send().await.unwrap();
    assert_eq!(models.status, 200);
}

#[tokio::test]
async fn a_forged_token_is_nobody() {
    let gateway = jwt("jwt-forged").await;
    let forged = format!("Bearer {}x", ALICE.trim_end_matches('I'));
    let call = anonymous(&gateway).header("authorization", forged);
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 401);
    assert!(!gateway.reached_upstream(&reply));
}

#[tokio::test]
async fn the_first_source_that_names_a_user_wins() {
    let gateway = untrusting("order").await;
    let call = anonymous(&gateway)
        .header("x-test-state", "order-state")
        .header("x-test-metadata", "order-metadata");
    assert_eq!(logged(&gateway, call).await.text("user"), "order-state");
    let call = anonymous(&gateway).header("x-test-metadata", "order-metadata");
    assert_eq!(logged(&gateway, call).await.text("user"), "order-metadata");
}

#[tokio::test]
async fn identity_headers_of_clients_are_stripped_where_nobody_vouches_for_them() {
    let gateway = untrusting("spoofed").await;
    for name in ["x-auth-request-user", "X-Auth-Request-User"] {
        let call = anonymous(&gateway)
            .header(name, "spoofed")
            .header("x-auth-request-tier", "enterprise");
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status, 200);
        let entry = gateway.stack.access(&reply.request_id()).await.unwrap();
        assert_eq!(who(&entry), ["unknown", "free", "-"]);
        let received = gateway.upstream(&reply).await;
        assert!(received.header("x-auth-request-user").is_empty());
        assert!(received.header("x-auth-request-tier").is_empty());
    }
    gateway.requests(0).await;
}

#[tokio::test]
async fn requests_without_identity_headers_are_counted_as_such() {
    let gateway = meter_only("missing").await;
    let missing = |label| {
        let metric = gateway.stack.metric("turnpike_identity_missing_total");
        metric.label("label", label)
    };
    let before = missing("user").now().await.unwrap();
    logged(&gateway, anonymous(&gateway)).await;
    missing("user").at_least(before + 1).await.unwrap();
    missing("tier").at_least(1).await.unwrap();
}
