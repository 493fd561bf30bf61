//! The listening sockets of a process: bound, or inherited from the process before.
//!
//! They are kept beside the tasks that accept from them, because a socket lives on in the next process: whoever holds a
//! copy of it when an upgrade begins passes it on, and the kernel's queue of waiting connections goes with it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::config::Config;

/// One listening socket.
pub(super) struct Socket {
    pub(super) place: Place,
    pub(super) listener: std::net::TcpListener,
}

/// What a socket is for, and its address as the configuration gives it: port 0 and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) purpose: Purpose,
    pub(super) address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    Edge,
    EdgeTls,
    Console,
    Metrics,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Edge => "edge",
            Purpose::EdgeTls => "edge, TLS",
            Purpose::Console => "console",
            Purpose::Metrics => "metrics",
        }
    }
}

impl Socket {
    /// One more way to the same queue.
    pub(super) fn listen(&self) -> Result<TcpListener> {
        Ok(TcpListener::from_std(self.listener.try_clone()?)?)
    }

    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}

/// Every socket that the configuration asks for: an inherited one where there is one, else a new one.
///
/// # Errors
/// A port that is taken.
pub(super) async fn open(config: &Config, mut inherited: Vec<Socket>) -> Result<Arc<[Socket]>> {
    let mut sockets = Vec::new();
    for place in places(config) {
        let known = inherited.iter().position(|socket| is_for(socket.place, place));
        let listener = match known {
            Some(at) => inherited.swap_remove(at).listener,
            None => bind(place).await?,
        };
        sockets.push(Socket { place, listener });
    }
    Ok(sockets.into())
}

fn places(config: &Config) -> Vec<Place> {
    let of = |purpose, addresses: &[SocketAddr]| {
        addresses.iter().map(|address| Place { purpose, address: *address }).collect::<Vec<_>>()
    };
    let tls = config.edge.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    [
        of(Purpose::Edge, &config.edge.listen),
        of(Purpose::EdgeTls, tls),
        of(Purpose::Console, &[config.console.listen]),
        of(Purpose::Metrics, &[config.metrics.listen]),
    ]
    .concat()
}

/// A port can change its purpose between two processes; "any port" means nothing without its purpose.
fn is_for(offered: Place, asked: Place) -> bool {
    offered.address == asked.address && (offered.purpose == asked.purpose || asked.address.port() != 0)
}

async fn bind(place: Place) -> Result<std::net::TcpListener> {
    let Place { purpose, address } = place;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address} ({})", purpose.name()))?;
    Ok(listener.into_std()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(purpose: Purpose, address: &str) -> Place {
        Place { purpose, address: address.parse().unwrap() }
    }

    #[test]
    fn a_socket_is_inherited_by_its_address() {
        let edge = place(Purpose::Edge, "127.0.0.1:8080");
        assert!(is_for(edge, edge));
        assert!(is_for(edge, place(Purpose::EdgeTls, "127.0.0.1:8080")), "the port would be taken");
        assert!(!is_for(edge, place(Purpose::Edge, "127.0.0.1:8081")));
        assert!(!is_for(edge, place(Purpose::Edge, "0.0.0.0:8080")));
        let any = place(Purpose::Edge, "127.0.0.1:0");
        assert!(is_for(any, any));
        assert!(!is_for(any, place(Purpose::Metrics, "127.0.0.1:0")), "another port");
    }
}
