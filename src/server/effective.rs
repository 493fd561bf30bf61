//! The configuration in effect, as people may see it: every credential masked.
//!
//! Written out field by field from what is used, not from the file: defaults are in it, and what a later version adds is
//! shown only once somebody decided that it may be.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Config, Durability, StorageUrl};
use crate::core::catalog::{Catalog, Dialect, Group, Model, OnDisconnect, StreamUsage, Upstream, UpstreamKind};

/// `config` is what was fixed at the start, `catalog` what the last reload took over.
pub(super) fn parts(config: &Config) -> Value {
    let edge = &config.edge;
    json!({
        "edge": {
            "listen": edge.listen,
            "tls": edge.tls.as_ref().map(|tls| json!({"listen": tls.listen, "cert": tls.cert, "key": tls.key})),
            "base_paths": edge.base_paths,
            "max_body": edge.max_body,
            "body_memory": edge.body_memory,
            "header_timeout": time(edge.header_timeout),
            "body_timeout": time(edge.body_timeout),
            "trusted_proxies": edge.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "drain": time(edge.drain),
            "threads": edge.threads,
        },
        "console": {
            "listen": config.console.listen,
            "public_url": config.console.public_url,
            "edge_url": config.console.edge_url,
            "sign_up": match config.console.sign_up {
                crate::config::SignUp::Invite => "invite",
                crate::config::SignUp::Open => "open",
            },
        },
        "metrics": {"listen": config.metrics.listen},
        "storage": {
            "url": match &config.storage.url {
                StorageUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
                StorageUrl::Postgres(_) => format!("postgres://{MASK}"),
            },
            "durability": match config.storage.durability {
                Durability::Full => "full",
                Durability::Normal => "normal",
            },
            "retention": time(config.storage.retention),
        },
        "logging": {
            "level": config.logging.level.as_str(),
            "format": match config.logging.format {
                crate::config::LogFormat::Text => "text",
                crate::config::LogFormat::Json => "json",
            },
        },
    })
}

/// The parts that a reload takes over, put to the others.
pub(super) fn with_catalog(mut parts: Value, catalog: &Catalog) -> Value {
    let upstreams = catalog.upstreams.iter().map(|each| (each.name.clone(), upstream(each)));
    parts["upstreams"] = Value::Object(upstreams.collect());
    parts["models"] = Value::Object(catalog.models.iter().map(|each| (each.name.clone(), model(each))).collect());
    parts["groups"] = Value::Object(catalog.groups.iter().map(|(name, each)| (name.clone(), group(each))).collect());
    parts["billing"] = json!({"currency": catalog.currency});
    parts
}

fn upstream(upstream: &Upstream) -> Value {
    let scheme = if upstream.base.tls { "https" } else { "http" };
    let dialect = |dialect: &Dialect| match dialect {
        Dialect::Chat => "chat",
        Dialect::Responses => "responses",
        Dialect::Messages => "messages",
    };
    let headers = upstream.headers.iter().map(|(name, _)| (name.clone(), Value::from(MASK)));
    json!({
        "kind": match upstream.kind {
            UpstreamKind::Openai => "openai",
            UpstreamKind::Azure => "azure",
            UpstreamKind::Anthropic => "anthropic",
            UpstreamKind::Demo => "demo",
        },
        "base_url": format!("{scheme}://{}{}", upstream.base.authority(), upstream.base.path),
        "api_version": upstream.api_version,
        "speaks": upstream.speaks.iter().map(dialect).collect::<Vec<_>>(),
        "api_keys": vec![MASK; upstream.api_keys.len()],
        "timeouts": {
            "connect": time(upstream.timeouts.connect),
            "first_byte": time(upstream.timeouts.first_byte),
            "idle": time(upstream.timeouts.idle),
        },
        "headers": Value::Object(headers.collect()),
        "stream_usage": match upstream.stream_usage {
            StreamUsage::Inject => "inject",
            StreamUsage::Native => "native",
            StreamUsage::None => "none",
        },
        "on_disconnect": match upstream.on_disconnect {
            OnDisconnect::Cancel => "cancel",
            OnDisconnect::Drain => "drain",
        },
        "tls": {"verify": upstream.tls.verify, "own_ca": upstream.tls.ca_pem.is_some()},
    })
}

fn model(model: &Model) -> Value {
    let candidates = model.candidates.iter().map(|candidate| {
        json!({
            "name": candidate.upstream.name,
            "model": candidate.model,
            "priority": candidate.priority,
            "weight": candidate.weight,
        })
    });
    json!({
        "aliases": model.aliases,
        "upstreams": candidates.collect::<Vec<_>>(),
        "price_version": model.price.version,
        "max_output_tokens": model.max_output_tokens,
        "output_hold": model.output_hold,
    })
}

fn group(group: &Group) -> Value {
    json!({
        "markup": group.markup.to_string(),
        "rpm": group.limits.rpm,
        "tpm": group.limits.tpm,
        "concurrency": group.limits.concurrency,
    })
}

/// In the largest unit that holds it whole.
fn time(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let fits = units.into_iter().find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit));
    fits.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", ms / unit))
}

const MASK: &str = "••••";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_in_the_file() {
        let shown = [250, 5_000, 60_000, 90_000, 86_400_000, 0].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(shown, ["250ms", "5s", "1m", "90s", "1d", "0s"]);
    }
}
