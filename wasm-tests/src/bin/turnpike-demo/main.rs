//! `make demo`, `make up` and `make down`: the whole gateway on one machine, to be looked at and played with.

mod checks;
mod demo;
mod facts;
mod run_folder;
mod settings;
mod table;
mod up;
mod upstream;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Starts stand-in, sidecar and Envoy with `envoy/config.yaml`.
///
/// Ports: TURNPIKE_PORT (8801), TURNPIKE_ADMIN_PORT (9901), TURNPIKE_METRICS_PORT (9190), TURNPIKE_SIDECAR_PORT (9191).
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send requests as clients would, show what happened to each, stop; fails if one is not as it must be
    Demo,
    /// Keep everything running in the background, for curl
    Up(upstream::Choice),
    /// Stop what `up` started
    Down,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo => demo::run().await,
        Command::Up(choice) => up::up(&choice).await,
        Command::Down => up::down().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A progress line.
#[expect(
    clippy::print_stderr,
    reason = "progress of a command belongs on standard error"
)]
fn say(line: &str) {
    eprintln!("{line}");
}

/// A line of the result.
#[expect(
    clippy::print_stdout,
    reason = "the result of a command belongs on standard output"
)]
fn print(line: &str) {
    println!("{line}");
}
