//! `run/`: process ids, logs, files and the socket of what `up` started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use wasm_tests::harness::process::{signal, start_detached, tail};
use wasm_tests::harness::ready::until;
use wasm_tests::harness::root;

/// A process that has not ended by then after a polite request is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Longest path of a unix socket that Linux takes.
const MAX_SOCKET_PATH: usize = 107;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `run/` in the repository.
    ///
    /// # Errors
    /// When it cannot be made, or lies too deep for a socket.
    pub(crate) fn create() -> Result<Self> {
        let path = root().join("run");
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if path.join("sidecar.sock").as_os_str().len() > MAX_SOCKET_PATH {
            bail!(
                "{} is too long a path for a unix socket; clone the repository into a shorter one",
                path.display()
            );
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// Removes a log of an earlier run.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub(crate) fn forget_log(&self, name: &str) -> Result<()> {
        let log = self.log(name);
        fs::remove_file(&log)
            .or_else(ignore_missing)
            .with_context(|| format!("cannot remove {}", log.display()))
    }

    /// Starts a program in the background and notes its id.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&self, name: &str, command: Command) -> Result<()> {
        self.forget_log(name)?;
        let program = Path::new(command.get_program());
        let program = fs::canonicalize(program)
            .with_context(|| format!("cannot run {}", program.display()))?;
        let program = program.display().to_string();
        let id = start_detached(command, &self.log(name))?;
        let note = self.path.join(format!("{name}.pid"));
        fs::write(&note, format!("{id} {program}\n"))
            .with_context(|| format!("cannot write {}", note.display()))
    }

    /// An error when a program that was started has ended.
    ///
    /// # Errors
    /// See above; with the end of its log.
    pub(crate) fn check_alive(&self, name: &str) -> Result<()> {
        let note = fs::read_to_string(self.path.join(format!("{name}.pid"))).unwrap_or_default();
        if Noted::parse(name, &note).is_some_and(|noted| noted.runs()) {
            return Ok(());
        }
        let log = fs::read(self.log(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        bail!("{name} has ended; the end of its log:\n{}", tail(&log, 30))
    }

    /// Names of programs that still run.
    pub(crate) fn running(&self) -> Vec<String> {
        let noted = self.noted();
        noted
            .into_iter()
            .filter(Noted::runs)
            .map(|noted| noted.name)
            .collect()
    }

    /// Stops everything that was noted, and removes the notes. Returns the names of what ran.
    ///
    /// # Errors
    /// When a note cannot be removed.
    pub(crate) async fn stop_all(&self) -> Result<Vec<String>> {
        let mut stopped = Vec::new();
        for noted in self.noted() {
            if noted.runs() {
                noted.stop().await;
                stopped.push(noted.name.clone());
            }
            fs::remove_file(self.path.join(format!("{}.pid", noted.name)))?;
        }
        Ok(stopped)
    }

    fn noted(&self) -> Vec<Noted> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut noted: Vec<Noted> = entries
            .filter_map(|entry| {
                let path = entry.path();
                let name = path.file_name()?.to_str()?.strip_suffix(".pid")?.to_owned();
                Noted::parse(&name, &fs::read_to_string(&path).ok()?)
            })
            .collect();
        noted.sort_by(|a, b| a.name.cmp(&b.name));
        noted
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// A process that was started, as its note says.
#[derive(Debug)]
struct Noted {
    name: String,
    id: u32,
    program: String,
}

impl Noted {
    fn parse(name: &str, note: &str) -> Option<Self> {
        let (id, program) = note.trim().split_once(' ')?;
        Some(Self {
            name: name.to_owned(),
            id: id.parse().ok()?,
            program: program.to_owned(),
        })
    }

    /// Whether the id still belongs to that program; ids are used again.
    fn runs(&self) -> bool {
        // Not `cmdline`: it is empty for a moment after the start. A program that was built again is "(deleted)".
        let Ok(program) = fs::read_link(format!("/proc/{}/exe", self.id)) else {
            return false;
        };
        let program = program.to_string_lossy();
        program.strip_suffix(" (deleted)").unwrap_or(&program) == self.program
    }

    async fn stop(&self) {
        signal(self.id, Signal::TERM);
        let ended = until(STOP_DEADLINE, async || {
            if self.runs() {
                bail!("still running");
            }
            Ok(())
        });
        if ended.await.is_err() {
            signal(self.id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(id: u32, program: &str) -> Noted {
        Noted::parse("test", &format!("{id} {program}\n")).unwrap()
    }

    #[test]
    fn a_program_runs_from_the_moment_it_was_started_until_it_ends() {
        let program = fs::canonicalize("/bin/sleep").unwrap();
        let program = program.to_str().unwrap();
        for _ in 0..1000 {
            let mut child = Command::new(program).arg("60").spawn().unwrap();
            assert!(noted(child.id(), program).runs());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!noted(child.id(), program).runs());
        }
    }

    #[test]
    fn another_program_under_a_used_id_is_not_ours() {
        assert!(!noted(std::process::id(), "/bin/sleep").runs());
    }
}
