//! Client addresses: whose request it is, and whom an address stands for.

use std::net::IpAddr;

use ipnet::IpNet;

/// The client's address: the peer's, or, where the peer is a trusted proxy, the rightmost address in
/// `X-Forwarded-For` (its values, in the order of their lines) that no trusted proxy has. Everything left of it could
/// have been written by anybody.
pub fn client<'a>(peer: IpAddr, trusted_proxies: &[IpNet], forwarded: impl Iterator<Item = &'a str>) -> IpAddr {
    let peer = peer.to_canonical();
    let trusted = |address: IpAddr| trusted_proxies.iter().any(|net| net.contains(&address));
    if trusted_proxies.is_empty() || !trusted(peer) {
        return peer;
    }
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let mut address = peer;
    for hop in hops.iter().rev() {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        address = hop.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    address
}

/// Whom an address stands for when guesses are counted. Everybody with IPv6 owns a whole /64 and could change addresses
/// at will.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub enum Origin {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Origin {
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(address) => Origin::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Origin::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, trusted: &[&str], forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &trusted, forwarded.iter().copied()).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(seen("192.0.2.1", &[], &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("192.0.2.1", &["10.0.0.0/8"], &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.0/8"], &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["10.0.0.0/8"], &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_itself_is_left_of_what_the_proxy_saw() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1, nonsense"]), "10.0.0.1");
    }

    #[test]
    fn a_v6_network_is_one_origin() {
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(origin("2001:db8:0:1::1"), origin("2001:db8:0:1:ffff::"));
        assert_ne!(origin("2001:db8:0:1::1"), origin("2001:db8:0:2::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    }
}
