//! Files that are missing or wrong end the start, named by key and path.

use std::process::Command;

use crate::harness::{CONFIG, Files, Outcome};
use crate::pki::Authority;

/// `name` stands for the file that is wrong; what follows it is expected in front of the cause's own words.
fn refused(files: &Files, key: &str, name: &str, cause: &str) -> Outcome<()> {
    let refusal = files.refusal()?;
    let path = files.path(name);
    let expected = format!("sidecar.tcp_access.{key}: {}: {cause}", path.display());
    assert!(
        refusal.starts_with(&expected),
        "expected: {expected}\ngot:      {refusal}"
    );
    Ok(())
}

#[test]
fn a_file_that_is_missing_is_named() -> Outcome<()> {
    let ours = Authority::new("ours")?;
    for (key, name) in [
        ("bearer_token_file", "token"),
        ("certificate_file", "tls.crt"),
        ("private_key_file", "tls.key"),
        ("client_ca_file", "ca.crt"),
    ] {
        let files = Files::new()?
            .with_token("t")?
            .with_identity(&ours.server()?)?
            .with_client_ca(&ours.pem())?;
        assert!(files.read().is_ok());
        std::fs::remove_file(files.path(name))?;
        refused(&files, key, name, "cannot be read: No such file")?;
    }
    Ok(())
}

#[test]
fn a_token_is_one_word() -> Outcome<()> {
    for (content, cause) in [
        ("", "is empty; it must hold a token"),
        (" \r\n\t", "is empty; it must hold a token"),
        ("one two", "must hold one token of visible ASCII"),
        ("one\ntwo\n", "must hold one token of visible ASCII"),
        ("pässword", "must hold one token of visible ASCII"),
    ] {
        let files = Files::new()?.with_token(content)?;
        refused(&files, "bearer_token_file", "token", cause)?;
    }
    Ok(())
}

#[test]
fn files_without_what_they_should_hold_are_named() -> Outcome<()> {
    const BROKEN: &str = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    const EMPTY: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const NO_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    const SEALED: &str =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let ours = Authority::new("ours")?;
    let identity = ours.server()?;
    let stranger = ours.server()?.private_key;
    let (crt, key, ca) = ("certificate_file", "private_key_file", "client_ca_file");
    for (at, name, content, cause) in [
        (crt, "tls.crt", "", "holds no certificate in PEM"),
        (
            crt,
            "tls.crt",
            &*identity.private_key,
            "holds no certificate in PEM",
        ),
        (crt, "tls.crt", BROKEN, "is no valid PEM"),
        (
            crt,
            "tls.crt",
            EMPTY,
            "holds a certificate that cannot be used",
        ),
        (
            key,
            "tls.key",
            &*identity.certificate,
            "holds no private key in PEM",
        ),
        (
            key,
            "tls.key",
            SEALED,
            "holds no private key in PEM (an encrypted one",
        ),
        (
            key,
            "tls.key",
            NO_KEY,
            "holds a private key that cannot be used",
        ),
        (
            key,
            "tls.key",
            &*stranger,
            "does not fit the first certificate of `certificate_file`",
        ),
        (ca, "ca.crt", "\n", "holds no certificate in PEM"),
        (
            ca,
            "ca.crt",
            EMPTY,
            "holds a certificate that cannot be used",
        ),
    ] {
        let files = Files::new()?
            .with_identity(&identity)?
            .with_client_ca(&ours.pem())?;
        files.write(name, content)?;
        refused(&files, at, name, cause)?;
    }
    Ok(())
}

#[test]
fn what_the_files_hold_is_never_shown() -> Outcome<()> {
    let files = Files::new()?.with_token("one s3cret too many")?;
    assert!(!files.refusal()?.contains("s3cret"));
    let files = Files::new()?.with_token("s3cret")?;
    assert!(!format!("{:?}", files.read()?).contains("s3cret"));
    Ok(())
}

#[test]
fn the_program_ends_and_says_why() -> Outcome<()> {
    let files = Files::new()?;
    let config = format!("{CONFIG}\nsidecar: {{tcp_access: {{bearer_token_file: tokn}}}}\n");
    files.write("config.yaml", &config)?;
    let ended = Command::new(env!("CARGO_BIN_EXE_turnpike-sidecar"))
        .arg("--config")
        .arg(files.path("config.yaml"))
        .args(["--listen", "127.0.0.1:0"])
        .arg("--unix-socket")
        .arg(files.path("sidecar.sock"))
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let path = files.path("tokn");
    let expected = format!(
        "turnpike-sidecar: sidecar.tcp_access.bearer_token_file: {}: cannot be read: ",
        path.display()
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(!files.path("sidecar.sock").exists(), "nothing was opened");
    Ok(())
}
