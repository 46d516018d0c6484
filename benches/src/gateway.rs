//! An Envoy with some of the filters, in front of the stand-in, and what it costs to run.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use turnpike::render::Filters;
use turnpike_core::Config;
use wasm_tests::harness::process::Process;
use wasm_tests::harness::{Paths, Plan, Ports};

use crate::load::Address;
use crate::usage;

/// A running Envoy.
#[derive(Debug)]
pub struct Gateway {
    /// What is in its chain.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// From its start to its first "ready".
    pub start_time: Duration,
    envoy: Process,
    /// Ends with the gateway.
    sidecar: Option<Process>,
    folder: PathBuf,
}

impl Gateway {
    /// Starts one with `concurrency` workers and waits until it is ready; `first_filters` stand before Turnpike's.
    ///
    /// # Errors
    /// When something is missing or it does not get ready.
    pub async fn start(
        name: &'static str,
        config: &Config,
        filters: Filters,
        first_filters: &[Value],
        concurrency: u32,
    ) -> Result<Self> {
        let plan = plan(name, config, filters, concurrency)?;
        plan.put_first(first_filters)?;
        Self::run(name, plan, None).await
    }

    /// Starts one with all filters, its sidecar beside it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with_sidecar(
        name: &'static str,
        config: &Config,
        concurrency: u32,
    ) -> Result<Self> {
        let plan = plan(name, config, Filters::default(), concurrency)?;
        let sidecar = Process::start("sidecar", plan.sidecar(), &plan.log("sidecar"))?;
        plan.sidecar_ready(|| sidecar.check_alive()).await?;
        Self::run(name, plan, Some(sidecar)).await
    }

    /// Starts one without Turnpike's filters that answers every request itself, with `body`, once it is complete: what Envoy and the
    /// client cost alone.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_direct(
        name: &'static str,
        config: &Config,
        body: &str,
        concurrency: u32,
    ) -> Result<Self> {
        let plan = plan(name, config, Filters::NONE, concurrency)?;
        // Envoy closes a connection on which it answers before the request's body is there.
        plan.put_first(&[json!({
            "name": "envoy.filters.http.buffer",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                "max_request_bytes": config.limits.max_body_bytes,
            },
        })])?;
        let path = plan.folder.join("envoy.json");
        let mut envoy: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let routes = envoy
            .pointer_mut(ROUTES)
            .context("the rendered Envoy has no routes")?;
        *routes = json!([{
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": body}},
        }]);
        fs::write(&path, envoy.to_string())?;
        Self::run(name, plan, None).await
    }

    async fn run(name: &'static str, plan: Plan, sidecar: Option<Process>) -> Result<Self> {
        let started = Instant::now();
        let envoy = Process::start("Envoy", plan.envoy(), &plan.log("envoy"))?;
        plan.envoy_ready(|| envoy.check_alive()).await?;
        let start_time = started.elapsed();
        Ok(Self {
            name,
            port: plan.ports.listener,
            start_time,
            envoy,
            sidecar,
            folder: plan.folder,
        })
    }

    /// The unix socket of its sidecar.
    #[must_use]
    pub fn sidecar_socket(&self) -> Address {
        Address::Unix(self.folder.join("sidecar.sock"))
    }

    /// Forgets the access log so far: a long run would fill the disk.
    ///
    /// # Errors
    /// When it cannot be cut.
    pub fn clear_access_log(&self) -> Result<()> {
        let log = fs::File::options()
            .write(true)
            .open(self.folder.join("access.log"))?;
        // Envoy appends, so it goes on at the new end.
        Ok(log.set_len(0)?)
    }

    /// The numbers of a field in the access log so far, in the order of the requests.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn logged(&self, field: &str) -> Result<Vec<u64>> {
        let log = fs::read_to_string(self.folder.join("access.log"))?;
        let number = |line: &str| {
            let entry: Value = serde_json::from_str(line).ok()?;
            let value = entry.get(field)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        Ok(log.lines().filter_map(number).collect())
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn rss_kib(&self) -> Result<u64> {
        usage::rss_kib(self.envoy.id())
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn cpu_time(&self) -> Result<Duration> {
        usage::cpu_time(self.envoy.id())
    }
}

/// The routes of the rendered listener.
const ROUTES: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";

fn plan(name: &str, config: &Config, filters: Filters, concurrency: u32) -> Result<Plan> {
    let process = std::process::id();
    let folder =
        std::env::temp_dir().join(format!("turnpike-bench-{process}-{name}-{concurrency}"));
    fs::create_dir_all(&folder)?;
    let ports = Ports::free()?;
    let mut plan = Plan::write(Paths::find()?, config.clone(), &folder, ports, filters)?;
    plan.concurrency = concurrency;
    Ok(plan)
}

/// The filter that does nothing, set up as `turnpike render` sets up the others.
///
/// # Errors
/// When it is not built.
pub fn empty_filter() -> Result<Value> {
    let module = Paths::find()?.wasm.join("turnpike_empty.wasm");
    if !module.exists() {
        bail!(
            "{} is missing; run: scripts/wasm.sh empty",
            module.display()
        );
    }
    Ok(json!({
        "name": "turnpike.empty",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "turnpike_empty",
                "root_id": "turnpike_empty",
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": true,
                "vm_config": {
                    "vm_id": "turnpike_empty",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
            },
        },
    }))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.envoy.kill();
        drop(self.sidecar.take());
        // What cannot be removed stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
