//! Connections to upstreams: made by Pingora, kept here between requests.
//!
//! Pingora's own pool starts a task for each connection that waits in it, which is dear where that is each request's
//! end. Here they wait in a list; one task looks after all of them, and only while there are any.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::Stream;
use pingora_core::upstreams::peer::{HttpPeer, Peer};
use pingora_error::Result;
use tokio::io::{AsyncRead, ReadBuf};

pub struct Pool {
    connector: TransportConnector,
    waiting: Mutex<Waiting>,
}

/// Where connections to a peer wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What Pingora calls the peer's hash: of its address, name, TLS settings and group.
    key: u64,
    patience: Duration,
}

impl Place {
    pub fn of(peer: &HttpPeer) -> Place {
        Place { key: peer.reuse_hash(), patience: peer.idle_timeout().unwrap_or_default() }
    }
}

#[derive(Default)]
struct Waiting {
    /// By the place's key. The one used last is at the end.
    streams: HashMap<u64, Vec<Idle>>,
    count: usize,
    is_swept: bool,
}

struct Idle {
    stream: Stream,
    until: Instant,
}

impl Pool {
    pub fn new() -> Arc<Pool> {
        let connector = TransportConnector::new(Some(ConnectorOptions::new(0)));
        Arc::new(Pool { connector, waiting: Mutex::default() })
    }

    /// A connection that has waited, and that the upstream has not closed as far as is known here.
    pub fn take(&self, place: Place, now: Instant) -> Option<Stream> {
        loop {
            let mut idle = {
                let mut waiting = self.waiting.lock();
                let idle = waiting.streams.get_mut(&place.key)?.pop()?;
                waiting.count -= 1;
                idle
            };
            if idle.until > now && is_open(&mut idle.stream) {
                return Some(idle.stream);
            }
        }
    }

    /// # Errors
    /// Pingora's, of connecting and of the TLS handshake.
    pub async fn connect(&self, peer: &HttpPeer) -> Result<Stream> {
        self.connector.new_stream(peer).await
    }

    /// Keeps a connection, for as long as the place and the upstream say.
    pub fn keep(self: &Arc<Self>, stream: Stream, place: Place, patience: Option<Duration>, now: Instant) {
        // The upstream begins to count earlier than we do.
        let patience = patience.map_or(Duration::MAX, |patience| patience.saturating_sub(CLOCKS_APART));
        let patience = patience.min(place.patience);
        let Some(until) = now.checked_add(patience).filter(|until| *until > now) else { return };
        let mut waiting = self.waiting.lock();
        if waiting.count >= CONNECTIONS_MAX {
            return;
        }
        waiting.count += 1;
        waiting.streams.entry(place.key).or_default().push(Idle { stream, until });
        if !std::mem::replace(&mut waiting.is_swept, true) {
            drop(waiting);
            tokio::spawn(Arc::clone(self).sweep());
        }
    }

    /// Closes what has waited for too long or was closed by the other side, until nothing waits.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            let mut over = Vec::new();
            let mut waiting = self.waiting.lock();
            for streams in waiting.streams.values_mut() {
                over.extend(streams.extract_if(.., |idle| idle.until <= now || !is_open(&mut idle.stream)));
            }
            waiting.streams.retain(|_, streams| !streams.is_empty());
            waiting.count -= over.len();
            if waiting.count == 0 {
                waiting.is_swept = false;
                return;
            }
        }
    }
}

/// An upstream says nothing on a connection on which nothing was asked: what can be read is the connection's end.
fn is_open(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read).is_pending()
}

const CONNECTIONS_MAX: usize = 4_096;
const SWEEP_EVERY: Duration = Duration::from_secs(2);
const CLOCKS_APART: Duration = Duration::from_secs(1);
