//! `up` and `down`: the gateway in the background.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use turnpike::render::Filters;
use turnpike_core::Config;
use wasm_tests::harness::ready::{Page, get, until};
use wasm_tests::harness::{Paths, Plan, built, ports};

use super::run_folder::RunFolder;
use super::upstream::Choice;
use super::{print, say, settings};

/// Starts everything and returns.
///
/// # Errors
/// When something is missing, taken, already running or not ready in time; nothing is left running then.
pub(crate) async fn up(choice: &Choice) -> Result<()> {
    let folder = RunFolder::create()?;
    let running = folder.running();
    if !running.is_empty() {
        bail!(
            "already running: {}; stop it with: make down",
            running.join(", ")
        );
    }
    let outcome = start(choice, &folder).await;
    if outcome.is_err() {
        folder.stop_all().await?;
    }
    outcome
}

/// Stops what [`up`] started.
///
/// # Errors
/// When the notes in `run/` cannot be removed.
pub(crate) async fn down() -> Result<()> {
    let stopped = RunFolder::create()?.stop_all().await?;
    if stopped.is_empty() {
        say("down: nothing was running");
    } else {
        say(&format!("down: stopped {}", stopped.join(", ")));
    }
    Ok(())
}

async fn start(choice: &Choice, folder: &RunFolder) -> Result<()> {
    let paths = Paths::find()?;
    let ports = settings::free_ports()?;
    let mut config = settings::config()?;
    folder.forget_log("access")?;
    if choice.apply(&mut config).await? {
        say(&format!("up: {} serves everything", config.default_model));
    } else {
        start_standins(&mut config, folder).await?;
    }
    let plan = Plan::write(paths, config, folder.path(), ports, Filters::default())?;
    say("up: starting the sidecar and Envoy, which compiles the filters …");
    folder.start("sidecar", plan.sidecar())?;
    folder.start("envoy", plan.envoy())?;
    plan.sidecar_ready(|| folder.check_alive("sidecar")).await?;
    plan.envoy_ready(|| folder.check_alive("envoy")).await?;
    describe(&plan);
    Ok(())
}

/// A stand-in for each endpoint.
async fn start_standins(config: &mut Config, folder: &RunFolder) -> Result<()> {
    let program = built("llm-stand-in").context("llm-stand-in is missing; run: make build")?;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.address = "127.0.0.1".into();
        endpoint.port = ports::free()?;
        let name = format!("llm-{}", endpoint.name);
        say(&format!("up: starting the LLM stand-in {}", endpoint.name));
        let mut command = Command::new(&program);
        let address = format!("127.0.0.1:{}", endpoint.port);
        command.args(["--listen", &address, "--name", &endpoint.name]);
        let models = config.model_config.iter();
        for (model, _) in models.filter(|(_, m)| m.preferred_endpoints.contains(&endpoint.name)) {
            command.args(["--model", model]);
        }
        folder.start(&name, command)?;
        until(std::time::Duration::from_secs(10), async || {
            get(Page::Tcp(endpoint.port, "/health")).await
        })
        .await?;
    }
    Ok(())
}

fn describe(plan: &Plan) {
    let (ports, run) = (plan.ports, plan.folder.display());
    print(&format!(
        "\
Turnpike is up.

  clients    http://127.0.0.1:{listener}/v1/chat/completions
  admin      http://127.0.0.1:{admin}
  metrics    http://127.0.0.1:{metrics}/metrics
  sidecar    http://127.0.0.1:{sidecar} and {run}/sidecar.sock
  logs       {run}/*.log, one JSON line for each request in {run}/access.log

Routed by its category, with the headers that say so:

  curl -i http://127.0.0.1:{listener}/v1/chat/completions -H 'content-type: application/json' \\
    -H 'x-auth-request-user: alice' -H 'x-auth-request-tier: gold' \\
    -d '{{\"model\": \"auto\", \"messages\": [{{\"role\": \"user\", \"content\": \"What is the derivative of x squared?\"}}]}}'

Streamed, from another user in another tier:

  curl -N http://127.0.0.1:{listener}/v1/chat/completions -H 'content-type: application/json' \\
    -H 'x-auth-request-user: bob' -H 'x-auth-request-tier: free' \\
    -d '{{\"model\": \"auto\", \"stream\": true, \"messages\": [{{\"role\": \"user\", \"content\": \"How do I cure a cold?\"}}]}}'

What it cost whom:

  curl -s http://127.0.0.1:{metrics}/metrics | grep ^semantic_router

Stop it with: make down",
        listener = ports.listener,
        admin = ports.admin,
        metrics = ports.metrics,
        sidecar = ports.sidecar,
    ));
}
