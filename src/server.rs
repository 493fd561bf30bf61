//! Composition root: configuration, storage, ledger, limits, pipeline; then edge and metrics; reload; shutdown.
//!
//! Builds everything and hands it down; nobody else reaches for anything. The order of the start is the order of trust:
//! nothing listens before the books are recovered and balanced, and nothing is bound before it can be served.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_rustls::rustls;

use crate::config::{self, Config, Edge, EdgeTls, Loaded, LogFormat, StorageUrl};
use crate::core::catalog::{Catalog, UpstreamKind};
use crate::core::key;
use crate::edge::listener::{Door, TlsConfig};
use crate::ledger::{self, Ledger};
use crate::limits::LocalLimiter;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Settings, Snapshot};
use crate::store;
use crate::store::contract::Storage;
use crate::upstream::health::BreakerState;
use crate::upstream::{self, DemoPlace, Fleet};

/// Serves until told to stop. Returns when everything that was running has ended and is settled.
///
/// # Errors
/// Anything that prevents the start: a port that is taken, a storage that cannot be used, another process serving it.
pub fn run(config_path: PathBuf, loaded: Loaded) -> Result<()> {
    let guard = start_logging(&loaded.config);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let threads = match loaded.config.edge.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("edge")
        .enable_all()
        .build()
        .context("the threads could not be started")?;
    let result = runtime.block_on(async {
        let server = Server::start(config_path, loaded, threads).await?;
        server.serve().await
    });
    // What the drain's patience did not wait for ends here; its holds settle as they are dropped.
    runtime.shutdown_timeout(Duration::from_secs(2));
    let result = result.and_then(|ledger| ledger.close().context("not every change reached the storage"));
    tracing::info!("stopped");
    drop(guard);
    result
}

/// A running gateway.
struct Server {
    config_path: PathBuf,
    /// As it was at the start: a reload must not change what cannot be changed.
    config: Config,
    files: Vec<PathBuf>,
    pipeline: Arc<Pipeline>,
    limiter: Arc<LocalLimiter>,
    door: Arc<Door>,
    edge_listeners: Vec<(TcpListener, Option<TlsConfig>)>,
    metrics_listener: Option<TcpListener>,
    tls: Option<TlsConfig>,
    demo: Option<DemoPlace>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn start(config_path: PathBuf, loaded: Loaded, threads: usize) -> Result<Server> {
        let Loaded { mut config, files, .. } = loaded;
        let catalog = Arc::new(std::mem::take(&mut config.catalog));
        let metrics = Arc::new(Metrics::new().context("the metrics could not be registered")?);
        let storage = open_storage(&config.storage)?;
        let ledger = open_ledger(storage.as_ref(), metrics.clone())?;

        // Bound before anything runs: a port that is taken is an error now, not later.
        let tls = config.edge.tls.as_ref().map(tls_config).transpose()?;
        let tls = tls.map(|config| Arc::new(ArcSwap::from(config)));
        let edge_listeners = bind_edge(&config.edge, tls.as_ref()).await?;
        let metrics_listener = bind(config.metrics.listen, "metrics").await?;

        let mut tasks = JoinSet::new();
        let demo = start_demo(&catalog, &mut tasks).await?;
        let limiter = Arc::new(LocalLimiter::new(Instant::now()));
        let snapshot = build_snapshot(catalog, None, demo.as_ref()).await?;
        let settings = Settings {
            base_paths: config.edge.base_paths.clone(),
            body_bytes_max: config.edge.max_body,
            body_timeout: config.edge.body_timeout,
            trusted_proxies: config.edge.trusted_proxies.clone(),
        };
        let library = storage.library().context("the storage cannot be read")?;
        let pipeline = Arc::new(Pipeline::new(
            snapshot,
            ledger,
            limiter.clone(),
            metrics,
            library,
            settings,
            config.edge.body_memory,
        ));
        let door = Door::new(pipeline.clone(), config.edge.header_timeout, threads);
        Ok(Server {
            config_path,
            config,
            files,
            pipeline,
            limiter,
            door,
            edge_listeners,
            metrics_listener: Some(metrics_listener),
            tls,
            demo,
            tasks,
        })
    }

    async fn serve(mut self) -> Result<Arc<Ledger>> {
        let mut addresses = Vec::new();
        for (listener, tls) in self.edge_listeners.drain(..) {
            let scheme = if tls.is_some() { "https" } else { "http" };
            addresses.push(format!("{scheme}://{}", listener.local_addr()?));
            self.tasks.spawn(self.door.clone().accept(listener, tls));
        }
        let metrics_address = self.metrics_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        self.start_background_tasks();

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut watch = FileWatch::new(&self.files);
        let mut look = tokio::time::interval(LOOK_AT_FILES_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tracing::info!(edge = addresses.join(" "), metrics = ?metrics_address, "ready");
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => watch = self.reload_watched().await,
                _ = look.tick() => {
                    if watch.changed() {
                        watch = self.reload_watched().await;
                    }
                }
            }
        }
        tracing::info!(patience = ?self.config.edge.drain, "stopping: running requests may finish");
        self.pipeline.start_draining();
        tokio::select! {
            all = self.door.drain(self.config.edge.drain) => {
                if !all {
                    tracing::warn!("some requests were still running and are cut");
                }
            }
            _ = terminate.recv() => tracing::warn!("told to stop again: cutting what runs"),
            _ = interrupt.recv() => tracing::warn!("told to stop again: cutting what runs"),
        }
        self.tasks.shutdown().await;
        Ok(self.pipeline.ledger.clone())
    }

    fn start_background_tasks(&mut self) {
        let pipeline = self.pipeline.clone();
        every(&mut self.tasks, FOLLOW_EVERY, move || {
            let pipeline = pipeline.clone();
            async move {
                let followed = tokio::task::spawn_blocking(move || pipeline.ledger.follow()).await;
                if let Ok(Err(error)) = followed {
                    tracing::error!(error = &error as &dyn std::error::Error, "the storage cannot be read");
                }
            }
        });
        let limiter = self.limiter.clone();
        every(&mut self.tasks, SWEEP_EVERY, move || {
            let limiter = limiter.clone();
            async move { limiter.sweep(Instant::now()) }
        });
        let pipeline = self.pipeline.clone();
        every(&mut self.tasks, Duration::from_secs(upstream::REFRESH_ADDRESSES_EVERY_S), move || {
            let snapshot = pipeline.snapshot();
            async move { snapshot.fleet.refresh_addresses().await }
        });
        let (pipeline, retention) = (self.pipeline.clone(), self.config.storage.retention);
        every(&mut self.tasks, PRUNE_EVERY, move || {
            let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            pipeline.ledger.prune(now_ms().saturating_sub(retention_ms));
            std::future::ready(())
        });
        if let Some(listener) = self.metrics_listener.take() {
            self.tasks.spawn(serve_metrics(listener, self.pipeline.clone()));
        }
    }

    /// Reloads, and says what to watch from then on. What changes while it is read counts as a change.
    async fn reload_watched(&mut self) -> FileWatch {
        let before = FileWatch::new(&self.files);
        self.reload().await;
        if self.files == before.files { before } else { FileWatch::new(&self.files) }
    }

    /// Takes over models, upstreams, prices, groups and limits whole, or keeps the old ones and says why.
    async fn reload(&mut self) {
        let result = self.try_reload().await;
        let reloads = &self.pipeline.metrics.config_reloads;
        match result {
            Ok(()) => {
                reloads.with_label_values(&["ok"]).inc();
                tracing::info!("the configuration was reloaded");
            }
            Err(error) => {
                reloads.with_label_values(&["rejected"]).inc();
                tracing::error!("the configuration was not reloaded, the old one stays: {error:#}");
            }
        }
    }

    async fn try_reload(&mut self) -> Result<()> {
        let path = self.config_path.clone();
        let read = tokio::task::spawn_blocking(move || config::load(&path, &|name| std::env::var(name).ok())).await?;
        let Loaded { config, warnings, files } = read?;
        let previous = self.pipeline.snapshot();
        if config.catalog.models.is_empty() && !previous.catalog.models.is_empty() {
            // Valid, and what a file looks like that is being written at this moment.
            bail!("it sells no models any more; if that is meant, restart");
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for part in fixed_parts_changed(&self.config, &config) {
            tracing::warn!("a change of {part} takes effect at the next start");
        }
        if let (Some(tls), Some(current)) = (&config.edge.tls, &self.tls) {
            current.store(tls_config(tls)?);
        }
        if self.demo.is_none() {
            self.demo = start_demo(&config.catalog, &mut self.tasks).await?;
        }
        let next = build_snapshot(Arc::new(config.catalog), Some(&previous), self.demo.as_ref()).await?;
        self.pipeline.swap(next);
        self.files = files;
        Ok(())
    }
}

/// What can only be set at the start.
fn fixed_parts_changed(before: &Config, after: &Config) -> Vec<&'static str> {
    let parts = [
        ("edge", before.edge != after.edge),
        ("metrics.listen", before.metrics != after.metrics),
        ("console", before.console != after.console),
        ("storage", before.storage != after.storage),
        ("logging", before.logging != after.logging),
    ];
    parts.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

async fn build_snapshot(
    catalog: Arc<Catalog>,
    previous: Option<&Snapshot>,
    demo: Option<&DemoPlace>,
) -> Result<Snapshot> {
    for upstream in &catalog.upstreams {
        if let Some(pem) = &upstream.tls.ca_pem {
            check_certificates(pem).with_context(|| format!("upstream {}: tls.ca", upstream.name))?;
        }
    }
    let fleet = Fleet::build(&catalog, previous.map(|snapshot| &snapshot.fleet), demo, Instant::now());
    fleet.refresh_addresses().await;
    Ok(Snapshot::build(catalog, fleet, previous))
}

/// Pingora panics on a certificate that it cannot read, at the first connection; so each is read here first.
fn check_certificates(pem: &[u8]) -> Result<()> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.context("not a PEM certificate")?)
            .context("not a certificate authority's certificate")?;
    }
    if roots.is_empty() {
        bail!("no certificate in it");
    }
    Ok(())
}

/// The storage that the configuration names: the same for the server and for every command.
///
/// # Errors
/// In plain words: not ours, damaged, of a newer version, not readable.
pub fn open_storage(storage: &config::Storage) -> Result<Box<dyn Storage>> {
    let durability = match storage.durability {
        config::Durability::Full => store::sqlite::Durability::Full,
        config::Durability::Normal => store::sqlite::Durability::Normal,
    };
    match &storage.url {
        StorageUrl::Sqlite(path) => {
            let opened = store::sqlite::Sqlite::open(path, durability);
            Ok(Box::new(opened.with_context(|| format!("cannot open the storage {}", path.display()))?))
        }
        StorageUrl::Postgres(_) => bail!("this version keeps its books in SQLite only"),
    }
}

fn open_ledger(storage: &dyn Storage, metrics: Arc<Metrics>) -> Result<Arc<Ledger>> {
    let journal = storage.journal().context("the storage cannot be written")?;
    let library = storage.library().context("the storage cannot be read")?;
    let options = ledger::Options {
        on_commit: Box::new(move |took, _| metrics.ledger_commit.observe(took.as_secs_f64())),
        ..ledger::Options::default()
    };
    let (ledger, recovery) = Ledger::open(journal, library, options, now_ms()).context("the books cannot be opened")?;
    if recovery.holds > 0 {
        tracing::warn!(
            holds = recovery.holds, charged = %recovery.charged,
            "requests that were running when the last process ended were settled by their last checkpoint"
        );
    }
    Ok(ledger)
}

async fn bind_edge(edge: &Edge, tls: Option<&TlsConfig>) -> Result<Vec<(TcpListener, Option<TlsConfig>)>> {
    let mut listeners = Vec::new();
    for address in &edge.listen {
        listeners.push((bind(*address, "edge").await?, None));
    }
    for address in edge.tls.iter().flat_map(|tls| &tls.listen) {
        listeners.push((bind(*address, "edge, TLS").await?, tls.cloned()));
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({what})"))
}

fn tls_config(tls: &EdgeTls) -> Result<Arc<rustls::ServerConfig>> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("certificate {}", tls.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).with_context(|| format!("key {}", tls.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("certificate and key do not fit each other")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The upstream inside the program, if the configuration wants one. Only this process knows its key.
async fn start_demo(catalog: &Catalog, tasks: &mut JoinSet<()>) -> Result<Option<DemoPlace>> {
    if !catalog.upstreams.iter().any(|upstream| upstream.kind == UpstreamKind::Demo) {
        return Ok(None);
    }
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "demo upstream").await?;
    let token = key::generate().context("the machine has no source of randomness")?;
    let place = DemoPlace { address: listener.local_addr()?, token: token.clone() };
    tracing::warn!("a demo upstream is configured: its answers are made up by this program");
    tasks.spawn(async move {
        if let Err(error) = upstream::demo::serve(listener, token, std::future::pending()).await {
            tracing::error!(%error, "the demo upstream ended");
        }
    });
    Ok(Some(place))
}

/// `/metrics`, and nothing else.
async fn serve_metrics(listener: TcpListener, pipeline: Arc<Pipeline>) {
    let scrape = move || {
        let pipeline = pipeline.clone();
        async move {
            sample(&pipeline);
            ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], pipeline.metrics.render())
        }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(scrape));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the metrics listener ended");
    }
}

/// Numbers that are read when somebody asks.
fn sample(pipeline: &Pipeline) {
    let (metrics, stats) = (&pipeline.metrics, pipeline.ledger.stats());
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.holds_open.set(gauge(stats.holds_open));
    metrics.ledger_queue.set(gauge(stats.queue_entries));
    metrics.charges_beyond_hold.inc_by(stats.charges_beyond_hold.saturating_sub(metrics.charges_beyond_hold.get()));
    metrics.body_memory.set(pipeline.body_memory.used() as f64);
    let now = Instant::now();
    for member in pipeline.snapshot().fleet.members() {
        metrics.show_upstream(&member.upstream.name, member.breaker.state(now) != BreakerState::Open);
    }
}

/// Looks whether one of the configuration's files has changed. Looking every now and then sees what watching may not:
/// files that are replaced rather than written, links that are switched (as mounted secrets are), network folders.
struct FileWatch {
    files: Vec<PathBuf>,
    loaded: Vec<Option<Print>>,
    last_seen: Vec<Option<Print>>,
}

/// What differs when a file does: time, size, identity.
type Print = (std::time::SystemTime, u64, u64);

impl FileWatch {
    fn new(files: &[PathBuf]) -> FileWatch {
        let loaded = prints(files);
        FileWatch { files: files.to_vec(), last_seen: loaded.clone(), loaded }
    }

    /// True once a change has come to rest: editors write a file in several steps, and it may be gone between two.
    fn changed(&mut self) -> bool {
        let now = prints(&self.files);
        let at_rest = now == self.last_seen && now.iter().all(Option::is_some);
        let changed = at_rest && now != self.loaded;
        self.last_seen = now;
        changed
    }
}

fn prints(files: &[PathBuf]) -> Vec<Option<Print>> {
    use std::os::unix::fs::MetadataExt;
    let print = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    files.iter().map(print).collect()
}

/// Runs something again and again, one after the other.
fn every<F>(tasks: &mut JoinSet<()>, period: Duration, mut work: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            work().await;
        }
    });
}

/// Lines go through a thread of their own: a slow terminal or disk must not hold up a request.
fn start_logging(config: &Config) -> tracing_appender::non_blocking::WorkerGuard {
    use tracing_appender::non_blocking::NonBlockingBuilder;
    use tracing_subscriber::EnvFilter;
    // Buffered: a burst of lines is one write; the thread flushes when it has caught up.
    let output = std::io::BufWriter::new(std::io::stderr());
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES_MAX).finish(output);
    let level = config.logging.level.as_str();
    // The libraries below have nothing to say to an operator unless something is wrong.
    let filter = EnvFilter::new(format!("warn,tollgate={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match config.logging.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
    };
    if let Err(error) = started {
        eprintln!("logging could not be started: {error}");
    }
    guard
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Commands of the command line take effect within a second.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
const LOOK_AT_FILES_EVERY: Duration = Duration::from_millis(250);
/// Beyond it, lines are left out rather than requests held up. The queue's memory is taken at the start.
const LOG_LINES_MAX: usize = 16_384;
