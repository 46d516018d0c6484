//! A Redis of a test's own.

use std::error::Error;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use turnpike_core::cache::RedisConfig;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Time for a server to answer; a busy machine takes longer than Redis.
const START_TIME: Duration = Duration::from_secs(20);

/// A running Redis, which ends with this.
pub(crate) struct RedisServer {
    process: Child,
    pub(crate) port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

fn program() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/redis/redis-server");
    std::env::var_os("TURNPIKE_REDIS_SERVER").map_or(default, PathBuf::from)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl RedisServer {
    /// In memory alone.
    pub(crate) async fn start() -> Outcome<Self> {
        Self::start_with(&["--save", ""]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Outcome<Self> {
        let port = free_port()?;
        let folder = tempfile::tempdir()?;
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let process = spawn(port, &arguments, folder.path())?;
        let server = Self {
            process,
            port,
            arguments,
            folder,
        };
        server.answers().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What a sidecar would be told. A busy machine may make Redis wait.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig {
            url: self.url(),
            timeout_ms: 5_000,
            ..RedisConfig::default()
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> Outcome<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again, on the same port and with the same files.
    pub(crate) async fn restart(&mut self) -> Outcome<()> {
        self.process = spawn(self.port, &self.arguments, self.folder.path())?;
        self.answers().await
    }

    /// Makes it stop answering, without closing anything, or go on.
    pub(crate) fn freeze(&self, is_frozen: bool) -> Outcome<()> {
        let pid = i32::try_from(self.process.id())?;
        let pid = Pid::from_raw(pid).ok_or("no process")?;
        let signal = if is_frozen {
            Signal::STOP
        } else {
            Signal::CONT
        };
        Ok(kill_process(pid, signal)?)
    }

    /// Runs one command, as an operator would.
    pub(crate) async fn run<T: FromRedisValue>(&self, words: &[&str]) -> Outcome<T> {
        let client = Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name)
            .arg(arguments)
            .query_async(&mut connection)
            .await?)
    }

    async fn answers(&self) -> Outcome<()> {
        let deadline = Instant::now() + START_TIME;
        loop {
            let answer: Outcome<String> = self.run(&["PING"]).await;
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if error.to_string().contains("AuthenticationFailed") => return Ok(()),
                Err(error) if error.to_string().contains("NOAUTH") => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, arguments: &[String], folder: &Path) -> Outcome<Child> {
    let program = program();
    Command::new(&program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{}: {e}; run: make setup", program.display()).into())
}
