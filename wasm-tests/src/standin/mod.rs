//! An LLM server without a model: answers at once, as vLLM would, and does what a request's headers order.
//!
//! 1. `POST /v1/chat/completions`, `POST /v1/completions` (JSON and SSE), `GET /v1/models`, `GET /health`.
//! 2. [`Script`] headers (`x-standin-split: 7`, `x-standin-abort-after: 3` …) make it slow, broken or gone.
//! 3. Everything received is kept: [`StandIn::records`], or `GET /standin/requests` and `/standin/served` of the binary;
//!    `POST /standin/release/<tag>` lets a held answer go on.
//!
//! Not done here: log probabilities, images; tools are called when a request orders it. Any model name is served.

mod answer;
mod body;
mod choice;
mod record;
mod script;
mod server;
mod text;
mod wire;

pub use record::{Outcome, Received, Records, Served};
pub use script::{Script, ToolCall, Usage};
pub use text::{answer, chat_tokens, text_tokens, tokens};

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A running stand-in; it stops when dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    records: Records,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts to serve on `listener`, in the runtime of the caller.
    ///
    /// `models` is what `/v1/models` lists. Several stand-ins may write one book of `records`; `name` tells them apart there.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(
        listener: TcpListener,
        name: &str,
        models: Vec<String>,
        records: Records,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(server::Shared {
            name: name.to_owned(),
            models,
            records: records.clone(),
            next_id: AtomicU64::new(1),
        });
        let task = Handle::current().spawn(server::serve(listener, shared));
        Ok(Self {
            address,
            records,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it received.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
