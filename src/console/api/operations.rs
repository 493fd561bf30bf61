//! What keeps the place running: its health, its configuration, the proof of its books.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use super::schema::{NotDone, NotRead};
use crate::console::caller::Caller;
use crate::console::input::{Body, Nothing, Query};
use crate::console::problem::{FieldError, Problem};
use crate::console::{Console, now_ms};
use crate::core::money::NanoSum;
use crate::store::contract::AuditReport;
use crate::store::contract::console::Operation;
use crate::store::view::seconds;

#[derive(Serialize, ToSchema)]
pub(super) struct HealthView {
    version: &'static str,
    uptime_s: i64,
    listeners: Listeners,
    storage: StorageView,
    ledger: LedgerState,
    requests_in_flight: u64,
    draining: bool,
    config: ConfigState,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Listeners {
    edge: Vec<String>,
    console: String,
    metrics: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StorageView {
    /// Whether paid requests are taken: it can be written.
    ok: bool,
    #[serde(flatten)]
    facts: crate::store::contract::console::StorageFacts,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LedgerState {
    queue_entries: u64,
    holds_open: u64,
    charges_beyond_hold: u64,
    charges_anomalous: u64,
    commits: u64,
    commit_failures: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConfigState {
    path: String,
    last_reload: Option<ReloadView>,
    warnings: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReloadView {
    at: String,
    ok: bool,
    message: String,
}

/// How the gateway is doing
#[utoipa::path(get, path = "/api/health", operation_id = "get_health", tag = "operations",
    responses((status = 200, body = HealthView), NotRead))]
pub(super) async fn health(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let facts = console.report(|reports| reports.facts()).await?;
    let health = console.gateway().health();
    let reload = |reload: &crate::console::gateway::Reload| ReloadView {
        at: seconds(reload.at_ms),
        ok: reload.ok,
        message: reload.message.clone(),
    };
    Ok(answer::ok(&HealthView {
        version: console.gateway().site().version,
        uptime_s: now_ms().saturating_sub(health.started_at_ms) / 1_000,
        listeners: Listeners {
            edge: health.edge,
            console: format!("http://{}", health.console),
            metrics: health.metrics.map(|address| format!("http://{address}/metrics")),
        },
        storage: StorageView { ok: health.ledger_healthy, facts },
        ledger: LedgerState {
            queue_entries: health.ledger.queue_entries,
            holds_open: health.ledger.holds_open,
            charges_beyond_hold: health.ledger.charges_beyond_hold,
            charges_anomalous: health.ledger.charges_anomalous,
            commits: health.ledger.commits,
            commit_failures: health.ledger.commit_failures,
        },
        requests_in_flight: health.requests_in_flight,
        draining: health.draining,
        config: ConfigState {
            path: health.config_path,
            last_reload: health.last_reload.as_ref().map(reload),
            warnings: health.warnings,
        },
    }))
}

/// The configuration in effect, with every secret masked
#[utoipa::path(get, path = "/api/config", operation_id = "get_config", tag = "operations",
    responses((status = 200, body = Object), NotRead))]
pub(super) async fn config(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(console.gateway().config()))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    ok: bool,
}

/// Read the configuration again
///
/// It is taken over whole, or the old one stays and `errors` has every fault.
#[utoipa::path(post, path = "/api/config/reload", operation_id = "reload_config", tag = "operations",
    responses((status = 200, body = Reloaded), NotDone))]
pub(super) async fn reload_config(
    State(console): State<Console>,
    caller: Caller,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Response, Problem> {
    let outcome = console.gateway().reload().await;
    console.note(&caller, Operation::Reload { taken: outcome.is_ok() }).await;
    match outcome {
        Ok(()) => Ok(answer::ok(&Reloaded { ok: true })),
        Err(faults) => {
            let errors = faults.into_iter().map(|message| FieldError { field: "config".into(), message }).collect();
            Err(Problem::refused_for("The configuration was not reloaded; the old one stays in effect.", errors))
        }
    }
}

/// The result of proving the books.
#[derive(Serialize, ToSchema)]
pub(super) struct Proof {
    ok: bool,
    accounts: u64,
    entries: u64,
    requests: u64,
    holds: u64,
    balance: NanoSum,
    /// One sentence per difference; none if the books are right.
    differences: Vec<String>,
}

/// Prove the books
///
/// Recomputes everything from the ledger's entries, on one snapshot. One proof at a time.
#[utoipa::path(get, path = "/api/audit", operation_id = "audit", tag = "operations",
    responses((status = 200, body = Proof), NotRead))]
pub(super) async fn audit(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    // A full reading of the books: a second one at the same time would only make both slower.
    let Ok(_place) = console.proofs().try_acquire() else {
        return Err(Problem::unavailable("The books are being proved already."));
    };
    let AuditReport { accounts, entries, requests, holds, balance, mut differences } =
        console.look_up(|library| library.audit()).await?;
    let ok = differences.is_empty();
    differences.truncate(DIFFERENCES_MAX);
    Ok(answer::ok(&Proof { ok, accounts, entries, requests, holds, balance, differences }))
}

const DIFFERENCES_MAX: usize = 1_000;
