//! A language model on a server with OpenAI's API: vLLM, Ollama, llama.cpp, OpenAI.
//!
//! 1. The server is asked for one token and its candidates ([`wire`]); their probabilities are those of the labels ([`reading`]).
//! 2. When a token tells too little, because labels begin alike or the server gives no candidates, a whole label is asked for.
//! 3. When the model thinks first, it may, up to `reasoning_tokens`; the label stands behind the thoughts.
//!
//! Which of the three a model needs is remembered, so that the next text costs one request. A model that answers at once where
//! it could have thought is asked for one token again: no text can make all others expensive.
//!
//! 429, 5xx and broken connections are tried again ([`retry`]) as long as there is time; a server that keeps failing is left
//! alone for a while ([`breaker`]). Prompts are never logged.

mod breaker;
mod reading;
mod retry;
mod wire;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use turnpike_core::config::LlmClassifierConfig;

use super::{Fault, LlmError, Scores};
use crate::metrics::{LlmMetrics, LlmResult};
use breaker::Breaker;
use reading::{Names, Verdict};
use wire::{Answer, Length, Requests, Response};

/// Bytes of a response. Thoughts of a few thousand tokens with their candidates take some megabytes; more is not read.
const MAX_RESPONSE_BYTES: usize = 32 << 20;

/// Bytes of an error's body that are read to see what it is about.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// How often an idle connection is probed, so that one whose peer is gone is not used.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What newer models of OpenAI call `max_tokens`.
const COMPLETION_TOKENS: &str = "max_completion_tokens";

/// A model on a server.
#[derive(Debug)]
pub(super) struct OpenAi {
    client: Client,
    completions: Url,
    models: Url,
    requests: Requests,
    names: Names,
    can_reason: bool,
    max_retries: u32,
    /// Time that a call must have had for its end to say something of the server.
    fair_time: Duration,
    turns: Semaphore,
    breaker: Mutex<Breaker>,
    /// The [`Length`] that the model needs.
    length: AtomicU8,
    /// Whether the server wants [`COMPLETION_TOKENS`].
    renamed: AtomicBool,
    metrics: LlmMetrics,
}

/// Why one call gave nothing, and what may be done about it.
struct CallFault {
    fault: Fault,
    again: Again,
}

enum Again {
    Never,
    /// After this time; `None`: after one that grows.
    After(Option<Duration>),
    /// At once, with [`COMPLETION_TOKENS`].
    Renamed,
}

impl OpenAi {
    /// A client for the server of `config`. `HTTPS_PROXY` and its kin count, except for servers on this machine.
    ///
    /// # Errors
    /// [`LlmError`].
    pub(super) fn new(
        config: &LlmClassifierConfig,
        api_key: Option<&str>,
        metrics: LlmMetrics,
    ) -> Result<Self, LlmError> {
        let url = |path: &str| {
            let base = config.url.trim_end_matches('/');
            Url::parse(&format!("{base}/{path}")).map_err(|e| LlmError::Url(e.to_string()))
        };
        let completions = url("chat/completions")?;
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| LlmError::Key)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let concurrent = usize::try_from(config.max_concurrent).unwrap_or(usize::MAX);
        let mut client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("turnpike-sidecar/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .pool_max_idle_per_host(concurrent)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(KEEP_ALIVE);
        if is_local(&completions) {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client
                .build()
                .map_err(|e| LlmError::Client(e.to_string()))?,
            completions,
            models: url("models")?,
            requests: Requests::new(config),
            names: Names::new(config.labels.iter().map(|label| label.name.as_str()))
                .map_err(LlmError::Labels)?,
            can_reason: config.reasoning_tokens > 0,
            max_retries: config.max_retries,
            fair_time: Duration::from_millis(config.timeout_ms.into()) / 2,
            turns: Semaphore::new(concurrent.min(Semaphore::MAX_PERMITS)),
            breaker: Mutex::default(),
            length: AtomicU8::new(0),
            renamed: AtomicBool::new(false),
            metrics,
        })
    }

    /// The probability of each label.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) async fn classify(&self, text: &str, deadline: Instant) -> Result<Scores, Fault> {
        if self.breaker().refuses(Instant::now()) {
            return Err(circuit_open());
        }
        let Ok(Ok(_turn)) = timeout_at(deadline, self.turns.acquire()).await else {
            let why = "all `max_concurrent` questions are in progress";
            return Err(Fault::new(LlmResult::QueueFull, why));
        };
        let mut length = self.length();
        loop {
            let answer = self.call(text, length, deadline).await?;
            length = match self.names.read(&answer, length) {
                Verdict::Labels(probabilities) => {
                    let needed = match length {
                        Length::Reasoning if !answer.thought => Length::Token,
                        length => length,
                    };
                    self.length.store(needed as u8, Ordering::Relaxed);
                    let reasoned = length == Length::Reasoning && answer.thought;
                    return Ok(Scores {
                        probabilities,
                        reasoned,
                    });
                }
                Verdict::More if length == Length::Token => Length::Label,
                Verdict::Thinks if length < Length::Reasoning && self.can_reason => {
                    Length::Reasoning
                }
                _ => return Err(bad_answer(&answer, length)),
            };
        }
    }

    /// Whether the server lists its models.
    ///
    /// # Errors
    /// What is wrong, for a person to read.
    pub(super) async fn healthy(&self, timeout: Duration) -> Result<(), String> {
        let request = self.client.get(self.models.clone()).timeout(timeout);
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("{} answers {}", self.models, response.status())),
            Err(error) => Err(chain(&error)),
        }
    }

    fn length(&self) -> Length {
        match self.length.load(Ordering::Relaxed) {
            0 => Length::Token,
            1 => Length::Label,
            _ => Length::Reasoning,
        }
    }

    /// One answer, after as many calls as it takes.
    async fn call(&self, text: &str, length: Length, deadline: Instant) -> Result<Answer, Fault> {
        let mut attempt = 0;
        loop {
            let renamed = self.renamed.load(Ordering::Relaxed);
            let key = if renamed {
                COMPLETION_TOKENS
            } else {
                "max_tokens"
            };
            let body = self.requests.body(text, length, key);
            let CallFault { fault, again } = match self.call_once(&body, renamed, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match again {
                Again::Renamed => self.renamed.store(true, Ordering::Relaxed),
                Again::After(asked) if attempt < self.max_retries => {
                    let pause = asked.unwrap_or_else(|| retry::backoff(attempt, retry::random()));
                    if pause >= deadline.saturating_duration_since(Instant::now()) {
                        return Err(fault);
                    }
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                Again::After(_) | Again::Never => return Err(fault),
            }
        }
    }

    async fn call_once(
        &self,
        body: &serde_json::Value,
        renamed: bool,
        deadline: Instant,
    ) -> Result<Answer, CallFault> {
        let call = self.enter().ok_or_else(|| never(circuit_open()))?;
        let time = deadline.saturating_duration_since(Instant::now());
        let Ok(sent) = timeout_at(deadline, self.send(body)).await else {
            // A call that began late says nothing of the server.
            if time >= self.fair_time {
                call.failed();
            }
            return Err(never(Fault::new(LlmResult::Timeout, "no answer in time")));
        };
        let (status, asked, body) = match sent {
            Ok(received) => received,
            Err(why) => {
                call.failed();
                let fault = Fault::new(LlmResult::Unavailable, why);
                return Err(CallFault {
                    fault,
                    again: Again::After(None),
                });
            }
        };
        let told = || match wire::kind_of_error(&body).as_str() {
            "" => status.to_string(),
            kind => format!("{status} ({kind})"),
        };
        if status.is_success() {
            let response: Option<Response> = serde_json::from_slice(&body).ok();
            let Some(answer) = response.and_then(Response::answer) else {
                call.failed();
                let why = "the answer is not one of `/chat/completions`";
                return Err(never(Fault::new(LlmResult::BadAnswer, why)));
            };
            call.succeeded();
            return Ok(answer);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            call.failed();
            let fault = Fault::new(LlmResult::Unavailable, told());
            return Err(CallFault {
                fault,
                again: Again::After(asked),
            });
        }
        call.succeeded();
        let named = String::from_utf8_lossy(&body).contains(COMPLETION_TOKENS);
        let again = match status {
            StatusCode::BAD_REQUEST if named && !renamed => Again::Renamed,
            _ => Again::Never,
        };
        let fault = Fault::new(LlmResult::Refused, told());
        Err(CallFault { fault, again })
    }

    /// Status, what `retry-after` asks for, and body.
    async fn send(
        &self,
        body: &serde_json::Value,
    ) -> Result<(StatusCode, Option<Duration>, Vec<u8>), String> {
        let request = self.client.post(self.completions.clone()).json(body);
        let mut response = request.send().await.map_err(|e| chain(&e))?;
        let (status, asked) = (response.status(), retry::asked_for(response.headers()));
        let most = if status.is_success() {
            MAX_RESPONSE_BYTES
        } else {
            MAX_ERROR_BYTES
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                break;
            }
        }
        Ok((status, asked, body))
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that the circuit lets through.
    fn enter(&self) -> Option<Call<'_>> {
        let open = self.breaker().enter(Instant::now());
        open.then_some(Call {
            server: self,
            decided: false,
        })
    }
}

/// A call on its way; one that is dropped tells nothing about the server.
struct Call<'s> {
    server: &'s OpenAi,
    decided: bool,
}

impl Call<'_> {
    fn succeeded(mut self) {
        self.decide(Breaker::succeeded);
    }

    fn failed(mut self) {
        self.decide(|breaker| breaker.failed(Instant::now()));
    }

    fn decide(&mut self, verdict: impl FnOnce(&mut Breaker)) {
        self.decided = true;
        let mut breaker = self.server.breaker();
        let before = breaker.is_open();
        verdict(&mut breaker);
        let is_open = breaker.is_open();
        drop(breaker);
        self.server.metrics.circuit_open(is_open);
        match (before, is_open) {
            (false, true) => tracing::warn!(
                "the server of the language model fails; it is left alone for a while"
            ),
            (true, false) => tracing::info!("the server of the language model answers again"),
            _ => {}
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.server.breaker().abandoned(Instant::now());
        }
    }
}

fn never(fault: Fault) -> CallFault {
    CallFault {
        fault,
        again: Again::Never,
    }
}

fn circuit_open() -> Fault {
    Fault::new(LlmResult::CircuitOpen, "the server failed too often")
}

fn bad_answer(answer: &Answer, length: Length) -> Fault {
    let why = match length {
        Length::Reasoning if answer.is_cut => "`reasoning_tokens` did not suffice",
        Length::Reasoning => "no label behind the thoughts",
        _ => "no label",
    };
    Fault::new(LlmResult::BadAnswer, why)
}

/// Whether a server is on this machine: no proxy leads there.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// An error and what caused it; reqwest's own text names only the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
