//! Composition root: configuration, storage, ledger, limits, pipeline; then edge and metrics; reload; upgrade; shutdown.
//!
//! Builds everything and hands it down; nobody else reaches for anything. The order of the start is the order of trust:
//! nothing listens before the books are recovered and balanced, and nothing is bound before it can be served.
//!
//! - [`sockets`]: what is listened on, bound or inherited; [`tls`]: its certificates.
//! - [`running`]: the gateway as the console sees it, [`effective`]: its configuration;
//!   [`invitation`]: the first operator's way in.
//! - [`files`]: whether the configuration changed. [`logging`], [`scrape`]: what an operator sees.
//! - [`upgrade`]: how one process takes the place of another.

mod effective;
mod files;
mod invitation;
mod logging;
mod running;
mod scrape;
mod sockets;
mod tls;
mod upgrade;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::config::{self, Config, Loaded, StorageUrl};
use crate::console::gateway::Reload;
use crate::console::{self, Console};
use crate::core::catalog::{Catalog, UpstreamKind};
use crate::core::key;
use crate::edge::listener::{Door, TlsConfig};
use crate::ledger::{self, Carried, Ledger};
use crate::limits::LocalLimiter;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Settings, Snapshot};
use crate::store;
use crate::store::contract::{Recovery, Storage};
use crate::upstream::{self, DemoPlace, Fleet};

use running::{ReloadAsked, Running};
use sockets::{Purpose, Socket};
use upgrade::{Predecessor, Relay, Rendezvous, Successor};

/// Serves until told to stop, or replaced. Returns when everything that was running has ended and is settled. To
/// `upgrade` is to wait for the process that serves now, and to take its place.
///
/// # Errors
/// Anything that prevents the start: a port that is taken, a storage that cannot be used, another process serving it,
/// none that could be replaced.
pub fn run(config_path: PathBuf, loaded: Loaded, upgrade: bool) -> Result<()> {
    let guard = logging::start(&loaded.config);
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
        let server = Server::start(config_path, loaded, threads, upgrade).await?;
        server.serve().await
    });
    // What the drain's patience did not wait for ends here; its holds settle as they are dropped.
    runtime.shutdown_timeout(Duration::from_secs(2));
    let result = result.and_then(|ledger| ledger.close().context("not every change reached the storage"));
    tracing::info!("stopped");
    drop(guard);
    result
}

/// Where it can be reached.
struct Doors {
    edge: String,
    console: String,
    metrics: Option<SocketAddr>,
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
    storage: Arc<dyn Storage>,
    sockets: Arc<[Socket]>,
    metrics_task: Option<AbortHandle>,
    running: Arc<Running>,
    reload_asked: mpsc::Receiver<ReloadAsked>,
    console: Arc<console::listener::Listener>,
    tls: Option<TlsConfig>,
    /// The process before this one, and what still runs there.
    predecessor: Option<(Predecessor, Carried)>,
    /// Whether it still runs.
    carrying: Arc<AtomicBool>,
    demo: Option<DemoPlace>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn start(config_path: PathBuf, loaded: Loaded, threads: usize, upgrade: bool) -> Result<Server> {
        let Loaded { mut config, files, warnings } = loaded;
        let catalog = Arc::new(std::mem::take(&mut config.catalog));
        let metrics = Arc::new(Metrics::new().context("the metrics could not be registered")?);
        let tls = config.edge.tls.as_ref().map(tls::server_config).transpose()?;
        let tls = tls.map(|config| Arc::new(ArcSwap::from(config)));
        let mut tasks = JoinSet::new();
        let demo = start_demo(&catalog, &mut tasks).await?;
        let snapshot = build_snapshot(catalog, None, demo.as_ref()).await?;
        let Foundation { storage, ledger, sockets, predecessor } = match upgrade {
            false => lay_foundation(&config, metrics.clone()).await?,
            true => take_foundation_over(&config, metrics.clone()).await?,
        };

        let limiter = Arc::new(LocalLimiter::new(Instant::now()));
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
        let (running, reload_asked) = Running::new(&config_path, &config, &warnings, pipeline.clone(), &sockets)?;
        let running = Arc::new(running);
        let inner = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "playground").await?;
        let console = Console::new(running.clone(), storage.clone(), pipeline.ledger.clone(), inner.local_addr()?);
        let console = console.listener(config.edge.trusted_proxies.clone(), config.edge.header_timeout);
        tasks.spawn(door.clone().accept(inner, None));
        Ok(Server {
            config_path,
            config,
            files,
            pipeline,
            limiter,
            door,
            storage,
            sockets,
            metrics_task: None,
            running,
            reload_asked,
            console,
            tls,
            predecessor,
            carrying: Arc::default(),
            demo,
            tasks,
        })
    }

    async fn serve(mut self) -> Result<Arc<Ledger>> {
        // Before anything is accepted: the process before this one may still think better of it.
        if let Some((predecessor, carried)) = self.predecessor.take() {
            self.relieve(predecessor, carried)?;
        }
        let Doors { edge, console, metrics } = self.open_doors()?;
        self.start_background_tasks();

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut watch = files::FileWatch::new(&self.files);
        let mut look = tokio::time::interval(LOOK_AT_FILES_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        invitation::offer(self.storage.clone(), self.running.console_url()).await;
        tracing::info!(edge, console, ?metrics, "ready");
        let replaced = loop {
            tokio::select! {
                _ = terminate.recv() => break false,
                _ = interrupt.recv() => break false,
                _ = quit.recv() => {
                    if self.hand_over().await {
                        break true;
                    }
                }
                _ = hangup.recv() => (watch, _) = self.reload_watched().await,
                Some(asked) = self.reload_asked.recv() => {
                    let result;
                    (watch, result) = self.reload_watched().await;
                    // Whoever asked may have left.
                    let _ = asked.send(result);
                }
                _ = look.tick() => {
                    if watch.changed() {
                        (watch, _) = self.reload_watched().await;
                    }
                }
            }
        };
        tracing::info!(patience = ?self.config.edge.drain, replaced, "stopping: running requests may finish");
        self.pipeline.start_draining();
        self.console.close();
        // While a copy lives, connections would go on to queue up for nobody; or compete with the successor.
        self.sockets = Arc::default();
        if let Some(task) = self.metrics_task.take_if(|_| replaced) {
            task.abort();
        }
        let patience = self.config.edge.drain;
        let drained = async {
            let all = if replaced { self.door.drain_politely(patience).await } else { self.door.drain(patience).await };
            // What the playground showed has ended; its last words are on their way.
            self.console.gone(CONSOLE_PATIENCE).await;
            all
        };
        tokio::select! {
            all = drained => {
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

    /// Accepts on every socket. Gives the addresses as the log shows them.
    fn open_doors(&mut self) -> Result<Doors> {
        let (mut edge, mut console, mut metrics) = (Vec::new(), Vec::new(), None);
        for socket in self.sockets.iter() {
            let (listener, address) = (socket.listen()?, socket.address()?);
            match socket.place.purpose {
                Purpose::Edge => {
                    edge.push(format!("http://{address}"));
                    self.tasks.spawn(self.door.clone().accept(listener, None));
                }
                Purpose::EdgeTls => {
                    edge.push(format!("https://{address}"));
                    self.tasks.spawn(self.door.clone().accept(listener, self.tls.clone()));
                }
                Purpose::Console => {
                    console.push(format!("http://{address}"));
                    self.tasks.spawn(self.console.clone().accept(listener));
                }
                Purpose::Metrics => {
                    metrics = Some(address);
                    self.metrics_task = Some(self.tasks.spawn(scrape::serve(listener, self.pipeline.clone())));
                }
            }
        }
        Ok(Doors { edge: edge.join(" "), console: console.join(" "), metrics })
    }

    /// Lets the process before this one finish what it runs, on a thread that may wait.
    fn relieve(&self, mut predecessor: Predecessor, carried: Carried) -> Result<()> {
        predecessor.await_turn()?;
        tracing::info!(running = carried.running(), "taking over");
        let carrying = self.carrying.clone();
        carrying.store(true, Ordering::Relaxed);
        let follow = move || {
            match predecessor.follow(carried, now_ms) {
                Some(recovery) if recovery.holds > 0 => warn_of(&recovery),
                Some(_) => tracing::info!("the process before this one has ended"),
                None => tracing::warn!("ending first: the process before this one writes its own books again"),
            }
            carrying.store(false, Ordering::Relaxed);
        };
        std::thread::Builder::new().name("predecessor".into()).spawn(follow)?;
        Ok(())
    }

    /// True if another process serves now. Otherwise everything is as before.
    async fn hand_over(&mut self) -> bool {
        match self.try_hand_over().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("not replaced, this process goes on serving: {error:#}");
                false
            }
        }
    }

    async fn try_hand_over(&mut self) -> Result<()> {
        if self.carrying.load(Ordering::Relaxed) {
            bail!("the process before this one still runs requests");
        }
        if !self.pipeline.ledger.healthy() {
            bail!("the storage cannot be written");
        }
        let (path, sockets) = (meeting_place(&self.config.storage)?, self.sockets.clone());
        let successor = tokio::task::spawn_blocking(move || Successor::meet(&path, &sockets)).await??;
        self.door.hold_back();
        self.let_requests_come_in().await;
        self.pipeline.start_draining();
        let (told, mut given) = oneshot::channel();
        let storage = self.storage.clone();
        self.pipeline.ledger.hand_over(Box::new(move || Box::new(Relay::begin(successor, storage, told))));
        let given = match tokio::time::timeout(RELEASE_MAX, &mut given).await {
            Ok(given) => given,
            Err(_) => {
                // Heard of when it is dropped, unless the books are out of the house and the answer is under way.
                self.pipeline.ledger.withdraw();
                given.await
            }
        };
        let given = given.unwrap_or_else(|_| bail!("the books could not be closed in time"));
        if given.is_err() {
            self.pipeline.ledger.take_back();
            self.pipeline.stop_draining();
            self.door.open_again();
        }
        given
    }

    /// Waits a moment for what was accepted and has no hold yet, so that it is served rather than sent away.
    async fn let_requests_come_in(&self) {
        let deadline = Instant::now() + COME_IN_MAX;
        let held = || usize::try_from(self.pipeline.ledger.stats().holds_open).unwrap_or(usize::MAX);
        while self.door.connections() > held() && Instant::now() < deadline {
            tokio::time::sleep(COME_IN_POLL).await;
        }
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
    }

    /// Reloads, and says what to watch from then on. What changes while it is read counts as a change.
    async fn reload_watched(&mut self) -> (files::FileWatch, Result<(), Vec<String>>) {
        let before = files::FileWatch::new(&self.files);
        let result = self.reload().await;
        let watch = if self.files == before.files { before } else { files::FileWatch::new(&self.files) };
        (watch, result)
    }

    /// Takes over models, upstreams, prices, groups and limits whole, or keeps the old ones and says why.
    async fn reload(&mut self) -> Result<(), Vec<String>> {
        let result = self.try_reload().await;
        let reloads = &self.pipeline.metrics.config_reloads;
        let (label, message) = match &result {
            Ok(()) => {
                tracing::info!("the configuration was reloaded");
                ("ok", String::new())
            }
            Err(error) => {
                tracing::error!("the configuration was not reloaded, the old one stays: {error:#}");
                ("rejected", format!("{error:#}"))
            }
        };
        reloads.with_label_values(&[label]).inc();
        self.running.reloaded(Reload { at_ms: now_ms(), ok: result.is_ok(), message });
        result.map_err(|error| match error.downcast_ref::<config::Faults>() {
            Some(faults) => faults.0.iter().map(ToString::to_string).collect(),
            None => vec![format!("{error:#}")],
        })
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
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        for part in fixed_parts_changed(&self.config, &config) {
            tracing::warn!("a change of {part} takes effect at the next start");
        }
        if let (Some(tls), Some(current)) = (&config.edge.tls, &self.tls) {
            current.store(tls::server_config(tls)?);
        }
        if self.demo.is_none() {
            self.demo = start_demo(&config.catalog, &mut self.tasks).await?;
        }
        let next = build_snapshot(Arc::new(config.catalog), Some(&previous), self.demo.as_ref()).await?;
        self.pipeline.swap(next);
        self.running.warned(&warnings);
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
            tls::check_certificates(pem).with_context(|| format!("upstream {}: tls.ca", upstream.name))?;
        }
    }
    let fleet = Fleet::build(&catalog, previous.map(|snapshot| &snapshot.fleet), demo, Instant::now());
    fleet.refresh_addresses().await;
    Ok(Snapshot::build(catalog, fleet, previous))
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

/// What a server stands on: its books and its sockets.
struct Foundation {
    storage: Arc<dyn Storage>,
    ledger: Arc<Ledger>,
    sockets: Arc<[Socket]>,
    predecessor: Option<(Predecessor, Carried)>,
}

async fn lay_foundation(config: &Config, metrics: Arc<Metrics>) -> Result<Foundation> {
    let storage = open_storage(&config.storage)?;
    let journal = storage.journal().context("the storage cannot be written")?;
    let library = storage.library().context("the storage cannot be read")?;
    let opened = Ledger::open(journal, library, ledger_options(metrics), now_ms());
    let (ledger, recovery) = opened.context("the books cannot be opened")?;
    if recovery.holds > 0 {
        warn_of(&recovery);
    }
    // Bound before anything runs: a port that is taken is an error now, not later.
    let sockets = sockets::open(config, Vec::new()).await?;
    Ok(Foundation { storage: storage.into(), ledger, sockets, predecessor: None })
}

/// The other way round: whatever can fail is done while the running process still serves, and the books come last.
async fn take_foundation_over(config: &Config, metrics: Arc<Metrics>) -> Result<Foundation> {
    let rendezvous = Rendezvous::open(meeting_place(&config.storage)?)?;
    let (mut predecessor, inherited) = rendezvous.wait().await?;
    let sockets = sockets::open(config, inherited).await?;
    let predecessor = tokio::task::spawn_blocking(move || predecessor.await_books().map(|()| predecessor)).await??;
    // Not before: another release may bring the file to its own version.
    let storage = open_storage(&config.storage)?;
    let journal = storage.journal().context("the storage cannot be written")?;
    let library = storage.library().context("the storage cannot be read")?;
    let opened = Ledger::open_beside(journal, library, ledger_options(metrics));
    let (ledger, carried) = opened.context("the books cannot be opened")?;
    Ok(Foundation { storage: storage.into(), ledger, sockets, predecessor: Some((predecessor, carried)) })
}

fn meeting_place(storage: &config::Storage) -> Result<PathBuf> {
    match &storage.url {
        StorageUrl::Sqlite(path) => Ok(upgrade::meeting_place(path)),
        StorageUrl::Postgres(_) => bail!("this version keeps its books in SQLite only"),
    }
}

fn ledger_options(metrics: Arc<Metrics>) -> ledger::Options {
    ledger::Options {
        on_commit: Box::new(move |took, _| metrics.ledger_commit.observe(took.as_secs_f64())),
        ..ledger::Options::default()
    }
}

fn warn_of(recovery: &Recovery) {
    tracing::warn!(
        holds = recovery.holds, charged = %recovery.charged,
        "requests that were running when the last process ended were settled by their last checkpoint"
    );
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({what})"))
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

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Commands of the command line take effect within a second.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
const LOOK_AT_FILES_EVERY: Duration = Duration::from_millis(250);
/// How long an upgrade lets requests come in that were accepted; new connections wait meanwhile.
const COME_IN_MAX: Duration = Duration::from_millis(300);
/// How long new connections wait for a storage that is slow to write what is queued.
const RELEASE_MAX: Duration = Duration::from_secs(5);
const COME_IN_POLL: Duration = Duration::from_millis(5);
/// How long the console's last answers may take to reach their readers.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(2);
