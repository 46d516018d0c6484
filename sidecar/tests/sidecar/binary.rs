//! The program itself: exit status and messages.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{Outcome, model_folder, onnxruntime};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-sidecar"));
    command.env_remove("ORT_DYLIB_PATH").env_remove("RUST_LOG");
    command
}

pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/config.yaml")
}

fn run(config: &Path, arguments: &[&str]) -> Outcome<Output> {
    let any_port = ["--listen", "127.0.0.1:0", "--unix-socket", ""];
    let mut command = program();
    command
        .arg("--config")
        .arg(config)
        .args(any_port)
        .args(arguments);
    Ok(command.output()?)
}

#[test]
fn check_accepts_the_example() -> Outcome<()> {
    let output = run(&example(), &["--check"])?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[test]
fn a_wrong_configuration_names_every_key_and_ends_with_2() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    std::fs::write(
        &config,
        "sidecar:\n  timeout_ms: soon\n  encoder: {pth: x}\n",
    )?;
    let output = run(&config, &["--check"])?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors.contains("sidecar.timeout_ms: ") && errors.contains("sidecar.encoder.pth: "),
        "{errors}"
    );
    Ok(())
}

#[test]
fn a_missing_onnxruntime_is_named_by_its_variable() -> Outcome<()> {
    let folder = model_folder();
    let model = folder.to_str().ok_or("path")?;
    let library = onnxruntime();
    let library = library.to_str().ok_or("path")?;
    for (arguments, expected) in [
        (vec!["--encoder-path", model], "ORT_DYLIB_PATH is not set"),
        (
            vec!["--encoder-path", model, "--onnxruntime", "/nowhere/lib.so"],
            "ORT_DYLIB_PATH names /nowhere/lib.so, which is not a file",
        ),
        (
            vec!["--encoder-path", "/nowhere", "--onnxruntime", library],
            "/nowhere/model.onnx: ",
        ),
    ] {
        let output = run(&example(), &arguments)?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(expected) && errors.contains("make setup"),
            "{errors}"
        );
    }
    Ok(())
}

#[test]
fn sigterm_stops_it_and_removes_its_socket() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("s.sock");
    let mut child = program()
        .arg("--config")
        .arg(example())
        .args([
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--unix-socket",
        ])
        .arg(&socket)
        .arg("--encoder-path")
        .arg(model_folder())
        .arg("--onnxruntime")
        .arg(onnxruntime())
        .stderr(Stdio::piped())
        .spawn()?;
    let log = BufReader::new(child.stderr.take().ok_or("no stderr")?);
    let mut lines = log.lines();
    let mut seen = String::new();
    while !seen.contains(r#""message":"ready""#) {
        seen += &lines.next().ok_or(format!("ended early: {seen}"))??;
    }
    assert!(
        seen.contains("git_hash") && seen.contains(r#""dimensions":384"#),
        "{seen}"
    );
    assert!(socket.exists());
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status()?;
    assert!(killed.success());
    assert_eq!(child.wait()?.code(), Some(0));
    assert!(!socket.exists());
    Ok(())
}

/// A running program and its log.
struct Running {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Running {
    fn start(config: &Path) -> Outcome<Self> {
        let mut child = program()
            .arg("--config")
            .arg(config)
            .args(["--listen", "127.0.0.1:0", "--unix-socket", ""])
            .arg("--encoder-path")
            .arg(model_folder())
            .arg("--onnxruntime")
            .arg(onnxruntime())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        Ok(Self {
            child,
            lines: log.lines(),
        })
    }

    /// The log up to a line that holds `text`.
    fn until(&mut self, text: &str) -> Outcome<String> {
        let mut seen = String::new();
        while !seen.contains(text) {
            seen += &self.lines.next().ok_or(format!("ended early: {seen}"))??;
            seen.push('\n');
        }
        Ok(seen)
    }

    fn signal(&self, name: &str) -> Outcome<()> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status()?.success());
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sighup_takes_a_new_configuration_over_and_keeps_the_old_one_when_it_is_wrong() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    let text = std::fs::read_to_string(example())?;
    std::fs::write(&config, &text)?;
    let mut sidecar = Running::start(&config)?;
    sidecar.until(" ready ")?;
    std::fs::write(&config, text.replace("max_tokens: 256", "max_tokens: 513"))?;
    sidecar.signal("-HUP")?;
    let log = sidecar.until("not reloaded")?;
    assert!(
        log.contains("sidecar.encoder.max_tokens: must be at most 512"),
        "{log}"
    );
    std::fs::write(&config, text.replace("port: 9191", "port: 9192"))?;
    sidecar.signal("-HUP")?;
    let log = sidecar.until(" ready ")?;
    assert!(
        !log.contains("loaded "),
        "nothing that is unchanged is loaded again: {log}"
    );
    sidecar.signal("-TERM")?;
    assert_eq!(sidecar.child.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_gpu_that_is_not_there_is_named_by_its_key_and_auto_takes_the_cpu() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    let text = std::fs::read_to_string(example())?;
    let with = |device: &str| text.replace("device: auto", &format!("device: {device}"));
    // Of no machine that runs tests.
    std::fs::write(&config, with("cuda:63"))?;
    let mut sidecar = Running::start(&config)?;
    assert_eq!(sidecar.child.wait()?.code(), Some(1));
    let log: String = sidecar.lines.by_ref().map_while(Result::ok).collect();
    assert!(
        log.contains("sidecar.device: cuda:63 cannot be used: "),
        "{log}"
    );
    assert!(log.contains("libonnxruntime_providers_cuda.so"), "{log}");
    std::fs::write(&config, with("auto"))?;
    let log = Running::start(&config)?.until(" ready ")?;
    assert!(
        log.contains("device=cpu") || log.contains("device=cuda"),
        "{log}"
    );
    Ok(())
}
