//! A client as users have one: JSON requests, whole answers or streams, one connection for each request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No answer of a test takes longer; a hanging gateway fails a test instead of the run.
const DEADLINE: Duration = Duration::from_secs(60);

static NEXT_TAG: AtomicU64 = AtomicU64::new(1);

/// One user of a gateway.
#[derive(Debug, Clone)]
pub struct Client {
    port: u16,
    /// Value of the user header.
    pub user: String,
    /// Value of the tier header.
    pub tier: String,
}

impl Client {
    /// A user of the gateway on this port.
    #[must_use]
    pub fn new(port: u16, user: &str, tier: &str) -> Self {
        Self {
            port,
            user: user.to_owned(),
            tier: tier.to_owned(),
        }
    }

    /// A chat of one user message.
    pub fn ask(&self, model: &str, prompt: &str) -> Call {
        self.chat(&json!({"model": model, "messages": [{"role": "user", "content": prompt}]}))
    }

    /// The same, streamed.
    pub fn ask_streamed(&self, model: &str, prompt: &str) -> Call {
        self.chat(&json!({
            "model": model, "stream": true, "messages": [{"role": "user", "content": prompt}],
        }))
    }

    /// `POST /v1/chat/completions`.
    pub fn chat(&self, body: &Value) -> Call {
        self.post("/v1/chat/completions", body.to_string())
    }

    /// A POST of any bytes, as JSON.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> Call {
        let call = self.call(Method::POST, path, body.into());
        call.header("content-type", "application/json")
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path, Bytes::new())
    }

    fn call(&self, method: Method, path: &str, body: Bytes) -> Call {
        let number = NEXT_TAG.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}-{number}", std::process::id());
        let call = Call {
            port: self.port,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body,
            tag: tag.clone(),
            mistake: None,
        };
        call.order("tag", &tag)
            .header("host", "gateway")
            .header("x-auth-request-user", &self.user)
            .header("x-auth-request-tier", &self.tier)
    }
}

/// A request that is being put together.
#[derive(Debug)]
#[must_use = "nothing is sent before `send` or `open`"]
pub struct Call {
    port: u16,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    tag: String,
    mistake: Option<String>,
}

impl Call {
    /// Sets a header, in place of one that is there.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.edit(name, value.as_ref(), |headers, name, value| {
            headers.insert(name, value);
        })
    }

    /// Adds a header beside those that are there.
    pub fn also(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.edit(name, value.as_ref(), |headers, name, value| {
            headers.append(name, value);
        })
    }

    /// Takes a header out.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Tells the stand-in what to do; see its scripting headers.
    pub fn order(self, name: &str, value: &str) -> Self {
        self.header(&format!("x-standin-{name}"), value)
    }

    /// The answer's text.
    pub fn answered_with(self, content: &str) -> Self {
        let content = ascii_json(content);
        self.order("content", &content)
    }

    fn edit(
        mut self,
        name: &str,
        value: &[u8],
        apply: impl FnOnce(&mut HeaderMap, HeaderName, HeaderValue),
    ) -> Self {
        match (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            (Ok(name), Ok(value)) => apply(&mut self.headers, name, value),
            _ => self.mistake = Some(format!("no header: {name}: {value:?}")),
        }
        self
    }

    /// The tag by which the stand-in's record of this request is found.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer takes longer than [`DEADLINE`].
    pub async fn send(self) -> Result<Reply> {
        let mut stream = self.open().await?;
        stream.finish().await?;
        Ok(stream.into_reply())
    }

    /// Sends it and reads the answer's head.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn open(self) -> Result<Streaming> {
        if let Some(mistake) = self.mistake {
            return Err(anyhow!(mistake));
        }
        let tag = self.tag;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse()?;
        *request.headers_mut() = self.headers;
        let answer = timeout(DEADLINE, async {
            let tcp = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
            let connection = Connection(tokio::spawn(async move {
                // A broken connection shows in the body that is being read.
                let _ = connection.await;
            }));
            Ok::<_, anyhow::Error>((sender.send_request(request).await?, connection))
        });
        let (response, connection) = answer.await.context("no answer in time")??;
        let (head, body) = response.into_parts();
        Ok(Streaming {
            status: head.status,
            headers: head.headers,
            tag,
            chunks: Vec::new(),
            body,
            connection,
        })
    }
}

/// Closes the connection when dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that is being read; dropping it closes the connection.
#[derive(Debug)]
pub struct Streaming {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Tag of the request.
    pub tag: String,
    /// What has arrived, and when.
    pub chunks: Vec<(Instant, Bytes)>,
    body: Incoming,
    #[expect(dead_code, reason = "kept for its drop")]
    connection: Connection,
}

impl Streaming {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(DEADLINE, self.body.frame())
                .await
                .context("nothing came in time")?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            if let Ok(data) = frame.context("the answer was cut short")?.into_data() {
                self.chunks.push((Instant::now(), data.clone()));
                return Ok(Some(data));
            }
        }
    }

    /// Reads until the text so far contains `needle`.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn read_until(&mut self, needle: &str) -> Result<()> {
        while !self.text().contains(needle) {
            let next = self.next().await?;
            next.with_context(|| format!("no {needle:?} in {}", self.text()))?;
        }
        Ok(())
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn finish(&mut self) -> Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// What has arrived, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> Bytes {
        let chunks: Vec<&[u8]> = self.chunks.iter().map(|(_, bytes)| &bytes[..]).collect();
        Bytes::from(chunks.concat())
    }

    fn into_reply(self) -> Reply {
        Reply {
            status: self.status,
            body: self.bytes(),
            headers: self.headers,
            tag: self.tag,
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Tag of the request.
    pub tag: String,
}

impl Reply {
    /// A header; empty when it is missing, all values joined by `, ` when it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let texts: Vec<_> = values
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .collect();
        texts.join(", ")
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `error.code` of an error object; empty when it is none.
    #[must_use]
    pub fn error_code(&self) -> String {
        let code = &self.json()["error"]["code"];
        code.as_str().unwrap_or_default().to_owned()
    }

    /// The text of a chat answer.
    #[must_use]
    pub fn content(&self) -> String {
        let content = &self.json()["choices"][0]["message"]["content"];
        content.as_str().unwrap_or_default().to_owned()
    }

    /// `x-request-id`, by which the access log is searched.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.header("x-request-id")
    }

    /// The payloads of an SSE body, `[DONE]` left out.
    #[must_use]
    pub fn chunks(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let payloads = text.split("\n\n").filter_map(|e| e.strip_prefix("data: "));
        payloads
            .filter(|payload| *payload != "[DONE]")
            .map(|payload| serde_json::from_str(payload).unwrap_or_default())
            .collect()
    }

    /// The joined text of a streamed chat.
    #[must_use]
    pub fn streamed_content(&self) -> String {
        let chunks = self.chunks();
        let texts = chunks
            .iter()
            .filter_map(|c| c["choices"][0]["delta"]["content"].as_str());
        texts.collect()
    }
}

/// A JSON string in ASCII, fit for a header.
fn ascii_json(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    let mut ascii = String::with_capacity(json.len());
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
            _ => ascii.extend(["\\u", &format!("{unit:04x}")]),
        }
    }
    ascii
}
