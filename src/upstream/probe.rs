//! Asking an upstream once, by hand: is it there, and does it take our credential?
//!
//! One GET of its model list over a connection of its own: no pool and no breaker, so that the answer is about now. It
//! goes to an address that the fleet has resolved, with the TLS settings of the configuration, and through no proxy.
//!
//! Always true: it ends within [`TOTAL_MAX`]; what it reports holds no credential and no address.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::Member;
use crate::core::catalog::{Upstream, UpstreamKind, UpstreamTls};
use crate::core::redact::redacted;
use crate::core::secret::Secret;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// It answered with a success.
    pub ok: bool,
    pub latency_ms: u64,
    /// `None` if no answer came.
    pub status: Option<u16>,
    /// One sentence for people, in English.
    pub message: String,
}

/// Asks now.
pub async fn probe(member: &Member) -> Probe {
    let began = Instant::now();
    let asked = tokio::time::timeout(TOTAL_MAX, ask(member)).await;
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, status, message) = match asked {
        Ok(Ok((status, words))) => ((200..300).contains(&status), Some(status), verdict(status, &words)),
        Ok(Err(fault)) => (false, None, fault),
        Err(_) => (false, None, format!("No answer came within {} seconds.", TOTAL_MAX.as_secs())),
    };
    Probe { ok, latency_ms, status, message: without_secrets(&message, &member.upstream) }
}

/// The answer's status and what it says about itself, or a sentence about why there was none.
async fn ask(member: &Member) -> Result<(u16, String), String> {
    let upstream = &member.upstream;
    let address = member.address.next().ok_or("Its name could not be resolved.")?;
    let request = request(member)?;
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| format!("It could not be reached: {}.", words(error.kind())))?;
    if !upstream.base.tls {
        return exchange(stream, request).await;
    }
    let config = client_config(&upstream.tls)?;
    let name = ServerName::try_from(upstream.base.host.clone()).map_err(|_| "Its host is no name for TLS.")?;
    let secured = TlsConnector::from(config).connect(name, stream).await;
    // The library's words name what is wrong with a certificate, which is what one wants to know.
    let stream = secured.map_err(|error| format!("TLS failed: {error}."))?;
    exchange(stream, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(u16, String), String> {
    let broken = |_| "It closed the connection without an answer.".to_owned();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            // A portal that wants a sign-in says 200 too.
            return if is_html(&response) { Err(HTML.to_owned()) } else { Ok((status, String::new())) };
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        Ok((status, body.map(|body| reason(&body.to_bytes())).unwrap_or_default()))
    };
    // Dropped with this function, and the connection with it; its end wakes the request, which says how it went.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = answered => answer,
        never = driven => match never {},
    }
}

fn is_html(response: &Response<Incoming>) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    media_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}

fn request(member: &Member) -> Result<Request<Empty<Bytes>>, String> {
    let upstream = &member.upstream;
    let base = &upstream.base.path;
    let path = match (upstream.kind, &upstream.api_version) {
        (UpstreamKind::Azure, Some(version)) => format!("{base}/openai/models?api-version={version}"),
        _ => format!("{base}/models"),
    };
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, upstream.base.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "tollgate")
        .header(header::CONNECTION, "close");
    let pick = member.keys.pick(Instant::now()).ok_or("Each of its keys was refused lately and rests.")?;
    if let Some(key) = pick.secret {
        let (name, value) = match upstream.kind {
            UpstreamKind::Azure => ("api-key", key.clone()),
            UpstreamKind::Anthropic => ("x-api-key", key.clone()),
            UpstreamKind::Openai | UpstreamKind::Demo => {
                ("authorization", Secret::new(format!("Bearer {}", key.expose())))
            }
        };
        request = request.header(name, sensitive(&value)?);
    }
    if upstream.kind == UpstreamKind::Anthropic {
        request = request.header("anthropic-version", ANTHROPIC_VERSION);
    }
    let mut request = request.body(Empty::new()).map_err(|_| "Its address makes no request.")?;
    // The operator's own headers come last and win, as on every request to it.
    for (name, value) in &upstream.headers {
        let name = header::HeaderName::try_from(name.as_str()).map_err(|_| "One of its headers has no legal name.")?;
        request.headers_mut().insert(name, sensitive(value)?);
    }
    Ok(request)
}

fn sensitive(secret: &Secret) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| "Its credential is no header's value.")?;
    value.set_sensitive(true);
    Ok(value)
}

fn verdict(status: u16, words: &str) -> String {
    let verdict = match status {
        200..=299 => return "It answers and takes the credential.".to_owned(),
        401 | 403 => "It refuses the credential",
        404 => "It answers, but has no list of models at this address",
        429 => "It answers, but refuses more requests for now",
        500..=599 => "It answers with a failure of its own",
        _ => "It answers, but not with a list of models",
    };
    if words.is_empty() { format!("{verdict} ({status}).") } else { format!("{verdict} ({status}): {words}") }
}

/// What a refusal says about itself, in the shapes that providers use.
fn reason(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &parsed["error"];
    let words = [&error["message"], error, &parsed["message"], &parsed["detail"]];
    let words = words.iter().find_map(|value| value.as_str()).unwrap_or_default();
    words.chars().take(REASON_CHARS_MAX).collect()
}

fn without_secrets(message: &str, upstream: &Upstream) -> String {
    let credentials = upstream.api_keys.iter().chain(upstream.headers.iter().map(|(_, value)| value));
    let known = credentials.map(Secret::expose).filter(|secret| secret.len() >= KNOWN_BYTES_MIN);
    redacted(&known.fold(message.to_owned(), |text, secret| text.replace(secret, "[redacted]")))
}

fn words(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "nobody listens there",
        io::ErrorKind::TimedOut => "the connection timed out",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "there is no way to it",
        io::ErrorKind::ConnectionReset => "it closed the connection",
        _ => "the connection failed",
    }
}

fn client_config(tls: &UpstreamTls) -> Result<Arc<rustls::ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS cannot be set up.")?;
    if !tls.verify {
        let verifier = Arc::new(NoVerification(provider));
        return Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()));
    }
    let mut roots = rustls::RootCertStore::empty();
    match &tls.ca_pem {
        Some(pem) => roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok)),
        None => roots.add_parsable_certificates(
            rustls_native_certs::load_native_certs()
                .map_err(|_| "This machine's trusted certificates cannot be read.")?,
        ),
    };
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// For `tls: {verify: false}` alone: the operator has chosen to trust whoever answers.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Connecting, TLS, asking and the answer, together.
const TOTAL_MAX: Duration = Duration::from_secs(10);
/// Anthropic API reference, "Versions".
const ANTHROPIC_VERSION: &str = "2023-06-01";
const BODY_BYTES_MAX: usize = 64 * 1024;
const HTML: &str = "It answers with a web page instead of a list of models.";
const REASON_CHARS_MAX: usize = 300;
/// A shorter value, such as a version in a header, is a part of too many words.
const KNOWN_BYTES_MIN: usize = 6;

#[cfg(test)]
mod tests;
