//! The LLM stand-in as a process, for `make up` and for benchmarks.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use wasm_tests::standin::{Records, StandIn};

/// An LLM server without a model: OpenAI API, answers at once, scripted by `x-standin-*` request headers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Model that `/v1/models` lists; may be repeated. Any model is served.
    #[arg(long = "model", default_value = "stand-in")]
    models: Vec<String>,
    /// Name in the records, where several run.
    #[arg(long, default_value = "stand-in")]
    name: String,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the address is what a caller of this command reads"
)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let standin = StandIn::start(
        listener,
        &arguments.name,
        arguments.models,
        Records::default(),
    )?;
    println!("listening on {}", standin.address());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
