//! Durations, sizes, addresses and URLs, from their text.
//!
//! A number without a unit is refused: whether `30` means seconds or milliseconds should not be looked up.
//!
//! Always true: an error never repeats the text that it judges, for that may have come from a variable.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use crate::core::catalog::BaseUrl;
use crate::core::money::DecimalError;

/// What is wrong with a value, as words that follow the value, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub problem: String,
    pub remedy: String,
}

impl Wrong {
    pub fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Wrong {
        Wrong { problem: problem.into(), remedy: remedy.into() }
    }
}

/// Reads `250ms`, `30s`, `5m`, `1h`, `30d`.
///
/// # Errors
/// [`Wrong`] for anything else, and for more than ten years.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || Wrong::new("is not a duration", "write a whole number and ms, s, m, h or d, such as 30s");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit_ms) {
        Some(ms) if ms <= DURATION_MS_MAX => Ok(Duration::from_millis(ms)),
        _ => Err(Wrong::new("is longer than ten years", "write a shorter duration")),
    }
}

/// Reads `512B`, `64KiB`, `32MiB`, `1GiB` as bytes.
///
/// # Errors
/// [`Wrong`] for anything else, and for more than a terabyte.
pub fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || Wrong::new("is not a size", "write a whole number and KiB, MiB or GiB, such as 32MiB");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit_bytes) {
        Some(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        _ => Err(Wrong::new("is larger than 1024GiB", "write a smaller size")),
    }
}

/// Reads `127.0.0.1:8080` or `[::1]:8080`. Port 0 lets the system choose.
///
/// # Errors
/// [`Wrong`] for anything else, names of hosts included: what we listen on must not depend on a resolver.
pub fn listen_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| Wrong::new("is not an address and a port", "write one such as \"127.0.0.1:8080\""))
}

/// Reads `10.0.0.0/8`, or a single address.
///
/// # Errors
/// [`Wrong`] for anything else.
pub fn network(text: &str) -> Result<IpNet, Wrong> {
    let single = text.parse::<IpAddr>().map(IpNet::from);
    single
        .or_else(|_| text.parse::<IpNet>().map(|net| net.trunc()))
        .map_err(|_| Wrong::new("is not a network", "write it as a CIDR, such as \"10.0.0.0/8\""))
}

/// Takes an `http` or `https` URL apart. Credentials, queries and fragments have no place in it.
///
/// # Errors
/// [`Wrong`] with the part that is at fault.
pub fn base_url(text: &str) -> Result<BaseUrl, Wrong> {
    let wrong = |problem: &str| Wrong::new(problem, "write a URL such as https://api.example.com/v1");
    let tls = match text.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => true,
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => false,
        _ => return Err(wrong("does not begin with https:// or http://")),
    };
    if text.contains(['?', '#']) {
        return Err(wrong("has a query or a fragment"));
    }
    let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("has a user or a password in it"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    let port = match authority.port_u16() {
        Some(0) => return Err(wrong("has port 0")),
        Some(port) => port,
        None if authority.as_str().len() > authority.host().len() => return Err(wrong("has no legal port")),
        None if tls => 443,
        None => 80,
    };
    let path = uri.path().trim_end_matches('/').to_owned();
    check_path(&path).map_err(|problem| wrong(&problem))?;
    Ok(BaseUrl { tls, host, port, path })
}

/// Reads a path under which endpoints answer, such as `/v1`.
///
/// # Errors
/// [`Wrong`] with what is wrong about it.
pub fn base_path(text: &str) -> Result<String, Wrong> {
    let wrong = |problem: &str| Wrong::new(problem, "write a path such as \"/v1\"");
    if !text.starts_with('/') {
        return Err(wrong("does not begin with a slash"));
    }
    if text.ends_with('/') {
        return Err(wrong("ends with a slash"));
    }
    check_path(text).map_err(|problem| wrong(&problem))?;
    Ok(text.to_owned())
}

/// Words for a decimal that was refused, where `what` is what stands there, such as `price per million tokens`.
pub fn decimal_wrong(text: &str, error: DecimalError, what: &str) -> Wrong {
    let looks_scientific = text.contains(['e', 'E']) && text.bytes().any(|byte| byte.is_ascii_digit());
    let problem = match error {
        DecimalError::NotDecimal if looks_scientific => "is in scientific notation, which is not read".to_owned(),
        DecimalError::NotDecimal => "is not a decimal number".to_owned(),
        other => other.to_string(),
    };
    Wrong::new(problem, format!("write the {what}"))
}

/// Digits, then letters.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

fn check_path(path: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    if let Some(odd) = path.bytes().find(|byte| !legal(*byte)) {
        return Err(format!("has {:?} in its path", char::from(odd)));
    }
    match path.split('/').skip(1).find(|segment| matches!(*segment, "" | "." | "..")) {
        Some("") => Err("has an empty segment in its path".to_owned()),
        Some(_) => Err("has a dot segment in its path".to_owned()),
        None => Ok(()),
    }
}

pub const DAY_MS: u64 = 86_400_000;
const DURATION_MS_MAX: u64 = 3_650 * DAY_MS;
const SIZE_BYTES_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("30d", 30 * DAY_MS), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "1.5h", "-1s", "30 s", "1h30m", "30S", "99999999999999999999s", "5m ", "٣s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert_eq!(duration("4000d").unwrap_err().problem, "is longer than ten years");
        assert_eq!(duration("18446744073709551615d").unwrap_err().problem, "is longer than ten years");
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [("64KiB", 65_536), ("32MiB", 33_554_432), ("1GiB", 1 << 30), ("12B", 12)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "32", "32MB", "32mib", "1.5MiB", "-1KiB", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses() {
        assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert_eq!(network("::1"), Ok("::1/128".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "*"] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = |tls, host: &str, port, path: &str| BaseUrl { tls, host: host.into(), port, path: path.into() };
        for (text, expected) in [
            ("https://api.openai.com/v1", url(true, "api.openai.com", 443, "/v1")),
            ("https://API.example.com/v1/", url(true, "api.example.com", 443, "/v1")),
            ("http://127.0.0.1:8000", url(false, "127.0.0.1", 8000, "")),
            ("http://[::1]:8000/", url(false, "::1", 8000, "")),
            ("HTTPS://example.com:8443/a/b", url(true, "example.com", 8443, "/a/b")),
        ] {
            assert_eq!(base_url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn urls_with_more_in_them_are_refused() {
        for (text, problem) in [
            ("", "does not begin with https:// or http://"),
            ("api.openai.com/v1", "does not begin with https:// or http://"),
            ("ftp://example.com", "does not begin with https:// or http://"),
            ("https://", "is not a URL"),
            ("https:///v1", "is not a URL"),
            ("https://:443/v1", "has no host"),
            ("https://user:pass@example.com", "has a user or a password in it"),
            ("https://example.com/v1?key=1", "has a query or a fragment"),
            ("https://example.com/v1#top", "has a query or a fragment"),
            ("https://example.com:0/", "has port 0"),
            ("https://example.com:99999/", "has no legal port"),
            ("https://example.com/a//b", "has an empty segment in its path"),
            ("https://example.com/a/../b", "has a dot segment in its path"),
            ("https://example.com/a%2e", "has '%' in its path"),
        ] {
            assert_eq!(base_url(text).map_err(|wrong| wrong.problem), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn base_paths_are_plain() {
        assert_eq!(base_path("/api/v1"), Ok("/api/v1".to_owned()));
        for text in ["", "/", "v1", "/v1/", "//v1", "/a//b", "/./v1", "/a/..", "/a b", "/a?b", "/a%20"] {
            assert!(base_path(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = (duration(&text), size(&text), network(&text), base_url(&text), base_path(&text));
            let _ = base_url(&format!("https://{text}"));
        }

        #[test]
        fn every_whole_second_is_read(seconds in 0u64..315_360_000) {
            prop_assert_eq!(duration(&format!("{seconds}s")), Ok(Duration::from_secs(seconds)));
        }
    }
}
