//! From PEM files to what TLS connections are made with.
//!
//! TLS 1.2 and 1.3, by rustls with ring. ALPN offers `http/1.1`, which is all that the sidecar speaks.

use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{InconsistentKeys, RootCertStore, ServerConfig};

use super::{AccessError, Cause, File};

/// Reads the sidecar's chain and key; with `client_ca`, clients must show a certificate of these authorities.
pub(super) fn server_config(
    certificate: &File,
    private_key: &File,
    client_ca: Option<&File>,
) -> Result<ServerConfig, AccessError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = certified_key(certificate, private_key, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| certificate.error(Cause::Unusable(error.to_string())))?;
    let builder = match client_ca {
        Some(file) => builder.with_client_cert_verifier(client_verifier(file, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certified_key(
    certificate: &File,
    private_key: &File,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, AccessError> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&private_key.read()?).map_err(|error| {
        private_key.error(match error {
            pem::Error::NoItemsFound => Cause::NoPrivateKey,
            error => Cause::Pem(error),
        })
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| private_key.error(Cause::BadPrivateKey(error)))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(private_key.error(Cause::KeyMismatch))
        }
        Err(error) => Err(certificate.error(Cause::BadCertificate(error))),
    }
}

fn client_verifier(
    file: &File,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, AccessError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(file)? {
        authorities
            .add(certificate)
            .map_err(|error| file.error(Cause::BadCertificate(error)))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|error| file.error(Cause::Unusable(error.to_string())))
}

/// All certificates of a file, at least one.
fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.read()?).collect();
    match found {
        Ok(found) if found.is_empty() => Err(file.error(Cause::NoCertificate)),
        Ok(found) => Ok(found),
        Err(error) => Err(file.error(Cause::Pem(error))),
    }
}
