//! Accounts: who pays.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::schema::{IdempotencyParams, ListOf, NotDone, NotRead, PagingParams};
use super::{answer, field, reach};
use crate::console::caller::Caller;
use crate::console::input::{Asked, Body, Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::console::{Console, Done, now_ms};
use crate::core::account::{AccountStatus, check_name};
use crate::core::admin_token::Scope;
use crate::core::money::Nano;
use crate::store::contract::AccountPatch;
use crate::store::contract::console::AccountFilter;
use crate::store::view::AccountView;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountsQuery {
    /// Part of the name, or a whole id.
    q: Option<String>,
    status: Option<AccountStatus>,
    group: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// 1 to 64 letters, digits and `. _ - @ +`, beginning with a letter or a digit.
    #[schema(example = "alice")]
    name: String,
    /// A group of the configuration; `default` if none is given.
    group: Option<String>,
    /// Money to begin with, as a decimal string.
    #[schema(example = "10")]
    credit: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountChange {
    name: Option<String>,
    group: Option<String>,
    /// A suspended account's keys are refused.
    status: Option<AccountStatus>,
}

/// Accounts, by name
///
/// Customers see their own.
#[utoipa::path(get, path = "/api/accounts", operation_id = "list_accounts", tag = "accounts",
    params(AccountsQuery, PagingParams), responses((status = 200, body = ListOf<AccountView>), NotRead))]
pub(super) async fn list_accounts(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<AccountsQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    let mut filter = AccountFilter { search: query.q, status: query.status, group: query.group };
    if !caller.is_operator() {
        filter.search = caller.own_account().map(|own| own.public_id.clone());
    }
    let mut found = console.report(move |reports| reports.accounts(&filter, &paging.page)).await?;
    // A search finds parts of names, and somebody's name may hold another one's id.
    found.rows.retain(|row| caller.sees(row.id));
    let data = found.rows.iter().map(AccountView::from).collect();
    Ok(list(paging.form, "accounts", &COLUMNS, data, found.next))
}

/// Make an account
#[utoipa::path(post, path = "/api/accounts", operation_id = "create_account", tag = "accounts",
    params(IdempotencyParams), request_body = NewAccount,
    responses((status = 201, body = AccountView), (status = 200, description = "Made before", body = AccountView), NotDone))]
pub(super) async fn create_account(
    State(console): State<Console>,
    caller: Caller,
    Asked { body, once }: Asked<NewAccount>,
) -> Result<Response, Problem> {
    field::field("name", check_name(&body.name))?;
    let group = body.group.unwrap_or_else(|| DEFAULT_GROUP.to_owned());
    check_group(&console, &group)?;
    let credit = body.credit.map_or(Ok(Nano::ZERO), |text| field::not_negative("credit", &text))?;
    if credit != Nano::ZERO {
        caller.operator(Scope::Credit)?;
    }
    let name = body.name;
    let made =
        console.act_once(&caller, once, move |desk| desk.create_account(&name, &group, credit, now_ms())).await?;
    match made {
        Done::Now(row) => Ok(answer::created(&AccountView::from(&row))),
        Done::Before(id) => Ok(answer::replayed(&AccountView::from(&reach::account(&console, &caller, id).await?))),
    }
}

/// One account
#[utoipa::path(get, path = "/api/accounts/{id}", operation_id = "get_account", tag = "accounts",
    params(("id" = String, Path, description = "Its id or name")), responses((status = 200, body = AccountView), NotRead))]
pub(super) async fn get_account(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer::ok(&AccountView::from(&reach::account(&console, &caller, id).await?)))
}

/// Rename, regroup, suspend or resume an account
#[utoipa::path(patch, path = "/api/accounts/{id}", operation_id = "update_account", tag = "accounts",
    params(("id" = String, Path, description = "Its id or name")), request_body = AccountChange,
    responses((status = 200, body = AccountView), NotDone))]
pub(super) async fn update_account(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<AccountChange>,
) -> Result<Response, Problem> {
    if let Some(name) = &change.name {
        field::field("name", check_name(name))?;
    }
    if let Some(group) = &change.group {
        check_group(&console, group)?;
    }
    let account = reach::account(&console, &caller, id).await?;
    let patch = AccountPatch { name: change.name, group: change.group, status: change.status };
    let row = console.act(&caller, move |desk| desk.update_account(account.id, &patch)).await?;
    Ok(answer::ok(&AccountView::from(&row)))
}

/// A group that the configuration does not know would silently mean list price and no limits.
fn check_group(console: &Console, group: &str) -> Result<(), Problem> {
    match console.gateway().catalog().groups.contains_key(group) {
        true => Ok(()),
        false => Err(Problem::invalid_field("group", "is no group of the configuration")),
    }
}

const DEFAULT_GROUP: &str = "default";
const COLUMNS: [&str; 8] = ["id", "name", "group", "balance", "held", "available", "status", "created_at"];
