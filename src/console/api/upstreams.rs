//! Upstreams: how they are doing, and a probe by hand.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use super::schema::{ListOf, NotDone, NotRead};
use crate::console::caller::Caller;
use crate::console::gateway::{ProbeResult, UpstreamState};
use crate::console::input::{Nothing, Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::console::{Console, now_ms};
use crate::core::catalog::{Catalog, UpstreamKind};
use crate::store::contract::UsageRow;
use crate::store::contract::console::{Operation, SeriesBy};
use crate::store::view::seconds;
use crate::upstream::health::BreakerState;

use super::span::{Buckets, Range};

#[derive(Serialize, ToSchema)]
pub(super) struct UpstreamView {
    name: String,
    #[schema(example = "openai")]
    kind: &'static str,
    /// Without credentials.
    base_url: String,
    /// Of its breaker: `closed` is well, `open` is left alone, `half_open` is being tried.
    #[schema(example = "closed")]
    state: &'static str,
    /// Whether a request sent now would have an address, a key and a closed breaker.
    usable: bool,
    keys: KeysView,
    /// Which models it may serve.
    models: Vec<String>,
    /// Requests of the last 24 hours that ended there, and those among them that failed.
    requests_24h: u64,
    errors_24h: u64,
    address_known: bool,
    last_probe: Option<ProbeView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct KeysView {
    total: usize,
    /// Refused by the provider, and left alone for a while.
    resting: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ProbeView {
    at: String,
    ok: bool,
    latency_ms: u64,
    /// Its HTTP status, if one came.
    status: Option<u16>,
    message: String,
}

impl From<&ProbeResult> for ProbeView {
    fn from(probe: &ProbeResult) -> ProbeView {
        ProbeView {
            at: seconds(probe.at_ms),
            ok: probe.ok,
            latency_ms: probe.latency_ms,
            status: probe.status,
            message: probe.message.clone(),
        }
    }
}

/// Upstreams, in the order of the configuration
#[utoipa::path(get, path = "/api/upstreams", operation_id = "list_upstreams", tag = "upstreams",
    responses((status = 200, body = ListOf<UpstreamView>), NotRead))]
pub(super) async fn list_upstreams(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
    paging: Paging,
) -> Result<Response, Problem> {
    let day = Buckets::latest(Range::Day, now_ms()).query(SeriesBy::Upstream);
    let rows = console.report(move |reports| reports.series(&day)).await?;
    let catalog = console.gateway().catalog();
    let used = |name: &str| {
        let mut sum = UsageRow::default();
        rows.iter().filter(|row| row.row.group == name).for_each(|row| super::span::add(&mut sum, &row.row));
        sum
    };
    let data = console.gateway().upstreams().iter().map(|state| view(state, &catalog, &used(&state.name))).collect();
    Ok(list(paging.form, "upstreams", &COLUMNS, data, None))
}

/// Ask an upstream whether it is there
///
/// Lists its models with one of its keys, which costs nothing; takes at most ten seconds.
#[utoipa::path(post, path = "/api/upstreams/{name}/probe", operation_id = "probe_upstream", tag = "upstreams",
    params(("name" = String, Path)), responses((status = 200, body = ProbeView), NotDone))]
pub(super) async fn probe_upstream(
    State(console): State<Console>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let probe = console.gateway().probe(&name).await;
    let probe = probe.ok_or_else(|| Problem::not_found("There is no upstream of this name."))?;
    console.note(&caller, Operation::Probe { upstream: name, answered: probe.ok }).await;
    Ok(answer::ok(&ProbeView::from(&probe)))
}

fn view(state: &UpstreamState, catalog: &Catalog, used: &UsageRow) -> UpstreamView {
    let serves = |model: &crate::core::catalog::Model| {
        model.candidates.iter().any(|candidate| candidate.upstream.name == state.name)
    };
    UpstreamView {
        name: state.name.clone(),
        kind: match state.kind {
            UpstreamKind::Openai => "openai",
            UpstreamKind::Azure => "azure",
            UpstreamKind::Anthropic => "anthropic",
            UpstreamKind::Demo => "demo",
        },
        base_url: state.base_url.clone(),
        state: match state.state {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        },
        usable: state.usable,
        keys: KeysView { total: state.keys_total, resting: state.keys_resting },
        models: catalog.models.iter().filter(|model| serves(model)).map(|model| model.name.clone()).collect(),
        requests_24h: used.requests,
        errors_24h: used.errors,
        address_known: state.address_known,
        last_probe: state.last_probe.as_ref().map(ProbeView::from),
    }
}

const COLUMNS: [&str; 11] = [
    "name",
    "kind",
    "base_url",
    "state",
    "usable",
    "keys.total",
    "keys.resting",
    "models",
    "requests_24h",
    "errors_24h",
    "address_known",
];
