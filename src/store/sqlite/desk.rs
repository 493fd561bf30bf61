//! What people do by hand, while a server is running or not.
//!
//! Each call is one transaction. It bumps the storage's revision and stamps it on the row that it changed: that is how
//! a running server learns of it (`news` in `library`). Postings need no stamp, they are found by their number.
//!
//! Always true: what is refused here is refused in words for the person who asked, and has changed nothing.

use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::connection::{Place, Writer};
use super::rows::{self, ACCOUNTS, ADMIN_TOKENS, ENTRIES, KEYS, execute, first, list};
use crate::core::account::{AccountId, AccountStatus, check_name};
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus};
use crate::core::money::Nano;
use crate::store::contract::console::{
    Act, CodeRow, InvitationRow, NewCodes, NewInvitation, PersonId, PersonPatch, PersonRow,
};
use crate::store::contract::{
    AccountPatch, AccountRow, AdminTokenRow, Desk, EntryKind, KeyPatch, KeyRow, LedgerEntry, NewKey, StoreError,
};

/// See [`Desk`].
pub struct SqliteDesk {
    writer: Writer,
}

impl SqliteDesk {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteDesk { writer: Writer::open(place)? })
    }
}

impl Desk for SqliteDesk {
    fn act_for(&mut self, _act: Act) {}

    fn invite(&mut self, _invitation: &NewInvitation, _now_ms: i64) -> Result<InvitationRow, StoreError> {
        refused("not built")
    }
    fn revoke_invitation(&mut self, _public_id: &str, _now_ms: i64) -> Result<InvitationRow, StoreError> {
        refused("not built")
    }
    fn update_person(&mut self, _id: PersonId, _patch: &PersonPatch) -> Result<PersonRow, StoreError> {
        refused("not built")
    }
    fn create_codes(&mut self, _codes: &NewCodes, _now_ms: i64) -> Result<Vec<CodeRow>, StoreError> {
        refused("not built")
    }
    fn void_code(&mut self, _public_id: &str, _now_ms: i64) -> Result<CodeRow, StoreError> {
        refused("not built")
    }
    fn redeem(&mut self, _hash: &KeyHash, _account: AccountId, _now_ms: i64) -> Result<LedgerEntry, StoreError> {
        refused("not built")
    }
    fn create_account(&mut self, name: &str, group: &str, credit: Nano, now_ms: i64) -> Result<AccountRow, StoreError> {
        self.writer.write(|transaction| {
            check_names([name, group])?;
            refuse_taken(transaction, name, None)?;
            let parameters = params![
                public_id("acc"),
                name,
                group,
                AccountStatus::Active.as_str(),
                now_ms,
                next_revision(transaction)?
            ];
            execute(transaction, ADD_ACCOUNT, parameters)?;
            let id = AccountId(transaction.last_insert_rowid());
            if credit != Nano::ZERO {
                let posting =
                    Posting { account: id, kind: EntryKind::Credit, amount: credit, reference: None, note: None };
                posting.enter(transaction, now_ms)?;
            }
            account(transaction, id)
        })
    }

    fn update_account(&mut self, id: AccountId, patch: &AccountPatch) -> Result<AccountRow, StoreError> {
        self.writer.write(|transaction| {
            let mut row = account(transaction, id)?;
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
            Ok(row)
        })
    }

    fn post(
        &mut self,
        account: AccountId,
        kind: EntryKind,
        amount: Nano,
        reference: Option<&str>,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<LedgerEntry, StoreError> {
        let posting = Posting { account, kind, amount, reference, note };
        self.writer.write(|transaction| posting.enter(transaction, now_ms))
    }

    fn create_key(&mut self, account: AccountId, new: &NewKey, now_ms: i64) -> Result<KeyRow, StoreError> {
        let record = KeyRecord {
            id: KeyId(0),
            public_id: public_id("key"),
            account,
            name: new.name.clone(),
            hash: new.hash,
            prefix: new.prefix.clone(),
            status: KeyStatus::Active,
            expires_at_ms: new.expires_at_ms,
            models: new.models.clone(),
            limits: new.limits,
            budget: new.budget,
            allow_ips: new.allow_ips.clone(),
        };
        self.writer.write(|transaction| {
            self::account(transaction, account)?;
            add_key(transaction, &record, Nano::ZERO, now_ms)
        })
    }

    fn update_key(&mut self, id: KeyId, patch: &KeyPatch) -> Result<KeyRow, StoreError> {
        self.writer.write(|transaction| {
            let mut row = living_key(transaction, id)?;
            patch_key(&mut row.record, patch);
            check_key(&row.record)?;
            let record = &row.record;
            let parameters = params![
                id.0,
                record.name,
                record.status.as_str(),
                record.expires_at_ms,
                list(&record.models),
                record.limits.rpm,
                tpm(record)?,
                record.limits.concurrency,
                record.budget.map(|budget| budget.0),
                list(&record.allow_ips),
                next_revision(transaction)?,
            ];
            execute(transaction, UPDATE_KEY, parameters)?;
            Ok(row)
        })
    }

    fn rotate_key(
        &mut self,
        id: KeyId,
        hash: KeyHash,
        prefix: &str,
        old_ends_at_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<KeyRow, StoreError> {
        self.writer.write(|transaction| {
            let old = living_key(transaction, id)?;
            let record = KeyRecord { public_id: public_id("key"), hash, prefix: prefix.into(), ..old.record };
            let new = add_key(transaction, &record, old.spent, now_ms)?;
            let revision = next_revision(transaction)?;
            match old_ends_at_ms.filter(|end| *end > now_ms) {
                Some(end) => execute(transaction, END_KEY_LATER, [id.0, end, revision])?,
                None => execute(transaction, END_KEY, params![id.0, KeyStatus::Deleted.as_str(), revision])?,
            };
            Ok(new)
        })
    }

    fn create_admin_token(
        &mut self,
        name: &str,
        hash: KeyHash,
        scopes: &[String],
        now_ms: i64,
    ) -> Result<AdminTokenRow, StoreError> {
        self.writer.write(|transaction| {
            check_label("an admin token's name", name)?;
            let public_id = public_id("adm");
            execute(transaction, ADD_ADMIN_TOKEN, params![public_id, name, hash.0, list(scopes), now_ms])?;
            admin_token(transaction, &public_id)
        })
    }

    fn revoke_admin_token(&mut self, public_id: &str, now_ms: i64) -> Result<AdminTokenRow, StoreError> {
        self.writer.write(|transaction| {
            execute(transaction, REVOKE_ADMIN_TOKEN, params![public_id, now_ms])?;
            admin_token(transaction, public_id)
        })
    }
}

/// An entry that somebody makes by hand.
struct Posting<'a> {
    account: AccountId,
    kind: EntryKind,
    amount: Nano,
    reference: Option<&'a str>,
    note: Option<&'a str>,
}

impl Posting<'_> {
    fn enter(&self, transaction: &Transaction<'_>, now_ms: i64) -> Result<LedgerEntry, StoreError> {
        self.check()?;
        let account = account(transaction, self.account)?;
        if let Some(earlier) = self.earlier(transaction)? {
            return Ok(earlier);
        }
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
        if self.note.is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
            return refused(format!("a note has at most {NOTE_CHARS_MAX} characters"));
        }
        Ok(())
    }
}

fn account(transaction: &Transaction<'_>, id: AccountId) -> Result<AccountRow, StoreError> {
    let found = first(transaction, &format!("{ACCOUNTS} WHERE a.id = ?1"), [id.0], rows::account)?;
    found.ok_or_else(|| StoreError::Refused("there is no such account".into()))
}

/// A deleted key is as good as none.
fn living_key(transaction: &Transaction<'_>, id: KeyId) -> Result<KeyRow, StoreError> {
    let found = first(transaction, &format!("{KEYS} WHERE k.id = ?1 AND k.status <> 'deleted'"), [id.0], rows::key)?;
    found.ok_or_else(|| StoreError::Refused("there is no such key".into()))
}

fn admin_token(transaction: &Transaction<'_>, public_id: &str) -> Result<AdminTokenRow, StoreError> {
    let sql = format!("{ADMIN_TOKENS} WHERE public_id = ?1");
    let found = first(transaction, &sql, [public_id], rows::admin_token)?;
    found.ok_or_else(|| StoreError::Refused(format!("there is no admin token {public_id}")))
}

/// Inserts the key; its `id` is given by the storage. `spent_before` is what its predecessors have spent.
fn add_key(
    transaction: &Transaction<'_>,
    record: &KeyRecord,
    spent_before: Nano,
    now_ms: i64,
) -> Result<KeyRow, StoreError> {
    check_key(record)?;
    let parameters = params![
        record.public_id,
        record.account.0,
        record.name,
        record.hash.0,
        record.prefix,
        record.status.as_str(),
        record.expires_at_ms,
        list(&record.models),
        record.limits.rpm,
        tpm(record)?,
        record.limits.concurrency,
        record.budget.map(|budget| budget.0),
        list(&record.allow_ips),
        spent_before.0,
        now_ms,
        next_revision(transaction)?,
    ];
    execute(transaction, ADD_KEY, parameters)?;
    living_key(transaction, KeyId(transaction.last_insert_rowid()))
}

fn patch_key(record: &mut KeyRecord, patch: &KeyPatch) {
    let KeyPatch { name, status, expires_at_ms, models, rpm, tpm, concurrency, budget, allow_ips } = patch.clone();
    record.name = name.unwrap_or_else(|| std::mem::take(&mut record.name));
    record.status = status.unwrap_or(record.status);
    record.expires_at_ms = expires_at_ms.unwrap_or(record.expires_at_ms);
    record.models = models.unwrap_or_else(|| std::mem::take(&mut record.models));
    record.limits.rpm = rpm.unwrap_or(record.limits.rpm);
    record.limits.tpm = tpm.unwrap_or(record.limits.tpm);
    record.limits.concurrency = concurrency.unwrap_or(record.limits.concurrency);
    record.budget = budget.unwrap_or(record.budget);
    record.allow_ips = allow_ips.unwrap_or_else(|| std::mem::take(&mut record.allow_ips));
}

fn check_key(record: &KeyRecord) -> Result<(), StoreError> {
    check_label("a key's name", &record.name)?;
    if record.budget.is_some_and(Nano::is_negative) {
        return refused("a budget must not be negative");
    }
    Ok(())
}

fn tpm(record: &KeyRecord) -> Result<Option<i64>, StoreError> {
    let stored = record.limits.tpm.map(i64::try_from).transpose();
    stored.map_err(|_| StoreError::Refused("the limit of tokens per minute is too large".into()))
}

fn check_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), StoreError> {
    names.into_iter().try_for_each(|name| check_name(name).map_err(StoreError::Refused))
}

/// Text that people read in lists: on one line, and not a page.
fn check_label(what: &str, text: &str) -> Result<(), StoreError> {
    if text.is_empty() || text.chars().count() > LABEL_CHARS_MAX || text.chars().any(char::is_control) {
        return refused(format!("{what} has 1 to {LABEL_CHARS_MAX} characters, none of them a control character"));
    }
    Ok(())
}

fn refuse_taken(transaction: &Transaction<'_>, name: &str, own: Option<AccountId>) -> Result<(), StoreError> {
    let holder = first(transaction, "SELECT id FROM account WHERE name = ?1", [name], |row| row.get(0).map(AccountId))?;
    if holder.is_some() && holder != own {
        return refused(format!("the account name {name} is taken"));
    }
    Ok(())
}

fn next_revision(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let next = first(transaction, "UPDATE meta SET revision = revision + 1 RETURNING revision", [], |row| row.get(0))?;
    next.ok_or_else(|| StoreError::Unusable("the file has lost its revision".into()))
}

/// `acc_…`, `key_…`, `adm_…`: random enough that nobody counts our customers by it.
fn public_id(kind: &str) -> String {
    format!("{kind}_{}", Uuid::now_v7().simple())
}

fn refused<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.into()))
}

const ADD_ACCOUNT: &str = "
    INSERT INTO account (public_id, name, group_name, status, created_at_ms, revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_ACCOUNT: &str = "UPDATE account SET name = ?2, group_name = ?3, status = ?4, revision = ?5 WHERE id = ?1";

const ADD_ENTRY: &str = "
    INSERT INTO ledger (account, kind, amount, balance_after, reference, note, at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const ADD_KEY: &str = "
    INSERT INTO api_key (public_id, account, name, hash, prefix, status, expires_at_ms, models, rpm, tpm, concurrency,
                         budget, allow_ips, spent_before, created_at_ms, revision)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const UPDATE_KEY: &str = "
    UPDATE api_key SET name = ?2, status = ?3, expires_at_ms = ?4, models = ?5, rpm = ?6, tpm = ?7, concurrency = ?8,
                       budget = ?9, allow_ips = ?10, revision = ?11
    WHERE id = ?1";

const END_KEY: &str = "UPDATE api_key SET status = ?2, revision = ?3 WHERE id = ?1";

/// Never later than it would have ended anyway.
const END_KEY_LATER: &str = "
    UPDATE api_key SET expires_at_ms = min(coalesce(expires_at_ms, ?2), ?2), revision = ?3 WHERE id = ?1";

const ADD_ADMIN_TOKEN: &str =
    "INSERT INTO admin_token (public_id, name, hash, scopes, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";

/// The first revocation stays the one on record.
const REVOKE_ADMIN_TOKEN: &str =
    "UPDATE admin_token SET revoked_at_ms = coalesce(revoked_at_ms, ?2) WHERE public_id = ?1";

const LABEL_CHARS_MAX: usize = 128;
const NOTE_CHARS_MAX: usize = 1_000;
