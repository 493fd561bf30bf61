//! Accepts connections, puts the front door into each, and hands them to Pingora.
//!
//! An accept loop of our own rather than Pingora's service, because only here can a whole head have one deadline, a head
//! be judged on its raw bytes, and a listener be bound before anything else starts (so that a port that is taken is an
//! error at the start, and a test can ask which port it got).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{ALPN, SocketDigest, Stream};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::pipeline::Pipeline;

use super::cork::Cork;
use super::guard::{About, CONNECTION, Connection, Guarded};
use super::pool::Pool;
use super::proxy::Edge;

/// TLS of the edge; swapped when the certificate's files change.
pub type TlsConfig = Arc<ArcSwap<ServerConfig>>;

/// Every connection of the edge: what accepts them, what they run, how they end.
pub struct Door {
    app: Arc<HttpProxy<Edge>>,
    header_timeout: Duration,
    gate: watch::Sender<Gate>,
    /// Pingora's: once true, every answer is its connection's last.
    closing: watch::Sender<bool>,
    /// Each connection holds a sender; when all are gone, so are the connections.
    alive: mpsc::Sender<()>,
    all_gone: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

/// Whether connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// They wait in the kernel's queue.
    Held,
    Shut,
}

impl Door {
    pub fn new(pipeline: Arc<Pipeline>, header_timeout: Duration, threads: usize) -> Arc<Door> {
        let conf = ServerConf { threads, ..ServerConf::default() };
        let mut app = HttpProxy::new(Edge { pipeline, pool: Pool::new() }, Arc::new(conf));
        app.handle_init_modules();
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE);
        app.server_options = Some(options);
        // From the library's own bounded options: fresh ones would drop its limits (CVE-2026-105297).
        let mut h2 = pingora_core::protocols::http::v2::server::default_h2_options();
        h2.initial_window_size(H2_STREAM_WINDOW_BYTES);
        h2.initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES);
        app.h2_options = Some(h2);
        let (alive, all_gone) = mpsc::channel(1);
        Arc::new(Door {
            app: Arc::new(app),
            header_timeout,
            gate: watch::channel(Gate::Open).0,
            closing: watch::channel(false).0,
            alive,
            all_gone: tokio::sync::Mutex::new(all_gone),
        })
    }

    /// Accepts until the shutdown begins. Runs for ever otherwise: an error of one connection is not the listener's.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<TlsConfig>) {
        let mut gate = self.gate.subscribe();
        loop {
            let now = *gate.borrow_and_update();
            if now == Gate::Shut {
                return;
            }
            let accepted = tokio::select! {
                biased;
                _ = gate.changed() => continue,
                accepted = listener.accept(), if now == Gate::Open => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (door, tls) = (self.clone(), tls.clone());
                    let alive = self.alive.clone();
                    tokio::spawn(async move {
                        if let Err(error) = door.serve(stream, address, tls).await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                        drop(alive);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: waiting frees some, spinning frees none.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    /// Leaves new connections in the kernel's queue, for whoever accepts next; those that are here end with their next
    /// answer.
    pub fn hold_back(&self) {
        self.gate.send_replace(Gate::Held);
        self.closing.send_replace(true);
    }

    /// Takes [`Door::hold_back`] back.
    pub fn open_again(&self) {
        self.gate.send_replace(Gate::Open);
        self.closing.send_replace(false);
    }

    /// As [`Door::drain`], but connections are idle for a while before they are closed: who keeps one in use hears from
    /// an answer that it ends, and no request meets a connection that is just being closed.
    pub async fn drain_politely(&self, patience: Duration) -> bool {
        self.gate.send_replace(Gate::Shut);
        self.closing.send_replace(true);
        let polite = IDLE_PATIENCE.min(patience);
        self.gone(polite).await || self.drain(patience.saturating_sub(polite)).await
    }

    /// Lets running requests finish, for so long at most; idle connections close at once. True if all have ended.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.gate.send_replace(Gate::Shut);
        self.closing.send_replace(true);
        self.app.http_cleanup().await;
        self.gone(patience).await
    }

    /// How many there are.
    pub fn connections(&self) -> usize {
        self.alive.strong_count().saturating_sub(1)
    }

    /// Waits until there are no connections; true if that was in time.
    async fn gone(&self, patience: Duration) -> bool {
        let mut all_gone = self.all_gone.lock().await;
        // Our own sender stays, so count down to it: the channel's strong senders are the connections and us.
        let gone = async {
            while self.connections() > 0 {
                let _ = tokio::time::timeout(DRAIN_POLL, all_gone.recv()).await;
            }
        };
        tokio::time::timeout(patience, gone).await.is_ok()
    }

    async fn serve(&self, stream: TcpStream, address: SocketAddr, tls: Option<TlsConfig>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let fd = stream.as_raw_fd();
        let digest = SocketDigest::from_raw_fd(fd);
        // Known from accept: no system call later.
        let _ = digest.peer_addr.set(Some(PingoraAddr::Inet(address)));
        let socket = Arc::new(digest);
        let connection = Arc::new(Connection::default());
        let stream = match tls {
            None => self.guarded(stream, About { socket, id: fd, tls: None, alpn: None }, &connection),
            // Boxed: a connection keeps no room for a handshake that is over, or never was.
            Some(tls) => {
                Box::pin(async {
                    let accepting = TlsAcceptor::from(tls.load_full()).accept(stream);
                    let stream =
                        tokio::time::timeout(self.header_timeout, accepting).await.map_err(io::Error::other)??;
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let about = About {
                        socket,
                        id: fd,
                        tls: Some(Arc::new(SslDigest::new("", "TLS", None, None, Vec::new()))),
                        alpn: Some(if h2 { ALPN::H2 } else { ALPN::H1 }),
                    };
                    io::Result::Ok(self.guarded(stream, about, &connection))
                })
                .await?
            }
        };
        let shutdown = self.closing.subscribe();
        CONNECTION.scope(connection, self.app.process_new(stream, &shutdown)).await;
        Ok(())
    }

    fn guarded<S>(&self, stream: S, about: About, connection: &Arc<Connection>) -> Stream
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        Box::new(Guarded::new(Cork::new(stream), about, Arc::clone(connection), self.header_timeout))
    }
}

const H2_IDLE: Duration = Duration::from_secs(60);
/// Large uploads over HTTP/2 are slow with the protocol's own 64 KiB.
const H2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
/// A connection in use brings its next request sooner.
const IDLE_PATIENCE: Duration = Duration::from_secs(5);
const DRAIN_POLL: Duration = Duration::from_millis(20);
