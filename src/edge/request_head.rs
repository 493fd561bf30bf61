//! The head that an upstream gets, as bytes: an allow-list, in which nothing of the client's stands as it came.

use crate::core::catalog::Upstream;
use crate::pipeline::rewrite::UpstreamCall;
use crate::store::contract::RequestId;

/// `None` if a part of it could be taken for more than one header, which nothing can that the configuration and the
/// reception let through.
pub fn write(call: &UpstreamCall, upstream: &Upstream, request: RequestId) -> Option<Vec<u8>> {
    let mut head = Head { bytes: Vec::with_capacity(BYTES_USUAL), upstream };
    head.bytes.extend_from_slice(b"POST ");
    head.text(&call.path_and_query, |byte| byte.is_ascii_graphic())?;
    head.bytes.extend_from_slice(b" HTTP/1.1\r\n");
    head.field("host", &call.authority)?;
    head.field("content-length", &call.body_bytes().to_string())?;
    head.usual("content-type", &call.content_type)?;
    head.usual("accept", "application/json, text/event-stream")?;
    head.usual("accept-encoding", "identity")?;
    head.usual("user-agent", USER_AGENT)?;
    head.usual("x-request-id", &request.to_string())?;
    if let Some((name, value)) = &call.credential {
        head.usual(name, value.expose())?;
    }
    for (name, value) in &call.headers {
        head.usual(name, value)?;
    }
    for (name, value) in &upstream.headers {
        head.field(name, value.expose())?;
    }
    head.bytes.extend_from_slice(b"\r\n");
    Some(head.bytes)
}

struct Head<'a> {
    bytes: Vec<u8>,
    upstream: &'a Upstream,
}

impl Head<'_> {
    /// What the configuration sets for this upstream has the last word.
    fn usual(&mut self, name: &str, value: &str) -> Option<()> {
        if self.upstream.headers.iter().any(|(configured, _)| configured == name) {
            return Some(());
        }
        self.field(name, value)
    }

    fn field(&mut self, name: &str, value: &str) -> Option<()> {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.text(value, |byte| !byte.is_ascii_control() || byte == b'\t')?;
        self.bytes.extend_from_slice(b"\r\n");
        Some(())
    }

    fn text(&mut self, text: &str, is_allowed: impl Fn(u8) -> bool) -> Option<()> {
        self.bytes.extend_from_slice(text.as_bytes());
        // Not `all`: to look at many bytes at once costs less than to stop at the first.
        text.bytes().fold(true, |is_legal, byte| is_legal & is_allowed(byte)).then_some(())
    }
}

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
const BYTES_USUAL: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bytes::Bytes;

    use super::*;
    use crate::core::secret::Secret;
    use crate::upstream::testing::upstream;

    fn call(path: &str, beta: &str) -> UpstreamCall {
        UpstreamCall {
            path_and_query: path.to_owned(),
            authority: "api.example".to_owned(),
            credential: Some(("authorization", Secret::new("Bearer sk-1"))),
            headers: vec![("anthropic-beta", beta.to_owned())],
            content_type: Cow::Borrowed("application/json"),
            pieces: vec![Bytes::from_static(b"{}"), Bytes::from_static(b"\n")],
        }
    }

    #[test]
    fn each_header_stands_there_once_and_the_configuration_has_the_last_word() {
        let mut upstream = upstream("u");
        upstream.headers = vec![("user-agent".into(), Secret::new("ours")), ("x-team".into(), Secret::new("7"))];
        let request = RequestId::new();
        let head = String::from_utf8(write(&call("/v1/chat", "a,b"), &upstream, request).unwrap()).unwrap();
        assert_eq!(
            head,
            format!(
                "POST /v1/chat HTTP/1.1\r\nhost: api.example\r\ncontent-length: 3\r\ncontent-type: application/json\r\n\
                 accept: application/json, text/event-stream\r\naccept-encoding: identity\r\nx-request-id: {request}\r\n\
                 authorization: Bearer sk-1\r\nanthropic-beta: a,b\r\nuser-agent: ours\r\nx-team: 7\r\n\r\n"
            )
        );
    }

    #[test]
    fn nothing_can_become_a_header_of_its_own() {
        let upstream = upstream("u");
        assert!(write(&call("/v1/a b", "a"), &upstream, RequestId::new()).is_none());
        assert!(write(&call("/v1/a\r\nx: y", "a"), &upstream, RequestId::new()).is_none());
        assert!(write(&call("/v1/a", "a\r\nx: y"), &upstream, RequestId::new()).is_none());
        assert!(write(&call("/v1/a", "a\0"), &upstream, RequestId::new()).is_none());
    }
}
