//! What a request's head says: its key, its address, its path.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{self, HeaderName};
use ipnet::IpNet;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use crate::core::address;
use crate::pipeline::authenticate::Presented;

/// The key, from whichever of its headers. A `Bearer` that is empty is no key.
pub fn presented(head: &RequestHeader) -> Presented<'_> {
    let mut found = Presented::Nothing;
    for value in head.headers.get_all(header::AUTHORIZATION) {
        if let Some(text) = bearer(value.as_bytes()) {
            found = found.and(text);
        }
    }
    for name in &KEY_HEADERS {
        for value in head.headers.get_all(name) {
            let text = value.as_bytes().trim_ascii();
            if !text.is_empty() {
                found = found.and(text);
            }
        }
    }
    found
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let scheme = value.get(..7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    Some(value[7..].trim_ascii()).filter(|text| !text.is_empty())
}

/// The client's address; see [`address::client`].
pub fn client_address(session: &Session, trusted_proxies: &[IpNet]) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
    let Some(peer) = peer else { return IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let forwarded = session.req_header().headers.get_all("x-forwarded-for");
    address::client(peer, trusted_proxies, forwarded.iter().filter_map(|value| value.to_str().ok()))
}

/// The path as it stood on the wire, without its query.
pub fn raw_path(head: &RequestHeader) -> &str {
    let raw = head.raw_path();
    let path = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    // Not UTF-8 is not one of our paths.
    std::str::from_utf8(path).unwrap_or("*")
}

static KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("POST", b"/v1/models?x=1", None).unwrap();
        for (name, value) in pairs {
            head.append_header((*name).to_owned(), (*value).to_owned()).unwrap();
        }
        head
    }

    #[test]
    fn a_key_may_come_in_any_of_four_headers() {
        for pair in [
            ("authorization", "Bearer k"),
            ("authorization", "bearer  k "),
            ("x-api-key", "k"),
            ("api-key", "k"),
            ("x-goog-api-key", "k"),
        ] {
            assert_eq!(presented(&head(&[pair])), Presented::One(b"k"), "{pair:?}");
        }
        assert_eq!(presented(&head(&[("authorization", "Basic k")])), Presented::Nothing);
        assert_eq!(presented(&head(&[("authorization", "Bearer ")])), Presented::Nothing);
    }

    #[test]
    fn two_different_keys_conflict_and_two_equal_ones_do_not() {
        assert_eq!(presented(&head(&[("authorization", "Bearer a"), ("x-api-key", "b")])), Presented::Conflicting);
        assert_eq!(presented(&head(&[("authorization", "Bearer a"), ("x-api-key", "a")])), Presented::One(b"a"));
    }

    #[test]
    fn the_query_is_no_part_of_the_path() {
        assert_eq!(raw_path(&head(&[])), "/v1/models");
    }
}
