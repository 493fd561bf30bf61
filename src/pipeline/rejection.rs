//! An upstream's own "no" about the request itself: its 400, 413 and 422 are the client's business.
//!
//! The words pass on, in our shape, after everything that looks like a credential or an address was taken out of them.

use crate::core::api_error::ApiError;
use crate::core::redact::redacted;
use crate::core::secret::Secret;

pub struct Rejection {
    status: u16,
    body: Vec<u8>,
    /// What we know to be secret, whatever it looks like: the credential in use, the upstream's host.
    known: Vec<Secret>,
}

impl Rejection {
    pub fn new(status: u16, known: Vec<Secret>) -> Self {
        Rejection { status, body: Vec::new(), known }
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        let room = BODY_BYTES_MAX.saturating_sub(self.body.len());
        self.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// Whether it is no judgement of the request: Anthropic tells with a 400 that the operator's credit is used up.
    pub fn is_about_credit(&self) -> bool {
        memchr::memmem::find(&self.body, b"credit balance is too low").is_some()
    }

    pub fn to_api_error(&self) -> ApiError {
        let parsed: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        // OpenAI: {"error": {"message", "param"}}; others: {"error": "…"}, {"message": "…"}, {"detail": "…"}.
        let error = &parsed["error"];
        let words = [&error["message"], error, &parsed["message"], &parsed["detail"]];
        let message = words.iter().find_map(|value| value.as_str()).unwrap_or("The upstream refused the request.");
        ApiError::RejectedUpstream {
            status: self.status,
            message: self.cleaned(message),
            param: error["param"].as_str().map(|param| self.cleaned(param)),
        }
    }

    fn cleaned(&self, text: &str) -> String {
        let known = self.known.iter().map(Secret::expose).filter(|secret| secret.len() >= KNOWN_BYTES_MIN);
        redacted(&known.fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]")))
    }
}

/// A shorter value, such as a version in a header, is a part of too many words.
const KNOWN_BYTES_MIN: usize = 6;
const BODY_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(body: &str) -> ApiError {
        let mut rejection = Rejection::new(400, vec![Secret::new("plain-word"), Secret::new("v1")]);
        rejection.feed(body.as_bytes());
        rejection.to_api_error()
    }

    #[test]
    fn the_upstreams_words_pass_on() {
        let error = rejected(r#"{"error":{"message":"Unknown field 'foo'.","param":"foo"}}"#);
        assert_eq!(error.message(), "Unknown field 'foo'.");
        assert_eq!(error.param(), Some("foo"));
        assert_eq!(error.code(), "invalid_request");
        assert_eq!(rejected(r#"{"detail":"too long"}"#).message(), "too long");
        assert_eq!(rejected("<html>").message(), "The upstream refused the request.");
    }

    #[test]
    fn the_operators_empty_purse_is_no_judgement_of_the_request() {
        let mut rejection = Rejection::new(400, Vec::new());
        rejection.feed(br#"{"type":"error","error":{"message":"Your credit balance is too low to access the API."}}"#);
        assert!(rejection.is_about_credit());
        let mut rejection = Rejection::new(400, Vec::new());
        rejection.feed(br#"{"type":"error","error":{"message":"max_tokens is too low"}}"#);
        assert!(!rejection.is_about_credit());
    }

    #[test]
    fn what_is_known_to_be_secret_does_not_whatever_it_looks_like() {
        let error = rejected(r#"{"error":{"message":"The key 'plain-word' is for v1.","param":"plain-word"}}"#);
        assert_eq!(error.message(), "The key '[redacted]' is for v1.");
        assert_eq!(error.param(), Some("[redacted]"));
    }
}
