//! Passwords, users, TLS.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{RedisOpenError, Store};

use crate::entries::{embedding, entry, open, partition};
use crate::server::{Outcome, RedisServer, free_port};

fn file(folder: &Path, name: &str, text: &str) -> Outcome<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

async fn works(config: &RedisConfig) -> Outcome<()> {
    let store = open(config).await?;
    if let Some(Err(why)) = store.health() {
        return Err(why.into());
    }
    store.store(entry(1, "q", Some(3), "a")).await?;
    let near = store.nearest(&partition(1), &embedding(3), 0.9, 4).await?;
    assert_eq!(near.len(), 1);
    assert_eq!(store.stats().await?.entries, 1);
    assert_eq!(store.clear().await?.entries, 1);
    Ok(())
}

#[tokio::test]
async fn the_password_is_read_from_its_file_and_told_to_nobody() -> Outcome<()> {
    let server = RedisServer::start_with(&["--save", "", "--requirepass", "hunter2"]).await?;
    let folder = tempfile::tempdir()?;
    let password_file = file(folder.path(), "password", "hunter2\n")?;
    let right = RedisConfig {
        password_file,
        ..server.config()
    };
    works(&right).await?;
    let password_file = file(folder.path(), "wrong", "hunter3")?;
    for wrong in [
        RedisConfig {
            password_file,
            ..server.config()
        },
        server.config(),
    ] {
        let store = open(&wrong).await?;
        let Some(Err(why)) = store.health() else {
            return Err("works without the password".into());
        };
        assert!(!why.contains("hunter"), "{why}");
        assert!(!format!("{store:?}").contains("hunter"), "{store:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_at_the_start() -> Outcome<()> {
    let password_file = "/nowhere/password".to_owned();
    let config = RedisConfig {
        url: "redis://127.0.0.1".into(),
        password_file,
        ..RedisConfig::default()
    };
    let error = open(&config).await.err().ok_or("opened")?;
    assert!(matches!(
        error.downcast_ref(),
        Some(RedisOpenError::File {
            key: "password_file",
            ..
        })
    ));
    let expected = "semantic_cache.redis.password_file: /nowhere/password: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
    Ok(())
}

/// What docs/cache.md tells an operator to give the user.
const RULES: [&str; 25] = [
    "on",
    ">secret",
    "~turnpike:*",
    "-@all",
    "+@connection",
    "+multi",
    "+exec",
    "+hset",
    "+hsetnx",
    "+hget",
    "+hmget",
    "+hgetall",
    "+hkeys",
    "+hdel",
    "+pexpire",
    "+unlink",
    "+scan",
    "+memory|usage",
    "+info",
    "+cluster|slots",
    "+vadd",
    "+vsim",
    "+vcard",
    "+vrandmember",
    "resetchannels",
];

#[tokio::test]
async fn a_user_of_its_own_needs_no_more_than_the_documents_say() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let mut rules = vec!["ACL", "SETUSER", "turnpike"];
    rules.extend(RULES);
    let _: String = server.run(&rules).await?;
    let folder = tempfile::tempdir()?;
    let password_file = file(folder.path(), "password", "secret")?;
    let username = "turnpike".to_owned();
    let config = RedisConfig {
        username,
        password_file,
        ..server.config()
    };
    works(&config).await?;
    let store = open(&config).await?;
    let store = {
        store.store(entry(1, "q", Some(3), "a")).await?;
        store
    };
    let kept = turnpike_sidecar::cache::Filter {
        owner: Some("nobody".into()),
        ..Default::default()
    };
    assert_eq!(store.invalidate(kept, false).await?.entries, 0);
    let _: String = server
        .run(&["ACL", "SETUSER", "turnpike", "-vcard"])
        .await?;
    let without = open(&config).await?;
    let Some(Err(why)) = without.health() else {
        return Err("works without a permission".into());
    };
    assert!(why.contains("VCARD"), "{why}");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cache.md"))?;
    for rule in RULES
        .iter()
        .filter(|rule| rule.starts_with(['+', '-', '~']))
    {
        assert!(page.contains(rule), "docs/cache.md does not say {rule}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_is_spoken_with_servers_of_the_named_authority_alone() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".into()])?.signed_by(&key, &issuer)?;
    let ca_file = file(folder.path(), "ca.pem", &ca.pem())?;
    let certificate = file(folder.path(), "redis.pem", &certificate.pem())?;
    let key = file(folder.path(), "redis.key", &key.serialize_pem())?;
    let port = free_port()?.to_string();
    let server = RedisServer::start_with(&[
        "--save",
        "",
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca_file,
        "--tls-auth-clients",
        "no",
    ])
    .await?;
    let url = format!("rediss://localhost:{port}");
    works(&RedisConfig {
        url: url.clone(),
        ca_file: ca_file.clone(),
        ..server.config()
    })
    .await?;
    let by_address = format!("rediss://127.0.0.1:{port}");
    for (url, ca_file) in [(url, String::new()), (by_address, ca_file)] {
        let store = open(&RedisConfig {
            url: url.clone(),
            ca_file,
            ..server.config()
        })
        .await?;
        assert!(
            store.health().is_some_and(|health| health.is_err()),
            "{url}"
        );
    }
    Ok(())
}
