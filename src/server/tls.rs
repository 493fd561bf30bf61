//! Certificates: the edge's own, and those that upstreams are trusted by.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::EdgeTls;

pub(super) fn server_config(tls: &EdgeTls) -> Result<Arc<rustls::ServerConfig>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("certificate {}", tls.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).with_context(|| format!("key {}", tls.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("certificate and key do not fit each other")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Pingora panics on a certificate that it cannot read, at the first connection; so each is read here first.
pub(super) fn check_certificates(pem: &[u8]) -> Result<()> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.context("not a PEM certificate")?)
            .context("not a certificate authority's certificate")?;
    }
    if roots.is_empty() {
        bail!("no certificate in it");
    }
    Ok(())
}
