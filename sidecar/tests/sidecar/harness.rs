//! A sidecar inside the test: own service, own port, shared model.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turnpike_core::Config;
use turnpike_core::config::Precision;
use turnpike_sidecar::batching::Limits;
use turnpike_sidecar::encoder::{Encoder, OnnxEncoder};
use turnpike_sidecar::metrics::Metrics;
use turnpike_sidecar::onnx::{Device, ModelFiles, Source, runtime};
use turnpike_sidecar::server::{self, Listeners};
use turnpike_sidecar::service::{Engine, LoadedEncoder, Service};
use turnpike_sidecar::settings::{Settings, config_from_yaml};
use turnpike_sidecar::tokenizer::TextTokenizer;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The configuration of the demo, which is also the documentation's.
const CONFIG: &str = include_str!("../../../envoy/config.yaml");

/// Two partitions that differ in one digit.
pub(crate) const ALICE: &str = "a000000000000000000000000000000000000000000000000000000000000001";
pub(crate) const BOB: &str = "a000000000000000000000000000000000000000000000000000000000000002";

pub(crate) fn model_folder() -> PathBuf {
    from_env("TURNPIKE_MODEL_DIR", ".cache/models/all-MiniLM-L6-v2")
}

/// The cross-encoder of `models/duplicate-questions`.
pub(crate) fn second_opinion_folder() -> PathBuf {
    from_env(
        "TURNPIKE_SECOND_OPINION_DIR",
        ".cache/models/duplicate-questions",
    )
}

pub(crate) fn onnxruntime() -> PathBuf {
    from_env("ORT_DYLIB_PATH", ".cache/onnxruntime/libonnxruntime.so")
}

fn from_env(variable: &str, default: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os(variable).map_or_else(|| root.join(default), PathBuf::from)
}

/// The demo's configuration, with time enough for a machine that runs all tests at once.
pub(crate) fn config() -> Outcome<Config> {
    let mut config = config_from_yaml(CONFIG)?;
    config.sidecar.timeout_ms = 30_000;
    Ok(config)
}

pub(crate) fn tokenizer() -> Outcome<TextTokenizer> {
    let path = model_folder().join("tokenizer.json");
    TextTokenizer::from_file(&path, 256, "")
        .map_err(|e| format!("{}: {e}; run: make setup", path.display()).into())
}

/// The real model, loaded once.
pub(crate) fn encoder() -> Outcome<Arc<dyn Encoder>> {
    static ENCODER: OnceLock<Result<Arc<OnnxEncoder>, String>> = OnceLock::new();
    let loaded = ENCODER.get_or_init(|| {
        load_encoder()
            .map(Arc::new)
            .map_err(|e| format!("{e}; run: make setup"))
    });
    Ok(Arc::<OnnxEncoder>::clone(
        loaded.as_ref().map_err(String::as_str)?,
    ))
}

fn load_encoder() -> Outcome<OnnxEncoder> {
    let files = ModelFiles::find(&Source::Folder(model_folder()), Precision::Fp32)?;
    let environment = runtime::environment(Some(&onnxruntime()))?;
    Ok(OnnxEncoder::load(&environment, &files, 0, Device::Cpu, 0)?)
}

/// Everything that `config` says, around `encoder`.
pub(crate) fn engine(
    config: &Config,
    encoder: Arc<dyn Encoder>,
    metrics: &Arc<Metrics>,
) -> Outcome<Engine> {
    let limits = Limits::new(&config.sidecar.batching, false);
    let loaded = LoadedEncoder::new(tokenizer()?, encoder, &config.sidecar, limits, metrics)?;
    Ok(Engine::with_encoder(loaded, config, metrics)?)
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn settings(config: &Config) -> Settings {
    let mut config = config.clone();
    let from_root = |path: &mut String| {
        if !path.is_empty() {
            *path = root().join(&*path).display().to_string();
        }
    };
    from_root(&mut config.sidecar.encoder.path);
    for model in &mut config.sidecar.classifiers {
        from_root(&mut model.path);
    }
    if let Some(second_opinion) = &mut config.semantic_cache.second_opinion {
        from_root(&mut second_opinion.path);
    }
    let encoder = &config.sidecar.encoder;
    Settings {
        unix_socket: None,
        listen: ([127, 0, 0, 1], 0).into(),
        encoder: Source::of(&encoder.path, &encoder.repository),
        onnxruntime: Some(onnxruntime()),
        folder: root(),
        notes: Vec::new(),
        config,
    }
}

/// A running sidecar.
pub(crate) struct Sidecar {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Sidecar {
    /// With the real model and the demo's configuration.
    pub(crate) async fn start() -> Outcome<Self> {
        Self::start_with(&config()?, encoder()?).await
    }

    pub(crate) async fn start_with(config: &Config, encoder: Arc<dyn Encoder>) -> Outcome<Self> {
        let sidecar = Self::start_loading(config, None).await?;
        let engine = engine(config, encoder, &sidecar.service.metrics)?;
        sidecar.service.set_ready(engine, config).await?;
        Ok(sidecar)
    }

    /// With what `config` names, loaded as the program does; relative paths start at the repository's root.
    pub(crate) async fn start_from(config: &Config) -> Outcome<Self> {
        let sidecar = Self::start_loading(config, None).await?;
        sidecar.reload(config).await?;
        Ok(sidecar)
    }

    /// Takes over another configuration, as the program does on SIGHUP.
    pub(crate) async fn reload(&self, config: &Config) -> Outcome<()> {
        let metrics = Arc::clone(&self.service.metrics);
        let settings = settings(config);
        let previous = self.service.engine_in_use();
        let engine = tokio::task::spawn_blocking(move || {
            Engine::load(&settings, &metrics, previous.as_deref())
        });
        self.service.set_ready(engine.await??, config).await?;
        Ok(())
    }

    /// Without a model yet.
    pub(crate) async fn start_loading(config: &Config, socket: Option<&Path>) -> Outcome<Self> {
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), socket).await?;
        let address = listeners.local_addr()?;
        let service = Arc::new(Service::new(config));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::run(listeners, Arc::clone(&service), async {
            drop(stopped.await);
        }));
        Ok(Self {
            address,
            service,
            stop,
            server,
        })
    }

    /// Asks the sidecar to stop and gives what waits for its end.
    pub(crate) fn stop(self) -> impl Future<Output = Outcome<()>> {
        drop(self.stop);
        async move { Ok(self.server.await??) }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Outcome<Answer> {
        self.send("POST", path, body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Outcome<Answer> {
        self.send("GET", path, "").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Outcome<Answer> {
        send_tcp(self.address, method, path, body).await
    }

    /// The value of a line of `/metrics`; 0 when there is none yet.
    pub(crate) async fn metric(&self, line: &str) -> Outcome<f64> {
        let text = self.get("/metrics").await?.text();
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
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
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// `error.code`, when the body is a whole OpenAI error object.
    pub(crate) fn error_code(&self) -> Outcome<String> {
        let object: turnpike_core::reply::ErrorObject = serde_json::from_slice(&self.body)?;
        object.error.code.ok_or_else(|| "no code".into())
    }
}

pub(crate) async fn send_tcp(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> Outcome<Answer> {
    send(
        TcpStream::connect(address).await?,
        method,
        path,
        body.into(),
    )
    .await
}

pub(crate) async fn send_unix(
    socket: &Path,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> Outcome<Answer> {
    send(
        UnixStream::connect(socket).await?,
        method,
        path,
        body.into(),
    )
    .await
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    body: Bytes,
) -> Outcome<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sidecar")
        .body(Full::new(body))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}
