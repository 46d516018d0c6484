//! Load on a server that embeds: many kept connections of one thread, and what came back when.
//!
//! The thread shares the processor with the server that it measures, so it does little: requests are bytes that were made
//! before, an answer is read up to its `content-length` and not parsed.
//!
//! - [`closed`]: each connection sends its next request when the last one is answered. The rate is counted from one answer to
//!   another, since a server that batches answers in clumps: a window of the clock would cut one.
//! - [`open`]: requests come at random moments (Poisson), whether the last ones are answered or not, as a crowd's do.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until};

use crate::texts::Random;
use crate::usage::cpu_time;

/// An answer that takes longer fails the run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// One kept connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// The bytes of a POST.
#[must_use]
pub fn post(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The bytes of a GET.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub async fn open(address: &Address) -> Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 << 10),
        })
    }

    /// Sends a request and reads its answer: the status, and the body.
    ///
    /// # Errors
    /// When the connection breaks or the answer does not say where it ends.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head = None;
        loop {
            if let Some(Head { status, body, end }) = head
                && self.buffer.len() >= end
            {
                return Ok((status, self.buffer.get(body..end).unwrap_or_default()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed");
            }
            if head.is_none() {
                head = Head::find(&self.buffer)?;
            }
        }
    }
}

/// What an answer begins with.
#[derive(Clone, Copy)]
struct Head {
    status: u16,
    /// Where the body begins.
    body: usize,
    end: usize,
}

impl Head {
    fn find(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes.get(..at).unwrap_or_default())?;
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>())
        });
        let length = length.context("an answer that does not say where it ends")??;
        let body = at + 4;
        Ok(Some(Self {
            status,
            body,
            end: body + length,
        }))
    }
}

/// Who is asked for what.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// Its process, if it is known.
    pub process: Option<u32>,
    /// What is sent, in turn.
    pub requests: Rc<[Vec<u8>]>,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
struct Answered {
    at: Instant,
    took: Duration,
    status: u16,
}

/// What a closed loop saw.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Answers with 200 a second.
    pub rate: f64,
    /// Their latencies.
    pub latencies: Vec<Duration>,
    /// Answers with another status.
    pub refused: usize,
    /// Cores that the server used.
    pub server_cores: f64,
    /// Cores that this process used.
    pub own_cores: f64,
}

/// Keeps `connections` busy: `warm_up` long, then `time` long, which is what is measured.
///
/// # Errors
/// When a connection breaks or `/proc` does not tell.
pub async fn closed(
    target: &Target,
    connections: usize,
    warm_up: Duration,
    time: Duration,
) -> Result<Load> {
    let local = LocalSet::new();
    local
        .run_until(closed_here(target, connections, warm_up, time))
        .await
}

async fn closed_here(
    target: &Target,
    connections: usize,
    warm_up: Duration,
    time: Duration,
) -> Result<Load> {
    let shared = Rc::new(Closed::default());
    let mut clients = JoinSet::new();
    for first in 0..connections {
        let mut connection = Connection::open(&target.address).await?;
        let (shared, requests) = (Rc::clone(&shared), Rc::clone(&target.requests));
        clients.spawn_local(async move {
            // Clients begin at different texts and step over each other's.
            for request in requests.iter().cycle().skip(first).step_by(connections) {
                if shared.stop.get() {
                    break;
                }
                let started_at = Instant::now();
                let exchange = tokio::time::timeout(PATIENCE, connection.exchange(request));
                let (status, _) = exchange.await.context("no answer")??;
                let at = Instant::now();
                shared.answered.borrow_mut().push(Answered {
                    at,
                    took: at - started_at,
                    status,
                });
            }
            anyhow::Ok(())
        });
    }
    sleep(warm_up).await;
    let before = Snapshot::take(target)?;
    sleep(time).await;
    let after = Snapshot::take(target)?;
    shared.stop.set(true);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let answered = shared.answered.take();
    Ok(before.until(&after, &answered))
}

#[derive(Default)]
struct Closed {
    answered: RefCell<Vec<Answered>>,
    stop: std::cell::Cell<bool>,
}

struct Snapshot {
    at: Instant,
    own: Duration,
    server: Duration,
}

impl Snapshot {
    fn take(target: &Target) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            own: cpu_time(std::process::id())?,
            server: target
                .process
                .map(cpu_time)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    fn until(&self, end: &Self, answered: &[Answered]) -> Load {
        let last_before = |limit| {
            answered
                .iter()
                .filter(|a| a.at <= limit)
                .map(|a| a.at)
                .max()
        };
        let from = last_before(self.at).unwrap_or(self.at);
        let to = last_before(end.at).unwrap_or(end.at);
        let within = answered.iter().filter(|a| a.at > from && a.at <= to);
        let (good, bad): (Vec<&Answered>, Vec<&Answered>) = within.partition(|a| a.status == 200);
        let time = (end.at - self.at).as_secs_f64();
        Load {
            rate: good.len() as f64 / (to - from).as_secs_f64().max(1e-9),
            latencies: good.iter().map(|a| a.took).collect(),
            refused: bad.len(),
            server_cores: (end.server.saturating_sub(self.server)).as_secs_f64() / time,
            own_cores: (end.own.saturating_sub(self.own)).as_secs_f64() / time,
        }
    }
}

/// What became of a request of [`open`]. Times count from the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// When it was sent.
    pub sent: Duration,
    /// How much later that was than it should have been.
    pub late: Duration,
    /// From there to its answer.
    pub took: Duration,
    /// Its status.
    pub status: u16,
}

/// Sends `rate` requests a second, at random moments, for `time`; waits for all answers. A connection carries one request at a
/// time: as many are opened as are needed. `each_second` is called every second.
///
/// # Errors
/// When a connection breaks.
pub async fn open(
    target: &Target,
    rate: f64,
    time: Duration,
    each_second: impl FnMut() -> Result<()>,
) -> Result<Vec<Outcome>> {
    let local = LocalSet::new();
    local
        .run_until(open_here(target, rate, time, each_second))
        .await
}

async fn open_here(
    target: &Target,
    rate: f64,
    time: Duration,
    mut each_second: impl FnMut() -> Result<()>,
) -> Result<Vec<Outcome>> {
    let idle = Rc::new(RefCell::new(Vec::<Connection>::new()));
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let mut sent = JoinSet::new();
    let mut random = Random::new(1);
    let started_at = Instant::now();
    let (mut due, mut seconds) = (Duration::ZERO, 1);
    let mut next = (0..target.requests.len()).cycle();
    while due < time {
        due += Duration::from_secs_f64(-random.share().ln() / rate);
        sleep_until((started_at + due).into()).await;
        while let Some(done) = sent.try_join_next() {
            done??;
        }
        if started_at.elapsed().as_secs() >= seconds {
            seconds += 1;
            each_second()?;
        }
        let Some(at) = next.next() else { break };
        let (target, idle, outcomes) = (target.clone(), Rc::clone(&idle), Rc::clone(&outcomes));
        sent.spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&target.address).await?,
            };
            let request = target.requests.get(at).context("no request")?;
            let sent_at = Instant::now();
            let exchange = tokio::time::timeout(PATIENCE, connection.exchange(request));
            let (status, _) = exchange.await.context("no answer")??;
            let sent = sent_at - started_at;
            outcomes.borrow_mut().push(Outcome {
                sent,
                late: sent.saturating_sub(due),
                took: sent_at.elapsed(),
                status,
            });
            idle.borrow_mut().push(connection);
            anyhow::Ok(())
        });
    }
    while let Some(done) = sent.join_next().await {
        done??;
    }
    Ok(outcomes.take())
}
