//! Whose things a caller reaches: the one place that narrows customers to their own account.
//!
//! Always true: what belongs to somebody else is answered like what does not exist.

use super::super::Console;
use super::super::caller::Caller;
use super::super::problem::Problem;
use crate::core::account::AccountId;
use crate::store::contract::{AccountRow, KeyRow};

/// The account of this name or id.
pub async fn account(console: &Console, caller: &Caller, name_or_id: String) -> Result<AccountRow, Problem> {
    let found = console.look_up(move |library| library.account(&name_or_id)).await?;
    found.filter(|row| caller.sees(row.id)).ok_or_else(|| Problem::not_found("There is no such account."))
}

/// The account of this id, whoever asks.
pub async fn by_id(console: &Console, public_id: String) -> Result<Option<AccountRow>, Problem> {
    console.look_up(move |library| library.account(&public_id)).await
}

/// The account that a list is to be narrowed to; `None` for all of them.
pub async fn accounts(console: &Console, caller: &Caller, named: Option<String>) -> Result<Option<AccountId>, Problem> {
    match named {
        Some(named) => account(console, caller, named).await.map(|row| Some(row.id)),
        None if caller.is_operator() => Ok(None),
        None => Ok(Some(own(caller)?)),
    }
}

/// The account that the caller acts for.
pub fn own(caller: &Caller) -> Result<AccountId, Problem> {
    let own = caller.own_account().map(|account| account.id);
    own.ok_or_else(|| Problem::forbidden("You act for no account."))
}

/// The key of this id, deleted ones too.
pub async fn key(console: &Console, caller: &Caller, public_id: String) -> Result<KeyRow, Problem> {
    let found = console.look_up(move |library| library.key(&public_id)).await?;
    found.filter(|row| caller.sees(row.record.account)).ok_or_else(|| Problem::no_such("key"))
}
