//! `UPSTREAM=http://host:port`: a real LLM server in place of the stand-ins.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use turnpike_core::Config;
use turnpike_core::decision::{ModelConfig, Protocol};

/// A server that does not list its models by then is taken for something else.
const LIST_DEADLINE: Duration = Duration::from_secs(10);

/// Which server answers.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// OpenAI-compatible server that replaces all endpoints, as http://127.0.0.1:8000
    #[arg(long, env = "UPSTREAM", value_name = "URL")]
    upstream: Option<String>,
    /// Model of that server that serves every decision [default: the first that it lists]
    #[arg(long, env = "MODEL", value_name = "NAME")]
    model: Option<String>,
}

impl Choice {
    /// Points the configuration at the server; `false` when none was named.
    ///
    /// # Errors
    /// When the URL is none, or the server does not say which models it has.
    pub(crate) async fn apply(&self, config: &mut Config) -> Result<bool> {
        let Some(url) = self.upstream.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(false);
        };
        let server = Server::parse(url)?;
        let model = match self.model.as_deref().filter(|model| !model.is_empty()) {
            Some(model) => model.to_owned(),
            None => server.first_model().await?,
        };
        server.replace_endpoints(config);
        serve_everything(config, &model);
        Ok(true)
    }
}

struct Server {
    protocol: Protocol,
    host: String,
    port: u16,
}

impl Server {
    fn parse(url: &str) -> Result<Self> {
        let wrong = || format!("UPSTREAM must be http://host:port or https://host, got {url:?}");
        let uri: Uri = url.parse().with_context(wrong)?;
        let (protocol, port) = match uri.scheme_str() {
            Some("http") => (Protocol::Http, 80),
            Some("https") => (Protocol::Https, 443),
            _ => bail!(wrong()),
        };
        // Clients send the whole path themselves.
        if !matches!(uri.path(), "" | "/" | "/v1" | "/v1/") {
            bail!("{}; a path is not possible", wrong());
        }
        Ok(Self {
            protocol,
            // An IPv6 address stands in brackets in a URL, and nowhere else.
            host: uri
                .host()
                .with_context(wrong)?
                .trim_matches(['[', ']'])
                .to_owned(),
            port: uri.port_u16().unwrap_or(port),
        })
    }

    async fn first_model(&self) -> Result<String> {
        if self.protocol == Protocol::Https {
            bail!("say with MODEL=<name> which model of an https server shall serve");
        }
        let list = self.models(LIST_DEADLINE).await.with_context(|| {
            format!(
                "{}:{} does not list its models; is it an OpenAI-compatible server? MODEL=<name> spares the question",
                self.host, self.port
            )
        })?;
        let first = list["data"][0]["id"].as_str();
        Ok(first.context("the server lists no model")?.to_owned())
    }

    async fn models(&self, deadline: Duration) -> Result<Value> {
        let answer = tokio::time::timeout(deadline, self.ask_for_models()).await;
        answer.context("no answer")?
    }

    async fn ask_for_models(&self) -> Result<Value> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get("/v1/models")
            .header("host", &self.host)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    fn replace_endpoints(&self, config: &mut Config) {
        for endpoint in &mut config.vllm_endpoints {
            endpoint.address.clone_from(&self.host);
            endpoint.port = self.port;
            endpoint.protocol = self.protocol;
        }
    }
}

/// One model serves every decision; nothing is known about how it reasons.
fn serve_everything(config: &mut Config, model: &str) {
    config.model_config = [(model.to_owned(), ModelConfig::default())].into();
    model.clone_into(&mut config.default_model);
    for decision in &mut config.decisions {
        for reference in &mut decision.model_refs {
            model.clone_into(&mut reference.model);
            reference.use_reasoning = Some(false);
            reference.reasoning_effort = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_server() {
        let server = Server::parse("http://10.0.0.1:8000").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("10.0.0.1", 8000));
        assert_eq!(
            Server::parse("https://api.example.com/v1").unwrap().port,
            443
        );
        assert_eq!(Server::parse("http://[::1]:8000").unwrap().host, "::1");
        for wrong in ["10.0.0.1:8000", "ftp://x", "http://x/some/path"] {
            assert!(Server::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
        let error = server.models(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer");
    }

    #[test]
    fn one_model_serves_every_decision() {
        let mut config = crate::settings::config().unwrap();
        serve_everything(&mut config, "llama3.2:1b");
        assert!(config.validate().is_empty());
        assert_eq!(config.default_model, "llama3.2:1b");
    }
}
