//! What a request's head says: its key, its address, its path.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{self, HeaderName};
use ipnet::IpNet;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use crate::core::address;
use crate::core::api_error::ApiError;
use crate::pipeline::authenticate::Presented;
use crate::pipeline::rewrite::AnthropicHead;

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

/// Whether the client speaks to us as to Anthropic, as far as its head tells.
pub fn is_anthropic(head: &RequestHeader, path: &str) -> bool {
    head.headers.contains_key(&VERSION) || path.ends_with("/messages") || path.ends_with("/messages/count_tokens")
}

/// What of the head is for an upstream that speaks Anthropic's dialect.
///
/// # Errors
/// 400 for a header that is no plain text, or longer than anybody needs.
pub fn for_anthropic(head: &RequestHeader) -> Result<AnthropicHead, ApiError> {
    let joined = |name: &HeaderName| -> Result<Option<String>, ApiError> {
        let wrong = || ApiError::invalid(format!("The header '{name}' must be plain text of at most 1024 bytes."));
        let mut values = Vec::new();
        for value in head.headers.get_all(name) {
            values.push(value.to_str().map_err(|_| wrong())?.trim());
        }
        values.retain(|value| !value.is_empty());
        let joined = values.join(",");
        if joined.len() > PASSED_BYTES_MAX { Err(wrong()) } else { Ok(Some(joined).filter(|text| !text.is_empty())) }
    };
    let query = head.uri.query().unwrap_or_default();
    Ok(AnthropicHead {
        version: joined(&VERSION)?,
        beta: joined(&BETA)?,
        beta_in_query: query.split('&').any(|pair| pair == "beta=true"),
    })
}

/// The client's address; see [`address::client`].
pub fn client_address(session: &Session, trusted_proxies: &[IpNet]) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
    let Some(peer) = peer else { return IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let forwarded = session.req_header().headers.get_all(&FORWARDED_FOR);
    address::client(peer, trusted_proxies, forwarded.iter().filter_map(|value| value.to_str().ok()))
}

/// The path as it stood on the wire, without its query.
pub fn raw_path(head: &RequestHeader) -> &str {
    let raw = head.raw_path();
    let path = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    // Not UTF-8 is not one of our paths.
    std::str::from_utf8(path).unwrap_or("*")
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static VERSION: HeaderName = HeaderName::from_static("anthropic-version");
static BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const PASSED_BYTES_MAX: usize = 1_024;
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
    fn anthropics_headers_are_taken_as_they_are_or_refused() {
        let betas =
            head(&[("anthropic-beta", "a-1, b-2"), ("anthropic-beta", "c-3"), ("anthropic-version", "2023-06-01")]);
        let passed = for_anthropic(&betas).unwrap();
        assert_eq!(passed.beta.as_deref(), Some("a-1, b-2,c-3"));
        assert_eq!(passed.version.as_deref(), Some("2023-06-01"));
        assert!(!passed.beta_in_query && is_anthropic(&betas, "/v1/models") && !is_anthropic(&head(&[]), "/v1/models"));
        assert!(for_anthropic(&head(&[("anthropic-beta", &"x".repeat(1_025))])).is_err());
        assert!(for_anthropic(&head(&[("anthropic-beta", "caf\u{e9}")])).is_err());
        let asked = RequestHeader::build("POST", b"/v1/messages?x=1&beta=true", None).unwrap();
        assert!(for_anthropic(&asked).unwrap().beta_in_query && is_anthropic(&asked, raw_path(&asked)));
    }

    #[test]
    fn the_query_is_no_part_of_the_path() {
        assert_eq!(raw_path(&head(&[])), "/v1/models");
    }
}
