//! Start, readiness, sockets, shutdown.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use turnpike_sidecar::server::Listeners;

use crate::harness::{Outcome, Sidecar, config, encoder, engine, send_tcp, send_unix};
use crate::overload::{Gated, question};

#[tokio::test]
async fn ready_is_said_once_the_model_is_there() -> Outcome<()> {
    let config = config()?;
    let sidecar = Sidecar::start_loading(&config, None).await?;
    assert_eq!(sidecar.get("/healthz").await?.status, 200);
    assert_eq!(sidecar.get("/readyz").await?.status, 503);
    let early = sidecar.send("POST", "/v1/analyze", question()).await?;
    assert_eq!(
        (early.status, early.error_code()?.as_str()),
        (503, "overloaded")
    );

    let engine = engine(&config, encoder()?, &sidecar.service.metrics)?;
    sidecar.service.set_ready(engine, &config).await?;
    assert_eq!(sidecar.get("/readyz").await?.status, 200);
    assert_eq!(
        sidecar
            .send("POST", "/v1/analyze", question())
            .await?
            .status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn the_unix_socket_serves_the_same_paths_and_goes_at_the_end() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("sidecar.sock");
    let sidecar = Sidecar::start_loading(&config()?, Some(&socket)).await?;
    assert_eq!(send_unix(&socket, "GET", "/healthz", "").await?.status, 200);
    assert_eq!(send_unix(&socket, "GET", "/nowhere", "").await?.status, 404);
    let mode = std::fs::metadata(&socket)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    sidecar.stop().await?;
    assert!(!socket.exists());
    Ok(())
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_one_in_use_is_not() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("sidecar.sock");
    let any_port = ([127, 0, 0, 1], 0).into();
    drop(std::os::unix::net::UnixListener::bind(&socket)?);
    assert!(socket.exists(), "std leaves the file behind: it is stale");
    let first = Listeners::bind(any_port, Some(&socket)).await?;
    let second = Listeners::bind(any_port, Some(&socket)).await;
    let message = second.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        message.ends_with("sidecar.sock is in use by another process"),
        "{message}"
    );
    drop(first);

    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "keep me")?;
    assert!(Listeners::bind(any_port, Some(&file)).await.is_err());
    assert_eq!(
        std::fs::read_to_string(&file)?,
        "keep me",
        "no file but a socket is removed"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_in_flight_is_finished_at_shutdown() -> Outcome<()> {
    let encoder = Gated::new();
    let sidecar = Sidecar::start_with(&config()?, Arc::<Gated>::clone(&encoder)).await?;
    let permits = encoder.arm();
    let address = sidecar.address;
    let in_flight = tokio::spawn(send_tcp(address, "POST", "/v1/analyze", question()));
    sidecar
        .until_metric("turnpike_sidecar_requests_in_progress", 1.0)
        .await?;

    let stopped = tokio::spawn(sidecar.stop());
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await?;
    assert!(!in_flight.is_finished() && !stopped.is_finished());
    permits.send(())?;
    assert_eq!(in_flight.await??.status, 200);
    stopped.await?
}
