//! What happened to one request, as its client, the access log and Envoy's clocks tell it.

use anyhow::Result;
use wasm_tests::harness::access_log::Entry;
use wasm_tests::harness::{Reply, Stack};

/// Prefix of the response headers in `envoy/config.yaml`.
const PREFIX: &str = "x-vsr-";

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// What the client got.
    pub(crate) reply: Reply,
    /// What the access log says.
    pub(crate) entry: Entry,
}

impl Facts {
    /// Waits for the access log's line of an answered request.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn gather(stack: &Stack, reply: Reply) -> Result<Self> {
        let entry = stack.access(&reply.request_id()).await?;
        Ok(Self { reply, entry })
    }

    /// A response header of ours, without its prefix; `-` when it is missing.
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.reply.header(&format!("{PREFIX}{name}"));
        if value.is_empty() { "-".into() } else { value }
    }

    /// Prompt and completion tokens that were counted.
    pub(crate) fn tokens(&self) -> Option<(i64, i64)> {
        let prompt = self.entry.number("prompt_tokens")?;
        Some((prompt, self.entry.number("completion_tokens")?))
    }

    /// Time that the gateway added, in microseconds, by Envoy's clocks: until the upstream request began and after the upstream
    /// response began; or until its own reply began.
    pub(crate) fn overhead_us(&self) -> Option<i64> {
        let request = self.entry.number("request_overhead_us");
        match (request, self.entry.number("response_overhead_us")) {
            (Some(request), Some(response)) => Some(request + response),
            _ => self.entry.number("local_us"),
        }
    }

    /// Cells of the demo's table, after the name of the request.
    pub(crate) fn cells(&self) -> [String; 9] {
        let tokens = self.tokens();
        let cluster = self.entry.text("upstream_cluster");
        let local = cluster == "-" || self.entry.text("upstream_host") == "-";
        [
            self.entry.text("user"),
            self.entry.text("tier"),
            self.reply.status.as_u16().to_string(),
            if local {
                "(local reply)".into()
            } else {
                cluster
            },
            self.header("model-selected"),
            self.header("decision"),
            self.header("category"),
            self.header("cache-hit"),
            tokens.map_or("-".into(), |(prompt, completion)| {
                format!("{prompt} + {completion}")
            }),
        ]
    }
}
