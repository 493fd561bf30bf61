//! What the process itself needs: where it listens, where it stores, how it logs.
//!
//! These parts are fixed when the process starts. They compare with `==`, so that a reload can say which change waits
//! for a restart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::pem;
use super::reader::{Fields, Place};
use super::units::{self, Wrong};
use crate::core::secret::Secret;

/// The clients' API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Without TLS. Empty if `tls` listens.
    pub listen: Vec<SocketAddr>,
    pub tls: Option<EdgeTls>,
    /// Each begins with a slash and does not end with one.
    pub base_paths: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// All request bodies being held, together, in bytes.
    pub body_memory: u64,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Duration,
    /// 0: one per core.
    pub threads: usize,
}

/// Files that were seen to hold PEM of the right kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeTls {
    pub listen: Vec<SocketAddr>,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Web pages and the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    pub listen: SocketAddr,
    /// Without a slash at the end; empty if unknown.
    pub public_url: String,
    /// Where clients reach the edge, as pages tell it; without a slash at the end, empty: as it listens.
    pub edge_url: String,
    pub sign_up: SignUp,
}

/// Who may become a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Whoever an operator sends a link.
    Invite,
    /// Anybody who finds the console.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    pub url: StorageUrl,
    pub durability: Durability,
    /// Of request records.
    pub retention: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageUrl {
    Sqlite(PathBuf),
    Postgres(Secret),
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power.
    Full,
    /// The death of the process.
    Normal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// An address that something listens on, and where the configuration says so.
pub struct Listener<'t> {
    pub address: SocketAddr,
    pub place: Place<'t>,
}

pub fn edge<'t>(fields: &Fields<'t>, listeners: &mut Vec<Listener<'t>>) -> Edge {
    let edge = Edge {
        listen: edge_listen(fields, listeners),
        tls: fields.get("tls").map(|place| place.fields(|tls| edge_tls(tls, listeners))),
        base_paths: base_paths(fields),
        max_body: fields.or("max_body", MAX_BODY_BYTES, Place::size),
        body_memory: fields.or("body_memory", BODY_MEMORY_BYTES, Place::size),
        header_timeout: fields.or("header_timeout", Duration::from_secs(10), Place::timeout),
        body_timeout: fields.or("body_timeout", Duration::from_secs(60), Place::timeout),
        trusted_proxies: fields
            .or("trusted_proxies", Vec::new(), |place| Some(place.list(|item| item.parse(units::network)))),
        drain: fields.or("drain", Duration::from_secs(300), Place::duration),
        threads: fields
            .or("threads", 0, |place| place.integer(0..=THREADS_MAX).and_then(|threads| usize::try_from(threads).ok())),
    };
    check_body_sizes(fields, &edge);
    edge
}

pub fn console<'t>(fields: &Fields<'t>, listeners: &mut Vec<Listener<'t>>) -> Console {
    let listen = address(fields, CONSOLE_LISTEN, listeners);
    let public_url = fields.or("public_url", String::new(), |place| place.parse_unquoted(url_or_empty));
    let edge_url = fields.or("edge_url", String::new(), |place| place.parse_unquoted(url_or_empty));
    let sign_up = fields
        .or("sign_up", SignUp::Invite, |place| place.choice(&[("invite", SignUp::Invite), ("open", SignUp::Open)]));
    if !public_url.starts_with("https://") {
        let place = fields.get("listen").unwrap_or_else(|| fields.place.clone());
        warn_open(&place, listen, "set public_url to the https address of the proxy before it, or listen on 127.0.0.1");
    }
    Console { listen, public_url, edge_url, sign_up }
}

pub fn metrics<'t>(fields: &Fields<'t>, listeners: &mut Vec<Listener<'t>>) -> Metrics {
    Metrics { listen: address(fields, METRICS_LISTEN, listeners) }
}

pub fn storage(fields: &Fields<'_>) -> Storage {
    let default_url = StorageUrl::Sqlite(fields.place.beside("data/tollgate.db"));
    Storage {
        url: fields.or("url", default_url, storage_url),
        durability: fields.or("durability", Durability::Full, |place| {
            place.choice(&[("full", Durability::Full), ("normal", Durability::Normal)])
        }),
        retention: fields.or("retention", Duration::from_millis(90 * units::DAY_MS), |place| {
            place.parse(|text| match units::duration(text)? {
                short if short < Duration::from_millis(units::DAY_MS) => {
                    Err(Wrong::new("is less than a day", "write 1d or more"))
                }
                enough => Ok(enough),
            })
        }),
    }
}

/// Shared limits of many nodes: understood, and not served by this version.
pub fn cluster(fields: &Fields<'_>) {
    let Some(place) = fields.get("redis") else { return };
    if place.secret().is_some_and(|url| !url.is_empty()) {
        place.fault("this version runs as a single node, with SQLite storage", "leave it empty");
    }
}

pub fn logging(fields: &Fields<'_>) -> Logging {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let levels = [Trace, Debug, Info, Warn, Error].map(|level| (level.as_str(), level));
    Logging {
        level: fields.or("level", Info, |place| place.choice(&levels)),
        format: fields.or("format", LogFormat::Text, |place| {
            place.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
        }),
    }
}

/// No two may want the same port of the same address. Port 0 never does.
pub fn check_listeners(listeners: &[Listener<'_>]) {
    for (index, later) in listeners.iter().enumerate() {
        if let Some(first) = listeners[..index].iter().find(|first| collide(first.address, later.address)) {
            later
                .place
                .fault(format!("{} is already taken by {}", later.address, first.place.path), "choose another port");
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip() == other.ip()
        || (one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified()));
    one.port() != 0 && one.port() == other.port() && same_ip
}

fn edge_listen<'t>(fields: &Fields<'t>, listeners: &mut Vec<Listener<'t>>) -> Vec<SocketAddr> {
    let Some(place) = fields.get("listen") else {
        listeners.push(Listener { address: EDGE_LISTEN, place: fields.place.clone() });
        return vec![EDGE_LISTEN];
    };
    if place.is_empty_list() && fields.get("tls").is_none() {
        place.fault("names no address", "write one such as [\"127.0.0.1:8080\"]");
    }
    let before = listeners.len();
    let listen = addresses(&place, listeners);
    for listener in &listeners[before..] {
        warn_open(
            &listener.place,
            listener.address,
            "use edge.tls, or make sure that a proxy with TLS stands before it",
        );
    }
    listen
}

fn edge_tls<'t>(fields: &Fields<'t>, listeners: &mut Vec<Listener<'t>>) -> EdgeTls {
    let remedy = "write the addresses, such as [\"0.0.0.0:8443\"]";
    let listen = fields.require("listen", remedy);
    if let Some(place) = listen.as_ref().filter(|place| place.is_empty_list()) {
        place.fault("names no address", remedy);
    }
    let listen = listen.map_or_else(Vec::new, |place| addresses(&place, listeners));
    let file = |name, remedy: &str, expected| {
        let place = fields.require(name, remedy)?;
        let path = place.path_beside()?;
        let text = place.other_file(&path)?;
        if let Err(problem) = pem::check(&text, expected) {
            place.fault(format!("the file {} {problem}", path.display()), remedy);
        }
        Some(path)
    };
    EdgeTls {
        listen,
        cert: file("cert", "name a PEM file with the certificate and its chain", pem::Expected::Certificates)
            .unwrap_or_default(),
        key: file("key", "name a PEM file with the unencrypted private key", pem::Expected::PrivateKey)
            .unwrap_or_default(),
    }
}

/// A list of addresses to listen on.
fn addresses<'t>(place: &Place<'t>, listeners: &mut Vec<Listener<'t>>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for item in place.items() {
        if let Some(address) = item.parse(units::listen_address) {
            listeners.push(Listener { address, place: item });
            addresses.push(address);
        }
    }
    addresses
}

/// The one address of a listener.
fn address<'t>(fields: &Fields<'t>, default: SocketAddr, listeners: &mut Vec<Listener<'t>>) -> SocketAddr {
    let place = fields.get("listen").unwrap_or_else(|| fields.place.clone());
    let address = fields.or("listen", default, |place| place.parse(units::listen_address));
    listeners.push(Listener { address, place });
    address
}

fn warn_open(place: &Place<'_>, address: SocketAddr, remedy: &str) {
    if !address.ip().is_loopback() {
        place.warn(format!("{address} serves others without TLS, credentials in plain sight"), remedy);
    }
}

fn base_paths(fields: &Fields<'_>) -> Vec<String> {
    let default = BASE_PATHS.map(str::to_owned).to_vec();
    let Some(place) = fields.get("base_paths") else { return default };
    let mut paths: Vec<String> = Vec::new();
    for item in place.items() {
        match item.parse(units::base_path) {
            Some(path) if paths.contains(&path) => item.fault("is given twice", "leave one out"),
            Some(path) => paths.push(path),
            None => {}
        }
    }
    if place.is_empty_list() {
        place.fault("names no path", "write one such as [\"/v1\"]");
    }
    paths
}

fn check_body_sizes(fields: &Fields<'_>, edge: &Edge) {
    let (name, problem) = if edge.max_body == 0 {
        ("max_body", "would refuse every request")
    } else if edge.body_memory < edge.max_body {
        ("body_memory", "is less than max_body, so that the largest requests would never be served")
    } else {
        return;
    };
    fields.get(name).unwrap_or_else(|| fields.place.clone()).fault(problem, "write a larger size");
}

fn url_or_empty(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Ok(String::new());
    }
    units::base_url(text)?;
    Ok(text.trim_end_matches('/').to_owned())
}

fn storage_url(place: &Place<'_>) -> Option<StorageUrl> {
    let url = place.secret()?;
    let text = url.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        place.fault(
            "this version stores in SQLite only",
            "write sqlite: and a file, such as \"sqlite:data/tollgate.db\"",
        );
        return Some(StorageUrl::Postgres(url));
    }
    let path = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some("" | ":memory:") => {
            place.fault(
                "names no file, and a ledger in memory would be lost",
                "write one such as \"sqlite:data/tollgate.db\"",
            );
            None
        }
        Some(path) if path.contains('?') => {
            place.fault("has parameters behind a question mark", "write sqlite: and a file, nothing else");
            None
        }
        Some(path) => Some(StorageUrl::Sqlite(place.beside(path))),
        None => {
            place.fault("is not a storage", "write sqlite: and a file, such as \"sqlite:data/tollgate.db\"");
            None
        }
    }
}

const EDGE_LISTEN: SocketAddr = loopback(8080);
const CONSOLE_LISTEN: SocketAddr = loopback(8081);
const METRICS_LISTEN: SocketAddr = loopback(9464);
const BASE_PATHS: [&str; 2] = ["/v1", "/api/v1"];
const MAX_BODY_BYTES: u64 = 32 << 20;
const BODY_MEMORY_BYTES: u64 = 512 << 20;
/// More threads than any machine has cores.
const THREADS_MAX: u64 = 1_024;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
