//! TLS and client certificates.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ALL_VERSIONS;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use turnpike_sidecar::access::MAX_HANDSHAKES;

use crate::harness::{Files, Outcome, TOKEN, ask, get};
use crate::pki::Authority;

#[tokio::test]
async fn tls_serves_the_same_paths_and_asks_for_the_token() -> Outcome<()> {
    let authority = Authority::new("ours")?;
    let files = Files::new()?
        .with_identity(&authority.server()?)?
        .with_token(TOKEN)?;
    let sidecar = files.start().await?;
    let client = authority.connector(None)?;
    assert_eq!(sidecar.tls(&client, get("/healthz")).await?.status, 200);
    assert_eq!(sidecar.tls(&client, get("/readyz")).await?.status, 503);
    assert_eq!(sidecar.tls(&client, get("/metrics")).await?.status, 401);
    let caller = format!("Bearer {TOKEN}");
    let asked = get("/metrics").with_authorization(&caller);
    assert_eq!(sidecar.tls(&client, asked).await?.status, 200);
    assert_eq!(sidecar.unix(get("/metrics")).await?.status, 200);
    assert_eq!(sidecar.failed_handshakes(), 0);
    sidecar.stop().await
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_http_1_1_chosen() -> Outcome<()> {
    let authority = Authority::new("ours")?;
    let files = Files::new()?.with_identity(&authority.server()?)?;
    let sidecar = files.start().await?;
    for version in [&TLS12, &TLS13] {
        let client = authority.connector_with(None, &[version], &["h2", "http/1.1"])?;
        let connection = sidecar.connect_tls(&client).await?;
        let session = connection.get_ref().1;
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let plain = authority.connector_with(None, &[version], &[])?;
        assert_eq!(sidecar.tls(&plain, get("/healthz")).await?.status, 200);
    }
    let http2 = authority.connector_with(None, ALL_VERSIONS, &["h2"])?;
    assert!(sidecar.connect_tls(&http2).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_client_that_trusts_others_does_not_connect() -> Outcome<()> {
    let sidecar = Files::new()?
        .with_identity(&Authority::new("ours")?.server()?)?
        .start()
        .await?;
    let stranger = Authority::new("theirs")?.connector(None)?;
    assert!(sidecar.tls(&stranger, get("/healthz")).await.is_err());
    Ok(())
}

#[tokio::test]
async fn plain_http_to_a_tls_port_fails_and_the_next_client_is_served() -> Outcome<()> {
    let authority = Authority::new("ours")?;
    let files = Files::new()?.with_identity(&authority.server()?)?;
    let sidecar = files.start().await?;
    let mut plain = TcpStream::connect(sidecar.address).await?;
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: sidecar\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    // A reset ends it as well as an orderly close.
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let client = authority.connector(None)?;
    assert_eq!(sidecar.tls(&client, get("/healthz")).await?.status, 200);
    sidecar.until_failed_handshakes(1).await?;
    let metrics = sidecar.unix(get("/metrics")).await?;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = "turnpike_sidecar_tls_handshakes_failed_total 1\n";
    assert!(text.contains(line), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_silent_client_holds_nobody_up() -> Outcome<()> {
    let authority = Authority::new("ours")?;
    let files = Files::new()?.with_identity(&authority.server()?)?;
    let sidecar = files.start().await?;
    let silent = TcpStream::connect(sidecar.address).await?;
    let client = authority.connector(None)?;
    for _ in 0..3 {
        assert_eq!(sidecar.tls(&client, get("/healthz")).await?.status, 200);
    }
    // Its time was not up when the others were served.
    assert_eq!(sidecar.failed_handshakes(), 0);
    drop(silent);
    Ok(())
}

#[tokio::test]
async fn more_silent_clients_than_places_are_cut_off_and_the_next_one_served() -> Outcome<()> {
    let authority = Authority::new("ours")?;
    let files = Files::new()?.with_identity(&authority.server()?)?;
    let sidecar = files.start().await?;
    let mut silent = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        silent.push(TcpStream::connect(sidecar.address).await?);
    }
    let client = authority.connector(None)?;
    let asked = get("/healthz");
    let served = sidecar.tls(&client, asked);
    let served = tokio::time::timeout(Duration::from_secs(60), served).await??;
    assert_eq!(served.status, 200);
    assert!(
        sidecar.failed_handshakes() > 0,
        "a place came free with a handshake that was cut off"
    );
    let mut first = silent.swap_remove(0);
    assert_eq!(first.read(&mut [0; 16]).await?, 0, "closed");
    Ok(())
}

#[tokio::test]
async fn only_certificates_of_the_authority_pass() -> Outcome<()> {
    let (ours, theirs) = (Authority::new("ours")?, Authority::new("theirs")?);
    let clients = Authority::new("clients")?;
    let files = Files::new()?
        .with_identity(&ours.server()?)?
        .with_client_ca(&clients.pem())?;
    let sidecar = files.start().await?;
    for (who, identity) in [
        ("no certificate", None),
        ("a foreign one", Some(theirs.client()?)),
        ("one of the server's authority", Some(ours.client()?)),
        ("one for servers", Some(clients.server()?)),
    ] {
        for version in [&TLS12, &TLS13] {
            let failed = sidecar.failed_handshakes();
            let client = ours.connector_with(identity.as_ref(), &[version], &[])?;
            // Health is no exception: the handshake comes first.
            let answer = sidecar.tls(&client, get("/healthz")).await;
            assert!(answer.is_err(), "{who}: {answer:?}");
            sidecar.until_failed_handshakes(failed + 1).await?;
        }
    }
    let client = ours.connector(Some(&clients.client()?))?;
    assert_eq!(sidecar.tls(&client, get("/healthz")).await?.status, 200);
    assert_eq!(sidecar.tls(&client, get("/metrics")).await?.status, 200);
    assert_eq!(sidecar.unix(get("/metrics")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn certificate_and_token_are_both_asked_for() -> Outcome<()> {
    let ours = Authority::new("ours")?;
    let files = Files::new()?
        .with_identity(&ours.server()?)?
        .with_client_ca(&ours.pem())?
        .with_token(TOKEN)?;
    let sidecar = files.start().await?;
    let caller = format!("Bearer {TOKEN}");
    let asked = ask("GET", "/metrics").with_authorization(&caller);
    let known = ours.connector(Some(&ours.client()?))?;
    assert_eq!(sidecar.tls(&known, asked.clone()).await?.status, 200);
    assert_eq!(sidecar.tls(&known, get("/metrics")).await?.status, 401);
    let unknown = ours.connector(None)?;
    assert!(sidecar.tls(&unknown, asked).await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_exchanged_certificate_is_shown_after_a_reload() -> Outcome<()> {
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let files = Files::new()?.with_identity(&old.server()?)?;
    let sidecar = files.start().await?;
    let (before, after) = (old.connector(None)?, new.connector(None)?);
    let identity = new.server()?;
    files.write("tls.crt", &identity.certificate)?;
    assert!(
        sidecar.access.reload().is_err(),
        "half an exchange is refused"
    );
    assert_eq!(sidecar.tls(&before, get("/healthz")).await?.status, 200);

    files.write("tls.key", &identity.private_key)?;
    sidecar.access.reload()?;
    assert_eq!(sidecar.tls(&after, get("/healthz")).await?.status, 200);
    assert!(sidecar.tls(&before, get("/healthz")).await.is_err());
    Ok(())
}
