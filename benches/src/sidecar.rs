//! The sidecar as it is shipped, and its encoder by itself: the limit of what it could serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_sidecar::encoder::OnnxEncoder;
use turnpike_sidecar::model::{Model as _, TokenizedText};
use turnpike_sidecar::onnx::{ModelFiles, Source, runtime};
use turnpike_sidecar::tokenizer::TextTokenizer;
use wasm_tests::harness::process::Process;
use wasm_tests::harness::{Paths, Plan, Ports, metrics};

use crate::load::{Address, Connection, get, post};
use crate::texts::Text;
use crate::usage::{cpu_time, rss_kib};

/// Tokens that the encoder reads here: all that the model can, twice as many as it does by default.
pub const MAX_TOKENS: u32 = 512;

/// The example configuration without the cache, so that every text costs a forward.
///
/// # Errors
/// When it cannot be read.
pub fn config() -> Result<Config> {
    let text = fs::read_to_string(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    let mut config = Config::from_value(serde_saphyr::from_str(&text)?)?;
    config.semantic_cache.enabled = false;
    config.sidecar.timeout_ms = 250;
    config.sidecar.encoder.max_tokens = MAX_TOKENS;
    Ok(config)
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    folder: PathBuf,
    port: u16,
    model: String,
}

/// Forwards of the encoder and the rows in them, since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forwards {
    /// How many.
    pub number: f64,
    /// Their rows.
    pub rows: f64,
}

impl Forwards {
    /// Rows of a forward since `earlier`, on average.
    #[must_use]
    pub fn rows_each(&self, earlier: &Self) -> f64 {
        (self.rows - earlier.rows) / (self.number - earlier.number).max(1.0)
    }
}

impl Sidecar {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// When something is missing or it does not get ready.
    pub async fn start(config: &Config) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("turnpike-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let ports = Ports::free()?;
        let (paths, filters) = (Paths::find()?, Filters::default());
        let plan = Plan::write(paths, config.clone(), &folder, ports, filters)?;
        let process = Process::start("sidecar", plan.sidecar(), &plan.log("sidecar"))?;
        plan.sidecar_ready(|| process.check_alive()).await?;
        Ok(Self {
            process,
            folder,
            port: ports.sidecar,
            model: config.sidecar.encoder.name.clone(),
        })
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its unix socket.
    #[must_use]
    pub fn unix(&self) -> Address {
        Address::Unix(self.folder.join("sidecar.sock"))
    }

    /// Its TCP port on loopback.
    #[must_use]
    pub fn tcp(&self) -> Address {
        Address::Tcp(format!("127.0.0.1:{}", self.port))
    }

    /// Requests that embed one text each.
    #[must_use]
    pub fn embeddings<'t>(&self, texts: impl IntoIterator<Item = &'t Text>) -> Vec<Vec<u8>> {
        embeddings("/v1/embeddings", &self.model, texts)
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn rss_kib(&self) -> Result<u64> {
        rss_kib(self.id())
    }

    /// What its metrics say of the encoder's forwards.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn forwards(&self) -> Result<Forwards> {
        let mut connection = Connection::open(&self.unix()).await?;
        let (_, body) = connection.exchange(&get("/metrics")).await?;
        let samples = metrics::parse(std::str::from_utf8(body)?);
        let value = |name: &str| {
            let of_encoder = |sample: &&metrics::Sample| {
                sample.name == name && sample.labels.get("model").is_some_and(|m| m == "encoder")
            };
            samples.iter().find(of_encoder).map_or(0.0, |s| s.value)
        };
        Ok(Forwards {
            number: value("turnpike_sidecar_batch_rows_count"),
            rows: value("turnpike_sidecar_batch_rows_sum"),
        })
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.process.kill();
        // What cannot be removed stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Requests in OpenAI's form that embed one text each.
#[must_use]
pub fn embeddings<'t>(
    path: &str,
    model: &str,
    texts: impl IntoIterator<Item = &'t Text>,
) -> Vec<Vec<u8>> {
    let request = |text: &Text| {
        let body = json!({"model": model, "input": text.text, "encoding_format": "base64"});
        post(path, &body)
    };
    texts.into_iter().map(request).collect()
}

/// Asks for the vector of one text, as numbers.
///
/// # Errors
/// When there is none.
pub async fn vector(address: &Address, path: &str, model: &str, text: &Text) -> Result<Vec<f32>> {
    let body = json!({"model": model, "input": text.text, "encoding_format": "float"});
    let mut connection = Connection::open(address).await?;
    let (status, body) = connection.exchange(&post(path, &body)).await?;
    let answer: Value = serde_json::from_slice(body)?;
    let vector = answer
        .pointer("/data/0/embedding")
        .and_then(Value::as_array);
    let vector = vector.with_context(|| format!("status {status}: {answer}"))?;
    let numbers = vector.iter().filter_map(Value::as_f64);
    Ok(numbers.map(|number| number as f32).collect())
}

/// The sidecar's encoder in this process, with the sidecar's own settings.
#[derive(Debug)]
pub struct Plain {
    /// The session.
    pub encoder: OnnxEncoder,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// The graph's file.
    pub graph: PathBuf,
}

/// What a plain loop did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looped {
    /// Texts a second.
    pub rate: f64,
    /// Cores that it used.
    pub cores: f64,
}

impl Plain {
    /// Opens it.
    ///
    /// # Errors
    /// When something is missing.
    pub fn open(config: &Config) -> Result<Self> {
        let paths = Paths::find()?;
        let sidecar = &config.sidecar;
        let environment = runtime::environment(Some(&paths.onnxruntime))?;
        let files = ModelFiles::find(&Source::Folder(paths.model), sidecar.encoder.precision)?;
        let device = sidecar.device.parse().map_err(|e| anyhow!("{e}"))?;
        let threads = sidecar.intra_threads.into();
        let dimensions = sidecar.encoder.dimensions as usize;
        Ok(Self {
            encoder: OnnxEncoder::load(&environment, &files, dimensions, device, threads)?,
            tokenizer: tokenizer(&files.tokenizer, config)?,
            graph: files.graph,
        })
    }

    /// One forward.
    ///
    /// # Errors
    /// When it fails.
    pub fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<Vec<f32>>> {
        let embeddings = self.encoder.forward(rows)?;
        Ok(embeddings.iter().map(|e| e.values().to_vec()).collect())
    }

    /// Forwards of `batch` texts each, one after the other, for `time` and at least once.
    ///
    /// # Errors
    /// When a forward fails or `/proc` does not tell.
    pub fn run(&self, texts: &[Text], batch: usize, time: Duration) -> Result<Looped> {
        let mut rows = texts.iter().map(|text| &text.row).cycle();
        let cpu_before = cpu_time(std::process::id())?;
        let started_at = Instant::now();
        let mut forwards = 0;
        while forwards == 0 || started_at.elapsed() < time {
            let rows: Vec<&TokenizedText> = rows.by_ref().take(batch).collect();
            std::hint::black_box(self.encoder.forward(&rows)?);
            forwards += 1;
        }
        let seconds = started_at.elapsed().as_secs_f64();
        let cpu = cpu_time(std::process::id())?.saturating_sub(cpu_before);
        Ok(Looped {
            rate: (forwards * batch) as f64 / seconds,
            cores: cpu.as_secs_f64() / seconds,
        })
    }
}

fn tokenizer(file: &Path, config: &Config) -> Result<TextTokenizer> {
    let encoder = &config.sidecar.encoder;
    TextTokenizer::from_file(file, encoder.max_tokens as usize, &encoder.prefix)
        .map_err(|message| anyhow!("{}: {message}", file.display()))
}
