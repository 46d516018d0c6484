use super::*;
use crate::host::memory::{Entry, MemoryHost, serialize};

fn headers(pairs: &[(&str, &[u8])]) -> Headers {
    let entries: Vec<Entry> = pairs
        .iter()
        .map(|(n, v)| Entry {
            name: (*n).into(),
            value: v.to_vec(),
        })
        .collect();
    serialize(&entries)
}

fn config(yaml: &str) -> AuthenticationConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

fn identify_with(
    yaml: &str,
    pairs: &[(&str, &[u8])],
    properties: &[(&str, &str)],
) -> Result<Identity, String> {
    let mut host = MemoryHost::default();
    for (path, value) in properties {
        host.properties.insert((*path).into(), (*value).into());
    }
    let identifier = Identifier::compile(&config(yaml));
    identifier
        .identify(&headers(pairs), &mut host)
        .map_err(|e| format!("{e:?}"))
}

fn identify(pairs: &[(&str, &[u8])]) -> Result<Identity, String> {
    identify_with("{}", pairs, &[])
}

fn names(identity: &Identity) -> (&str, &str, &str) {
    (
        &identity.user.name,
        &identity.tier.name,
        identity.identified(),
    )
}

#[test]
fn user_and_tier_come_from_their_headers() {
    let who = identify(&[
        ("x-auth-request-user", b"alice"),
        ("x-auth-request-tier", b"premium"),
    ])
    .unwrap();
    assert_eq!(names(&who), ("alice", "premium", "user,tier"));
}

#[test]
fn missing_or_empty_headers_give_the_fallbacks_and_identify_nobody() {
    for pairs in [vec![], vec![("x-auth-request-user", b" ".as_slice())]] {
        assert_eq!(names(&identify(&pairs).unwrap()), ("unknown", "free", ""));
    }
}

#[test]
fn a_missing_user_may_be_refused() {
    let reject = "{on_missing: reject}";
    assert_eq!(
        identify_with(reject, &[("x-auth-request-tier", b"gold")], &[]),
        Err("Missing".into())
    );
    assert_eq!(
        names(&identify_with(reject, &[("x-auth-request-user", b"a")], &[]).unwrap()),
        ("a", "free", "user")
    );
}

#[test]
fn a_repeated_identity_header_is_an_error_that_names_it() {
    let twice: [(&str, &[u8]); 2] = [
        ("x-auth-request-tier", b"free"),
        ("x-auth-request-tier", b"premium"),
    ];
    assert_eq!(
        identify(&twice),
        Err("Repeated(\"x-auth-request-tier\")".into())
    );
    let same: [(&str, &[u8]); 2] = [("x-auth-request-user", b"a"), ("x-auth-request-user", b"a")];
    assert_eq!(
        identify(&same),
        Err("Repeated(\"x-auth-request-user\")".into())
    );
    // Also where nobody trusts them: somebody behind us might.
    assert!(identify_with("{trust: nobody}", &twice, &[]).is_err());
}

#[test]
fn users_are_who_they_say_however_they_look() {
    for user in [
        "a--b",
        "SELECT",
        "x",
        "алиса",
        "a.b;.;c=.=d",
        "alice@example.com",
        "$(id)",
    ] {
        assert_eq!(
            identify(&[("x-auth-request-user", user.as_bytes())])
                .unwrap()
                .user
                .name,
            user
        );
    }
}

#[test]
fn users_that_differ_in_invalid_bytes_stay_two() {
    let a = identify(&[("x-auth-request-user", b"al\xffice")])
        .unwrap()
        .user;
    let b = identify(&[("x-auth-request-user", b"al\xfeice")])
        .unwrap()
        .user;
    assert_eq!(a.name, "al\u{FFFD}ffice");
    assert_ne!(a, b);
}

#[test]
fn other_header_names_replace_the_preset() {
    let yaml = "{user_header: X-User, tier_header: X-Plan}";
    let who = identify_with(
        yaml,
        &[
            ("x-user", b"bob"),
            ("x-plan", b"gold"),
            ("x-auth-request-user", b"eve"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(names(&who), ("bob", "gold", "user,tier"));
}

#[test]
fn untrusted_headers_are_neither_read_nor_passed_on() {
    let yaml = "{trust: nobody, user_sources: [{header: x-user}, {filter_state: auth.user}]}";
    let forged: [(&str, &[u8]); 1] = [("x-user", b"root")];
    assert_eq!(
        names(&identify_with(yaml, &forged, &[]).unwrap()),
        ("unknown", "free", "")
    );
    let who = identify_with(yaml, &forged, &[("filter_state/auth.user", "alice")]).unwrap();
    assert_eq!(who.user.name, "alice");
    let identifier = Identifier::compile(&config(yaml));
    assert!(
        identifier.strips(b"x-user")
            && identifier.strips(b"x-auth-request-tier")
            && !identifier.strips(b"x-other")
    );
    assert!(!Identifier::compile(&config("{}")).strips(b"x-auth-request-user"));
}

#[test]
fn models_as_a_service_believes_filter_state_before_headers() {
    let maas = "{preset: models-as-a-service}";
    let sent: [(&str, &[u8]); 3] = [
        ("x-maas-username", b"bob"),
        ("x-maas-subscription", b"wish"),
        ("x-maas-group", br#"["team-a"]"#),
    ];
    let who = identify_with(maas, &sent, &[]).unwrap();
    assert_eq!(names(&who), ("bob", "wish", "user,tier"));
    assert_eq!(who.groups.as_deref(), Some(r#"["team-a"]"#));
    let granted = [
        ("filter_state/wasm.kuadrant.auth.identity.userid", "alice"),
        (
            "filter_state/wasm.kuadrant.auth.identity.selected_subscription",
            "gold",
        ),
    ];
    assert_eq!(
        names(&identify_with(maas, &sent, &granted).unwrap()),
        ("alice", "gold", "user,tier")
    );
}

#[test]
fn claims_of_a_token_are_read_from_metadata() {
    let claims = [
        (
            "metadata/filter_metadata/envoy.filters.http.jwt_authn/jwt_payload/sub",
            "alice",
        ),
        (
            "metadata/filter_metadata/envoy.filters.http.jwt_authn/jwt_payload/tier",
            "gold",
        ),
    ];
    assert_eq!(
        names(&identify_with("{preset: jwt}", &[], &claims).unwrap()),
        ("alice", "gold", "user,tier")
    );
    let yaml = "{tier_sources: [{metadata: {namespace: envoy.filters.http.ext_authz, path: [plan, name]}}]}";
    let written = [(
        "metadata/filter_metadata/envoy.filters.http.ext_authz/plan/name",
        "silver",
    )];
    assert_eq!(
        identify_with(yaml, &[], &written).unwrap().tier.name,
        "silver"
    );
}

#[test]
fn a_name_that_looks_like_an_escaped_byte_is_another_user() {
    let byte = identify(&[("x-auth-request-user", b"al\xffice")]);
    let text = identify(&[("x-auth-request-user", "al\u{FFFD}ffice".as_bytes())]);
    assert_ne!(byte.unwrap().user, text.unwrap().user);
}
