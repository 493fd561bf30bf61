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
use crate::console::listing::{self, list};
use crate::console::problem::Problem;
use crate::core::admin_token::Scope;
use crate::core::bill::{Bill, Item, Line};
use crate::core::money::Nano;
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
    /// As records show it.
    #[param(example = "chat_completions")]
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
    let found = listing::read(&console, &paging, move |reports, page| reports.requests(&wanted, page)).await?;
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
        bill: Bill::parse(&entry.row.bill).as_ref().map(BillView::new),
    }))
}

/// A request with all that its charge is made of.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestDetail<'a> {
    #[serde(flatten)]
    request: RequestView<'a>,
    key_name: &'a str,
    /// The ledger's entry of the charge; null where nothing was charged.
    ledger_seq: Option<i64>,
    /// The charge, line by line; null where there is nothing to show.
    bill: Option<BillView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BillView {
    /// What list prices are multiplied by.
    #[schema(example = "1.2")]
    markup: String,
    lines: Vec<LineView>,
    /// The sum of the lines: exact, before markup.
    list_total: String,
    /// Times the markup, rounded up once: the charge.
    total: Nano,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LineView {
    #[schema(example = "cached_input")]
    item: &'static str,
    quantity: String,
    /// What the quantity counts.
    #[schema(example = "tokens")]
    unit: &'static str,
    #[schema(example = "0.15")]
    unit_price: String,
    /// How many of them the price is for.
    #[schema(example = 1_000_000)]
    per: u64,
    /// At list price, exact.
    amount: String,
}

impl BillView {
    fn new(bill: &Bill) -> BillView {
        BillView {
            markup: bill.markup.to_string(),
            lines: bill.lines().map(LineView::new).collect(),
            list_total: bill.list_total().to_string(),
            total: bill.total(),
        }
    }
}

impl LineView {
    fn new(line: Line) -> LineView {
        let per = if line.item.is_tokens() || line.item == Item::Characters { 1_000_000 } else { 1 };
        // The price of a million characters is kept as such, that of a token as that of one.
        let unit_price = match line.item {
            item if item.is_tokens() => line.price.display_per_million(),
            _ => line.price.display_per_unit(),
        };
        let quantity = match line.item {
            Item::AudioSeconds => seconds_of(line.quantity),
            _ => line.quantity.to_string(),
        };
        let (item, unit, amount) = (line.item.as_str(), line.item.unit(), line.amount().to_string());
        LineView { item, quantity, unit, unit_price, per, amount }
    }
}

/// Milliseconds as seconds.
fn seconds_of(ms: u64) -> String {
    match (ms / 1_000, ms % 1_000) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:03}").trim_end_matches('0').to_owned(),
    }
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
