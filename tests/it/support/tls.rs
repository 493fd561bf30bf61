//! TLS in front of a scripted upstream, with a certificate made for the test.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::upstream::Upstream;

/// Terminates TLS and passes every byte on to a plain upstream.
pub struct TlsFront {
    address: SocketAddr,
    /// The certificate, which is its own authority.
    pub ca_pem: String,
    _stop: oneshot::Sender<()>,
}

impl TlsFront {
    /// `name`: what the certificate is for, a host name or an address.
    pub fn start(upstream: &Upstream, name: &str) -> TlsFront {
        TlsFront::with(upstream, CertificateParams::new([name.to_owned()]).expect("it is a name"))
    }

    /// With a certificate whose time is over.
    pub fn start_expired(upstream: &Upstream, name: &str) -> TlsFront {
        let mut params = CertificateParams::new([name.to_owned()]).expect("it is a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        TlsFront::with(upstream, params)
    }

    fn with(upstream: &Upstream, params: CertificateParams) -> TlsFront {
        let key_pair = KeyPair::generate().expect("a key can be made");
        let made = params.self_signed(&key_pair).expect("a certificate can be made");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
        let certificate = CertificateDer::from(made.der().to_vec());
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("the key is the certificate's")));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.set_nonblocking(true).expect("a socket can");
        let address = listener.local_addr().expect("it is bound");
        let behind = upstream.address();
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, acceptor, behind) => {}
                    _ = stopped => {}
                }
            });
        });
        TlsFront { address, ca_pem: made.pem(), _stop: stop }
    }

    /// Its base URL, with this host in the place of its address.
    pub fn base_url(&self, host: &str) -> String {
        format!("https://{host}:{}/v1", self.address.port())
    }
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let listener = TcpListener::from_std(listener).expect("it does not block");
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not trust the certificate ends here.
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let mut inside = TcpStream::connect(behind).await.expect("the upstream listens");
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
