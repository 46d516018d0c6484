//! A blocking HTTP/1.1 client on one kept connection: writes bytes that were made before, reads one answer.
//!
//! Not done here: chunked answers. The stand-in sends `content-length` for JSON.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// One kept connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to a port of this machine; `body` is what each request posts.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(port: u16, body: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             x-auth-request-user: alice\r\nx-auth-request-tier: gold\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self {
            stream,
            request: request.into_bytes(),
            buffer: Vec::new(),
        })
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks or the status is not 200.
    pub fn ask(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.stream.write_all(&self.request)?;
        self.buffer.clear();
        let mut chunk = [0; 16 << 10];
        let mut end = None;
        while end.is_none_or(|end| self.buffer.len() < end) {
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                bail!("the connection was closed");
            }
            self.buffer
                .extend_from_slice(chunk.get(..read).unwrap_or_default());
            if end.is_none() {
                end = answer_end(&self.buffer)?;
            }
        }
        Ok(started.elapsed())
    }
}

/// Length of the whole answer, once its head is there.
fn answer_end(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("answered {}", text.lines().next().unwrap_or_default());
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .context("an answer without content-length")?;
    Ok(Some(head + 4 + length.trim().parse::<usize>()?))
}
