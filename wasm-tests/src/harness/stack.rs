//! A whole gateway: stand-ins, sidecar, Envoy.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use turnpike::render::Filters;
use turnpike_core::Config;

use super::access_log::{AccessLog, Entry};
use super::metrics::Query;
use super::plan::{Plan, Ports};
use super::process::{Process, signal, tail};
use super::{Client, Paths, folder};
use crate::standin::{Outcome, Received, Records, StandIn};

/// A request that the stand-in does not see by then never comes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Its name where it fails.
const SIDECAR: &str = "the sidecar";

/// Stand-ins live here: the runtime of the test that starts a shared gateway ends with that test.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("stand-in")
        .enable_all()
        .build()
});

/// How to start a gateway.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// Where it listens; free ports when missing.
    pub ports: Option<Ports>,
    /// Filters in the chain.
    pub filters: Filters,
    /// Leave the sidecar out until [`Stack::start_sidecar`].
    pub without_sidecar: bool,
    /// HTTP filters of Envoy's own before Turnpike's.
    pub first_filters: Vec<Value>,
    /// Listeners and clusters in files that Envoy watches, for [`Stack::reload`].
    pub dynamic: bool,
}

/// A running gateway; everything ends when it is dropped, or with this process.
#[derive(Debug)]
pub struct Stack {
    plan: Plan,
    records: Records,
    standins: BTreeMap<String, StandIn>,
    sidecar: Mutex<Option<Process>>,
    envoy: Process,
    access_log: AccessLog,
}

impl Stack {
    /// Starts one from the text of a `config.yaml`.
    ///
    /// # Errors
    /// When something is missing, wrong or not ready in time; with the end of the log at fault.
    pub async fn start(config_yaml: &str, options: StackOptions) -> Result<Self> {
        let document = turnpike::config::parse(config_yaml)?;
        let config = Config::from_value(document)?;
        Self::start_config(config, options).await
    }

    /// Starts one from a configuration; each endpoint becomes a stand-in.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_config(mut config: Config, options: StackOptions) -> Result<Self> {
        let paths = Paths::find()?;
        let records = Records::default();
        let standins = start_standins(&mut config, &records).await?;
        let ports = match options.ports {
            Some(ports) => ports,
            None => Ports::free()?,
        };
        let folder = folder::create()?;
        let plan = Plan::write(paths, config, &folder, ports, options.filters)?;
        plan.put_first(&options.first_filters)?;
        if options.dynamic {
            plan.put_dynamic()?;
        }
        // Both take seconds to load; they need not wait for each other.
        let sidecar = if options.without_sidecar || !plan.config.sidecar.enabled {
            None
        } else {
            Some(start_sidecar(&plan)?)
        };
        let envoy = Process::start("Envoy", plan.envoy(), &plan.log("envoy"))?;
        plan.envoy_ready(|| envoy.check_alive()).await?;
        if let Some(sidecar) = &sidecar {
            plan.sidecar_ready(|| sidecar.check_alive()).await?;
        }
        Ok(Self {
            access_log: AccessLog::new(&plan.folder.join("access.log")),
            plan,
            records,
            standins,
            sidecar: Mutex::new(sidecar),
            envoy,
        })
    }

    /// Hands the running Envoy a changed configuration, with the same servers.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn reload(&self, change: impl FnOnce(&mut Config)) -> Result<()> {
        let mut plan = self.plan.clone();
        change(&mut plan.config);
        plan.write_files()?;
        plan.put_dynamic()
    }

    /// What was started, and where.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A client with this identity.
    #[must_use]
    pub fn client(&self, user: &str, tier: &str) -> Client {
        Client::new(self.plan.ports.listener, user, tier)
    }

    /// What the stand-ins received.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The stand-in of an endpoint.
    #[must_use]
    pub fn standin(&self, endpoint: &str) -> Option<&StandIn> {
        self.standins.get(endpoint)
    }

    /// Waits until the request with this tag has ended at the stand-in, and gives its record.
    ///
    /// # Errors
    /// When it never came or never ended.
    pub async fn received(&self, tag: &str) -> Result<Received> {
        let ended = self.records.wait(tag, |r| r.outcome != Outcome::Open);
        timeout(DEADLINE, ended)
            .await
            .with_context(|| format!("no request {tag} has ended at the stand-in"))
    }

    /// Waits until the request with this tag has reached the stand-in.
    ///
    /// # Errors
    /// When it never came.
    pub async fn arrived(&self, tag: &str) -> Result<Received> {
        timeout(DEADLINE, self.records.wait(tag, |_| true))
            .await
            .with_context(|| format!("no request {tag} has reached the stand-in"))
    }

    /// A metric of Envoy, to be narrowed by labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> Query {
        Query::new(self.plan.ports.admin, name)
    }

    /// A metric of the sidecar, to be narrowed by labels.
    #[must_use]
    pub fn sidecar_metric(&self, name: &str) -> Query {
        Query::of_page(self.plan.ports.sidecar, "/metrics", name)
    }

    /// Waits for the access log's line of a request.
    ///
    /// # Errors
    /// When it is not written in time.
    pub async fn access(&self, request_id: &str) -> Result<Entry> {
        self.access_log.entry(request_id).await
    }

    /// The whole access log.
    #[must_use]
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Kills the sidecar, as a crash would.
    pub fn kill_sidecar(&self) {
        let sidecar = self.sidecar().take();
        drop(sidecar);
    }

    /// Asks the sidecar to end, and waits for that.
    pub fn stop_sidecar(&self) {
        if let Some(process) = self.sidecar().take() {
            process.terminate();
        }
    }

    /// Stops the sidecar without ending it: it takes connections and never answers.
    pub fn freeze_sidecar(&self) {
        self.signal_sidecar(Signal::STOP);
    }

    /// Lets a sidecar go on that was stopped.
    pub fn thaw_sidecar(&self) {
        self.signal_sidecar(Signal::CONT);
    }

    fn signal_sidecar(&self, what: Signal) {
        if let Some(process) = self.sidecar().as_ref() {
            signal(process.id(), what);
        }
    }

    /// Starts the sidecar (again) and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_sidecar(&self) -> Result<()> {
        self.start_sidecar_as(self.plan.sidecar()).await
    }

    /// Starts the sidecar (again) on a disk that takes no file larger than `blocks` of 512 bytes, until
    /// [`Self::enlarge_disk`]. A write beyond is an error, as on a full disk, and no signal.
    ///
    /// # Errors
    /// As [`Self::start_sidecar`].
    pub async fn start_sidecar_on_small_disk(&self, blocks: u32) -> Result<()> {
        let sidecar = self.plan.sidecar();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!(
                "trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\""
            ))
            .arg(sidecar.get_program())
            .args(sidecar.get_args());
        self.start_sidecar_as(command).await
    }

    /// Lets the sidecar write files of any size.
    ///
    /// # Errors
    /// When there is no sidecar, or the system says no.
    pub fn enlarge_disk(&self) -> Result<()> {
        let sidecar = self.sidecar();
        let id = sidecar.as_ref().context("no sidecar runs")?.id();
        let pid = Pid::from_raw(i32::try_from(id)?).context("no process has that id")?;
        // The child has inherited what it may have at most.
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit {
            current: maximum,
            maximum,
        };
        prlimit(Some(pid), Resource::Fsize, limit).context("the limit stays")?;
        Ok(())
    }

    async fn start_sidecar_as(&self, command: Command) -> Result<()> {
        let process = Process::start(SIDECAR, command, &self.plan.log("sidecar"))?;
        self.plan.sidecar_ready(|| process.check_alive()).await?;
        *self.sidecar() = Some(process);
        Ok(())
    }

    fn sidecar(&self) -> MutexGuard<'_, Option<Process>> {
        self.sidecar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Envoy's process.
    #[must_use]
    pub fn envoy(&self) -> &Process {
        &self.envoy
    }

    /// The ends of the logs, for a test that failed.
    #[must_use]
    pub fn logs(&self) -> String {
        let sidecar = std::fs::read(self.plan.log("sidecar")).unwrap_or_default();
        format!(
            "--- the end of Envoy's log\n{}\n--- the end of the sidecar's log\n{}",
            tail(&self.envoy.log(), 40),
            tail(&String::from_utf8_lossy(&sidecar), 20)
        )
    }
}

fn start_sidecar(plan: &Plan) -> Result<Process> {
    Process::start(SIDECAR, plan.sidecar(), &plan.log("sidecar"))
}

async fn start_standins(
    config: &mut Config,
    records: &Records,
) -> Result<BTreeMap<String, StandIn>> {
    let runtime = RUNTIME
        .as_ref()
        .map_err(|e| anyhow::anyhow!("no runtime for the stand-ins: {e}"))?;
    let mut standins = BTreeMap::new();
    for endpoint in &mut config.vllm_endpoints {
        let models = config
            .model_config
            .iter()
            .filter(|(_, model)| model.preferred_endpoints.contains(&endpoint.name))
            .map(|(name, _)| name.clone())
            .collect();
        let (name, records) = (endpoint.name.clone(), records.clone());
        let standin = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            StandIn::start(listener, &name, models, records)
        });
        let standin = standin.await??;
        endpoint.address = standin.address().ip().to_string();
        endpoint.port = standin.address().port();
        standins.insert(endpoint.name.clone(), standin);
    }
    Ok(standins)
}
