//! Accounts, and the entries in the ledger that are made by hand.

use rusqlite::{Transaction, params};
use serde_json::{Value, json};

use super::actions::Deed;
use super::rows::{self, ACCOUNTS, ENTRIES, execute, first};
use super::rules::{check_label, check_names, check_note, next_revision, public_id, refused};
use crate::core::account::{AccountId, AccountStatus};
use crate::core::money::Nano;
use crate::store::contract::{AccountPatch, AccountRow, EntryKind, LedgerEntry, StoreError};

pub(super) fn account(transaction: &Transaction<'_>, id: AccountId) -> Result<AccountRow, StoreError> {
    let found = first(transaction, &format!("{ACCOUNTS} WHERE a.id = ?1"), [id.0], rows::account)?;
    found.ok_or_else(|| StoreError::Refused("there is no such account".into()))
}

/// A new account without money.
pub(super) fn add(
    transaction: &Transaction<'_>,
    name: &str,
    group: &str,
    now_ms: i64,
) -> Result<AccountId, StoreError> {
    check_names([name, group])?;
    refuse_taken(transaction, name, None)?;
    let status = AccountStatus::Active.as_str();
    let parameters = params![public_id("acc"), name, group, status, now_ms, next_revision(transaction)?];
    execute(transaction, ADD_ACCOUNT, parameters)?;
    Ok(AccountId(transaction.last_insert_rowid()))
}

pub(super) fn create(
    transaction: &Transaction<'_>,
    name: &str,
    group: &str,
    credit: Nano,
    now_ms: i64,
) -> Result<(AccountRow, Deed), StoreError> {
    let id = add(transaction, name, group, now_ms)?;
    if credit != Nano::ZERO {
        Posting { account: id, kind: EntryKind::Credit, amount: credit, reference: None, note: None }
            .enter(transaction, now_ms)?;
    }
    let row = account(transaction, id)?;
    let mut facts = facts(&row);
    if credit != Nano::ZERO {
        facts["credit"] = json!(credit);
    }
    let deed = Deed::creation("account.create", &row.public_id, facts);
    Ok((row, deed))
}

pub(super) fn update(
    transaction: &Transaction<'_>,
    id: AccountId,
    patch: &AccountPatch,
) -> Result<(AccountRow, Deed), StoreError> {
    let mut row = account(transaction, id)?;
    let before = facts(&row);
    check_names(patch.name.as_deref().into_iter().chain(patch.group.as_deref()))?;
    if let Some(name) = &patch.name {
        refuse_taken(transaction, name, Some(id))?;
        row.name.clone_from(name);
    }
    if let Some(group) = &patch.group {
        row.group.clone_from(group);
    }
    row.status = patch.status.unwrap_or(row.status);
    let parameters = params![id.0, row.name, row.group, row.status.as_str(), next_revision(transaction)?];
    execute(transaction, UPDATE_ACCOUNT, parameters)?;
    let deed = Deed::change("account.update", &row.public_id, before, facts(&row));
    Ok((row, deed))
}

/// Whether an account has this name already.
pub(super) fn is_taken(transaction: &Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    first(transaction, HOLDER, [name], |_| Ok(())).map(|holder| holder.is_some())
}

fn refuse_taken(transaction: &Transaction<'_>, name: &str, own: Option<AccountId>) -> Result<(), StoreError> {
    let holder = first(transaction, HOLDER, [name], |row| row.get(0).map(AccountId))?;
    if holder.is_some() && holder != own {
        return refused(format!("the account name {name} is taken"));
    }
    Ok(())
}

fn facts(row: &AccountRow) -> Value {
    json!({ "name": row.name, "group": row.group, "status": row.status })
}

/// An entry that somebody makes by hand.
pub(super) struct Posting<'a> {
    pub(super) account: AccountId,
    pub(super) kind: EntryKind,
    pub(super) amount: Nano,
    pub(super) reference: Option<&'a str>,
    pub(super) note: Option<&'a str>,
}

impl Posting<'_> {
    pub(super) fn post(&self, transaction: &Transaction<'_>, now_ms: i64) -> Result<(LedgerEntry, Deed), StoreError> {
        if self.reference.is_some_and(|reference| reference.starts_with(CODE_REFERENCE)) {
            return refused(format!("references that begin with {CODE_REFERENCE} are those of redeem codes"));
        }
        self.check()?;
        let account = account(transaction, self.account)?;
        if let Some(earlier) = self.earlier(transaction)? {
            let deed = Deed::none(&account.public_id).making(earlier.seq);
            return Ok((earlier, deed));
        }
        let entry = self.enter(transaction, now_ms)?;
        let action = match self.kind {
            EntryKind::Refund => "account.refund",
            EntryKind::Adjust => "account.adjust",
            EntryKind::Credit | EntryKind::Charge => "account.credit",
        };
        let deed = Deed::change(
            action,
            &account.public_id,
            json!({ "balance": account.balance }),
            json!({ "balance": entry.balance_after, "entry": entry.seq, "amount": entry.amount, "ref": entry.reference,
                    "note": entry.note }),
        );
        let deed = deed.making(entry.seq);
        Ok((entry, deed))
    }

    /// Writes the entry and the balance after it.
    pub(super) fn enter(&self, transaction: &Transaction<'_>, now_ms: i64) -> Result<LedgerEntry, StoreError> {
        self.check()?;
        let account = account(transaction, self.account)?;
        let Some(balance) = account.balance.checked_add(self.amount) else {
            return refused(format!("the balance of {} would be beyond what can be counted", account.name));
        };
        let Posting { kind, amount, reference, note, .. } = self;
        let parameters = params![account.id.0, kind.as_str(), amount.0, balance.0, reference, note, now_ms];
        execute(transaction, ADD_ENTRY, parameters)?;
        let seq = transaction.last_insert_rowid();
        execute(transaction, "UPDATE account SET balance = ?2 WHERE id = ?1", [account.id.0, balance.0])?;
        let written = first(transaction, &format!("{ENTRIES} WHERE seq = ?1"), [seq], rows::entry)?;
        Ok(written.expect("it was written just above"))
    }

    /// The entry that this one repeats: a payment that is reported twice is credited once
    /// (`akash-network/console#3449` credited two or three times).
    fn earlier(&self, transaction: &Transaction<'_>) -> Result<Option<LedgerEntry>, StoreError> {
        let Some(reference) = self.reference else { return Ok(None) };
        let sql = format!("{ENTRIES} WHERE kind = ?1 AND reference = ?2");
        let Some(earlier) = first(transaction, &sql, [self.kind.as_str(), reference], rows::entry)? else {
            return Ok(None);
        };
        if earlier.account == self.account && earlier.amount == self.amount {
            return Ok(Some(earlier));
        }
        refused(format!(
            "the reference {reference:?} was used before, for another account or amount (ledger entry {})",
            earlier.seq
        ))
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.kind {
            EntryKind::Charge => return refused("a charge is made by a request, not by hand"),
            EntryKind::Adjust if self.amount == Nano::ZERO => return refused("an adjustment of 0 changes nothing"),
            EntryKind::Credit | EntryKind::Refund if self.amount <= Nano::ZERO => {
                return refused(format!("a {} must be above 0", self.kind.as_str()));
            }
            EntryKind::Adjust | EntryKind::Credit | EntryKind::Refund => {}
        }
        if let Some(reference) = self.reference {
            check_label("a reference", reference)?;
        }
        check_note(self.note)
    }
}

/// What the reference of a redeemed code's credit begins with; its public id follows. Kept from others: a credit with a
/// code's reference would take the place of the code's own.
pub(super) const CODE_REFERENCE: &str = "code:";

const HOLDER: &str = "SELECT id FROM account WHERE name = ?1";

const ADD_ACCOUNT: &str = "
    INSERT INTO account (public_id, name, group_name, status, created_at_ms, revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_ACCOUNT: &str = "UPDATE account SET name = ?2, group_name = ?3, status = ?4, revision = ?5 WHERE id = ?1";

const ADD_ENTRY: &str = "
    INSERT INTO ledger (account, kind, amount, balance_after, reference, note, at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
