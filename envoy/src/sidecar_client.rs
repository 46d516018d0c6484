//! Asks a running sidecar.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long the sidecar may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A sidecar at a URL.
#[derive(Debug)]
pub struct SidecarClient {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl SidecarClient {
    /// The one at `url`, as `http://127.0.0.1:9191`; `token` is what `sidecar.tcp_access.bearer_token_file` holds there.
    #[must_use]
    pub fn new(url: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            token,
            agent: config.into(),
        }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or does not answer as a sidecar does.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.answer(path, request.call())
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.answer(path, request.send(body.to_string()))
    }

    fn answer<T: DeserializeOwned>(
        &self,
        path: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.url);
        let mut response = response.with_context(|| format!("cannot ask {url}"))?;
        let status = response.status();
        let answer = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_string()
            .with_context(|| format!("cannot read the answer of {url}"))?;
        if status != 200 {
            bail!("{url} answered {status}: {answer}");
        }
        serde_json::from_str(&answer)
            .with_context(|| format!("{url} did not answer as a sidecar does"))
    }
}
