//! Who may reach the sidecar over TCP: `sidecar.tcp_access`.

use super::*;

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
