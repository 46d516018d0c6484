//! A Redis that two gateways share, while it ends, comes back, and hangs.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use turnpike_core::Config;
use turnpike_core::cache::{BackendType, RedisConfig};
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{StackOptions, root};

use super::asking::{DEADLINE, User, ask, ask_until_hit};
use super::load::{Load, USERS};
use crate::cache::is_hit;
use crate::gateways::{Case, Shared, shared};

/// Time that sidecars give Redis: enough on a busy machine, and little to wait for when it hangs.
const TIMEOUT_MS: u32 = 500;

/// Time that routers give their sidecars: somewhat more than a request may wait for Redis, three times.
const SIDECAR_TIMEOUT_MS: u32 = 5_000;

/// Lookups that were on their way when Redis was given up.
const LAST_LATE: u64 = 3 * USERS as u64;

/// A Redis in memory alone, which ends with this.
struct Redis {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    async fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let process = spawn(port, &folder)?;
        let redis = Self {
            process,
            port,
            folder,
        };
        redis.answers().await?;
        Ok(redis)
    }

    /// Ends it as a crash does.
    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.port, &self.folder)?;
        self.answers().await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process.id())?;
        let pid = Pid::from_raw(pid).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    async fn answers(&self) -> Result<()> {
        until(DEADLINE, async || {
            let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
            connection.write_all(b"PING\r\n").await?;
            let mut answer = [0; 5];
            connection.read_exact(&mut answer).await?;
            ensure!(&answer == b"+PONG", "{answer:?}");
            Ok(())
        })
        .await
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Result<Child> {
    let default = root().join(".cache/redis/redis-server");
    let program = std::env::var_os("TURNPIKE_REDIS_SERVER").map_or(default, PathBuf::from);
    Command::new(&program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", ""])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{}; run: make setup", program.display()))
}

async fn gateway(stack: &'static Shared, redis: &Redis, user: &str) -> Case {
    let change = |config: &mut Config| {
        config.sidecar.timeout_ms = SIDECAR_TIMEOUT_MS;
        config.semantic_cache.backend_type = BackendType::Redis;
        config.semantic_cache.redis = Some(RedisConfig {
            url: format!("redis://127.0.0.1:{}", redis.port),
            timeout_ms: TIMEOUT_MS,
            ..RedisConfig::default()
        });
    };
    Case::new(shared(stack, change, StackOptions::default()).await, user)
}

#[tokio::test]
async fn a_redis_that_two_gateways_share_may_end_and_hang_and_no_request_is_lost() {
    static ONE: Shared = Shared::const_new();
    static OTHER: Shared = Shared::const_new();
    let mut redis = Redis::start().await.unwrap();
    let (one, other) = tokio::join!(
        gateway(&ONE, &redis, "chaos-redis-user"),
        gateway(&OTHER, &redis, "chaos-redis-user"),
    );
    let (here, there) = (User::of(&one), User::of(&other));
    ask_until_hit(&here, 70).await.unwrap();
    let shared = ask(&there, 70, true).await.unwrap();
    assert!(is_hit(&shared), "what one stored, the other serves");

    let up = one.stack.sidecar_metric("turnpike_sidecar_cache_store_up");
    up.value(1).await.unwrap();
    let load = Load::start(&one, "chaos-redis");
    load.more_hits(20).await;
    redis.kill().unwrap();
    up.value(0).await.unwrap();
    load.more_answers(5 * USERS).await;
    redis.restart().await.unwrap();
    up.value(1).await.unwrap();
    load.more_hits(20).await;

    let errors = one
        .stack
        .sidecar_metric("turnpike_sidecar_cache_store_errors_total");
    let late = errors.label("reason", "timeout");
    let before = late.now().await.unwrap();
    redis.signal(Signal::STOP).unwrap();
    late.at_least(before + 1).await.unwrap();
    up.value(0).await.unwrap();
    // It is not asked any more.
    let given_up = late.now().await.unwrap();
    load.more_answers(10 * USERS).await;
    let since = late.now().await.unwrap() - given_up;
    assert!(since <= LAST_LATE, "{since}");
    redis.signal(Signal::CONT).unwrap();
    load.more_hits(20).await;
    load.end().await;
    // Nobody waited for Redis until the router gave its sidecar up.
    let late = one.stack.metric("turnpike_fallbacks_total");
    assert_eq!(late.now().await.unwrap(), 0);
}
