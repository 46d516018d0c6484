//! A real Envoy on a rendered bootstrap, an upstream with one scripted answer, and an HTTP client of a few lines.

#![expect(
    dead_code,
    reason = "every test binary compiles this module and uses a part of it"
)]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What helpers return; tests unwrap.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the `turnpike` command in `folder`.
pub(crate) fn turnpike(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(arguments)
        .current_dir(folder)
        .output()?)
}

/// `$TURNPIKE_ENVOY`, the one that `make setup` fetched, or the one on the PATH.
pub(crate) fn envoy_binary() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::var_os("TURNPIKE_ENVOY")
        .map(PathBuf::from)
        .into_iter()
        .chain([root().join(".cache/bin/envoy")])
        .chain(std::env::split_paths(&path).map(|folder| folder.join("envoy")));
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| "no Envoy; run: make setup".into())
}

/// `envoy --mode validate`; the error is what Envoy printed.
pub(crate) fn validate(bootstrap: &Path) -> Result<()> {
    let output = Command::new(envoy_binary()?)
        .args(["--mode", "validate", "-c"])
        .arg(bootstrap)
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let deprecated = log.lines().find(|line| line.contains("deprecated"));
    match (output.status.success(), deprecated) {
        (true, None) => Ok(()),
        (true, Some(line)) => Err(line.into()),
        (false, _) => Err(log.into()),
    }
}

/// Ports below those that the kernel gives to connections (`net.ipv4.ip_local_port_range`), which would take one between here and its use.
const PORTS: std::ops::Range<u32> = 20_000..32_000;

/// A TCP port that nobody listens on, and that no other caller in this process gets.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run side by side begin apart.
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = u16::try_from(PORTS.start + at)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("every port is taken".into())
}

/// A running Envoy; ends with this value.
#[derive(Debug)]
pub(crate) struct Envoy {
    child: Child,
    admin: u16,
    folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts Envoy and waits until its listeners are open.
    pub(crate) fn start(bootstrap: &Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("envoy.json");
        std::fs::write(&file, bootstrap.to_string())?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new(envoy_binary()?)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let admin = bootstrap.pointer("/admin/address/socket_address/port_value");
        let admin = u16::try_from(admin.and_then(Value::as_u64).unwrap_or_default())?;
        let mut envoy = Self {
            child,
            admin,
            folder,
        };
        envoy.wait_until_ready()?;
        Ok(envoy)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if get(self.admin, "/ready").is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"))?;
        Err(format!("Envoy is not ready:\n{log}").into())
    }

    /// Ends Envoy in an orderly way, so that its access log is complete.
    pub(crate) fn stop(mut self) -> Result<()> {
        send(self.admin, "POST", "/quitquitquit", "", b"")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Status code.
    pub(crate) status: u16,
    /// Head and header lines.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: String,
}

impl Reply {
    /// Value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

/// `GET` without further headers.
pub(crate) fn get(port: u16, path: &str) -> Result<Reply> {
    send(port, "GET", path, "", b"")
}

/// One request on a new connection; `headers` are lines that end in CRLF.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // Envoy may refuse a body before it has read all of it.
    let _ = stream.write_all(body);
    receive(&mut stream)
}

/// Reads one reply: as many bytes as `content-length` says, else to the end of the connection.
///
/// Envoy keeps a connection open for a second after a reply to a request that it did not read; nobody waits for that.
fn receive(stream: &mut TcpStream) -> Result<Reply> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let read = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some(reply) = parse_reply(&text)? {
            let length = reply.header("content-length").map(str::parse::<usize>);
            let complete = matches!(length, Some(Ok(length)) if reply.body.len() >= length);
            if complete || read == 0 {
                return Ok(reply);
            }
        } else if read == 0 {
            return Err(format!("no reply: {text}").into());
        }
    }
}

/// The reply so far; `None` until its head is complete.
fn parse_reply(text: &str) -> Result<Option<Reply>> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    Ok(Some(Reply {
        status: head.split(' ').nth(1).unwrap_or_default().parse()?,
        head: head.to_owned(),
        body: body.to_owned(),
    }))
}

/// An upstream that answers every request with 200, or the status that its header `x-order` names, and, as JSON, the head that
/// it received.
pub(crate) fn echo_upstream() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut received = Vec::new();
    let mut chunk = [0; 65536];
    let head = loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        received.extend_from_slice(&chunk[..read]);
        if let Some(end) = received.windows(4).position(|w| w == b"\r\n\r\n") {
            break String::from_utf8_lossy(&received[..end]).to_lowercase();
        }
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut rest = (head.len() + 4 + length).saturating_sub(received.len());
    while rest > 0 {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        rest = rest.saturating_sub(read);
    }
    let status = head.lines().find_map(|line| line.strip_prefix("x-order: "));
    let status = status.unwrap_or("200").to_owned();
    let body = serde_json::json!({"received": head, "body_bytes": length}).to_string();
    write!(
        stream,
        "HTTP/1.1 {status} Ordered\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
