//! Bytes over TCP, for requests that no HTTP library would send.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// Writes the parts, each alone, and reads until the server closes. The head must say `connection: close`.
///
/// # Errors
/// When the connection cannot be made or the server does not close it.
pub async fn exchange(port: u16, parts: &[&[u8]]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    for part in parts {
        // A server that has already refused resets the connection; its answer is what counts.
        if stream.write_all(part).await.is_err() || stream.flush().await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .context("the server did not close the connection")?;
    if answer.is_empty() {
        read?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// One chunk of a chunked body.
#[must_use]
pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
