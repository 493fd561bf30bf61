//! An upstream as Pingora connects to it.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::l4::ext::TcpKeepalive;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::WrappedX509;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::pipeline::attempt::Attempt;

/// `None` while its name is not resolved.
///
/// Pingora's own defaults for connecting are no time-outs at all, so every one is set. An empty server name would switch
/// certificate checks off; the configuration refuses a TLS upstream without a host.
pub fn peer(attempt: &Attempt) -> Option<HttpPeer> {
    let upstream = &attempt.candidate.upstream;
    let address = attempt.member.address.next()?;
    let server_name = if upstream.base.tls { upstream.base.host.clone() } else { String::new() };
    let mut peer = HttpPeer::new(address, upstream.base.tls, server_name);
    let timeouts = upstream.timeouts;
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect.saturating_mul(2));
    options.idle_timeout = Some(POOLED_IDLE);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(15),
        count: 4,
        user_timeout: Duration::ZERO,
    });
    options.verify_cert = upstream.tls.verify;
    options.verify_hostname = upstream.tls.verify;
    if let Some(pem) = &upstream.tls.ca_pem {
        options.ca = Some(certificates(pem));
        // The pool does not look at the certificates trusted: keep such connections apart by upstream.
        peer.group_key = crc32fast::hash(upstream.name.as_bytes()).into();
    }
    Some(peer)
}

/// The configuration has checked that these are certificates.
fn certificates(pem: &[u8]) -> Arc<[WrappedX509]> {
    let parsed = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    parsed.map(|der| WrappedX509::new(der.to_vec(), pingora_core::utils::tls::parse_x509)).collect()
}

/// Shorter than the common idle time-outs of providers' front ends, so that a pooled connection is rarely stale.
const POOLED_IDLE: Duration = Duration::from_secs(50);
