//! The command line of `turnpike-sidecar`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Embeddings, categories and the semantic cache for the filters of Turnpike.
///
/// Reads the one config.yaml of the gateway; what stands here wins. RUST_LOG sets the log level (default: info).
#[derive(Debug, Clone, Parser)]
#[command(name = "turnpike-sidecar", version = crate::VERSION)]
pub struct Arguments {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Unix socket to listen on [default: sidecar.unix_socket; '' for none]
    #[arg(long, value_name = "PATH")]
    pub unix_socket: Option<String>,

    /// TCP address to listen on, port 0 for any [default: sidecar.tcp]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Folder with model.onnx, tokenizer.json and config.json [default: sidecar.encoder.path]
    #[arg(long, value_name = "FOLDER")]
    pub encoder_path: Option<PathBuf>,

    /// libonnxruntime.so, version 1.22 or later
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    pub onnxruntime: Option<PathBuf>,

    /// How log lines are written
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// Check the configuration and end: 0 when it is good, 2 when not
    #[arg(long)]
    pub check: bool,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
