//! Where an upstream is, without ever waiting for a name server while a request waits.
//!
//! Names are looked up in the background and kept; a request takes the next address from memory. When a look-up fails,
//! the last good answer stays: a name server's outage is no reason to stop serving.
//!
//! Always true: [`Address::next`] neither blocks nor looks anything up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::core::catalog::BaseUrl;

pub struct Address {
    /// What to look up; `None` for an address that is one already.
    name: Option<(String, u16)>,
    known: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Address {
    pub fn of(base: &BaseUrl) -> Self {
        match base.host.parse::<IpAddr>() {
            Ok(ip) => Self::fixed(SocketAddr::new(ip, base.port)),
            Err(_) => Self::new(Some((base.host.clone(), base.port)), Vec::new()),
        }
    }

    pub fn fixed(address: SocketAddr) -> Self {
        Self::new(None, vec![address])
    }

    /// An upstream that is nowhere: it is never called.
    pub fn nowhere() -> Self {
        Self::new(None, Vec::new())
    }

    fn new(name: Option<(String, u16)>, known: Vec<SocketAddr>) -> Self {
        Address { name, known: ArcSwap::from_pointee(known), turn: AtomicUsize::new(0) }
    }

    /// The next of its addresses in turn; `None` before the first look-up that succeeded.
    pub fn next(&self) -> Option<SocketAddr> {
        let known = self.known.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(known.len())?;
        known.get(turn).copied()
    }

    pub fn is_known(&self) -> bool {
        !self.known.load().is_empty()
    }

    /// Whether there is a name that has to be looked up again and again.
    pub fn is_name(&self) -> bool {
        self.name.is_some()
    }

    /// Looks the name up, in at most five seconds. A failure is logged, and what was known stays.
    pub async fn resolve_now(&self) {
        let Some((host, port)) = &self.name else { return };
        match look_up(host, *port).await {
            Ok(found) => self.learn(found),
            Err(error) => tracing::warn!(host, %error, "name not resolved; the last good addresses stay in use"),
        }
    }

    /// Keeps the addresses of the first one's family. The system's resolver sorts by what this machine can reach
    /// (RFC 6724): taking turns with the other family would send every second request nowhere on a host without IPv6.
    fn learn(&self, mut found: Vec<SocketAddr>) {
        let Some(first) = found.first().copied() else { return };
        found.retain(|address| address.is_ipv4() == first.is_ipv4());
        found.sort_unstable();
        found.dedup();
        found.truncate(ADDRESSES_MAX);
        if **self.known.load() != found {
            self.known.store(found.into());
        }
    }
}

async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, port))).await??.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

const LOOK_UP_MAX: Duration = Duration::from_secs(5);
/// More than any provider announces; a bound for what a name server may make us keep.
const ADDRESSES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn base(host: &str) -> BaseUrl {
        BaseUrl { tls: true, host: host.into(), port: 443, path: String::new() }
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_literal_needs_no_look_up() {
        assert_eq!(Address::of(&base("192.0.2.1")).next(), Some("192.0.2.1:443".parse().unwrap()));
        assert_eq!(Address::of(&base("2001:db8::1")).next(), Some("[2001:db8::1]:443".parse().unwrap()));
        assert!(!Address::of(&base("192.0.2.1")).is_name());
        assert_eq!(Address::nowhere().next(), None);
    }

    #[test]
    fn addresses_of_the_reachable_family_take_turns() {
        let address = Address::of(&base("api.example"));
        assert!(address.is_name() && !address.is_known() && address.next().is_none());
        address.learn(addresses(&["192.0.2.2:443", "192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"]));
        let mut seen: Vec<_> = (0..4).filter_map(|_| address.next()).collect();
        seen.sort_unstable();
        assert_eq!(seen, addresses(&["192.0.2.1:443", "192.0.2.1:443", "192.0.2.2:443", "192.0.2.2:443"]));
    }

    #[test]
    fn an_empty_answer_changes_nothing() {
        let address = Address::of(&base("api.example"));
        address.learn(addresses(&["192.0.2.1:443"]));
        address.learn(Vec::new());
        assert!(address.is_known());
    }

    #[tokio::test]
    async fn a_failed_look_up_keeps_the_last_good_answer() {
        // A label of 64 characters is no legal name: refused without asking anybody.
        let address = Address::of(&base(&"x".repeat(64)));
        address.resolve_now().await;
        assert!(!address.is_known());
        address.learn(addresses(&["192.0.2.1:443"]));
        address.resolve_now().await;
        assert_eq!(address.next(), Some("192.0.2.1:443".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_is_looked_up() {
        let address = Address::of(&base("localhost"));
        address.resolve_now().await;
        assert!(address.next().unwrap().ip().is_loopback());
    }
}
