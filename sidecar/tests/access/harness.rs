//! A sidecar without a model, the files that say who may call it, and its clients.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use turnpike_core::config::TcpAccessConfig;
use turnpike_core::reply::ErrorObject;
use turnpike_sidecar::access::Access;
use turnpike_sidecar::server::{self, Listeners};
use turnpike_sidecar::service::Service;
use turnpike_sidecar::settings::config_from_yaml;

use crate::pki::{HOST, Identity};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// As little as a configuration can have.
pub(crate) const CONFIG: &str = "
vllm_endpoints: [{name: local, address: 127.0.0.1, port: 8000}]
model_config: {qwen3: {preferred_endpoints: [local]}}
default_model: qwen3
";

/// The token of these tests.
pub(crate) const TOKEN: &str = "correct-horse.battery_staple~42+/==";

/// The folder of a configuration, and what `sidecar.tcp_access` names in it.
pub(crate) struct Files {
    folder: Arc<TempDir>,
    pub(crate) access: TcpAccessConfig,
}

impl Files {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self {
            folder: Arc::new(tempfile::tempdir()?),
            access: TcpAccessConfig::default(),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> Outcome<String> {
        std::fs::write(self.path(name), content)?;
        Ok(name.to_owned())
    }

    pub(crate) fn with_token(mut self, content: &str) -> Outcome<Self> {
        self.access.bearer_token_file = self.write("token", content)?;
        Ok(self)
    }

    pub(crate) fn with_identity(mut self, identity: &Identity) -> Outcome<Self> {
        self.access.certificate_file = self.write("tls.crt", &identity.certificate)?;
        self.access.private_key_file = self.write("tls.key", &identity.private_key)?;
        Ok(self)
    }

    pub(crate) fn with_client_ca(mut self, pem: &str) -> Outcome<Self> {
        self.access.client_ca_file = self.write("ca.crt", pem)?;
        Ok(self)
    }

    pub(crate) fn read(&self) -> Outcome<Access> {
        Ok(Access::read(&self.access, self.folder.path())?)
    }

    /// Why these files are refused.
    pub(crate) fn refusal(&self) -> Outcome<String> {
        match self.read() {
            Ok(_) => Err("accepted".into()),
            Err(error) => Ok(error.to_string()),
        }
    }

    /// A sidecar that asks for what these files say.
    pub(crate) async fn start(&self) -> Outcome<Sidecar> {
        let access = Arc::new(self.read()?);
        let socket = self.path("sidecar.sock");
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), Some(&socket)).await?;
        let address = listeners.local_addr()?;
        let service = Arc::new(Service::new(&config_from_yaml(CONFIG)?));
        let (stop, stopped) = oneshot::channel();
        let listeners = listeners.with_access(Arc::clone(&access));
        let server = tokio::spawn(server::run(listeners, Arc::clone(&service), async {
            drop(stopped.await);
        }));
        Ok(Sidecar {
            address,
            socket,
            access,
            service,
            stop,
            server,
            _folder: Arc::clone(&self.folder),
        })
    }
}

/// A running sidecar.
pub(crate) struct Sidecar {
    pub(crate) address: SocketAddr,
    pub(crate) access: Arc<Access>,
    socket: PathBuf,
    service: Arc<Service>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    _folder: Arc<TempDir>,
}

impl Sidecar {
    pub(crate) async fn tcp(&self, asked: Asked<'_>) -> Outcome<Answer> {
        send(TcpStream::connect(self.address).await?, asked).await
    }

    pub(crate) async fn unix(&self, asked: Asked<'_>) -> Outcome<Answer> {
        send(UnixStream::connect(&self.socket).await?, asked).await
    }

    pub(crate) async fn tls(&self, client: &TlsConnector, asked: Asked<'_>) -> Outcome<Answer> {
        send(self.connect_tls(client).await?, asked).await
    }

    pub(crate) async fn connect_tls(&self, client: &TlsConnector) -> Outcome<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        Ok(client.connect(ServerName::try_from(HOST)?, stream).await?)
    }

    pub(crate) fn failed_handshakes(&self) -> u64 {
        self.service.metrics.tls_handshakes_failed.get()
    }

    /// Waits until so many handshakes have failed: a client may hear of it before it is counted.
    pub(crate) async fn until_failed_handshakes(&self, count: u64) -> Outcome<()> {
        let counted = async {
            while self.failed_handshakes() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), counted).await?;
        match self.failed_handshakes() {
            failed if failed == count => Ok(()),
            failed => Err(format!("expected {count} failed handshakes, got {failed}").into()),
        }
    }

    /// Stops the sidecar and waits for its end.
    pub(crate) async fn stop(self) -> Outcome<()> {
        drop(self.stop);
        Ok(self.server.await??)
    }
}

/// A request.
#[derive(Clone)]
pub(crate) struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    authorization: Vec<&'a str>,
}

pub(crate) fn get(path: &str) -> Asked<'_> {
    ask("GET", path)
}

pub(crate) fn ask<'a>(method: &'a str, path: &'a str) -> Asked<'a> {
    Asked {
        method,
        path,
        authorization: Vec::new(),
    }
}

impl<'a> Asked<'a> {
    /// With a further `authorization` header.
    pub(crate) fn with_authorization(mut self, authorization: &'a str) -> Self {
        self.authorization.push(authorization);
        self
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body, when it is a whole OpenAI error object.
    pub(crate) fn error(&self) -> Outcome<ErrorObject> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    pub(crate) fn code(&self) -> Outcome<String> {
        self.error()?.error.code.ok_or_else(|| "no code".into())
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    asked: Asked<'_>,
) -> Outcome<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(asked.method)
        .uri(asked.path)
        .header("host", HOST);
    for value in &asked.authorization {
        request = request.header("authorization", *value);
    }
    let request = request.body(Full::new(Bytes::from_static(b"{}")))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}
