//! Why a file of `sidecar.tcp_access` cannot be used.

use std::path::PathBuf;

use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

/// A file that is missing or wrong. What is in it is not shown.
#[derive(Debug, thiserror::Error)]
#[error("sidecar.tcp_access.{key}: {}: {cause}", path.display())]
pub struct AccessError {
    /// Key of the configuration that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Nothing but spaces.
    #[error("is empty; it must hold a token")]
    EmptyToken,
    /// Spaces or control characters inside, or bytes that no header may carry.
    #[error("must hold one token of visible ASCII characters, without spaces")]
    BadToken,
    /// Not PEM.
    #[error("is no valid PEM: {0}")]
    Pem(pem::Error),
    /// PEM, but nothing of the kind, or no PEM at all.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// As above.
    #[error("holds no private key in PEM (an encrypted one cannot be read)")]
    NoPrivateKey,
    /// The certificate cannot be parsed.
    #[error("holds a certificate that cannot be used: {0}")]
    BadCertificate(rustls::Error),
    /// The key is of a kind that is not known.
    #[error("holds a private key that cannot be used: {0}")]
    BadPrivateKey(rustls::Error),
    /// The key is another certificate's.
    #[error("does not fit the first certificate of `certificate_file`")]
    KeyMismatch,
    /// The library has no use for what was read.
    #[error("cannot be used: {0}")]
    Unusable(String),
}
