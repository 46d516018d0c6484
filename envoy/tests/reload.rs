//! `turnpike render envoy --dynamic`: a running Envoy takes a new configuration over.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Envoy, Reply, Result, echo_upstream, free_port, send, turnpike};
use turnpike::config::parse;

/// A server that answers, and one that is gone; the gateway's ports.
struct Gateway {
    upstream: u16,
    gone: u16,
    listener: u16,
    metrics: u16,
    admin: u16,
}

impl Gateway {
    fn new() -> Result<Self> {
        Ok(Self {
            upstream: echo_upstream()?,
            gone: free_port()?,
            listener: free_port()?,
            metrics: free_port()?,
            admin: free_port()?,
        })
    }

    /// Writes a configuration whose default model is `live` or `dead`, and renders it into `envoy`.
    fn render(&self, folder: &Path, default_model: &str) -> Result<()> {
        let Self {
            upstream,
            gone,
            listener,
            metrics,
            admin,
        } = self;
        let yaml = format!(
            "
vllm_endpoints:
  - {{name: a, address: 127.0.0.1, port: {upstream}, health_check_path: ''}}
  - {{name: b, address: 127.0.0.1, port: {gone}, health_check_path: ''}}
model_config: {{live: {{preferred_endpoints: [a]}}, dead: {{preferred_endpoints: [b]}}}}
default_model: {default_model}
envoy:
  listener: {{address: 127.0.0.1, port: {listener}}}
  metrics: {{address: 127.0.0.1, port: {metrics}}}
  admin: {{address: 127.0.0.1, port: {admin}}}
  access_log: /dev/null
"
        );
        std::fs::write(folder.join("config.yaml"), yaml)?;
        let arguments = [
            "render",
            "envoy",
            "config.yaml",
            "--filters",
            "none",
            "--dynamic",
            "envoy",
        ];
        let output = turnpike(folder, &arguments)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(())
    }

    fn ask(&self) -> Result<Reply> {
        send(self.listener, "POST", "/v1/chat/completions", "", b"{}")
    }

    /// Asks until the answer has this status.
    fn until(&self, status: u16) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ask() {
                Ok(reply) if reply.status == status => return Ok(()),
                other if Instant::now() > deadline => return Err(format!("{other:?}").into()),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn bootstrap(folder: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(folder.join("envoy/envoy.yaml"))?;
    parse(&text).map_err(|e| format!("{e:?}").into())
}

#[test]
fn a_running_envoy_takes_a_new_configuration_over() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::new().unwrap();
    gateway.render(folder.path(), "live").unwrap();
    let _envoy = Envoy::start(&bootstrap(folder.path()).unwrap()).unwrap();
    gateway.until(200).unwrap();
    gateway.render(folder.path(), "dead").unwrap();
    gateway.until(503).unwrap();
    gateway.render(folder.path(), "live").unwrap();
    gateway.until(200).unwrap();
}

#[test]
fn half_a_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::new().unwrap();
    gateway.render(folder.path(), "live").unwrap();
    let _envoy = Envoy::start(&bootstrap(folder.path()).unwrap()).unwrap();
    gateway.until(200).unwrap();
    let half = folder.path().join("half.yaml");
    std::fs::write(&half, "resources: [").unwrap();
    std::fs::rename(&half, folder.path().join("envoy/listeners.yaml")).unwrap();
    let is_refused = || {
        let page = "/stats?filter=lds.update_failure";
        let stats = send(gateway.admin, "GET", page, "", b"").unwrap();
        // The page comes in chunks, which nobody here puts together.
        let mut lines = stats.body.lines();
        lines.any(|line| matches!(line.split_once("update_failure: "), Some((_, n)) if n != "0"))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_refused() {
        assert!(Instant::now() < deadline, "Envoy never looked at the file");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.ask().unwrap().status, 200);
}

#[test]
fn a_folder_is_not_rendered_to_standard_output_too() {
    for other in [&["--json"][..], &["--output", "envoy.yaml"]] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            &["render", "envoy", "config.yaml", "--dynamic", "envoy"],
            other,
        ]
        .concat();
        let output = turnpike(folder.path(), &arguments).unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}
