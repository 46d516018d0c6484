use super::*;
use proptest::prelude::*;

/// What Envoy does with `stats_tags`: each regex on the original name; group 1 goes, group 2 is the value.
fn cut(name: &str, metric: Metric) -> (String, Vec<String>) {
    let mut rest = name.to_owned();
    let mut values = Vec::new();
    for label in metric.labels() {
        let key = format!("{}=.=", label.key());
        let start = name.find(&key).unwrap();
        let value_start = start + key.len();
        let end = value_start + name[value_start..].find(";.;").unwrap();
        values.push(name[value_start..end].to_owned());
        rest = rest.replacen(&name[start..end + 3], "", 1);
    }
    (rest, values)
}

fn unescape(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn no_label_key_is_the_end_of_another() {
    for a in Label::ALL {
        for b in Label::ALL {
            assert!(a == b || !a.key().ends_with(b.key()), "{a:?} {b:?}");
        }
    }
}

#[test]
fn ordinary_users_are_written_as_they_are() {
    for user in [
        "alice",
        "alice@example.com",
        "alice_example.com",
        "a--b",
        "SELECT",
        "x",
        "алиса",
        "a b",
        "\"q\"",
    ] {
        assert_eq!(escape_label(user), user);
    }
    assert_eq!(escape_label("a.b;.;c=.=d"), "a.b;%2E;c=%2E=d");
    assert_eq!(escape_label("my-cache.v1"), "my-cache%2Ev1");
    assert_eq!(escape_label("rbac.allowed"), "rbac%2Eallowed");
    assert_eq!(escape_label("a.b.shadow_denied"), "a.b%2Eshadow_denied");
    assert_eq!(escape_label("100%\n"), "100%25%0A");
}

#[test]
fn long_values_stay_distinct() {
    let (a, b) = ("a".repeat(200) + "1", "a".repeat(200) + "2");
    assert_ne!(escape_label(&a), escape_label(&b));
    assert_eq!(escape_label(&a).len(), MAX_LABEL_BYTES);
}

#[test]
fn nobody_can_name_themselves_as_a_long_name_is_cut() {
    let long = "a".repeat(200);
    let cut = escape_label(&long);
    assert_ne!(escape_label(&cut), cut);
    let guessed = cut.replace('%', "");
    assert_ne!(escape_label(&guessed), cut);
}

proptest! {
    #[test]
    fn any_value_survives_the_cut(user in "(;|=|\\.|%|cache\\.|user=\\.=|;\\.;|[a-zA-Zа-я\\x00-\\x1f]){0,20}", tier in ".{0,20}") {
        prop_assume!(user.len() <= MAX_LABEL_BYTES && tier.len() <= MAX_LABEL_BYTES);
        let name = Metric::Tokens.stat_name(&[&user, &tier, "m", "prompt"]);
        let (rest, values) = cut(&name, Metric::Tokens);
        prop_assert_eq!(rest, Metric::Tokens.name());
        prop_assert_eq!(unescape(&values[0]), user);
        prop_assert_eq!(unescape(&values[1]), tier);
    }
}
