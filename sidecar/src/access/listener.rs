//! TLS over a TCP listener, for `axum::serve`.
//!
//! 1. A TCP connection is accepted and its handshake begun in a task of its own, at most [`MAX_HANDSHAKES`] at a time.
//! 2. The first handshake that is done is the next connection: a slow client holds nobody up.
//! 3. One that fails, or takes longer than [`HANDSHAKE_TIMEOUT`], is closed, counted and logged at debug.
//!
//! Not done here: who opens 128 connections and is silent on all of them keeps others waiting for up to 5 s in the system's
//! queue. The unix socket, which Envoy uses, does not notice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::Access;
use crate::metrics::Metrics;

/// Time for a handshake, which is two round trips and a signature.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes in progress; further connections wait in the system's queue.
pub const MAX_HANDSHAKES: usize = 128;

/// TCP connections that have become TLS ones.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    /// Accepts from `tcp`; every handshake takes the certificates that `access` has at that time.
    pub(crate) fn new(tcp: TcpListener, access: Arc<Access>, metrics: Arc<Metrics>) -> Self {
        Self {
            tcp,
            access,
            metrics,
            handshakes: JoinSet::new(),
        }
    }

    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Files that are read again are the same keys: TLS does not turn plain.
        let Some(config) = self.access.tls() else {
            return;
        };
        let metrics = Arc::clone(&self.metrics);
        self.handshakes.spawn(async move {
            match handshake(stream, config).await {
                Ok(stream) => Some((stream, peer)),
                Err(error) => {
                    metrics.tls_handshakes_failed.inc();
                    tracing::debug!(%peer, %error, "TLS handshake failed");
                    None
                }
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await?
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
                (stream, peer) = Listener::accept(&mut self.tcp), if self.handshakes.len() < MAX_HANDSHAKES => {
                    self.begin(stream, peer);
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
