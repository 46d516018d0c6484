//! Child processes that never outlive their purpose.
//!
//! A [`Process`] is killed when dropped. Test binaries keep their gateways in statics, which are never dropped, so the kernel
//! kills the children when this process ends (`PR_SET_PDEATHSIG`). That signal follows the *thread* that forked, and test
//! threads end early: all children come from one thread that never ends.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal};

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for (mut command, reply) in orders {
            let _ = reply.send(command.spawn());
        }
    });
    sender
});

/// A running child with its log.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts a child that ends with this process; its output goes to `log`.
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be run.
    pub fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        log_into(&mut command, log)?;
        die_with_parent(&mut command);
        let program = command.get_program().to_owned();
        let (reply, answer) = mpsc::channel();
        SPAWNER
            .send((command, reply))
            .map_err(|_| anyhow!("the spawning thread is gone"))?;
        let child = answer
            .recv()
            .context("the spawning thread is gone")?
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self {
            name,
            child: Mutex::new(child),
            log: log.to_owned(),
        })
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// The child's output so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// An error when the child has ended, with the end of its log.
    ///
    /// # Errors
    /// See above.
    pub fn check_alive(&self) -> Result<()> {
        match self.child().try_wait()? {
            None => Ok(()),
            Some(status) => Err(anyhow!(
                "{} ended ({status}); the end of its log:\n{}",
                self.name,
                tail(&self.log(), 30)
            )),
        }
    }

    /// Kills the child without warning and waits for its end.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Asks the child to end, and waits for that.
    pub fn terminate(&self) {
        let mut child = self.child();
        if let Ok(None) = child.try_wait() {
            signal(child.id(), Signal::TERM);
        }
        let _ = child.wait();
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a child that goes on when this process ends, in a group of its own; returns its id.
///
/// # Errors
/// When the log cannot be made or the program cannot be run.
pub fn start_detached(mut command: Command, log: &Path) -> Result<u32> {
    log_into(&mut command, log)?;
    let program = command.get_program().to_owned();
    let child = command
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(child.id())
}

/// Sends a signal; false when there is no such process.
pub fn signal(id: u32, signal: Signal) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// The last lines of a text.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

fn log_into(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "a death signal can only be asked for in the child, between fork and exec"
)]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure only makes two system calls; it neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                // The parent ended before the signal was asked for.
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        });
    }
}
