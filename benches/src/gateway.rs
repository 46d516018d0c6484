//! An Envoy with some of the filters, in front of the stand-in, and what it costs to run.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use turnpike::render::Filters;
use turnpike_core::Config;
use wasm_tests::harness::process::Process;
use wasm_tests::harness::{Paths, Plan, Ports};

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
        let folder = std::env::temp_dir().join(format!(
            "turnpike-bench-{}-{name}-{concurrency}",
            std::process::id()
        ));
        fs::create_dir_all(&folder)?;
        let ports = Ports::free()?;
        let mut plan = Plan::write(Paths::find()?, config.clone(), &folder, ports, filters)?;
        plan.put_first(first_filters)?;
        plan.concurrency = concurrency;
        let started = Instant::now();
        let envoy = Process::start("Envoy", plan.envoy(), &plan.log("envoy"))?;
        plan.envoy_ready(|| envoy.check_alive()).await?;
        let start_time = started.elapsed();
        Ok(Self {
            name,
            port: ports.listener,
            start_time,
            envoy,
            folder,
        })
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
        // What cannot be removed stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
