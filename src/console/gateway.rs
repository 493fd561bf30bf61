//! What the console asks of the running gateway. The server answers; nothing here knows of its pipeline.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::core::catalog::{Catalog, UpstreamKind};
use crate::ledger;
use crate::upstream::health::BreakerState;

/// The running gateway, as far as people are shown it.
#[async_trait]
pub trait Gateway: Send + Sync {
    fn catalog(&self) -> Arc<Catalog>;
    /// In the order of the configuration.
    fn upstreams(&self) -> Vec<UpstreamState>;
    fn health(&self) -> GatewayHealth;
    /// The configuration in effect, every secret masked.
    fn config(&self) -> serde_json::Value;
    fn site(&self) -> Site;
    /// Reads the configuration again, or says every fault and keeps the old one.
    async fn reload(&self) -> Result<(), Vec<String>>;
    /// Asks an upstream whether it is there; `None` if there is none of this name.
    async fn probe(&self, upstream: &str) -> Option<ProbeResult>;
    /// The books were changed by hand: what is decided from now on knows it. Blocks on the storage.
    fn followed(&self);
}

/// An upstream, and how it is doing.
#[derive(Clone, Debug)]
pub struct UpstreamState {
    pub name: String,
    pub kind: UpstreamKind,
    /// Without user, password and query.
    pub base_url: String,
    pub state: BreakerState,
    /// Whether a request sent now would have an address, a key and a closed breaker.
    pub usable: bool,
    pub keys_total: usize,
    pub keys_resting: usize,
    pub address_known: bool,
    pub last_probe: Option<ProbeResult>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    pub at_ms: i64,
    pub ok: bool,
    pub latency_ms: u64,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// For people; without credentials.
    pub message: String,
}

#[derive(Clone, Debug)]
pub struct GatewayHealth {
    pub started_at_ms: i64,
    /// `http://127.0.0.1:8080`, as they are bound.
    pub edge: Vec<String>,
    pub console: SocketAddr,
    pub metrics: Option<SocketAddr>,
    pub draining: bool,
    pub requests_in_flight: u64,
    pub ledger: ledger::Stats,
    /// Whether paid requests are taken: the storage can be written.
    pub ledger_healthy: bool,
    pub config_path: String,
    pub last_reload: Option<Reload>,
    /// What works but deserves a second look, as of the last load.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reload {
    pub at_ms: i64,
    pub ok: bool,
    pub message: String,
}

/// What the pages must know about the place.
#[derive(Clone, Debug)]
pub struct Site {
    pub version: &'static str,
    pub currency: String,
    pub base_paths: Vec<String>,
    /// The largest request that the edge takes.
    pub body_bytes_max: u64,
    /// The first of the edge's listeners, as it is bound: `http://0.0.0.0:8080`.
    pub edge: String,
    /// What clients should use instead, where the configuration says so.
    pub edge_url: Option<String>,
    /// The console's own address in front of proxies; without a slash at the end.
    pub public_url: Option<String>,
    pub console: SocketAddr,
    pub sign_up: SignUp,
    /// An upstream that makes its answers up is configured.
    pub demo: bool,
}

/// Who may become a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUp {
    Invite,
    Open,
}

impl Site {
    /// The base of the clients' API as this browser's user should type it: a listener on every address is reached where
    /// the console was.
    pub fn edge_url_seen_from(&self, host: Option<&str>) -> String {
        if let Some(url) = &self.edge_url {
            return url.clone();
        }
        let host = host.map(without_port).filter(|host| is_plain_host(host));
        let everywhere = ["://0.0.0.0:", "://[::]:"].into_iter().find(|any| self.edge.contains(any));
        match (everywhere, host) {
            (Some(any), Some(host)) => self.edge.replacen(any, &format!("://{host}:"), 1),
            (Some(any), None) => self.edge.replacen(any, "://127.0.0.1:", 1),
            (None, _) => self.edge.clone(),
        }
    }
}

fn without_port(host: &str) -> &str {
    let end = host.rfind(':').filter(|at| !host[*at..].contains(']')).unwrap_or(host.len());
    &host[..end]
}

/// The header is the browser's, and what is made of it is shown: nothing that could be more than a name or an address.
fn is_plain_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    (1..=253).contains(&host.len()) && host.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(edge: &str) -> Site {
        Site {
            version: "0",
            currency: "USD".into(),
            base_paths: Vec::new(),
            body_bytes_max: 1,
            edge: edge.into(),
            edge_url: None,
            public_url: None,
            console: SocketAddr::from(([127, 0, 0, 1], 1)),
            sign_up: SignUp::Invite,
            demo: false,
        }
    }

    #[test]
    fn a_listener_on_every_address_is_where_the_console_was_found() {
        for edge in ["http://0.0.0.0:8080", "http://[::]:8080"] {
            let seen = |host| site(edge).edge_url_seen_from(host);
            assert_eq!(seen(Some("gate.example:8081")), "http://gate.example:8080");
            assert_eq!(seen(Some("[2001:db8::1]:8081")), "http://[2001:db8::1]:8080");
            assert_eq!(seen(Some("[2001:db8::1]")), "http://[2001:db8::1]:8080");
            assert_eq!(seen(Some("a\"b")), "http://127.0.0.1:8080");
            assert_eq!(seen(None), "http://127.0.0.1:8080");
        }
        assert_eq!(site("http://127.0.0.1:8080").edge_url_seen_from(Some("x:1")), "http://127.0.0.1:8080");
        let fixed = Site { edge_url: Some("https://api.example".into()), ..site("http://0.0.0.0:1") };
        assert_eq!(fixed.edge_url_seen_from(Some("x")), "https://api.example");
    }
}
