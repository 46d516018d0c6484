//! A blocking HTTP/1.1 client on one kept connection: writes bytes that were made before, reads one answer.
//!
//! Not done here: reading what an answer says.

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

/// The bytes of a request that posts `body` in the name of `user`.
#[must_use]
pub fn request(user: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         x-auth-request-user: {user}\r\nx-auth-request-tier: gold\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Client {
    /// Connects to a port of this machine; `body` is what each [`Self::ask`] posts, as alice.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(port: u16, body: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            stream,
            request: request("alice", body),
            buffer: Vec::new(),
        })
    }

    /// Sends the request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks or the status is not 200.
    pub fn ask(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.stream.write_all(&self.request)?;
        self.read_answer()?;
        Ok(started.elapsed())
    }

    /// Sends another request, made by [`request`], and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<()> {
        self.buffer.clear();
        let mut chunk = [0; 16 << 10];
        let mut end = None;
        while !end.is_some_and(|end: End| end.is_reached(&self.buffer)) {
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
        Ok(())
    }
}

/// Where an answer ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// After so many bytes, head included.
    Length(usize),
    /// After the last chunk.
    LastChunk,
}

impl End {
    fn is_reached(self, bytes: &[u8]) -> bool {
        match self {
            Self::Length(length) => bytes.len() >= length,
            Self::LastChunk => bytes.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// Where the answer ends, once its head is there.
fn answer_end(bytes: &[u8]) -> Result<Option<End>> {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("answered {}", text.lines().next().unwrap_or_default());
    }
    if text.contains("\r\ntransfer-encoding: chunked") {
        return Ok(Some(End::LastChunk));
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .context("an answer that does not say where it ends")?;
    let length = head + 4 + length.trim().parse::<usize>()?;
    Ok(Some(End::Length(length)))
}
