//! An upstream to test with.

use std::time::Duration;

use crate::core::catalog::{
    BaseUrl, Dialect, OnDisconnect, StreamUsage, Timeouts, Upstream, UpstreamKind, UpstreamTls,
};
use crate::core::secret::Secret;

/// On a literal address, with one key, and everything else as the configuration would default it.
pub fn upstream(name: &str) -> Upstream {
    Upstream {
        name: name.into(),
        kind: UpstreamKind::Openai,
        base: BaseUrl { tls: false, host: "127.0.0.1".into(), port: 9, path: "/v1".into() },
        api_version: None,
        speaks: vec![Dialect::Chat],
        api_keys: vec![Secret::new("sk-upstream")],
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
        },
        headers: Vec::new(),
        stream_usage: StreamUsage::Inject,
        on_disconnect: OnDisconnect::Cancel,
        tls: UpstreamTls { verify: true, ca_pem: None },
    }
}
