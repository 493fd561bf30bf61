//! The ledger: every change of a balance, and the ones that people make.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::schema::{IdempotencyParams, ListOf, NotDone, NotRead, PagingParams};
use super::{answer, field, reach};
use crate::console::caller::Caller;
use crate::console::input::{Asked, Paging, Query};
use crate::console::listing::{self, list};
use crate::console::problem::Problem;
use crate::console::{Console, Done, now_ms};
use crate::core::money::Nano;
use crate::store::contract::console::{EntryView, LedgerFilter};
use crate::store::contract::{EntryKind, LedgerEntry};
use crate::store::view::LedgerView;

/// A ledger entry and whose it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry<'a> {
    #[serde(flatten)]
    entry: LedgerView<'a>,
    /// The account's name.
    account: &'a str,
}

impl<'a> Entry<'a> {
    pub(super) fn new(entry: &'a LedgerEntry, account: &'a str) -> Self {
        Entry { entry: LedgerView::from(entry), account }
    }
}

impl<'a> From<&'a EntryView> for Entry<'a> {
    fn from(view: &'a EntryView) -> Self {
        Entry::new(&view.entry, &view.account_name)
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LedgerQuery {
    kind: Option<EntryKind>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WholeLedgerQuery {
    /// An account's name or id.
    account: Option<String>,
    kind: Option<EntryKind>,
}

/// What people book by hand. Charges are booked by requests alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CreditKind {
    #[default]
    Credit,
    /// A correction: the amount may be negative.
    Adjust,
    Refund,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCredit {
    /// A decimal string of at most nine decimals.
    #[schema(example = "5")]
    amount: String,
    #[serde(default)]
    kind: CreditKind,
    /// A reference such as an invoice's number: the same one twice adds once.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Why, for the ledger: 1 to 500 characters.
    #[schema(example = "paid by card")]
    note: String,
}

/// An account's ledger, newest first
#[utoipa::path(get, path = "/api/accounts/{id}/ledger", operation_id = "list_account_ledger", tag = "accounts",
    params(("id" = String, Path, description = "Its id or name"), LedgerQuery, PagingParams),
    responses((status = 200, body = ListOf<Entry>), NotRead))]
pub(super) async fn list_account_ledger(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LedgerQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    let account = reach::account(&console, &caller, id).await?;
    entries(&console, LedgerFilter { account: Some(account.id), kind: query.kind }, paging).await
}

/// The whole ledger, newest first
#[utoipa::path(get, path = "/api/ledger", operation_id = "list_ledger", tag = "operations",
    params(WholeLedgerQuery, PagingParams), responses((status = 200, body = ListOf<Entry>), NotRead))]
pub(super) async fn list_ledger(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<WholeLedgerQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    let account = reach::accounts(&console, &caller, query.account).await?;
    entries(&console, LedgerFilter { account, kind: query.kind }, paging).await
}

async fn entries(console: &Console, filter: LedgerFilter, paging: Paging) -> Result<Response, Problem> {
    let found = listing::read(console, &paging, move |reports, page| reports.ledger(&filter, page)).await?;
    let data = found.rows.iter().map(Entry::from).collect();
    Ok(list(paging.form, "ledger", &COLUMNS, data, found.next))
}

/// Add or correct money
///
/// The same reference for the same account and amount books once, for ever; `Idempotency-Key` makes a repetition within
/// a day harmless without one.
#[utoipa::path(post, path = "/api/accounts/{id}/credits", operation_id = "create_credit", tag = "accounts",
    params(("id" = String, Path, description = "The account's id or name"), IdempotencyParams), request_body = NewCredit,
    responses((status = 201, body = Entry), (status = 200, description = "Booked before", body = Entry), NotDone))]
pub(super) async fn create_credit(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Asked { body, once }: Asked<NewCredit>,
) -> Result<Response, Problem> {
    let (kind, amount) = (body.kind, field::amount("amount", &body.amount)?);
    if amount == Nano::ZERO {
        return Err(Problem::invalid_field("amount", "must not be zero"));
    }
    if amount.is_negative() && kind != CreditKind::Adjust {
        return Err(Problem::invalid_field("amount", "must be above zero; only kind adjust takes money away"));
    }
    let note = field::line("note", &body.note, NOTE_CHARS_MAX)?;
    let reference = body.reference.map(|text| field::line("ref", &text, REFERENCE_CHARS_MAX)).transpose()?;
    let kind = match kind {
        CreditKind::Credit => EntryKind::Credit,
        CreditKind::Adjust => EntryKind::Adjust,
        CreditKind::Refund => EntryKind::Refund,
    };
    let account = reach::account(&console, &caller, id).await?;
    let now_ms = now_ms();
    let booked = console.act_once(&caller, once, move |desk| {
        desk.post(account.id, kind, amount, reference.as_deref(), Some(&note), now_ms)
    });
    match booked.await? {
        // The storage answers a repeated reference with the first entry, which is older than this request.
        Done::Now(entry) if entry.at_ms < now_ms => Ok(answer::replayed(&Entry::new(&entry, &account.name))),
        Done::Now(entry) => Ok(answer::created(&Entry::new(&entry, &account.name))),
        Done::Before(seq) => Ok(answer::replayed(&Entry::from(&entry_before(&console, &seq).await?))),
    }
}

/// The entry that an earlier, equal request booked.
pub(super) async fn entry_before(console: &Console, seq: &str) -> Result<EntryView, Problem> {
    let number = seq.parse::<i64>().map_err(|_| Problem::server_error(&format!("{seq:?} is no entry")))?;
    let found = console.report(move |reports| reports.entry(number)).await?;
    found.ok_or_else(|| Problem::server_error(&format!("entry {number} is gone")))
}

const NOTE_CHARS_MAX: usize = 500;
const REFERENCE_CHARS_MAX: usize = 256;
const COLUMNS: [&str; 9] = ["seq", "at", "account", "kind", "amount", "balance_after", "request_id", "ref", "note"];
