//! Sockets and shutdown. The caller gives both, so that tests use port 0 and stop cleanly.

use std::fs::Permissions;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::{Access, TlsListener};
use crate::http;
use crate::service::Service;

/// Time for requests in flight to end after the signal; what is left then is cut off.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Mode of the socket: the proxy reaches it by group.
const SOCKET_MODE: u32 = 0o660;

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// TCP.
    #[error("cannot listen on {address}: {error}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// Unix socket.
    #[error("cannot listen on {}: {error}", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Another process listens there.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// Where.
        path: PathBuf,
    },
}

/// Open sockets, and what TCP asks of its callers.
#[derive(Debug)]
pub struct Listeners {
    tcp: TcpListener,
    access: Arc<Access>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl Listeners {
    /// Opens the sockets. A socket file that nothing listens on is replaced; one that is in use stays.
    ///
    /// # Errors
    /// [`ListenError`], naming the address.
    pub async fn bind(address: SocketAddr, unix: Option<&Path>) -> Result<Self, ListenError> {
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|error| ListenError::Tcp { address, error })?;
        let unix = match unix {
            Some(path) => Some((bind_unix(path).await?, path.to_owned())),
            None => None,
        };
        Ok(Self {
            tcp,
            access: Arc::default(),
            unix,
        })
    }

    /// The same sockets, TCP for those alone that `access` lets pass. The unix socket's mode decides who may use that.
    #[must_use]
    pub fn with_access(self, access: Arc<Access>) -> Self {
        Self { access, ..self }
    }

    /// The TCP address, with the port that the system chose.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |error| ListenError::Unix {
        path: path.to_owned(),
        error,
    };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket {
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            let path = path.to_owned();
            return Err(ListenError::InUse { path });
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

/// Serves until `shutdown` is done, then: no new connections, requests in flight end within [`SHUTDOWN_TIMEOUT`], the
/// socket file goes.
///
/// Idle connections have no time limit: the proxy keeps them open, and closing one under a request would fail it.
///
/// # Errors
/// When a socket cannot be served any more.
pub async fn run(
    listeners: Listeners,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(());
    let mut servers = JoinSet::new();
    let access = listeners.access;
    let guarded = http::router(Arc::clone(&service), Some(Arc::clone(&access)));
    if access.tls().is_some() {
        let tls = TlsListener::new(listeners.tcp, access, Arc::clone(&service.metrics));
        servers.spawn(serve(tls, guarded, stopped.clone()));
    } else {
        let tcp = listeners.tcp.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
        });
        servers.spawn(serve(tcp, guarded, stopped.clone()));
    }
    let socket = listeners.unix.map(|(listener, path)| {
        let router = http::router(Arc::clone(&service), None);
        servers.spawn(serve(listener, router, stopped));
        path
    });
    tokio::select! {
        () = shutdown => tracing::info!("stopping"),
        Some(ended) = servers.join_next() => tracing::error!(?ended, "a listener ended"),
    }
    drop(stop);
    service.stop_waiting();
    let ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, async {
        while servers.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN_TIMEOUT.as_secs(),
            "requests in flight cut off"
        );
    }
    if let Some(path) = socket {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Serves one listener until `stopped` changes and its requests are answered.
async fn serve<L>(
    listener: L,
    router: Router,
    mut stopped: watch::Receiver<()>,
) -> std::io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    axum::serve(listener, router)
        // An error means that the sender is gone: stop as well.
        .with_graceful_shutdown(async move { drop(stopped.changed().await) })
        .await
}
