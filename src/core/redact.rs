//! Strangers' words, before they are shown: without what looks like a credential or an address.
//!
//! A provider's error text may quote the key that it refused, or name a machine of its own network.

/// Takes out of a text what must not be shown: credentials, URLs, host names with a port, addresses.
pub fn redacted(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MESSAGE_CHARS_MAX));
    for word in text.split_inclusive(|c: char| c.is_whitespace()) {
        let bare = word.trim_end();
        if gives_something_away(bare) {
            clean.push_str("[redacted]");
            clean.push_str(&word[bare.len()..]);
        } else {
            clean.push_str(word);
        }
    }
    clean.chars().filter(|c| !c.is_control() || *c == '\n').take(MESSAGE_CHARS_MAX).collect()
}

/// A URL, an IP address, or a long run that is both letters and digits or begins like a provider's key.
fn gives_something_away(word: &str) -> bool {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric());
    let lower = core.to_ascii_lowercase();
    let is_url = lower.contains("://");
    let is_key = ["sk-", "sk_", "pk-", "key-", "org-", "proj_", "bearer"].iter().any(|head| lower.starts_with(head));
    let is_address = core.split(':').next().is_some_and(|host| host.parse::<std::net::IpAddr>().is_ok());
    let opaque = |part: &str| {
        part.len() >= 20
            && part.chars().any(|c| c.is_ascii_digit())
            && part.chars().any(|c| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '*'))
    };
    is_url || (is_key && core.len() > 8) || is_address || core.split(['-', '.', '=', ':', '\'', '"']).any(opaque)
}

const MESSAGE_CHARS_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_and_addresses_do_not() {
        for secret in [
            "sk-proj-abcdef1234567890abcdef",
            "Incorrect key: sk-abc**********wxyz.",
            "see https://api.internal.example/v1/x",
            "dial 10.0.0.7:8443 failed",
            "token eyJhbGciOiJIUzI1NiJ9abcdef0123",
            "org-AbCdEf0123456789",
        ] {
            let clean = redacted(secret);
            assert!(clean.contains("[redacted]"), "{clean}");
        }
        assert_eq!(redacted("'max_tokens' is too large: 100000."), "'max_tokens' is too large: 100000.");
    }
}
