//! The running gateway, as the console sees it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Config, Fault};
use crate::console::gateway::{Gateway, GatewayHealth, ProbeResult, Reload, SignUp, Site, UpstreamState};
use crate::core::catalog::{Catalog, UpstreamKind};
use crate::pipeline::Pipeline;
use crate::upstream::probe::Probe;
use crate::upstream::{self, Member};

use super::effective;
use super::sockets::{Purpose, Socket};

/// Somebody waits for the result of a reload.
pub(super) type ReloadAsked = oneshot::Sender<Result<(), Vec<String>>>;

pub(super) struct Running {
    pipeline: Arc<Pipeline>,
    site: Site,
    edge: Vec<String>,
    metrics: Option<SocketAddr>,
    started_at_ms: i64,
    config_path: String,
    /// The parts of the configuration that are fixed at the start.
    config: serde_json::Value,
    probes: Mutex<HashMap<String, ProbeResult>>,
    reload: mpsc::Sender<ReloadAsked>,
    last_reload: Mutex<Option<Reload>>,
    warnings: Mutex<Vec<String>>,
}

impl Running {
    pub(super) fn new(
        config_path: &Path,
        config: &Config,
        warnings: &[Fault],
        pipeline: Arc<Pipeline>,
        sockets: &[Socket],
    ) -> Result<(Running, mpsc::Receiver<ReloadAsked>)> {
        let at = |purpose: Purpose| sockets.iter().filter(move |socket| socket.place.purpose == purpose);
        let mut edge = Vec::new();
        for (purpose, scheme) in [(Purpose::Edge, "http"), (Purpose::EdgeTls, "https")] {
            for socket in at(purpose) {
                edge.push(format!("{scheme}://{}", socket.address()?));
            }
        }
        let console = at(Purpose::Console).next().context("the console listens nowhere")?.address()?;
        let metrics = at(Purpose::Metrics).next().map(Socket::address).transpose()?;
        let given = |url: &str| (!url.is_empty()).then(|| url.to_owned());
        let site = Site {
            version: env!("CARGO_PKG_VERSION"),
            currency: pipeline.snapshot().catalog.currency.clone(),
            base_paths: config.edge.base_paths.clone(),
            body_bytes_max: config.edge.max_body,
            edge: edge.first().cloned().unwrap_or_default(),
            edge_url: given(&config.console.edge_url),
            public_url: given(&config.console.public_url),
            console,
            sign_up: match config.console.sign_up {
                config::SignUp::Invite => SignUp::Invite,
                config::SignUp::Open => SignUp::Open,
            },
            demo: false,
        };
        let (reload, asked) = mpsc::channel(RELOADS_WAITING_MAX);
        let running = Running {
            pipeline,
            site,
            edge,
            metrics,
            started_at_ms: super::now_ms(),
            config_path: config_path.display().to_string(),
            config: effective::parts(config),
            probes: Mutex::default(),
            reload,
            last_reload: Mutex::default(),
            warnings: Mutex::default(),
        };
        running.warned(warnings);
        Ok((running, asked))
    }

    /// Where people find the console.
    pub(super) fn console_url(&self) -> String {
        self.site.public_url.clone().unwrap_or_else(|| format!("http://{}", self.site.console))
    }

    pub(super) fn reloaded(&self, reload: Reload) {
        *self.last_reload.lock() = Some(reload);
    }

    pub(super) fn warned(&self, warnings: &[Fault]) {
        *self.warnings.lock() = warnings.iter().map(ToString::to_string).collect();
    }
}

#[async_trait]
impl Gateway for Running {
    fn catalog(&self) -> Arc<Catalog> {
        self.pipeline.snapshot().catalog.clone()
    }

    fn upstreams(&self) -> Vec<UpstreamState> {
        let now = Instant::now();
        let probes = self.probes.lock().clone();
        let last = |member: &Member| probes.get(&member.upstream.name).cloned();
        let snapshot = self.pipeline.snapshot();
        snapshot.fleet.members().map(|member| state_of(member, last(member), now)).collect()
    }

    fn health(&self) -> GatewayHealth {
        let pipeline = &self.pipeline;
        GatewayHealth {
            started_at_ms: self.started_at_ms,
            edge: self.edge.clone(),
            console: self.site.console,
            metrics: self.metrics,
            draining: pipeline.is_draining(),
            requests_in_flight: u64::try_from(pipeline.metrics.in_flight.get()).unwrap_or(0),
            ledger: pipeline.ledger.stats(),
            ledger_healthy: pipeline.ledger.healthy(),
            config_path: self.config_path.clone(),
            last_reload: self.last_reload.lock().clone(),
            warnings: self.warnings.lock().clone(),
        }
    }

    fn config(&self) -> serde_json::Value {
        effective::with_catalog(self.config.clone(), &self.catalog())
    }

    fn site(&self) -> Site {
        let catalog = self.catalog();
        let demo = catalog.upstreams.iter().any(|upstream| upstream.kind == UpstreamKind::Demo);
        Site { demo, ..self.site.clone() }
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let (asked, answer) = oneshot::channel();
        let busy = || vec!["the gateway is stopping or still reloading: try again".to_owned()];
        self.reload.try_send(asked).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())?
    }

    async fn probe(&self, upstream: &str) -> Option<ProbeResult> {
        let member = self.pipeline.snapshot().fleet.member(upstream)?.clone();
        let Probe { ok, latency_ms, status, message } = upstream::probe::probe(&member).await;
        let result = ProbeResult { at_ms: super::now_ms(), ok, latency_ms, status, message };
        self.probes.lock().insert(upstream.to_owned(), result.clone());
        Some(result)
    }

    fn followed(&self) {
        if let Err(error) = self.pipeline.ledger.follow() {
            // What looks four times a second catches up.
            tracing::warn!(error = &error as &dyn std::error::Error, "the storage cannot be read");
        }
    }
}

fn state_of(member: &Member, last_probe: Option<ProbeResult>, now: Instant) -> UpstreamState {
    let upstream = &member.upstream;
    let scheme = if upstream.base.tls { "https" } else { "http" };
    let (keys_total, keys_resting) = member.keys.counts(now);
    UpstreamState {
        name: upstream.name.clone(),
        kind: upstream.kind,
        base_url: format!("{scheme}://{}{}", upstream.base.authority(), upstream.base.path),
        state: member.breaker.state(now),
        usable: member.usable(now),
        keys_total,
        keys_resting,
        address_known: member.address.is_known(),
        last_probe,
    }
}

const RELOADS_WAITING_MAX: usize = 4;
