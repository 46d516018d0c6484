//! Waiting until something holds, up to a deadline. Nothing here sleeps and hopes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(20);

/// One look at a readiness page or a metrics page takes no longer.
const LOOK: Duration = Duration::from_secs(5);

/// Where a page is.
#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    /// Port on loopback, and path.
    Tcp(u16, &'a str),
    /// Unix socket, and path.
    Unix(&'a Path, &'a str),
}

/// Looks every [`POLL`] until `look` gives something, or fails with what the last look said.
///
/// # Errors
/// The last look's error, after the deadline.
pub async fn until<T, F>(deadline: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let end = Instant::now() + deadline;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(e) if Instant::now() >= end => {
                return Err(e.context(format!("not within {} s", deadline.as_secs())));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// GETs a small page.
///
/// # Errors
/// When there is no answer, or not 200.
pub async fn get(page: Page<'_>) -> Result<String> {
    let (status, body) = timeout(LOOK, fetch(page))
        .await
        .with_context(|| format!("{page:?}: no answer"))??;
    if status != StatusCode::OK {
        bail!("{page:?}: status {status}");
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn fetch(page: Page<'_>) -> Result<(StatusCode, Bytes)> {
    match page {
        Page::Tcp(port, path) => {
            exchange(TcpStream::connect(("127.0.0.1", port)).await?, path).await
        }
        Page::Unix(socket, path) => exchange(UnixStream::connect(socket).await?, path).await,
    }
}

async fn exchange<S>(stream: S, path: &str) -> Result<(StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}
