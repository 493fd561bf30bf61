//! Redeem codes: money that waits until somebody types it in.

use std::time::Instant;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ledger::{Entry, entry_before};
use super::schema::{IdempotencyParams, ListOf, NotDone, NotRead, PagingParams};
use super::{answer, field, reach};
use crate::console::caller::Caller;
use crate::console::input::{Asked, CSV_ROWS_MAX, Paging, Query};
use crate::console::listing::{self, list};
use crate::console::problem::Problem;
use crate::console::{Console, Done, now_ms};
use crate::core::money::Nano;
use crate::core::redeem_code::RedeemCode;
use crate::core::values;
use crate::store::contract::console::{CodeFilter, CodeRow, CodeState, NewCodes, Page};
use crate::store::view::seconds;

/// A code, as lists show it: without the code.
#[derive(Serialize, ToSchema)]
pub(super) struct CodeView<'a> {
    id: &'a str,
    /// The whole text: in the answer to its making, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TG-01ABC-DEFGH-JKMNP-QRSTV")]
    code: Option<&'a str>,
    /// The batch's name.
    name: &'a str,
    /// The code's last four characters.
    ending: &'a str,
    amount: Nano,
    note: Option<&'a str>,
    state: CodeState,
    created_at: String,
    expires_at: Option<String>,
    redeemed_at: Option<String>,
    /// The name of the account that it went to.
    redeemed_by: Option<&'a str>,
}

impl<'a> CodeView<'a> {
    fn new(row: &'a CodeRow, code: Option<&'a str>, now_ms: i64) -> Self {
        CodeView {
            id: &row.public_id,
            code,
            name: &row.name,
            ending: &row.ending,
            amount: row.amount,
            note: row.note.as_deref(),
            state: state(row, now_ms),
            created_at: seconds(row.created_at_ms),
            expires_at: row.expires_at_ms.map(seconds),
            redeemed_at: row.redeemed_at_ms.map(seconds),
            redeemed_by: row.redeemed_by.as_deref(),
        }
    }
}

fn state(row: &CodeRow, now_ms: i64) -> CodeState {
    if row.redeemed_at_ms.is_some() {
        CodeState::Redeemed
    } else if row.voided_at_ms.is_some() {
        CodeState::Void
    } else if row.expires_at_ms.is_some_and(|end_ms| end_ms <= now_ms) {
        CodeState::Expired
    } else {
        CodeState::Open
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CodesQuery {
    state: Option<CodeState>,
    /// A batch's name.
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCodesBody {
    /// What the batch is called: 1 to 128 characters.
    #[schema(example = "Autumn workshop")]
    name: String,
    /// What each code is worth, as a decimal string above zero.
    #[schema(example = "10")]
    amount: String,
    #[schema(minimum = 1, maximum = 1000)]
    count: u32,
    /// How long they can be redeemed, such as `90d`; without it for ever.
    #[schema(example = "90d")]
    expires_in: Option<String>,
    /// 1 to 500 characters.
    note: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redemption {
    /// However it is typed: case, spaces and dashes do not matter.
    #[schema(example = "TG-01ABC-DEFGH-JKMNP-QRSTV")]
    code: String,
}

/// Money that has arrived.
#[derive(Serialize, ToSchema)]
pub(super) struct Redeemed<'a> {
    #[serde(flatten)]
    entry: Entry<'a>,
    /// The account's balance now.
    balance: Nano,
}

/// Redeem codes, newest first
#[utoipa::path(get, path = "/api/redeem-codes", operation_id = "list_redeem_codes", tag = "redeem codes",
    params(CodesQuery, PagingParams), responses((status = 200, body = ListOf<CodeView>), NotRead))]
pub(super) async fn list_codes(
    State(console): State<Console>,
    Query(query): Query<CodesQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    let (filter, now_ms) = (CodeFilter { state: query.state, name: query.name }, now_ms());
    let found = listing::read(&console, &paging, move |reports, page| reports.codes(&filter, page, now_ms)).await?;
    let data = found.rows.iter().map(|row| CodeView::new(row, None, now_ms)).collect();
    Ok(list(paging.form, "redeem-codes", &COLUMNS, data, found.next))
}

/// Make a batch of codes
///
/// `code` is each one's whole text, shown this once.
#[utoipa::path(post, path = "/api/redeem-codes", operation_id = "create_redeem_codes", tag = "redeem codes",
    params(IdempotencyParams), request_body = NewCodesBody,
    responses((status = 201, body = ListOf<CodeView>),
        (status = 200, description = "Made before: without their texts", body = ListOf<CodeView>), NotDone))]
pub(super) async fn create_codes(
    State(console): State<Console>,
    caller: Caller,
    Asked { body, once }: Asked<NewCodesBody>,
) -> Result<Response, Problem> {
    let name = field::field("name", values::label(&body.name))?;
    let amount = field::amount("amount", &body.amount)?;
    if amount <= Nano::ZERO {
        return Err(Problem::invalid_field("amount", "must be above zero"));
    }
    if !(1..=COUNT_MAX).contains(&body.count) {
        return Err(Problem::invalid_field("count", format!("is from 1 to {COUNT_MAX}")));
    }
    let note = body.note.map(|note| field::line("note", &note, NOTE_CHARS_MAX)).transpose()?;
    let now_ms = now_ms();
    let expires_at_ms = field::coming_end_ms(None, body.expires_in.as_deref(), now_ms)?;
    let codes: Result<Vec<RedeemCode>, _> = (0..body.count).map(|_| RedeemCode::generate()).collect();
    let codes = codes.map_err(|error| Problem::server_error(&error))?;
    let hashed = codes.iter().map(|code| (code.hash(), code.ending().to_owned())).collect();
    let new = NewCodes { name: name.clone(), amount, note, expires_at_ms, codes: hashed };
    match console.act_once(&caller, once, move |desk| desk.create_codes(&new, now_ms)).await? {
        Done::Now(rows) => {
            let views = rows.iter().zip(&codes).map(|(row, code)| CodeView::new(row, Some(code.expose()), now_ms));
            Ok(answer::created(&Batch { data: views.collect() }))
        }
        Done::Before(first) => {
            let rows = batch_before(&console, name, first, body.count).await?;
            Ok(answer::replayed(&Batch { data: rows.iter().map(|row| CodeView::new(row, None, now_ms)).collect() }))
        }
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    data: Vec<CodeView<'a>>,
}

/// Take a code back
#[utoipa::path(delete, path = "/api/redeem-codes/{id}", operation_id = "void_redeem_code", tag = "redeem codes",
    params(("id" = String, Path)), responses((status = 200, body = CodeView), NotDone))]
pub(super) async fn void_code(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let now_ms = now_ms();
    let row = console.act(&caller, move |desk| desk.void_code(&id, now_ms)).await?;
    Ok(answer::ok(&CodeView::new(&row, None, now_ms)))
}

/// Redeem a code
///
/// Its amount is added to the account that you act for.
#[utoipa::path(post, path = "/api/redeem", operation_id = "redeem", tag = "redeem codes",
    params(IdempotencyParams), request_body = Redemption,
    responses((status = 201, body = Redeemed), (status = 200, description = "Redeemed before", body = Redeemed),
        (status = 429, description = "Too many wrong codes"), NotDone))]
pub(super) async fn redeem(
    State(console): State<Console>,
    caller: Caller,
    Asked { body, once }: Asked<Redemption>,
) -> Result<Response, Problem> {
    let account = reach::own(&caller)?;
    let Some(code) = RedeemCode::parse(&body.code) else {
        return Err(Problem::invalid_field("code", "looks like TG-01ABC-DEFGH-JKMNP-QRSTV"));
    };
    // Guesses are slowed down as at the sign-in; nobody's login has a space in it.
    let (attempts, who) = (console.attempts(), format!("{} redeems", caller.public_id()));
    let (address, now) = (caller.address(), Instant::now());
    attempts.try_address(address, now)?;
    attempts.try_login(&who, address, now)?;
    let hash = code.hash();
    let redeemed = console.act_once(&caller, once, move |desk| desk.redeem(&hash, account, now_ms())).await;
    if redeemed.as_ref().map_or_else(Problem::is_ours, |_| true) {
        attempts.give_address_back(address);
        attempts.give_login_back(&who, address);
    }
    let redeemed = redeemed?;
    let name = caller.own_account().map(|own| own.name.clone()).unwrap_or_default();
    match redeemed {
        Done::Now(entry) => {
            // A repetition proves nothing: it may be repeated between any number of guesses.
            attempts.forget_login(&who, address);
            Ok(answer::created(&Redeemed { balance: entry.balance_after, entry: Entry::new(&entry, &name) }))
        }
        Done::Before(seq) => {
            let entry = entry_before(&console, &seq).await?;
            Ok(answer::replayed(&Redeemed { balance: entry.entry.balance_after, entry: Entry::from(&entry) }))
        }
    }
}

/// The codes that one earlier request made: they began at the same moment, under the same name.
async fn batch_before(console: &Console, name: String, first: String, count: u32) -> Result<Vec<CodeRow>, Problem> {
    let filter = CodeFilter { state: None, name: Some(name) };
    let page = Page { after: None, limit: CSV_ROWS_MAX };
    let mut rows = console.report(move |reports| reports.codes(&filter, &page, now_ms())).await?.rows;
    let Some(created_at_ms) = rows.iter().find(|row| row.public_id == first).map(|row| row.created_at_ms) else {
        return Err(Problem::refused("These codes were made before."));
    };
    rows.retain(|row| row.created_at_ms == created_at_ms);
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(rows)
}

const COUNT_MAX: u32 = 1_000;
const NOTE_CHARS_MAX: usize = 500;
const COLUMNS: [&str; 10] =
    ["id", "name", "ending", "amount", "state", "note", "created_at", "expires_at", "redeemed_at", "redeemed_by"];
