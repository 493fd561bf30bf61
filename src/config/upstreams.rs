//! The `upstreams` of a configuration: providers, and how each is spoken to.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::pem;
use super::reader::{Fields, Place};
use super::units::{self, Wrong};
use crate::core::account;
use crate::core::catalog::{
    BaseUrl, Dialect, OnDisconnect, StreamUsage, Timeouts, Upstream, UpstreamKind, UpstreamTls,
};
use crate::core::secret::Secret;

/// An upstream, and where the configuration names it.
pub struct Named<'t> {
    pub upstream: Arc<Upstream>,
    pub place: Place<'t>,
}

/// Reads all upstreams. A faulty one is among them, so that models that name it are not faulty for that.
pub fn read<'t>(place: &Place<'t>) -> Vec<Named<'t>> {
    place
        .entries()
        .into_iter()
        .map(|(name, place)| {
            if let Err(problem) = account::check_name(name) {
                place.fault_at_key(problem, "");
            }
            Named { upstream: Arc::new(place.fields(|fields| upstream(name, fields))), place }
        })
        .collect()
}

/// While the kind is not known, whatever depends on it is left alone: it has no fault of its own.
fn upstream(name: &str, fields: &Fields<'_>) -> Upstream {
    let kind = fields.require("kind", "write openai, azure, anthropic or demo").and_then(|place| place.choice(&KINDS));
    let upstream = Upstream {
        name: name.to_owned(),
        kind: kind.unwrap_or(UpstreamKind::Openai),
        base: base(fields, kind),
        api_version: api_version(fields, kind),
        speaks: speaks(fields, kind),
        api_keys: fields.or("api_keys", Vec::new(), |place| Some(place.list(api_key))),
        timeouts: fields.section("timeouts", timeouts),
        headers: fields.or("headers", Vec::new(), |place| Some(headers(place))),
        stream_usage: fields.or("stream_usage", default_stream_usage(kind), |place| place.choice(&STREAM_USAGES)),
        on_disconnect: fields.or("on_disconnect", OnDisconnect::Cancel, |place| {
            place.choice(&[("cancel", OnDisconnect::Cancel), ("drain", OnDisconnect::Drain)])
        }),
        tls: fields.section("tls", tls),
    };
    if kind.is_some_and(|kind| kind != UpstreamKind::Demo) {
        look_twice(fields, &upstream);
    }
    upstream
}

fn base(fields: &Fields<'_>, kind: Option<UpstreamKind>) -> BaseUrl {
    if kind == Some(UpstreamKind::Demo) {
        if let Some(place) = fields.get("base_url") {
            place.warn("has no effect: a demo upstream is inside this program", "leave it out");
        }
        return demo_base();
    }
    let place = match kind {
        None => fields.get("base_url"),
        Some(UpstreamKind::Azure) => {
            fields.require("base_url", "write the resource's root, such as https://NAME.openai.azure.com")
        }
        Some(UpstreamKind::Anthropic) => fields.require("base_url", "write https://api.anthropic.com/v1"),
        Some(_) => fields.require("base_url", "write where its API begins, such as https://api.openai.com/v1"),
    };
    let base = place.and_then(|place| {
        place.parse_unquoted(|text| {
            let base = units::base_url(text)?;
            match ENDPOINTS.iter().find(|endpoint| base.path.ends_with(**endpoint)) {
                Some(endpoint) => {
                    Err(Wrong::new(format!("ends with {endpoint}, an endpoint's own path"), "leave that out"))
                }
                None => Ok(base),
            }
        })
    });
    base.unwrap_or_else(demo_base)
}

fn api_version(fields: &Fields<'_>, kind: Option<UpstreamKind>) -> Option<String> {
    let place = match kind {
        None => fields.get("api_version")?,
        Some(UpstreamKind::Azure) => fields.require("api_version", "write one such as 2025-04-01-preview")?,
        Some(_) => {
            fields.get("api_version")?.fault("belongs to kind: azure only", "leave it out");
            return None;
        }
    };
    place.parse(|text| {
        // It becomes part of a query string.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match text.bytes().all(legal) && !text.is_empty() {
            true => Ok(text.to_owned()),
            false => Err(Wrong::new("is not an API version", "write one such as 2025-04-01-preview")),
        }
    })
}

fn speaks(fields: &Fields<'_>, kind: Option<UpstreamKind>) -> Vec<Dialect> {
    let default: &[Dialect] = match kind {
        None | Some(UpstreamKind::Openai) => &[Dialect::Chat, Dialect::Responses],
        Some(UpstreamKind::Azure) => &[Dialect::Chat],
        Some(UpstreamKind::Demo) => &[Dialect::Chat, Dialect::Responses, Dialect::Messages],
        Some(UpstreamKind::Anthropic) => &[Dialect::Messages],
    };
    let Some(place) = fields.get("speaks") else { return default.to_vec() };
    if place.is_empty_list() {
        place.fault("names no dialect", "write chat, responses or messages, or leave it out");
    }
    let mut speaks = Vec::new();
    for item in place.items() {
        let Some(dialect) = item.choice(&DIALECTS) else { continue };
        let possible = match kind {
            None | Some(UpstreamKind::Openai | UpstreamKind::Demo) => true,
            Some(UpstreamKind::Azure) => dialect != Dialect::Messages,
            Some(UpstreamKind::Anthropic) => dialect == Dialect::Messages,
        };
        if !possible {
            item.fault("is not spoken by this kind of upstream", "leave it out: the rest is converted");
        } else if speaks.contains(&dialect) {
            item.fault("is given twice", "leave one out");
        } else {
            speaks.push(dialect);
        }
    }
    speaks
}

fn api_key(place: &Place<'_>) -> Option<Secret> {
    let key = place.secret()?;
    if HeaderValue::from_str(key.expose()).is_err() || key.expose().trim() != key.expose() {
        place.fault("holds characters that no key has, such as spaces around it or a line break", "");
        return None;
    }
    if key.is_empty() {
        place.fault("is empty", "give a key, or leave api_keys out for an upstream that asks for none");
        return None;
    }
    if place.is_literal() {
        place.warn("the key stands in this file in plain text", "write ${NAME} or file:PATH");
    }
    Some(key)
}

fn timeouts(fields: &Fields<'_>) -> Timeouts {
    Timeouts {
        connect: fields.or("connect", Duration::from_secs(5), Place::timeout),
        first_byte: fields.or("first_byte", Duration::from_secs(120), Place::timeout),
        idle: fields.or("idle", Duration::from_secs(60), Place::timeout),
    }
}

fn headers(place: &Place<'_>) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, place) in place.entries() {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            place.fault_at_key("is not the name of a header", "");
            continue;
        };
        let name = header.as_str();
        if FORBIDDEN_HEADERS.contains(&name) {
            place.fault_at_key("is set by the gateway itself", "leave it out");
        } else if headers.iter().any(|(known, _)| known == name) {
            place.fault_at_key("is given twice", "leave one out");
        } else if let Some(value) = place.secret() {
            match HeaderValue::from_str(value.expose()) {
                Ok(_) => headers.push((name.to_owned(), value)),
                Err(_) => place.fault("holds characters that no header may have, such as a line break", ""),
            }
        }
    }
    headers
}

fn tls(fields: &Fields<'_>) -> UpstreamTls {
    let verify = fields.or("verify", true, Place::boolean);
    if let Some(place) = fields.get("verify").filter(|_| !verify) {
        place
            .warn("anybody on the way can pose as this upstream and read its keys", "name its authority in ca instead");
    }
    let ca_pem = fields.get("ca").and_then(|place| {
        let text = place.text().filter(|text| !text.is_empty())?;
        let path = place.beside(&text);
        let pem = place.other_file(&path)?;
        match pem::check(&pem, pem::Expected::Certificates) {
            Ok(()) => Some(pem.into_bytes()),
            Err(problem) => {
                place.fault(format!("the file {} {problem}", path.display()), "name a PEM file with certificates");
                None
            }
        }
    });
    UpstreamTls { verify, ca_pem }
}

/// What is legal but rarely meant.
fn look_twice(fields: &Fields<'_>, upstream: &Upstream) {
    let is_local = matches!(upstream.base.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    let has_credential = !upstream.api_keys.is_empty()
        || upstream.headers.iter().any(|(name, _)| CREDENTIAL_HEADERS.contains(&name.as_str()));
    if !has_credential && !is_local {
        fields.place.warn("has no api_keys: it will be called without a credential", "write api_keys: [\"${NAME}\"]");
    }
    if has_credential && !is_local && !upstream.base.tls {
        fields.place.warn("its keys travel in plain text", "use an https base_url if the network is not your own");
    }
}

fn default_stream_usage(kind: Option<UpstreamKind>) -> StreamUsage {
    match kind {
        Some(UpstreamKind::Anthropic) => StreamUsage::Native,
        None | Some(UpstreamKind::Openai | UpstreamKind::Azure | UpstreamKind::Demo) => StreamUsage::Inject,
    }
}

/// The demo's port is chosen when it starts; what stands here is never connected to.
fn demo_base() -> BaseUrl {
    BaseUrl { tls: false, host: "127.0.0.1".to_owned(), port: 0, path: "/v1".to_owned() }
}

const KINDS: [(&str, UpstreamKind); 4] = [
    ("openai", UpstreamKind::Openai),
    ("azure", UpstreamKind::Azure),
    ("anthropic", UpstreamKind::Anthropic),
    ("demo", UpstreamKind::Demo),
];
const DIALECTS: [(&str, Dialect); 3] =
    [("chat", Dialect::Chat), ("responses", Dialect::Responses), ("messages", Dialect::Messages)];
const STREAM_USAGES: [(&str, StreamUsage); 3] =
    [("inject", StreamUsage::Inject), ("native", StreamUsage::Native), ("none", StreamUsage::None)];
/// What people copy along with a base URL.
const ENDPOINTS: [&str; 5] = ["/chat/completions", "/completions", "/embeddings", "/responses", "/messages"];
/// Hop-by-hop (RFC 9110, section 7.6.1) or derived from the request.
const FORBIDDEN_HEADERS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
