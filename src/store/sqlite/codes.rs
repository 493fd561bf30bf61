//! Redeem codes: money that waits for whoever types it in.
//!
//! Always true: a code is redeemed at most once, and its mark and its credit are one transaction; the credit's reference
//! is the code's id, so the ledger alone would refuse a second one.

use rusqlite::{Transaction, params};
use serde_json::json;

use super::accounts::{CODE_REFERENCE, Posting, account};
use super::actions::Deed;
use super::rows::{self, CODES, execute, first};
use super::rules::{check_end, check_label, check_note, public_id, refused};
use crate::core::account::AccountId;
use crate::core::key::KeyHash;
use crate::core::money::Nano;
use crate::store::contract::console::{CodeRow, NewCodes};
use crate::store::contract::{EntryKind, LedgerEntry, StoreError};
use crate::store::view::seconds;

pub(super) fn create(
    transaction: &Transaction<'_>,
    new: &NewCodes,
    now_ms: i64,
) -> Result<(Vec<CodeRow>, Deed), StoreError> {
    check_label("a name of codes", &new.name)?;
    check_note(new.note.as_deref())?;
    check_end("a code", new.expires_at_ms, now_ms)?;
    if new.amount <= Nano::ZERO {
        return refused("a code's amount must be above 0");
    }
    if !(1..=CODES_MAX).contains(&new.codes.len()) {
        return refused(format!("1 to {CODES_MAX} codes are made at once"));
    }
    let mut made = Vec::with_capacity(new.codes.len());
    for (hash, ending) in &new.codes {
        check_label("a code's ending", ending)?;
        let NewCodes { name, amount, note, expires_at_ms, .. } = new;
        let row = CodeRow {
            public_id: public_id("cod"),
            name: name.clone(),
            ending: ending.clone(),
            amount: *amount,
            note: note.clone(),
            created_at_ms: now_ms,
            expires_at_ms: *expires_at_ms,
            voided_at_ms: None,
            redeemed_at_ms: None,
            redeemed_by: None,
        };
        let parameters = params![row.public_id, hash.0, name, ending, amount.0, note, now_ms, expires_at_ms];
        execute(transaction, ADD_CODE, parameters)?;
        made.push(row);
    }
    let facts = json!({
        "name": new.name,
        "amount": new.amount,
        "count": made.len(),
        "expires_at": new.expires_at_ms.map(seconds),
        "note": new.note,
    });
    let deed = Deed::creation("code.create", &made[0].public_id, facts);
    Ok((made, deed))
}

/// A code that is void already stays so.
pub(super) fn void(transaction: &Transaction<'_>, public_id: &str, now_ms: i64) -> Result<(CodeRow, Deed), StoreError> {
    let row = code(transaction, public_id)?;
    if row.redeemed_at_ms.is_some() {
        return refused("this code has been redeemed: its money is in the ledger");
    }
    if row.voided_at_ms.is_some() {
        let deed = Deed::none(public_id);
        return Ok((row, deed));
    }
    execute(transaction, "UPDATE redeem_code SET voided_at_ms = ?2 WHERE public_id = ?1", params![public_id, now_ms])?;
    let facts = json!({ "state": "void", "name": row.name, "ending": row.ending, "amount": row.amount });
    Ok((code(transaction, public_id)?, Deed::creation("code.void", public_id, facts)))
}

pub(super) fn redeem(
    transaction: &Transaction<'_>,
    hash: &KeyHash,
    payee: AccountId,
    now_ms: i64,
) -> Result<(LedgerEntry, Deed), StoreError> {
    let account = account(transaction, payee)?;
    let found = first(transaction, SPEND, params![hash.0, payee.0, now_ms], |row| {
        Ok((row.get::<_, String>(0)?, Nano(row.get(1)?)))
    })?;
    // The same words for all: whoever guesses learns nothing of codes that were.
    let Some((public_id, amount)) = found else { return refused("this code cannot be redeemed") };
    let reference = format!("{CODE_REFERENCE}{public_id}");
    let credit = Posting { account: payee, kind: EntryKind::Credit, amount, reference: Some(&reference), note: None };
    let entry = credit.enter(transaction, now_ms)?;
    let facts = json!({ "account": account.name, "amount": amount, "entry": entry.seq });
    let deed = Deed::creation("code.redeem", &public_id, facts).making(entry.seq);
    Ok((entry, deed))
}

fn code(transaction: &Transaction<'_>, public_id: &str) -> Result<CodeRow, StoreError> {
    let found = first(transaction, &format!("{CODES} WHERE c.public_id = ?1"), [public_id], rows::code)?;
    found.ok_or_else(|| StoreError::Refused("there is no such code".into()))
}

const ADD_CODE: &str = "
    INSERT INTO redeem_code (public_id, hash, name, ending, amount, note, created_at_ms, expires_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const SPEND: &str = "
    UPDATE redeem_code SET redeemed_at_ms = ?3, redeemed_by = ?2
    WHERE hash = ?1 AND redeemed_at_ms IS NULL AND voided_at_ms IS NULL AND coalesce(expires_at_ms > ?3, 1)
    RETURNING public_id, amount";

const CODES_MAX: usize = 1_000;
