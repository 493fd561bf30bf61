//! Requests: what was asked, how it ended, what it cost and why.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::schema::{ListOf, NotRead, PagingParams};
use super::{answer, field, reach};
use crate::console::Console;
use crate::console::caller::Caller;
use crate::console::input::{Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::core::admin_token::Scope;
use crate::store::contract::console::RequestQuery;
use crate::store::contract::{Outcome, RequestId, RequestView as RequestEntry};
use crate::store::view::RequestView;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestsQuery {
    /// An account's name or id.
    account: Option<String>,
    /// A key's id.
    key: Option<String>,
    model: Option<String>,
    /// Operators only.
    upstream: Option<String>,
    #[param(example = "chat/completions")]
    endpoint: Option<String>,
    #[param(example = 200)]
    status: Option<u16>,
    outcome: Option<Outcome>,
    /// `1`: everything but `ok`.
    #[serde(default, deserialize_with = "field::flag")]
    #[param(value_type = Option<String>)]
    failed: bool,
    /// Those that started at this moment (RFC 3339) or later.
    since: Option<String>,
    /// Those that started before this moment.
    until: Option<String>,
}

/// Requests, newest first
///
/// Customers see those of their account, without the upstream.
#[utoipa::path(get, path = "/api/requests", operation_id = "list_requests", tag = "requests",
    params(RequestsQuery, PagingParams), responses((status = 200, body = ListOf<RequestView>), NotRead))]
pub(super) async fn list_requests(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<RequestsQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    if query.upstream.is_some() {
        caller.operator(Scope::Read)?;
    }
    let account = reach::accounts(&console, &caller, query.account).await?;
    let key = match query.key {
        Some(id) => Some(reach::key(&console, &caller, id).await?.record.id),
        None => None,
    };
    let wanted = RequestQuery {
        account,
        key,
        model: query.model,
        upstream: query.upstream,
        endpoint: query.endpoint,
        status: query.status,
        outcome: query.outcome,
        failed: query.failed,
        since_ms: field::moment_ms("since", query.since.as_deref())?,
        until_ms: field::moment_ms("until", query.until.as_deref())?,
    };
    let found = console.report(move |reports| reports.requests(&wanted, &paging.page)).await?;
    let data = found.rows.iter().map(|entry| shown(entry, &caller)).collect();
    Ok(list(paging.form, "requests", &COLUMNS, data, found.next))
}

/// One request, and what its charge is made of
#[utoipa::path(get, path = "/api/requests/{id}", operation_id = "get_request", tag = "requests",
    params(("id" = String, Path, description = "`x-request-id` of its answer")),
    responses((status = 200, body = RequestDetail), NotRead))]
pub(super) async fn get_request(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: RequestId = id.parse().map_err(|_| Problem::no_such("request"))?;
    let found = console.look_up(move |library| library.request(id)).await?;
    let entry = found.filter(|entry| caller.sees(entry.row.account)).ok_or_else(|| Problem::no_such("request"))?;
    let key = reach::key(&console, &caller, entry.key_public_id.clone()).await?;
    let charge = console.report(move |reports| reports.charge_of(id)).await?;
    Ok(answer::ok(&RequestDetail {
        request: shown(&entry, &caller),
        key_name: &key.record.name,
        ledger_seq: charge.map(|entry| entry.seq),
    }))
}

/// Which upstream served a request is the operators' business.
pub(super) fn shown<'a>(entry: &'a RequestEntry, caller: &Caller) -> RequestView<'a> {
    let view = RequestView::from(entry);
    let upstream = view.upstream.filter(|_| caller.is_operator());
    RequestView { upstream, ..view }
}

const COLUMNS: [&str; 19] = [
    "id",
    "account",
    "key_id",
    "endpoint",
    "model",
    "upstream",
    "status",
    "outcome",
    "estimated",
    "streamed",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "charge",
    "price_version",
    "started_at",
    "ttft_ms",
    "duration_ms",
];
