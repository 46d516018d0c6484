use super::*;

fn partitioner(scope: Scope) -> Partitioner {
    Partitioner::compile(
        &SemanticCacheConfig {
            scope,
            ..SemanticCacheConfig::default()
        },
        "encoder",
        b"rules",
    )
}

fn of(scope: Scope, body: &str, user: Option<&str>, tier: Option<&str>) -> Result<String, Skip> {
    let request = Request::parse(Endpoint::ChatCompletions, body.as_bytes()).unwrap();
    partitioner(scope).partition(
        Endpoint::ChatCompletions,
        &request,
        body.as_bytes(),
        Caller {
            user,
            tier,
            tenant: None,
            signals: &[],
        },
    )
}

const ASK: &str = r#"{"model":"auto","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"temperature":0}"#;

fn alice(body: &str) -> String {
    of(Scope::User, body, Some("alice"), None).unwrap()
}

#[test]
fn only_the_last_user_text_and_the_order_of_members_may_differ() {
    let same = [
        r#"{"model":"auto","messages":[{"role":"system","content":"s"},{"role":"user","content":"another question"}],"temperature":0}"#,
        r#"{"temperature":0,"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"model":"auto"}"#,
        r#"{"model":"auto","stream":false,"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"temperature":0}"#,
    ];
    for body in same {
        assert_eq!(alice(body), alice(ASK), "{body}");
    }
    let other = [
        ASK.replace("\"s\"", "\"t\""),
        ASK.replace("\"auto\"", "\"qwen3\""),
        ASK.replace(":0}", ":1}"),
        ASK.replace(",\"temperature\":0", ""),
        ASK.replace("\"temperature\"", "\"top_p\""),
        ASK.replace("{\"role\":\"user\"", "{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\""),
        ASK.replace("\"q\"", "[{\"type\":\"text\",\"text\":\"q\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]"),
        ASK.replace("\"temperature\":0", "\"temperature\":0,\"response_format\":{\"type\":\"json_object\"}"),
    ];
    for body in &other {
        assert_ne!(alice(body), alice(ASK), "{body}");
    }
}

#[test]
fn scopes_separate_users_tiers_or_nobody() {
    let of = |scope, user, tier| of(scope, ASK, user, tier);
    assert_ne!(
        of(Scope::User, Some("alice"), None),
        of(Scope::User, Some("bob"), None)
    );
    assert_eq!(of(Scope::User, None, Some("gold")), Err(Skip::NoIdentity));
    assert_eq!(
        of(Scope::Tier, Some("alice"), Some("gold")),
        of(Scope::Tier, Some("bob"), Some("gold"))
    );
    assert_ne!(
        of(Scope::Tier, None, Some("gold")),
        of(Scope::Tier, None, Some("free"))
    );
    assert_eq!(of(Scope::Tier, Some("alice"), None), Err(Skip::NoIdentity));
    assert_eq!(
        of(Scope::Global, None, None),
        of(Scope::Global, Some("alice"), Some("gold"))
    );
    // A user and a tier of the same name are not the same owner.
    assert_ne!(
        of(Scope::User, Some("x"), None),
        of(Scope::Tier, None, Some("x"))
    );
}

#[test]
fn what_moves_between_fields_does_not_collide() {
    let a = r#"{"model":"auto","messages":[{"role":"user","content":"q"}],"a":"1","b":"2"}"#;
    let b = r#"{"model":"auto","messages":[{"role":"user","content":"q"}],"a":"1\"b","b2":"2"}"#;
    assert_ne!(alice(a), alice(b));
}

#[test]
fn requests_that_cannot_be_cached_say_why() {
    for (body, skip) in [
        (
            ASK.replace("\"temperature\":0", "\"temperature\":1.01"),
            Skip::Temperature,
        ),
        (
            ASK.replace("\"role\":\"user\"", "\"role\":\"tool\""),
            Skip::NoText,
        ),
        (ASK.replace("\"q\"", "\"\""), Skip::NoText),
        (
            ASK.replace(
                "\"q\"",
                "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]",
            ),
            Skip::NoText,
        ),
    ] {
        assert_eq!(of(Scope::Global, &body, None, None), Err(skip), "{body}");
    }
}

#[test]
fn only_content_of_the_last_message_counts_as_its_text() {
    for member in [
        r#""metadata":{"account":"1"}"#,
        r#""audio":{"id":"1"}"#,
        r#""tags":["1"]"#,
    ] {
        let one = ASK.replace("\"q\"", &format!("\"q\",{member}"));
        assert_ne!(
            alice(&one),
            alice(&one.replace("\"1\"", "\"2\"")),
            "{member}"
        );
    }
}

#[test]
fn the_order_of_keys_and_white_space_do_not_count() {
    let other = r#"{ "temperature" : 0, "messages":[ {"content":"s","role":"system"}, {"content":"q", "role":"user"} ],"model":"auto" }"#;
    assert_eq!(alice(ASK), alice(other));
    assert_ne!(
        alice(ASK),
        alice(&other.replace(": 0,", ": 0.0,")),
        "numbers as written"
    );
    assert_ne!(alice(ASK), alice(&other.replace("\"s\"", "\"S\"")));
}

#[test]
fn a_stream_shares_the_answer_of_a_body_and_tools_do_not() {
    let with = |member: &str| alice(&ASK.replace("\"temperature\":0", member));
    let plain = with("\"temperature\":0");
    let streamed = "\"temperature\":0,\"stream\":true,\"stream_options\":{\"include_usage\":true}";
    assert_eq!(with(streamed), plain);
    let tool = |name: &str| {
        let tools =
            format!("\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"{name}\"}}}}]");
        with(&format!("\"temperature\":0,{tools}"))
    };
    assert_ne!(tool("on"), plain);
    assert_ne!(tool("on"), tool("off"));
}

#[test]
fn a_temperature_that_is_not_named_is_one() {
    let cache = |max_temperature| SemanticCacheConfig {
        scope: Scope::Global,
        max_temperature,
        ..SemanticCacheConfig::default()
    };
    let body = ASK.replace(",\"temperature\":0", "");
    assert!(body.len() < ASK.len());
    let request = Request::parse(Endpoint::ChatCompletions, body.as_bytes()).unwrap();
    let of = |max| {
        let cache = Partitioner::compile(&cache(max), "e", b"");
        let key = cache.partition(
            Endpoint::ChatCompletions,
            &request,
            body.as_bytes(),
            Caller::default(),
        );
        key.map(|_| ())
    };
    assert_eq!(of(1.0), Ok(()));
    assert_eq!(of(0.5), Err(Skip::Temperature));
}

#[test]
fn other_rules_are_another_key_and_parts_of_a_text_keep_their_ends() {
    let cache = SemanticCacheConfig {
        scope: Scope::Global,
        ..SemanticCacheConfig::default()
    };
    let of = |rules: &[u8], body: &str| {
        let request = Request::parse(Endpoint::ChatCompletions, body.as_bytes()).unwrap();
        let cache = Partitioner::compile(&cache, "e", rules);
        cache.partition(
            Endpoint::ChatCompletions,
            &request,
            body.as_bytes(),
            Caller::default(),
        )
    };
    assert_eq!(of(b"a", ASK), of(b"a", ASK));
    assert_ne!(of(b"a", ASK), of(b"b", ASK));
    let parts = |a: &str, b: &str| {
        let part = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
        let content = format!("[{},{}]", part(a), part(b));
        of(b"a", &ASK.replace("\"q\"", &content))
    };
    assert_ne!(parts("a\\nb", "c"), parts("a", "b\\nc"));
    assert_eq!(parts("a\\nb", "c"), parts("x\\ny", "z"));
}

#[test]
fn tenants_share_nothing_though_their_users_and_tiers_have_one_name() {
    let request = Request::parse(Endpoint::ChatCompletions, ASK.as_bytes()).unwrap();
    let of = |scope, user, tenant| {
        let caller = Caller {
            user,
            tier: Some("gold"),
            tenant,
            signals: &[],
        };
        let (endpoint, body) = (Endpoint::ChatCompletions, ASK.as_bytes());
        partitioner(scope).partition(endpoint, &request, body, caller)
    };
    for scope in [Scope::User, Scope::Tier, Scope::Tenant] {
        let one = of(scope, Some("alice"), Some("one"));
        assert!(one.is_ok());
        assert_eq!(one, of(scope, Some("alice"), Some("one")));
        assert_ne!(one, of(scope, Some("alice"), Some("two")));
        assert_ne!(one, of(scope, Some("alice"), None));
        assert_ne!(one, of(scope, Some("alice"), Some("")));
    }
    let tenant = |user, tenant| of(Scope::Tenant, user, tenant);
    assert_eq!(
        tenant(Some("alice"), Some("one")),
        tenant(None, Some("one"))
    );
    assert_eq!(tenant(Some("alice"), None), Err(Skip::NoIdentity));
    let global = |tenant| of(Scope::Global, None, tenant);
    assert_eq!(global(Some("one")), global(Some("two")));
}

#[test]
fn where_tenants_are_known_a_caller_without_one_is_nobody() {
    let request = Request::parse(Endpoint::ChatCompletions, ASK.as_bytes()).unwrap();
    let of = |scope, tenant| {
        let caller = Caller {
            user: Some("alice"),
            tier: Some("gold"),
            tenant,
            signals: &[],
        };
        let cache = partitioner(scope).with_tenants(true);
        let key = cache.partition(Endpoint::ChatCompletions, &request, ASK.as_bytes(), caller);
        key.map(|_| ())
    };
    for scope in [Scope::User, Scope::Tier, Scope::Tenant] {
        assert_eq!(of(scope, Some("one")), Ok(()));
        assert_eq!(of(scope, None), Err(Skip::NoIdentity));
    }
    assert_eq!(of(Scope::Global, None), Ok(()));
}

#[test]
fn callers_whom_decisions_tell_apart_share_nothing() {
    let request = Request::parse(Endpoint::ChatCompletions, ASK.as_bytes()).unwrap();
    let of = |signals| {
        let caller = Caller {
            user: Some("alice"),
            signals,
            ..Caller::default()
        };
        let (endpoint, body) = (Endpoint::ChatCompletions, ASK.as_bytes());
        partitioner(Scope::Global).partition(endpoint, &request, body, caller)
    };
    assert_eq!(of(&[1, 0]), of(&[1, 0]));
    assert_ne!(of(&[1, 0]), of(&[0, 1]));
    assert_ne!(of(&[1]), of(&[]));
}
