//! Where the fetched and built things are: the variables that `scripts/env.sh` exports, or the folders of the repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Everything that a gateway is started from.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Envoy (`TURNPIKE_ENVOY`).
    pub envoy: PathBuf,
    /// The sidecar (`TURNPIKE_SIDECAR`), by default the one that `make build` made.
    pub sidecar: PathBuf,
    /// ONNX Runtime's shared library (`ORT_DYLIB_PATH`).
    pub onnxruntime: PathBuf,
    /// Folder with the encoder (`TURNPIKE_MODEL_DIR`).
    pub model: PathBuf,
    /// Hugging Face repository with the encoder (`ENCODER_REPOSITORY`), in place of the folder unless `ENCODER_PATH` names one.
    pub model_repository: Option<String>,
    /// Folder with the two filters (`TURNPIKE_WASM_DIR`).
    pub wasm: PathBuf,
}

impl Paths {
    /// Finds everything.
    ///
    /// # Errors
    /// What is missing, and the command that makes it.
    pub fn find() -> Result<Self> {
        let (root, cache) = (root(), cache());
        let paths = Self {
            envoy: variable("TURNPIKE_ENVOY").unwrap_or_else(|| cache.join("bin/envoy")),
            sidecar: variable("TURNPIKE_SIDECAR").unwrap_or_else(built_sidecar),
            onnxruntime: variable("ORT_DYLIB_PATH")
                .unwrap_or_else(|| cache.join("onnxruntime/libonnxruntime.so")),
            model: variable("TURNPIKE_MODEL_DIR")
                .unwrap_or_else(|| cache.join("models/all-MiniLM-L6-v2")),
            model_repository: env::var("ENCODER_REPOSITORY")
                .ok()
                .filter(|name| !name.is_empty() && variable("ENCODER_PATH").is_none()),
            wasm: variable("TURNPIKE_WASM_DIR").unwrap_or_else(|| root.join("dist")),
        };
        paths.check()?;
        Ok(paths)
    }

    fn check(&self) -> Result<()> {
        let mut fetched = vec![self.envoy.clone(), self.onnxruntime.clone()];
        if self.model_repository.is_none() {
            fetched.push(self.model.join("model.onnx"));
        }
        let built = [
            self.wasm.join("turnpike_meter.wasm"),
            self.wasm.join("turnpike_router.wasm"),
            self.sidecar.clone(),
        ];
        for path in &fetched {
            if !path.exists() {
                bail!("{} is missing; run: make setup", path.display());
            }
        }
        for path in &built {
            if !path.exists() {
                bail!("{} is missing; run: make build", path.display());
            }
        }
        Ok(())
    }
}

/// The Python with the official clients (`TURNPIKE_CLIENTS_PYTHON`), by default the one that `make setup` made.
///
/// # Errors
/// When it is missing, with the command that makes it.
pub fn clients_python() -> Result<PathBuf> {
    let python =
        variable("TURNPIKE_CLIENTS_PYTHON").unwrap_or_else(|| cache().join("clients/bin/python"));
    if !python.exists() {
        bail!("{} is missing; run: make setup", python.display());
    }
    Ok(python)
}

fn cache() -> PathBuf {
    variable("TURNPIKE_CACHE").unwrap_or_else(|| root().join(".cache"))
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A program of this workspace: from `release/` of the target folder that the running program came from, else beside it.
#[must_use]
pub fn built(name: &str) -> Option<PathBuf> {
    let running = env::current_exe().ok()?;
    // <target>/<profile>/name, or <target>/<profile>/deps/name for tests.
    let profiles: Vec<&Path> = running.ancestors().skip(1).take(3).collect();
    let release = profiles.iter().map(|folder| folder.join("release"));
    let beside = profiles.iter().map(|folder| folder.to_path_buf());
    release
        .chain(beside)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn built_sidecar() -> PathBuf {
    built("turnpike-sidecar").unwrap_or_else(|| root().join("target/release/turnpike-sidecar"))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
