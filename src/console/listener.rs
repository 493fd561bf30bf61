//! The console's listener: plain HTTP/1, for browsers and programs, none of which may keep it busy for nothing.
//!
//! A loop of our own rather than `axum::serve`, because only here do a head, an idle connection and a client that does
//! not read have a deadline, and is the number of connections bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::extract::Request;
use http::request::Parts;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;

use crate::core::address::{self, Origin};

/// Where a request comes from, as far as can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    pub const UNKNOWN: ClientAddress = ClientAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ClientAddress, Infallible> {
        Ok(parts.extensions.get::<ClientAddress>().copied().unwrap_or(ClientAddress::UNKNOWN))
    }
}

/// Accepts connections for the console and ends them.
pub struct Listener {
    router: Router,
    trusted_proxies: Vec<IpNet>,
    /// Of a whole head; and how long a connection may be idle.
    head_timeout: Duration,
    closing: watch::Sender<bool>,
    places: Arc<Semaphore>,
    /// How many of the places each peer has.
    taken: Mutex<HashMap<Origin, usize>>,
}

impl Listener {
    pub fn new(router: Router, trusted_proxies: Vec<IpNet>, head_timeout: Duration) -> Arc<Listener> {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Arc::new(Listener {
            router,
            trusted_proxies,
            head_timeout,
            closing: watch::channel(false).0,
            places,
            taken: Mutex::default(),
        })
    }

    /// Accepts until [`Listener::close`].
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut closing = self.closing.subscribe();
        loop {
            // Who comes when all places are taken waits in the kernel's queue.
            let accepted = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                accepted = self.next(&listener) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    // One machine must not have all the places: what it opens beyond its share is closed at once.
                    if let Some(share) = self.clone().share(peer.ip()) {
                        tokio::spawn(self.clone().serve(stream, peer, (place, share)));
                    }
                }
                Err(error) => {
                    // Out of descriptors, most likely: waiting frees some, spinning frees none.
                    tracing::warn!(%error, "a connection to the console could not be accepted");
                    tokio::time::sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    async fn next(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, place))
    }

    /// A part of this peer's share, unless it has it all. A proxy that we trust speaks for many.
    fn share(self: Arc<Self>, peer: IpAddr) -> Option<Share> {
        let origin = Origin::of(peer);
        let trusted = self.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()));
        {
            let mut taken = self.taken.lock();
            let taken = taken.entry(origin).or_default();
            if *taken >= CONNECTIONS_PER_PEER_MAX && !trusted {
                return None;
            }
            *taken += 1;
        }
        Some(Share { listener: self, origin })
    }

    /// Accepts nothing more. Idle connections close at once, the others after their answer.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until the last connection has ended, for so long at most.
    pub async fn gone(&self, patience: Duration) -> bool {
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, self.places.acquire_many(all)).await.is_ok()
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _place: (OwnedSemaphorePermit, Share)) {
        let _ = stream.set_nodelay(true);
        let (router, listener) = (self.router.clone(), self.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            let address = listener.client_address(peer, &request);
            request.extensions_mut().insert(address);
            hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request)
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX);
        let connection = http.serve_connection(TokioIo::new(Patient::new(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let mut closing = self.closing.subscribe();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the console ended early");
        }
    }

    fn client_address<B>(&self, peer: SocketAddr, request: &Request<B>) -> ClientAddress {
        let forwarded = request.headers().get_all("x-forwarded-for").into_iter();
        let forwarded = forwarded.filter_map(|value| value.to_str().ok());
        ClientAddress(address::client(peer.ip(), &self.trusted_proxies, forwarded))
    }
}

/// One connection of a peer's.
struct Share {
    listener: Arc<Listener>,
    origin: Origin,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.listener.taken.lock();
        if let Entry::Occupied(mut entry) = taken.entry(self.origin) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// A connection whose other side must read what it asked for: [`WRITE_TIMEOUT`] without a byte taken ends it. That
/// nothing is to be read is no fault: a stream may wait long for its next word.
struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Patient {
        Patient { stream, stalled: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Pages are for people: far more than there are, far fewer than there are descriptors.
const CONNECTIONS_MAX: usize = 1_024;
/// A browser opens six.
const CONNECTIONS_PER_PEER_MAX: usize = 256;
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 32 * 1024;
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
