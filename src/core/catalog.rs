//! What is sold and where it is bought: models, upstreams, groups and prices of one moment.
//!
//! Immutable. A reload builds a new one and swaps the pointer; a request keeps the one it started with, so the price at
//! settlement is the price at reservation, whatever is reloaded meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::key::Limits;
use super::money::Markup;
use super::price::Price;
use super::secret::Secret;

#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the configuration.
    pub models: Vec<Arc<Model>>,
    /// By name and by alias.
    pub by_name: HashMap<String, Arc<Model>>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub groups: HashMap<String, Group>,
    pub currency: String,
}

impl Catalog {
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.by_name.get(name)
    }

    /// An account whose group is gone from the configuration pays list price without limits of its group.
    pub fn group(&self, name: &str) -> Group {
        self.groups.get(name).cloned().unwrap_or_default()
    }
}

#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub aliases: Vec<String>,
    /// Sorted by priority, lower first; never empty.
    pub candidates: Vec<Candidate>,
    pub price: Arc<Price>,
    /// What a request can be at most, in tokens, as far as it is known.
    pub max_input_tokens: Option<u64>,
    /// What an answer can be at most, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Tokens set aside when the request names no maximum.
    pub output_hold: u64,
}

/// One way to serve a model.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub upstream: Arc<Upstream>,
    /// The model's name over there.
    pub model: String,
    pub priority: u32,
    /// At least 1.
    pub weight: u32,
}

#[derive(Debug)]
pub struct Upstream {
    pub name: String,
    pub kind: UpstreamKind,
    pub base: BaseUrl,
    /// Azure's `api-version`.
    pub api_version: Option<String>,
    pub speaks: Vec<Dialect>,
    /// Empty for an upstream that asks for none.
    pub api_keys: Vec<Secret>,
    pub timeouts: Timeouts,
    /// Set on every request to it; names are lower case, both parts checked to be legal. Values may be credentials.
    pub headers: Vec<(String, Secret)>,
    pub stream_usage: StreamUsage,
    pub on_disconnect: OnDisconnect,
    pub tls: UpstreamTls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind {
    Openai,
    Azure,
    Anthropic,
    /// The one inside this program.
    Demo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Responses,
    Messages,
}

/// An upstream's address, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub tls: bool,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Without a slash at the end; empty for the root.
    pub path: String,
}

impl BaseUrl {
    /// As it stands in a `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let (before, after) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let own_port = if self.tls { 443 } else { 80 };
        if self.port == own_port {
            return [before, &self.host, after].concat();
        }
        [before, &self.host, after, ":", &self.port.to_string()].concat()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
}

/// How an upstream is brought to report usage in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUsage {
    /// It reports when `stream_options.include_usage` asks: we set that.
    Inject,
    /// It reports unasked, and may refuse the option.
    Native,
    /// It never reports: streams are charged by estimate.
    None,
}

/// What becomes of an answer whose client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// Cancelled: the provider stops, and stops billing.
    Cancel,
    /// Read to its end: the provider bills it anyway, and at its end stands the real usage.
    Drain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    pub verify: bool,
    /// PEM certificates to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// What an account belongs to. Limits are per account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub markup: Markup,
    pub limits: Limits,
}

impl Default for Group {
    fn default() -> Self {
        Group { markup: Markup::LIST_PRICE, limits: Limits::default() }
    }
}
