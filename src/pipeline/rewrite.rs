//! Stage 6: the request as the upstream shall see it, built from nothing.
//!
//! An allow-list, not a deny-list: method, a fixed path, a handful of headers, our credential. Nothing that a client
//! sent can steer where a request goes or with whose credential; only its body goes on, and of that only the model's
//! name and the wish for usage are edited.

use std::borrow::Cow;

use bytes::Bytes;

use crate::core::catalog::{Candidate, Dialect, StreamUsage, UpstreamKind};
use crate::core::secret::Secret;
use crate::protocol::endpoint::Endpoint;
use crate::protocol::request::Facts;

/// Everything that goes on the wire toward an upstream.
pub struct UpstreamCall {
    pub path_and_query: String,
    pub authority: String,
    pub credential: Option<(&'static str, Secret)>,
    /// Of the client's, as far as they mean something to the upstream.
    pub headers: Vec<(&'static str, String)>,
    pub content_type: Cow<'static, str>,
    pub pieces: Vec<Bytes>,
}

impl UpstreamCall {
    pub fn body_bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// What a client of Anthropic's dialect says in its head besides who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnthropicHead {
    pub version: Option<String>,
    pub beta: Option<String>,
    /// The path was followed by `?beta=true`.
    pub beta_in_query: bool,
}

impl AnthropicHead {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let version = self.version.clone().unwrap_or_else(|| ANTHROPIC_VERSION.to_owned());
        let beta = self.beta.clone().map(|beta| ("anthropic-beta", beta));
        std::iter::once(("anthropic-version", version)).chain(beta).collect()
    }
}

/// `endpoint`: where the upstream is asked, which is not where the client asked if it speaks another dialect; `pieces`:
/// the body that is sent there.
pub fn rewrite(
    endpoint: Endpoint,
    facts: &Facts,
    pieces: Vec<Bytes>,
    candidate: &Candidate,
    api_key: Option<&Secret>,
    anthropic: &AnthropicHead,
) -> UpstreamCall {
    let is_anthropic = endpoint.dialect() == Some(Dialect::Messages);
    let mut path_and_query = path_and_query(endpoint, candidate);
    if is_anthropic && anthropic.beta_in_query {
        path_and_query.push_str("?beta=true");
    }
    let upstream = &candidate.upstream;
    UpstreamCall {
        path_and_query,
        authority: upstream.base.authority(),
        credential: api_key.map(|key| match upstream.kind {
            UpstreamKind::Azure => ("api-key", key.clone()),
            UpstreamKind::Anthropic => ("x-api-key", key.clone()),
            _ => ("authorization", Secret::new(["Bearer ", key.expose()].concat())),
        }),
        headers: if is_anthropic { anthropic.headers() } else { Vec::new() },
        content_type: facts.content_type(),
        pieces,
    }
}

/// The client's own body for an upstream that speaks its dialect.
pub fn splice(endpoint: Endpoint, facts: &Facts, body: &Bytes, candidate: &Candidate) -> Vec<Bytes> {
    let inject_usage = candidate.upstream.stream_usage == StreamUsage::Inject && endpoint.takes_stream_options();
    facts.rewrite(body, &candidate.model, inject_usage)
}

fn path_and_query(endpoint: Endpoint, candidate: &Candidate) -> String {
    let base = &candidate.upstream.base.path;
    let path = endpoint.upstream_path();
    match (candidate.upstream.kind, &candidate.upstream.api_version) {
        // Azure OpenAI REST API reference. The versionless API, "v1", and Responses name the deployment in the body; all
        // else names it in the path.
        (UpstreamKind::Azure, Some(version)) if !version.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("{base}/openai/v1{path}?api-version={version}")
        }
        (UpstreamKind::Azure, Some(version)) if endpoint == Endpoint::Responses => {
            format!("{base}/openai{path}?api-version={version}")
        }
        (UpstreamKind::Azure, Some(version)) => {
            format!("{base}/openai/deployments/{}{path}?api-version={version}", percent_encoded(&candidate.model))
        }
        _ => [base, path].concat(),
    }
}

/// A path segment: everything outside RFC 3986's unreserved characters is encoded.
fn percent_encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Asked for where the client names none: the first, which every version since has kept to.
const ANTHROPIC_VERSION: &str = "2023-06-01";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::request::understand;
    use crate::upstream::testing::upstream;

    fn call(kind: UpstreamKind, api_version: Option<&str>, endpoint: Endpoint, head: &AnthropicHead) -> UpstreamCall {
        let mut upstream = upstream("u");
        upstream.kind = kind;
        upstream.api_version = api_version.map(str::to_owned);
        let candidate = Candidate { upstream: Arc::new(upstream), model: "my gpt".into(), priority: 0, weight: 1 };
        let body = Bytes::from_static(
            br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"input":"hi","prompt":"hi"}"#,
        );
        let facts = understand(endpoint, &body).unwrap();
        rewrite(
            endpoint,
            &facts,
            splice(endpoint, &facts, &body, &candidate),
            &candidate,
            Some(&Secret::new("sk-1")),
            head,
        )
    }

    #[test]
    fn azure_names_the_deployment_in_the_path_or_in_the_body() {
        let path = |version, endpoint| {
            let call = call(UpstreamKind::Azure, Some(version), endpoint, &AnthropicHead::default());
            let (name, key) = call.credential.unwrap();
            assert_eq!((name, key.expose()), ("api-key", "sk-1"));
            call.path_and_query
        };
        assert_eq!(
            path("2025-04-01-preview", Endpoint::ChatCompletions),
            "/v1/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview"
        );
        assert_eq!(
            path("2025-04-01-preview", Endpoint::Responses),
            "/v1/openai/responses?api-version=2025-04-01-preview"
        );
        assert_eq!(path("preview", Endpoint::Responses), "/v1/openai/v1/responses?api-version=preview");
        assert_eq!(path("preview", Endpoint::Embeddings), "/v1/openai/v1/embeddings?api-version=preview");
    }

    #[test]
    fn anthropic_gets_its_headers_and_nobody_else_does() {
        let head = AnthropicHead { version: None, beta: Some("b-1".into()), beta_in_query: true };
        let messages = call(UpstreamKind::Anthropic, None, Endpoint::CountTokens, &head);
        assert_eq!(messages.path_and_query, "/v1/messages/count_tokens?beta=true");
        assert_eq!(
            messages.headers,
            [("anthropic-version", "2023-06-01".to_owned()), ("anthropic-beta", "b-1".to_owned())]
        );
        assert_eq!(messages.credential.unwrap().0, "x-api-key");
        let chat = call(UpstreamKind::Openai, None, Endpoint::ChatCompletions, &head);
        assert_eq!((chat.path_and_query.as_str(), chat.headers.len()), ("/v1/chat/completions", 0));
    }
}
