use super::*;

fn headers(pairs: &[(&str, &[u8])]) -> Vec<Header> {
    pairs
        .iter()
        .map(|(n, v)| Header {
            name: (*n).into(),
            value: v.to_vec(),
        })
        .collect()
}

fn identify(pairs: &[(&str, &[u8])]) -> Result<Identity, String> {
    Identifier::compile(&AuthenticationConfig::default())
        .identify(&headers(pairs))
        .map_err(str::to_owned)
}

#[test]
fn user_and_tier_come_from_their_headers() {
    let who = identify(&[
        ("x-auth-request-user", b"alice"),
        ("x-auth-request-tier", b"premium"),
    ])
    .unwrap();
    assert_eq!(
        (
            who.user.name.as_str(),
            who.tier.name.as_str(),
            who.identified()
        ),
        ("alice", "premium", "user,tier")
    );
}

#[test]
fn missing_or_empty_headers_give_the_fallbacks_and_identify_nobody() {
    for pairs in [vec![], vec![("x-auth-request-user", b" ".as_slice())]] {
        let who = identify(&pairs).unwrap();
        assert_eq!(
            (
                who.user.name.as_str(),
                who.tier.name.as_str(),
                who.identified()
            ),
            ("unknown", "free", "")
        );
    }
}

#[test]
fn a_repeated_identity_header_is_an_error_that_names_it() {
    let twice: [(&str, &[u8]); 2] = [
        ("x-auth-request-tier", b"free"),
        ("x-auth-request-tier", b"premium"),
    ];
    assert_eq!(identify(&twice).unwrap_err(), "x-auth-request-tier");
    let same: [(&str, &[u8]); 2] = [("x-auth-request-user", b"a"), ("x-auth-request-user", b"a")];
    assert_eq!(identify(&same).unwrap_err(), "x-auth-request-user");
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
fn a_name_that_looks_like_an_escaped_byte_is_another_user() {
    let byte = identify(&[("x-auth-request-user", b"al\xffice")]);
    let text = identify(&[("x-auth-request-user", "al\u{FFFD}ffice".as_bytes())]);
    assert_ne!(byte.unwrap().user, text.unwrap().user);
}
