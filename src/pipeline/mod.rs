//! One request's path. Read the stages in this order and you know the product:
//!
//! 1. [`authenticate`]: who is asking?
//! 2. [`admit`]: is there room? Requests per minute, requests at a time.
//! 3. `understand` ([`crate::protocol::request`]): what is asked? One strict pass over the body.
//! 4. [`route`]: who can answer?
//! 5. [`reserve`]: can it be paid? Tokens per minute, and the money set aside.
//! 6. [`rewrite`]: the request as the upstream shall see it; [`translate`], where it speaks another dialect.
//! 7. [`meter`]: the answer, as it passes by.
//! 8. [`settle`]: what it cost. Exactly once.
//! 9. [`record`]: one log line and the metrics.
//!
//! [`Pipeline`] is what all requests share, [`Exchange`] is one of them.

pub mod admit;
pub mod attempt;
pub mod authenticate;
pub mod exchange;
pub mod lookup;
pub mod memory;
pub mod meter;
pub mod record;
pub mod rejection;
pub mod reserve;
pub mod rewrite;
pub mod route;
pub mod settle;
pub mod translate;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub use exchange::Exchange;

use crate::core::catalog::Catalog;
use crate::ledger::Ledger;
use crate::limits::{FailedKeys, Limiter};
use crate::metrics::Metrics;
use crate::protocol::estimate::Calibration;
use crate::store::contract::Library;
use crate::upstream::Fleet;

use memory::BodyMemory;

/// What all requests share.
pub struct Pipeline {
    snapshot: ArcSwap<Snapshot>,
    pub ledger: Arc<Ledger>,
    pub limits: Arc<dyn Limiter>,
    pub failed_keys: FailedKeys,
    pub metrics: Arc<Metrics>,
    pub settings: Settings,
    pub body_memory: Arc<BodyMemory>,
    /// For the few questions that only the storage can answer; never on the path of a paid request.
    pub library: Mutex<Box<dyn Library>>,
    draining: AtomicBool,
    /// Places for answers that are read on after their client has left.
    pub drains: Arc<Semaphore>,
}

/// What a reload does not change.
#[derive(Clone, Debug)]
pub struct Settings {
    pub base_paths: Vec<String>,
    pub body_bytes_max: u64,
    pub body_timeout: Duration,
    pub trusted_proxies: Vec<IpNet>,
}

/// Everything that a reload swaps, in one piece: a request keeps the one it started with.
pub struct Snapshot {
    pub catalog: Arc<Catalog>,
    pub fleet: Fleet,
    calibrations: HashMap<String, Arc<Calibration>>,
}

impl Snapshot {
    /// What was learned about models and upstreams that stay is kept.
    pub fn build(catalog: Arc<Catalog>, fleet: Fleet, previous: Option<&Snapshot>) -> Snapshot {
        let learned = |name: &str| previous.and_then(|before| before.calibrations.get(name)).cloned();
        let calibrations =
            catalog.models.iter().map(|model| (model.name.clone(), learned(&model.name).unwrap_or_default())).collect();
        Snapshot { catalog, fleet, calibrations }
    }

    pub fn calibration(&self, model: &str) -> Arc<Calibration> {
        self.calibrations.get(model).cloned().unwrap_or_default()
    }
}

impl Pipeline {
    pub fn new(
        snapshot: Snapshot,
        ledger: Arc<Ledger>,
        limits: Arc<dyn Limiter>,
        metrics: Arc<Metrics>,
        library: Box<dyn Library>,
        settings: Settings,
        body_memory_bytes: u64,
    ) -> Pipeline {
        Pipeline {
            snapshot: ArcSwap::from_pointee(snapshot),
            ledger,
            limits,
            failed_keys: FailedKeys::new(),
            metrics,
            settings,
            body_memory: BodyMemory::new(body_memory_bytes),
            library: Mutex::new(library),
            draining: AtomicBool::new(false),
            drains: Arc::new(Semaphore::new(DRAINS_MAX)),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn swap(&self, next: Snapshot) {
        self.snapshot.store(Arc::new(next));
    }

    /// From now on nothing new is taken: the process is going away.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// It stays after all.
    pub fn stop_draining(&self) {
        self.draining.store(false, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Beyond it, an answer without a client is cancelled: a flood of leaving clients must not keep us reading for nobody.
const DRAINS_MAX: usize = 64;
