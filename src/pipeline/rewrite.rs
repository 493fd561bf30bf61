//! Stage 6: the request as the upstream shall see it, built from nothing.
//!
//! An allow-list, not a deny-list: method, a fixed path, a handful of headers, our credential. Nothing that a client
//! sent can steer where a request goes or with whose credential; only its body goes on, and of that only the model's
//! name and the wish for usage are edited.

use bytes::Bytes;

use crate::core::catalog::{Candidate, StreamUsage, UpstreamKind};
use crate::core::secret::Secret;
use crate::protocol::endpoint::Endpoint;
use crate::protocol::request::Facts;

/// Everything that goes on the wire toward an upstream.
pub struct UpstreamCall {
    pub path_and_query: String,
    pub authority: String,
    pub credential: Option<(&'static str, Secret)>,
    pub pieces: Vec<Bytes>,
}

impl UpstreamCall {
    pub fn body_bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

pub fn rewrite(
    endpoint: Endpoint,
    facts: &Facts,
    body: &Bytes,
    candidate: &Candidate,
    api_key: Option<&Secret>,
) -> UpstreamCall {
    let upstream = &candidate.upstream;
    let inject_usage = upstream.stream_usage == StreamUsage::Inject && endpoint.takes_stream_options();
    UpstreamCall {
        path_and_query: path_and_query(endpoint, candidate),
        authority: upstream.base.authority(),
        credential: api_key.map(|key| match upstream.kind {
            UpstreamKind::Azure => ("api-key", key.clone()),
            _ => ("authorization", Secret::new(format!("Bearer {}", key.expose()))),
        }),
        pieces: facts.rewrite(body, &candidate.model, inject_usage),
    }
}

fn path_and_query(endpoint: Endpoint, candidate: &Candidate) -> String {
    let base = &candidate.upstream.base.path;
    let path = endpoint.upstream_path();
    match (candidate.upstream.kind, &candidate.upstream.api_version) {
        // Azure names the deployment in the path (Azure OpenAI REST API reference).
        (UpstreamKind::Azure, Some(version)) => {
            format!("{base}/openai/deployments/{}{path}?api-version={version}", percent_encoded(&candidate.model))
        }
        _ => format!("{base}{path}"),
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
