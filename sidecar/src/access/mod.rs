//! Who may call over TCP (`sidecar.tcp_access`): a bearer token, TLS, client certificates.
//!
//! 1. All files are read at start; one that is missing or wrong ends it, named by its key and path.
//! 2. With a certificate, [`listener`] makes a TLS connection of every TCP one before HTTP sees it.
//! 3. With a token, [`Access::check`] looks at every request but those for [`OPEN_PATHS`].
//! 4. [`Access::reload`] reads the same files again; when one is wrong, all that was read before stays in use.
//!
//! Not done here: the unix socket, whose file mode decides; certificate revocation; several tokens at a time.

mod error;
mod listener;
mod tls;
mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use tokio_rustls::rustls::ServerConfig;
use turnpike_core::config::TcpAccessConfig;
use turnpike_core::reply::Fault;

pub use error::{AccessError, Cause};
pub(crate) use listener::TlsListener;
pub use listener::{HANDSHAKE_TIMEOUT, MAX_HANDSHAKES};
use token::Token;

/// What the kubelet and load balancers ask, who have no token.
pub(crate) const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// What TCP asks of its callers. The default asks for nothing, over plain TCP.
#[derive(Default)]
pub struct Access {
    files: TcpAccessConfig,
    folder: PathBuf,
    current: ArcSwap<Credentials>,
}

/// What the files hold.
#[derive(Default)]
struct Credentials {
    token: Option<Token>,
    tls: Option<Arc<ServerConfig>>,
}

impl Access {
    /// Reads the files that are named; relative paths start at `folder`, the configuration's.
    ///
    /// # Errors
    /// [`AccessError`], with key and path of the file that is missing or wrong.
    pub fn read(files: &TcpAccessConfig, folder: &Path) -> Result<Self, AccessError> {
        Ok(Self {
            current: ArcSwap::from_pointee(Credentials::read(files, folder)?),
            files: files.clone(),
            folder: folder.to_owned(),
        })
    }

    /// Reads the same files again, for a token or certificate that was exchanged. Requests and handshakes that begin later
    /// meet the new ones; connections stay.
    ///
    /// # Errors
    /// As [`Access::read`]; nothing has changed then.
    pub fn reload(&self) -> Result<(), AccessError> {
        let credentials = Credentials::read(&self.files, &self.folder)?;
        self.current.store(Arc::new(credentials));
        Ok(())
    }

    /// Whether a request with these headers may pass.
    ///
    /// # Errors
    /// [`Fault::InvalidToken`] without the token, [`Fault::RepeatedHeader`] when there are several.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Fault> {
        match &self.current.load().token {
            Some(token) => token.check(headers),
            None => Ok(()),
        }
    }

    /// What TLS connections are made with; `None` when TCP is plain.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current.load().tls.clone()
    }
}

/// Files alone: what is in them is nobody's business.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("files", &self.files)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    fn read(files: &TcpAccessConfig, folder: &Path) -> Result<Self, AccessError> {
        let named = |key, file: &str| {
            (!file.is_empty()).then(|| File {
                key,
                path: folder.join(file),
            })
        };
        let token = named("bearer_token_file", &files.bearer_token_file);
        let certificate = named("certificate_file", &files.certificate_file);
        let private_key = named("private_key_file", &files.private_key_file);
        let client_ca = named("client_ca_file", &files.client_ca_file);
        let tls = match (certificate, private_key) {
            (Some(certificate), Some(private_key)) => Some(tls::server_config(
                &certificate,
                &private_key,
                client_ca.as_ref(),
            )?),
            // `validate` refuses one without the other.
            _ => None,
        };
        Ok(Self {
            token: token.map(|file| Token::read(&file)).transpose()?,
            tls: tls.map(Arc::new),
        })
    }
}

/// A file that a key of `sidecar.tcp_access` names.
#[derive(Debug)]
struct File {
    key: &'static str,
    path: PathBuf,
}

impl File {
    fn read(&self) -> Result<Vec<u8>, AccessError> {
        std::fs::read(&self.path).map_err(|error| self.error(Cause::Unreadable(error)))
    }

    fn error(&self, cause: Cause) -> AccessError {
        AccessError {
            key: self.key,
            path: self.path.clone(),
            cause,
        }
    }
}
