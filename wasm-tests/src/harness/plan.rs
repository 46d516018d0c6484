//! What is to be started, where it listens, and how to see that it is ready. Nothing runs here yet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use turnpike::render::{BOOTSTRAP, Filters, RenderOptions, dynamic};
use turnpike_core::Config;
use turnpike_core::config::AddressConfig;

use super::ready::{Page, get, until};
use super::{Paths, ports};

/// Envoy compiles the modules before it is ready, and a busy machine of two cores takes its time.
const ENVOY_DEADLINE: Duration = Duration::from_secs(180);

/// The sidecar loads its encoder and embeds the categories before it is ready.
const SIDECAR_DEADLINE: Duration = Duration::from_secs(90);

/// Ports on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Where clients connect.
    pub listener: u16,
    /// Envoy's admin interface.
    pub admin: u16,
    /// Prometheus page.
    pub metrics: u16,
    /// The sidecar, beside its unix socket.
    pub sidecar: u16,
}

impl Ports {
    /// Four free ones.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> Result<Self> {
        Ok(Self {
            listener: ports::free()?,
            admin: ports::free()?,
            metrics: ports::free()?,
            sidecar: ports::free()?,
        })
    }
}

/// A gateway to be started from one folder, which holds its files, its socket and its logs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Programs and data.
    pub paths: Paths,
    /// The configuration, with the addresses of this plan.
    pub config: Config,
    /// Files, socket and logs.
    pub folder: PathBuf,
    /// Where it listens.
    pub ports: Ports,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Filters in the chain.
    pub filters: Filters,
}

impl Plan {
    /// Adapts a configuration to this folder and these ports, and writes the files that Envoy and the sidecar read.
    ///
    /// # Errors
    /// When the adapted configuration has mistakes, or a file cannot be written.
    pub fn write(
        paths: Paths,
        mut config: Config,
        folder: &Path,
        ports: Ports,
        filters: Filters,
    ) -> Result<Self> {
        let address = |port| AddressConfig {
            address: "127.0.0.1".into(),
            port,
        };
        config.sidecar.unix_socket = text(&folder.join("sidecar.sock"));
        config.sidecar.tcp = address(ports.sidecar);
        // A path would win over the repository.
        config.sidecar.encoder.path = match &paths.model_repository {
            Some(_) => String::new(),
            None => text(&paths.model),
        };
        if let Some(repository) = &paths.model_repository {
            config.sidecar.encoder.repository.clone_from(repository);
        }
        config.envoy.listener = address(ports.listener);
        config.envoy.admin = address(ports.admin);
        config.envoy.metrics = address(ports.metrics);
        config.envoy.wasm_folder = text(&paths.wasm);
        config.envoy.access_log = text(&folder.join("access.log"));
        let mistakes = config.validate();
        if !mistakes.is_empty() {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            bail!("the configuration has mistakes:\n{}", lines.join("\n"));
        }
        let plan = Self {
            paths,
            config,
            folder: folder.to_owned(),
            ports,
            concurrency: 2,
            filters,
        };
        plan.write_files()?;
        Ok(plan)
    }

    pub(super) fn write_files(&self) -> Result<()> {
        let options = RenderOptions {
            filters: self.filters,
            ..RenderOptions::default()
        };
        let envoy = turnpike::render::envoy(&self.config, &options);
        // JSON is YAML.
        write_json(&self.folder.join("config.yaml"), &self.config)?;
        write_json(&self.folder.join("envoy.json"), &envoy)
    }

    /// Puts HTTP filters before Turnpike's in the rendered Envoy, as an authentication that stands in front of them.
    ///
    /// # Errors
    /// When the rendered file is not as expected.
    pub fn put_first(&self, filters: &[Value]) -> Result<()> {
        const CHAIN: &str =
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
        let path = self.folder.join("envoy.json");
        let mut envoy: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let chain = envoy.pointer_mut(CHAIN).and_then(Value::as_array_mut);
        let chain = chain.context("the rendered Envoy has no HTTP filters")?;
        chain.splice(0..0, filters.iter().cloned());
        write_json(&path, &envoy)
    }

    /// Moves the rendered listeners and clusters to where a running Envoy looks for them, and leaves a bootstrap that names them.
    ///
    /// # Errors
    /// When the rendered file is not as expected, or another cannot be written.
    pub fn put_dynamic(&self) -> Result<()> {
        let bootstrap = self.folder.join("envoy.json");
        let envoy = serde_json::from_slice(&std::fs::read(&bootstrap)?)?;
        let watched = self.watched();
        std::fs::create_dir_all(&watched)?;
        for (name, document) in dynamic(envoy, &text(&watched)) {
            let place = match name {
                BOOTSTRAP => bootstrap.clone(),
                name => watched.join(name),
            };
            let part = self.folder.join("part.json");
            write_json(&part, &document)?;
            std::fs::rename(part, place)?;
        }
        Ok(())
    }

    /// Where Envoy looks for new listeners and clusters, if it was started so.
    #[must_use]
    pub fn watched(&self) -> PathBuf {
        self.folder.join("dynamic")
    }

    /// The command that runs Envoy.
    #[must_use]
    pub fn envoy(&self) -> Command {
        let mut command = Command::new(&self.paths.envoy);
        command
            .arg("--config-path")
            .arg(self.folder.join("envoy.json"))
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--log-level", "warning"])
            .args(["--component-log-level", "wasm:info"])
            // Tests and the demo read the access log while Envoy runs.
            .args(["--file-flush-interval-msec", "50"])
            // No shared memory, so none is left behind when Envoy is killed.
            .arg("--disable-hot-restart");
        command
    }

    /// The command that runs the sidecar.
    #[must_use]
    pub fn sidecar(&self) -> Command {
        let mut command = Command::new(&self.paths.sidecar);
        command
            .arg("--config")
            .arg(self.folder.join("config.yaml"))
            .arg("--onnxruntime")
            .arg(&self.paths.onnxruntime);
        command
    }

    /// A log of this gateway: `envoy` or `sidecar`.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Waits until the sidecar answers; `alive` fails when it has ended.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn sidecar_ready(&self, alive: impl Fn() -> Result<()>) -> Result<()> {
        let socket = self.folder.join("sidecar.sock");
        let look = get_all([Page::Unix(&socket, "/readyz")]);
        wait(SIDECAR_DEADLINE, alive, look)
            .await
            .context("the sidecar is not ready")
    }

    /// Waits until Envoy takes requests; `alive` fails when it has ended.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn envoy_ready(&self, alive: impl Fn() -> Result<()>) -> Result<()> {
        let look = get_all([
            Page::Tcp(self.ports.admin, "/ready"),
            Page::Tcp(self.ports.metrics, "/metrics"),
        ]);
        wait(ENVOY_DEADLINE, alive, look)
            .await
            .context("Envoy is not ready")
    }
}

/// A look at pages that must all answer.
fn get_all<const N: usize>(pages: [Page<'_>; N]) -> impl AsyncFn() -> Result<()> + '_ {
    async move || {
        for page in pages {
            get(page).await?;
        }
        Ok(())
    }
}

/// Polls `look`; a program that has ended ends the wait at once.
async fn wait(
    deadline: Duration,
    alive: impl Fn() -> Result<()>,
    look: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    until(deadline, async || match (look().await, alive()) {
        (_, Err(dead)) => Ok(Err(dead)),
        (Ok(()), Ok(())) => Ok(Ok(())),
        (Err(e), Ok(())) => Err(e),
    })
    .await?
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec_pretty(value)?;
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(model_repository: Option<&str>) -> turnpike_core::config::EncoderConfig {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            envoy: "envoy".into(),
            sidecar: "sidecar".into(),
            onnxruntime: "onnxruntime".into(),
            model: "/models/here".into(),
            model_repository: model_repository.map(str::to_owned),
            wasm: "dist".into(),
        };
        let config = turnpike::config::load(crate::harness::root().join("envoy/config.yaml"));
        let ports = Ports {
            listener: 1,
            admin: 2,
            metrics: 3,
            sidecar: 4,
        };
        let plan = Plan::write(
            paths,
            config.unwrap(),
            folder.path(),
            ports,
            Filters::default(),
        );
        plan.unwrap().config.sidecar.encoder
    }

    #[test]
    fn the_encoder_is_that_of_the_folder_or_of_the_repository() {
        let local = encoder(None);
        assert_eq!((&*local.path, &*local.repository), ("/models/here", ""));
        let fetched = encoder(Some("owner/name"));
        assert_eq!((&*fetched.path, &*fetched.repository), ("", "owner/name"));
    }
}
