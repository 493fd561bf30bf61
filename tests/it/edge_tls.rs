//! The edge's own TLS listener: HTTP/1.1 and HTTP/2 by ALPN, and a certificate that a reload replaces.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::*;
use crate::walk::QUESTION;

#[tokio::test]
async fn both_protocols_are_spoken_and_a_reload_replaces_the_certificate() {
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let first = write_certificate(&cert, &key);
    let upstream = Upstream::hello();
    let tls = format!("tls: {{listen: [\"127.0.0.1:0\"], cert: {}, key: {}}}", cert.display(), key.display());
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge(&tls));
    let address = tls_address(&gateway.log());

    let mut stream = connect(address, &first, &[b"http/1.1"]).await.expect("the certificate is trusted");
    stream.write_all(&post("/v1/chat/completions", &gateway.key.secret, QUESTION)).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let both = connect(address, &first, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let second = write_certificate(&cert, &key);
    gateway.wait_for_log("the configuration was reloaded").await;
    assert!(connect(address, &second, &[b"http/1.1"]).await.is_ok());
    assert!(connect(address, &first, &[b"http/1.1"]).await.is_err(), "the old certificate is gone");
    gateway.audit();
}

/// Makes a certificate of its own authority and gives it back as what to trust.
fn write_certificate(cert: &Path, key: &Path) -> CertificateDer<'static> {
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
    fs::write(cert, made.pem()).unwrap();
    made.der().clone()
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Out of the line that says where the gateway listens.
fn tls_address(log: &str) -> SocketAddr {
    let (_, rest) = log.split_once("https://").expect("it says so");
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..digits].parse().unwrap()
}
